"""Releasing an edition: scheduled, taken back, or published together with every delivery it owes;
and the second net, which the timetable looks after."""

import logging
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from store.catalog.editions import EditionAlreadyReleased
from store.catalog.models import Asset, Edition, EditionStatus
from store.catalog.publications import lock_publication
from store.distribution import tallies
from store.distribution.recipients import RECALLED, batch_of, missing, recipients
from store.distribution.tallies import TallyKind
from store.entitlements.models import Entitlement
from store.entitlements.notices import leave_older_out, notice_key_of
from store.entitlements.received import NOTICE
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, transaction
from store.kit.errors import Refusal
from store.kit.formatting import format_moment
from store.kit.jobs import ring
from store.kit.status import advance
from store.mail import outbox
from store.mail.models import Batch, BatchStatus

log = logging.getLogger(__name__)

# The net looks at the newest edition of each publication, and at others for this long.
_WATCHED = timedelta(days=7)


class NothingToRelease(Refusal):
    """An edition without a file."""

    sentence = "This edition has no file yet. Upload a PDF or an EPUB first."


class AlreadyScheduled(Refusal):
    """One release at a time per publication, so that editions come out in their order."""

    sentence = "A release of this publication is waiting. Take it back first, or let it pass."


class EditionOutdated(Refusal):
    """An edition behind the newest one would reach buyers as if it were news."""

    sentence = "A later edition is released already. Upload this text as a new edition."


class NotScheduled(Refusal):
    """Nothing waits to be released or taken back."""

    sentence = "This edition is not waiting for its release."


class MomentTooSoon(Refusal):
    """There must be time to take a release back."""

    status = 422


def schedule_release(edition: Edition, at: datetime | None, who: str) -> datetime:
    """Let the edition be released at `at` (UTC), or after `STORE_RELEASE_DELAY`; returns when.

    Refuses `EditionAlreadyReleased`, `AlreadyScheduled`, `NothingToRelease`, `EditionOutdated`
    and `MomentTooSoon`. Nothing leaves before; until then `take_back` undoes it.
    """
    earliest = clock.now() + timedelta(seconds=config().release_delay)
    if at is not None and at < earliest:
        raise MomentTooSoon(
            "That is too soon: there must be time to take it back. The first moment is "
            f"{format_moment(earliest)}."
        )
    lock_publication(edition.publication_id, alone=True)
    db.session.refresh(edition)
    _refuse_unfit(edition)
    edition.release_at = at or earliest
    advance(edition, EditionStatus.SCHEDULED, who=who)
    if edition.release_at <= clock.now():
        ring("release_due")
    return edition.release_at


def _refuse_unfit(edition: Edition) -> None:
    if edition.status == EditionStatus.SCHEDULED:
        raise AlreadyScheduled
    if edition.status != EditionStatus.DRAFT:
        raise EditionAlreadyReleased
    if (
        db.session.scalars(sa.select(Asset.id).where(Asset.edition_id == edition.id)).first()
        is None
    ):
        raise NothingToRelease
    others = db.session.execute(
        sa.select(Edition.number, Edition.status).where(
            Edition.publication_id == edition.publication_id
        )
    ).all()
    if any(status == EditionStatus.SCHEDULED for _, status in others):
        raise AlreadyScheduled
    out = {EditionStatus.RELEASED, EditionStatus.WITHDRAWN}
    if any(number > edition.number and status in out for number, status in others):
        raise EditionOutdated


def take_back(edition: Edition, who: str) -> None:
    """Undo the schedule; nothing has left. Refuses `EditionAlreadyReleased`, `NotScheduled`."""
    if edition.released_at is not None:
        raise EditionAlreadyReleased
    if edition.status != EditionStatus.SCHEDULED:
        raise NotScheduled
    if not advance(edition, EditionStatus.DRAFT, who=who, why="taken back"):
        raise EditionAlreadyReleased
    edition.release_at = None
    db.session.flush()


def release_due() -> int:
    """Release what has reached its moment, for the timetable; returns how many.

    Opens its own transactions. Releasing at the same time in two processes releases once.
    """
    due = sa.select(Edition.id).where(
        Edition.status == EditionStatus.SCHEDULED, Edition.release_at <= clock.now()
    )
    released = 0
    for edition_id in db.session.scalars(due.order_by(Edition.release_at, Edition.id)).all():
        try:
            with transaction() as session:
                release_edition(session.get_one(Edition, edition_id), "timetable")
        except NotScheduled:
            continue  # another process was first, or it was taken back
        except Exception:
            # One edition that cannot be released must not hold up the others.
            log.exception("edition %s could not be released", edition_id)
        else:
            released += 1
    return released


def release_edition(edition: Edition, who: str) -> Batch:
    """Publish a scheduled edition and owe every notice, in the caller's one transaction.

    The publication's row is locked first, so that a customer whose grant is being written is
    either among the recipients or sees this edition as the newest. Refuses `NotScheduled`.
    """
    lock_publication(edition.publication_id, alone=True)
    db.session.refresh(edition)
    if edition.status != EditionStatus.SCHEDULED:
        raise NotScheduled
    if not advance(edition, EditionStatus.RELEASED, who=who):
        raise NotScheduled
    now = clock.now()
    batch = Batch(
        reason="edition",
        subject_id=edition.id,
        number=1,
        status=BatchStatus.RUNNING,
        created_at=now,
    )
    db.session.add(batch)
    db.session.flush()
    _begin_terms(edition, now)
    # Everybody who holds an entitlement at this moment, whatever clock wrote its time: the query
    # compares no times as long as the edition's own is not set.
    owe_notices(edition, batch, recipients(edition))
    edition.released_at = now
    db.session.flush()
    outbox.wake()
    return batch


def _begin_terms(edition: Edition, released_at: datetime) -> None:
    """Pre-orders wait for their first edition: from now on their months of editions count."""
    waiting = (
        Entitlement.publication_id == edition.publication_id,
        Entitlement.updates_until.is_(None),
        Entitlement.updates_months.is_not(None),
    )
    zone = config().zone
    day = released_at.astimezone(zone).date()
    for months in db.session.scalars(
        sa.select(Entitlement.updates_months).where(*waiting).distinct()
    ).all():
        until = clock.end_of(clock.add_months(day, months or 0), zone)
        db.session.execute(
            sa.update(Entitlement)
            .where(*waiting, Entitlement.updates_months == months)
            .values(updates_until=until)
            .execution_options(synchronize_session=False)
        )


def owe_notices(edition: Edition, batch: Batch, chosen: sa.Select[Any]) -> int:
    """Write a delivery for every row of `chosen` (see `recipients`), the left-out ones with their
    reason; who has one already is passed over. Of an older edition that still waits for a customer
    without a copy the letter is left out: the newest alone is owed. Returns how many were written."""
    rows = chosen.subquery("chosen")
    left_out: sa.ColumnElement[Any] = rows.c.left_out
    if batch.status == BatchStatus.RECALLED:
        left_out = sa.func.coalesce(left_out, sa.literal(RECALLED))
    owed = sa.select(
        sa.case((left_out.is_(None), "queued"), else_="skipped").label("status"),
        rows.c.occasion,
        sa.func.coalesce(left_out, "").label("reason"),
        notice_key_of(edition.id, rows.c.customer_id).label("dedupe_key"),
        sa.literal(batch.id).label("batch_id"),
        rows.c.customer_id,
        sa.literal(edition.id).label("edition_id"),
        rows.c.due_at,
    )
    written = outbox.owe_rows(NOTICE, owed)
    leave_older_out(edition.publication_id)
    return written


def owe_missing() -> int:
    """The second net, for the timetable: owe a notice to every customer without one whom the
    invariant demands it for. Opens its own transactions, and none where nobody is missing."""
    other = sa.orm.aliased(Edition)
    newer = sa.exists().where(
        other.publication_id == Edition.publication_id,
        other.status == EditionStatus.RELEASED,
        other.number > Edition.number,
    )
    watched = sa.select(Edition.id).where(
        Edition.status == EditionStatus.RELEASED,
        sa.or_(Edition.released_at > clock.now() - _WATCHED, ~newer),
    )
    total = 0
    for edition_id in db.session.scalars(watched).all():
        edition = db.session.get_one(Edition, edition_id)
        if db.session.execute(missing(edition).limit(1)).first() is None:
            continue
        with transaction() as session:
            edition = session.get_one(Edition, edition_id)
            batch = batch_of(edition)
            if batch is None or edition.status != EditionStatus.RELEASED:
                continue
            owed = owe_notices(edition, batch, missing(edition))
            tallies.forget(TallyKind.RELEASE, edition_id)
            if owed:
                log.warning("edition %s: %d deliveries were missing and are owed", edition_id, owed)
                outbox.wake()
            total += owed
    return total
