"""Releasing an edition: scheduled, taken back, or published together with every delivery it owes."""

import logging
from datetime import datetime, timedelta
from uuid import uuid4

import sqlalchemy as sa

from store.catalog.editions import EditionAlreadyReleased
from store.catalog.models import Asset, Edition, EditionStatus
from store.catalog.publications import lock_publication
from store.distribution.owing import begin_terms, owe_missing, owe_notices
from store.distribution.recalling import (
    NothingToRecall,
    NotReleased,
    recall,
    settle_recalled,
    withdraw,
)
from store.distribution.recipients import recipients
from store.distribution.rehearsing import Rehearsal, rehearse
from store.entitlements.received import NOTICE
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, transaction
from store.kit.errors import Refusal
from store.kit.jobs import ring
from store.kit.status import advance
from store.mail import outbox
from store.mail.models import Batch, BatchStatus, Occasion
from store.orders.customers import parse_address

__all__ = [
    "NotReleased",
    "NothingToRecall",
    "Rehearsal",
    "owe_missing",
    "recall",
    "rehearse",
    "settle_recalled",
    "withdraw",
]

log = logging.getLogger(__name__)


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
        local = earliest.astimezone(config().zone)
        raise MomentTooSoon(
            f"That is too soon: there must be time to take it back. Say {local:%Y-%m-%dT%H:%M} "
            f"({config().zone.key}) or later."
        )
    lock_publication(edition.publication_id, alone=True)
    db.session.refresh(edition)
    _refuse_unfit(edition)
    edition.release_at = at or earliest
    advance(edition, EditionStatus.SCHEDULED, who=who)
    if edition.release_at <= clock.now():
        ring("release_due")
    return edition.release_at


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
    ids = db.session.scalars(due.order_by(Edition.release_at, Edition.id)).all()
    return sum(_release_one(edition_id) for edition_id in ids)


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
    begin_terms(edition, now)
    # Everybody who holds an entitlement at this moment, whatever clock wrote its time: the query
    # compares no times as long as the edition's own is not set.
    owe_notices(edition, batch, recipients(edition))
    edition.released_at = now
    db.session.flush()
    outbox.wake()
    return batch


def send_test(edition: Edition, address: str) -> None:
    """Owe the edition's notice to one address of the staff, marked [TEST]; it counts nowhere.

    Refuses (`InvalidAddress`) what no letter can be sent to.
    """
    outbox.owe(
        NOTICE,
        f"test:{edition.id}:{uuid4().hex}",
        edition_id=edition.id,
        address=parse_address(address),
        facts={"test": True},
        occasion=Occasion.RELEASED,
        priority=outbox.SOMEBODY_WAITS,
    )


def _release_one(edition_id: int) -> bool:
    try:
        with transaction() as session:
            release_edition(session.get_one(Edition, edition_id), "timetable")
    except NotScheduled:
        return False  # somebody else was first, or took it back
    except Exception:
        # One edition that cannot be released must not hold up the others.
        log.exception("edition %s could not be released", edition_id)
        return False
    return True


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
