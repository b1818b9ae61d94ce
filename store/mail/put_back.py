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

_HOUR = timedelta(hours=1)


def once(session: Session, doubtful: list[int]) -> None:
    """So many letters of a batch were refused that their readers are tried once more, after others."""
    refusals = sa.select(sa.func.count()).where(
        Attempt.delivery_id == deliveries.c.id, Attempt.outcome == OutcomeKind.REFUSED
    )
    _queue(session, doubtful, "the refusal may have meant us", refusals.scalar_subquery() == 1)


def of_domain(session: Session, domain: str) -> None:
    """The whole domain refuses us, so those whom it has refused before wait for it as well."""
    recalled = sa.select(Batch.id).where(Batch.status == BatchStatus.RECALLED)
    last = sa.select(sa.func.max(Attempt.id)).where(Attempt.delivery_id == Delivery.id)
    query = (
        sa.select(Attempt.delivery_id, Attempt.address, Attempt.reply)
        .join(Delivery, Delivery.id == Attempt.delivery_id)
        .where(
            stands_at(DeliveryStatus.FAILED),
            Attempt.id == last.correlate(Delivery).scalar_subquery(),
            sa.or_(Delivery.batch_id.is_(None), Delivery.batch_id.not_in(recalled)),
            Attempt.ended_at >= clock.now() - rests.FORGOTTEN_AFTER,
        )
    )
    theirs = [
        row.delivery_id
        for row in session.execute(query)
        if rests.domain_of(row.address) == domain and is_unclear(row.reply)
    ]
    _queue(session, theirs, "the whole domain refuses us")


def _queue(session: Session, which: list[int], why: str, *only: sa.ColumnElement[bool]) -> None:
    put_back = (
        sa.update(deliveries)
        .where(deliveries.c.id.in_(which), deliveries.c.status == DeliveryStatus.FAILED, *only)
        .values(status=DeliveryStatus.QUEUED, reason="", tries=0, due_at=clock.now() + _HOUR)
        .returning(deliveries.c.id)
    )
    for delivery_id in session.scalars(put_back).all():
        record_change(
            session,
            "deliveries",
            delivery_id,
            DeliveryStatus.FAILED,
            DeliveryStatus.QUEUED,
            who="shop",
            why=why,
        )
