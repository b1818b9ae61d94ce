"""Letters that failed by a refusal which may have meant us, queued again as if they had not."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from store.kit import clock
from store.kit.status import record_change
from store.mail import rests
from store.mail.brake import is_unclear
from store.mail.models import (
    Attempt,
    Batch,
    BatchStatus,
    Delivery,
    DeliveryStatus,
    deliveries,
    stands_at,
)
from store.mail.smtp import OutcomeKind

# Why a letter is held that has waited for its domain in vain.
BY_ITS_DOMAIN = "its whole domain refuses our letters"
_HOUR = timedelta(hours=1)


def once(session: Session, doubtful: list[int]) -> None:
    """So many letters of a batch were refused that their readers are tried once more, after others."""
    refusals = sa.select(sa.func.count()).where(
        Attempt.delivery_id == deliveries.c.id, Attempt.outcome == OutcomeKind.REFUSED
    )
    _queue(session, doubtful, "the refusal may have meant us", refusals.scalar_subquery() == 1)


def of_domain(session: Session, domain: str) -> None:
    """The whole domain refuses us, so those whom it has refused before wait for it as well."""
    since = Attempt.ended_at >= clock.now() - rests.FORGOTTEN_AFTER
    theirs = _theirs(session, domain, DeliveryStatus.FAILED, since)
    refused = [letter_id for letter_id, reply in theirs if is_unclear(reply)]
    _queue(session, refused, "the whole domain refuses us")


def held_for(session: Session, domain: str) -> None:
    """The domain takes letters again: those that a person had to look at leave by themselves."""
    held = Delivery.reason.startswith(BY_ITS_DOMAIN, autoescape=True)
    theirs = [letter_id for letter_id, _ in _theirs(session, domain, DeliveryStatus.HELD, held)]
    _queue(session, theirs, "its domain takes letters again", was=DeliveryStatus.HELD)


def _theirs(
    session: Session, domain: str, status: DeliveryStatus, *only: sa.ColumnElement[bool]
) -> list[tuple[int, str]]:
    """Letters of this status that were tried at this domain last, with what it said."""
    recalled = sa.select(Batch.id).where(Batch.status == BatchStatus.RECALLED)
    last = sa.select(sa.func.max(Attempt.id)).where(Attempt.delivery_id == Delivery.id)
    query = (
        sa.select(Attempt.delivery_id, Attempt.address, Attempt.reply)
        .join(Delivery, Delivery.id == Attempt.delivery_id)
        .where(
            stands_at(status),
            Attempt.id == last.correlate(Delivery).scalar_subquery(),
            sa.or_(Delivery.batch_id.is_(None), Delivery.batch_id.not_in(recalled)),
            *only,
        )
    )
    rows = session.execute(query)
    return [(row[0], row[2]) for row in rows if rests.domain_of(row[1]) == domain]


def _queue(
    session: Session,
    which: list[int],
    why: str,
    *only: sa.ColumnElement[bool],
    was: DeliveryStatus = DeliveryStatus.FAILED,
) -> None:
    wait = _HOUR if was is DeliveryStatus.FAILED else timedelta()
    put_back = (
        sa.update(deliveries)
        .where(deliveries.c.id.in_(which), deliveries.c.status == was, *only)
        .values(status=DeliveryStatus.QUEUED, reason="", tries=0, due_at=clock.now() + wait)
        .returning(deliveries.c.id)
    )
    for delivery_id in session.scalars(put_back).all():
        record_change(
            session,
            "deliveries",
            delivery_id,
            was,
            DeliveryStatus.QUEUED,
            who="shop",
            why=why,
        )
