"""A release held back: its letters paused, recalled before they leave, or a wrong edition withdrawn."""

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus
from store.catalog.publications import lock_publication
from store.distribution.recipients import RECALLED, WITHDRAWN, batch_of
from store.entitlements.access import editions_of_order
from store.entitlements.models import Entitlement
from store.entitlements.notices import UNSENT, owe_instead
from store.entitlements.received import CONFIRMATION, NOTICE, has_copy
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.errors import Refusal
from store.kit.status import advance
from store.mail import batches, outbox
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus, open_letters, stands_at


class NotSending(Refusal):
    """The release has no letters on their way that could be paused."""

    sentence = "No letters of this edition are being sent."


class NotPaused(Refusal):
    """Nothing to go on with."""

    sentence = "The letters of this edition are not paused."


class NothingToRecall(Refusal):
    """All letters of the release have left, or nobody released it."""

    sentence = "There are no letters of this edition left to recall."


class NotReleased(Refusal):
    """Only a released edition can be withdrawn."""

    sentence = "This edition is not released, so it cannot be withdrawn."


def pause(edition: Edition, who: str, why: str = "") -> None:
    """Hold the letters that have not left, until `resume`. Refuses `NotSending`."""
    batch = batch_of(edition)
    if batch is None or not batches.pause(batch, who, why):
        raise NotSending


def resume(edition: Edition, who: str) -> None:
    """Let paused letters go on. Refuses `NotPaused`."""
    batch = batch_of(edition)
    if batch is None or not batches.resume(batch, who):
        raise NotPaused


def recall(edition: Edition, who: str) -> int:
    """Leave out every letter of the release that has not left; returns how many.

    A letter on its way at this moment still arrives. Who bought this very edition gets it all the
    same, and who still waits for a first copy the newest other one. Refuses `NothingToRecall`.
    """
    lock_publication(edition.publication_id, alone=True)
    batch = batch_of(edition)
    if batch is None or not batch.status.may_become(BatchStatus.RECALLED):
        raise NothingToRecall
    if not advance(batch, BatchStatus.RECALLED, who=who):
        raise NothingToRecall
    is_of_it = sa.or_(
        Delivery.batch_id == batch.id, sa.and_(Delivery.edition_id == edition.id, _is_beside())
    )
    # A recall is the later word: what was sent again before it is as the others.
    db.session.connection().execute(
        sa.update(Delivery)
        .where(is_of_it, Delivery.priority == outbox.SOMEBODY_WAITS)
        .values(priority=outbox.NOTICE)
    )
    return _leave_out(edition, RECALLED, is_of_it)


def _is_beside() -> sa.ColumnElement[bool]:
    """Of a recalled edition: no letter of its release carries it, and nobody bought it as it is."""
    bought_as_it_is = sa.exists().where(
        Entitlement.customer_id == Delivery.customer_id,
        Entitlement.from_edition_id == Delivery.edition_id,
    )
    return sa.and_(
        Delivery.kind == NOTICE,
        Delivery.batch_id.is_(None),
        Delivery.customer_id.is_not(None),
        ~bought_as_it_is,
    )


def withdraw(edition: Edition, who: str, why: str = "") -> int:
    """Take a released edition away: links lead to the newest other one from now on, and its
    letters that have not left are left out; returns how many. Refuses `NotReleased`.

    Who still waits for a copy bought with this edition gets the newest other one instead.
    """
    lock_publication(edition.publication_id, alone=True)
    db.session.refresh(edition)
    if edition.status != EditionStatus.RELEASED:
        raise NotReleased
    advance(edition, EditionStatus.WITHDRAWN, who=who, why=why)
    edition.withdrawn_at = clock.now()
    db.session.flush()
    batch = batch_of(edition)
    if batch is not None and batch.status.may_become(BatchStatus.RECALLED):
        advance(batch, BatchStatus.RECALLED, who=who, why="the edition was withdrawn")
    outbox.look_again_at_edition(edition.id)
    # Confirmations that have not left carry what their order opens now, or nothing yet.
    confirmations = sa.select(Delivery).where(
        Delivery.edition_id == edition.id,
        Delivery.kind == CONFIRMATION,
        Delivery.status.in_(UNSENT),
        Delivery.order_id.is_not(None),
    )
    for confirmation in db.session.scalars(confirmations).all():
        others = editions_of_order(confirmation.order_id or 0)
        confirmation.edition_id = others[0].id if others else None
    db.session.flush()
    notices = sa.and_(Delivery.edition_id == edition.id, Delivery.kind == NOTICE)
    return _leave_out(edition, WITHDRAWN, notices)


def settle_recalled() -> int:
    """Leave out what was on its way during a recall or a withdrawal and came back unsent, for the
    timetable, and owe what is due instead; returns how many. Opens a transaction for each edition,
    none where there is nothing to do."""
    recalled = sa.select(Batch.id).where(Batch.status == BatchStatus.RECALLED)
    editions = sa.select(Batch.subject_id).where(
        Batch.reason == "edition", Batch.status == BatchStatus.RECALLED
    )
    withdrawn = sa.select(Edition.id).where(Edition.status == EditionStatus.WITHDRAWN)
    # What a person has sent again since a recall is to leave.
    is_recalled = sa.and_(
        sa.or_(
            Delivery.batch_id.in_(recalled),
            sa.and_(Delivery.edition_id.in_(editions), _is_beside()),
        ),
        Delivery.priority != outbox.SOMEBODY_WAITS,
    )
    held = sa.select(Delivery.id).where(stands_at(DeliveryStatus.HELD))
    unsent = sa.union_all(sa.select(open_letters(Delivery.id).subquery("open_letters")), held)
    is_stray = sa.and_(
        Delivery.id.in_(unsent),
        Delivery.status.in_(UNSENT),
        Delivery.kind == NOTICE,
        Delivery.customer_id.is_not(None),
        sa.or_(is_recalled, Delivery.edition_id.in_(withdrawn)),
    )
    left_out = 0
    strayed = sa.select(Delivery.edition_id).where(is_stray).distinct()
    for edition_id in db.session.scalars(strayed).all():
        with transaction() as session:
            edition = session.get_one(Edition, edition_id)
            lock_publication(edition.publication_id, alone=True)
            session.refresh(edition)
            why = WITHDRAWN if edition.status == EditionStatus.WITHDRAWN else RECALLED
            left_out += _leave_out(
                edition, why, sa.and_(Delivery.edition_id == edition_id, is_stray)
            )
    return left_out


def _leave_out(edition: Edition, why: str, which: sa.ColumnElement[bool]) -> int:
    """Leave letters of an edition out; who waited for a first copy by one of them is owed the
    newest other one instead, on a withdrawal also who could be owed none when it was recalled."""
    count = outbox.leave_out(why, which)
    reasons = [why, RECALLED]
    waited = sa.and_(
        Delivery.edition_id == edition.id,
        Delivery.kind == NOTICE,
        Delivery.status == DeliveryStatus.SKIPPED,
        Delivery.reason.in_(reasons),
        ~has_copy(Delivery.customer_id, sa.literal(edition.publication_id)),
    )
    owe_instead(edition.publication_id, waited)
    return count
