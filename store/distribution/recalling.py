"""Taking back what has not left yet, and withdrawing an edition that was wrong."""

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus
from store.catalog.publishing import lock_publication
from store.distribution.recipients import RECALLED, WITHDRAWN, batch_of
from store.entitlements.access import editions_of_order
from store.entitlements.copies import (
    CONFIRMATION,
    NOTICE,
    UNSENT,
    has_copy,
    is_recalled,
    owe_what_was_missed,
)
from store.entitlements.models import Entitlement
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.errors import Refusal
from store.kit.status import advance
from store.mail import outbox
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus, Occasion


class NothingToRecall(Refusal):
    """All letters of the release have left, or nobody released it."""

    sentence = "There are no letters of this edition left to recall."


class NotReleased(Refusal):
    """Only a released edition can be withdrawn."""

    sentence = "This edition is not released, so it cannot be withdrawn."


def recall(edition: Edition, who: str) -> int:
    """Leave out every letter of the release that has not left; returns how many.

    A letter on its way at this moment still arrives. Who bought this very edition gets it all the
    same, and who still waits for a first copy the newest other one. Refuses `NothingToRecall`.
    """
    lock_publication(edition.publication_id, for_release=True)
    batch = batch_of(db.session, edition)
    if batch is None or not batch.status.may_become(BatchStatus.RECALLED):
        raise NothingToRecall
    if not advance(batch, BatchStatus.RECALLED, who=who):
        raise NothingToRecall
    _forget_resends(batch)
    bought_as_it_is = sa.exists().where(
        Entitlement.customer_id == Delivery.customer_id,
        Entitlement.from_edition_id == edition.id,
    )
    beside = sa.and_(
        Delivery.edition_id == edition.id,
        Delivery.kind == NOTICE,
        Delivery.batch_id.is_(None),
        Delivery.customer_id.is_not(None),
        ~bought_as_it_is,
    )
    return _leave_out(edition, RECALLED, sa.or_(Delivery.batch_id == batch.id, beside))


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
    outbox.look_again_at_edition(edition.id)
    _carry_the_other(edition)
    notices = sa.and_(Delivery.edition_id == edition.id, Delivery.kind == NOTICE)
    return _leave_out(edition, WITHDRAWN, notices)


def settle_recalled() -> int:
    """Leave out what was on its way during a recall and came back unsent, for the timetable;
    returns how many. Opens its own transaction, none where there is nothing to do."""
    recalled = sa.select(Batch.id).where(Batch.status == BatchStatus.RECALLED)
    # What a person has sent again since then is to leave.
    stray = sa.and_(
        Delivery.batch_id.in_(recalled),
        Delivery.status.in_(UNSENT),
        Delivery.priority != outbox.SOMEBODY_WAITS,
    )
    if db.session.scalars(sa.select(Delivery.id).where(stray).limit(1)).first() is None:
        return 0
    with transaction():
        return outbox.leave_out(RECALLED, stray)


def _forget_resends(batch: Batch) -> None:
    """A recall is the later word: what was sent again before it is as the others."""
    statement = (
        sa.update(Delivery)
        .where(Delivery.batch_id == batch.id, Delivery.priority == outbox.SOMEBODY_WAITS)
        .values(priority=outbox.NOTICE)
    )
    db.session.connection().execute(statement)


def _carry_the_other(edition: Edition) -> None:
    """Confirmations that have not left carry what their order opens now, or nothing yet."""
    unsent = sa.select(Delivery).where(
        Delivery.edition_id == edition.id,
        Delivery.kind == CONFIRMATION,
        Delivery.status.in_(UNSENT),
        Delivery.order_id.is_not(None),
    )
    for confirmation in db.session.scalars(unsent).all():
        others = editions_of_order(confirmation.order_id or 0)
        confirmation.edition_id = others[0].id if others else None
    db.session.flush()


def _leave_out(edition: Edition, why: str, which: sa.ColumnElement[bool]) -> int:
    """Leave letters of an edition out; who waited for a first copy by one of them is owed the
    newest other one instead."""
    count = outbox.leave_out(why, which)
    others = sa.select(Edition.id).where(
        Edition.publication_id == edition.publication_id,
        Edition.status == EditionStatus.RELEASED,
        Edition.id != edition.id,
    )
    may_be_mailed: sa.ColumnElement[bool] = sa.true()
    if db.session.scalars(others.where(~is_recalled(Edition.id)).limit(1)).first() is None:
        # Recalled as well: only to who bought it as it is.
        may_be_mailed = sa.exists().where(
            Entitlement.customer_id == Delivery.customer_id,
            Entitlement.from_edition_id.in_(others),
        )
    waited = sa.select(Delivery.customer_id, Delivery.occasion).where(
        Delivery.edition_id == edition.id,
        Delivery.kind == NOTICE,
        Delivery.status == DeliveryStatus.SKIPPED,
        Delivery.reason == why,
        Delivery.customer_id.is_not(None),
        may_be_mailed,
        ~has_copy(Delivery.customer_id, sa.literal(edition.publication_id)),
    )
    for customer_id, given in db.session.execute(waited).all():
        occasion = given or Occasion.FIRST_COPY
        if occasion in {Occasion.RELEASED, Occasion.RESENT}:
            occasion = Occasion.FIRST_COPY
        owe_what_was_missed(customer_id or 0, edition.publication_id, occasion)
    return count
