"""Taking back what has not left yet, and withdrawing an edition that was wrong."""

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus
from store.catalog.publishing import newest_released
from store.distribution.recipients import NOTICE, RECALLED, WITHDRAWN, batch_of
from store.entitlements.granting import lock_publication, owe_copy
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.errors import Refusal
from store.kit.status import advance
from store.mail import outbox
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus

_UNSENT = (DeliveryStatus.QUEUED, DeliveryStatus.HELD)


class NothingToRecall(Refusal):
    """All letters of the release have left, or nobody released it."""

    sentence = "There are no letters of this edition left to recall."


class NotReleased(Refusal):
    """Only a released edition can be withdrawn."""

    sentence = "This edition is not released, so it cannot be withdrawn."


def recall(edition: Edition, who: str) -> int:
    """Leave out every letter of the release that has not left; returns how many.

    A letter on its way at this moment still arrives. Refuses `NothingToRecall`.
    """
    batch = batch_of(db.session, edition)
    if batch is None or not batch.status.may_become(BatchStatus.RECALLED):
        raise NothingToRecall
    if not advance(batch, BatchStatus.RECALLED, who=who):
        raise NothingToRecall
    _forget_resends(batch)
    return _leave_out(Delivery.batch_id == batch.id, RECALLED)


def withdraw(edition: Edition, who: str, why: str = "") -> int:
    """Take a released edition away: links lead to the newest other one from now on, and its
    letters that have not left are left out; returns how many. Refuses `NotReleased`.

    Who still waits for a copy bought with this edition gets the newest other one instead.
    """
    lock_publication(edition.publication_id, for_release=True)
    db.session.refresh(edition)
    if edition.status != EditionStatus.RELEASED:
        raise NotReleased
    advance(edition, EditionStatus.WITHDRAWN, who=who, why=why)
    edition.withdrawn_at = clock.now()
    db.session.flush()
    batch = batch_of(db.session, edition)
    if batch is not None and batch.status.may_become(BatchStatus.RECALLED):
        advance(batch, BatchStatus.RECALLED, who=who, why="the edition was withdrawn")
    _offer_the_other(edition)
    notices = sa.and_(Delivery.edition_id == edition.id, Delivery.kind == NOTICE)
    return _leave_out(notices, WITHDRAWN)


def settle_recalled() -> int:
    """Leave out what was on its way during a recall and came back unsent, for the timetable;
    returns how many. Opens its own transaction, none where there is nothing to do."""
    recalled = sa.select(Batch.id).where(Batch.status == BatchStatus.RECALLED)
    # What a person has sent again since then is to leave.
    stray = sa.and_(
        Delivery.batch_id.in_(recalled),
        Delivery.status.in_(_UNSENT),
        Delivery.priority != outbox.SOMEBODY_WAITS,
    )
    if db.session.scalars(sa.select(Delivery.id).where(stray).limit(1)).first() is None:
        return 0
    with transaction():
        return _leave_out(stray, RECALLED)


def _forget_resends(batch: Batch) -> None:
    """A recall is the later word: what was sent again before it is as the others."""
    statement = (
        sa.update(Delivery)
        .where(Delivery.batch_id == batch.id, Delivery.priority == outbox.SOMEBODY_WAITS)
        .values(priority=outbox.NOTICE)
    )
    db.session.connection().execute(statement)


def _leave_out(which: sa.ColumnElement[bool], why: str) -> int:
    # A worker that has claimed one of them looks at its status again before it sends.
    statement = (
        sa.update(Delivery)
        .where(which, Delivery.status.in_(_UNSENT))
        .values(status=DeliveryStatus.SKIPPED, reason=why, claimed_by=None, claimed_at=None)
        .execution_options(synchronize_session=False)
    )
    changed = db.session.connection().execute(statement).rowcount
    db.session.expire_all()
    return int(changed)


def _offer_the_other(edition: Edition) -> None:
    """Letters outside the release carry a first copy that somebody waits for."""
    newest = newest_released(edition.publication_id)
    if newest is None:
        return
    waiting = db.session.scalars(
        sa.select(Delivery).where(
            Delivery.edition_id == edition.id,
            Delivery.kind == NOTICE,
            Delivery.batch_id.is_(None),
            Delivery.customer_id.is_not(None),
            Delivery.status.in_(_UNSENT),
        )
    ).all()
    for delivery in waiting:
        owe_copy(newest.id, delivery.customer_id or 0, delivery.due_at)
