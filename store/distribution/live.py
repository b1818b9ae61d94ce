"""The account of a release while it goes out and ever after, at the same cost however many it has:
letters from their counts, what hangs on rights from the last tally."""

import time
from datetime import timedelta

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus
from store.distribution import tallies
from store.distribution.coverage import (
    Coverage,
    NotReleasedYet,
    coverage,
    given_up_of,
    left_out_with,
    possibly_twice,
)
from store.distribution.recipients import batch_of
from store.distribution.tallies import Tally, TallyKind
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, end_read, transaction
from store.mail import counts, outbox
from store.mail.batches import in_columns
from store.mail.models import (
    PRIORITIES,
    Attempt,
    Batch,
    BatchStatus,
    Delivery,
)

# How old a tally may become: while somebody may watch, and later.
_WATCHED, _LATER = timedelta(minutes=10), timedelta(days=1)
_IS_NEW = timedelta(days=7)
_SECONDS_A_PASS = 5.0
# Of the pace of the last minute; more attempts say no more.
_ATTEMPTS = 500


def live(edition: Edition) -> Coverage:
    """Where everybody stands now. Refuses (`NotReleasedYet`)."""
    batch = batch_of(edition)
    if edition.released_at is None or batch is None:
        raise NotReleasedYet
    tally = tallies.kept(TallyKind.RELEASE, edition.id)
    if tally is None:
        return coverage(edition)
    found = tally.found
    letters = counts.letters_of(batch)
    columns, left_out = in_columns((*key, people) for key, people in letters.items())
    beside = found["imported"] + found["missing"] + found["apart"]
    return Coverage(
        **columns,
        given_up=given_up_of(batch) if columns.get("came_back") else 0,
        left_out=left_out_with(left_out, found["imported"]),
        missing=found["missing"],
        total=sum(letters.values()) + beside,
        later=found["later"],
        possibly_twice=possibly_twice(batch),
        batch_status=batch.status,
        counted_at=tally.counted_at,
    )


def recount(edition: Edition) -> tuple[Coverage, bool]:
    """Count every row, keep what was found, and mend the counts of letters where they differ, of
    which staff are told; the account, and whether they agreed. Refuses (`NotReleasedYet`). Opens
    its own transactions."""
    start = time.perf_counter()
    batch = batch_of(edition)
    if batch is None:
        raise NotReleasedYet
    batch_id, edition_id, number = batch.id, edition.id, edition.number
    wrong = counts.mend(batch_id)
    account = coverage(db.session.get_one(Edition, edition_id))
    imported = account.imported
    found = {
        "imported": imported,
        "missing": account.missing,
        "later": account.later,
        # By how much the customers differ from the columns: nothing, where all is well.
        "apart": account.total - account.counted,
    }
    with transaction():
        tallies.keep(TallyKind.RELEASE, edition_id, found, time.perf_counter() - start)
        if wrong:
            outbox.alert_staff(
                "The counts of a release were wrong",
                f"The counts of edition {number} differed from its letters and are put right now. "
                "No letter was lost or sent twice by it. Please report this.",
                f"counts:{batch_id}:{clock.now():%Y-%m-%d}",
            )
    return account, not wrong


def recount_due() -> int:
    """Count the releases again whose tally is old, the oldest first, for the timetable, for some
    seconds; returns how many. Opens its own transactions."""
    until = time.perf_counter() + _SECONDS_A_PASS
    done = 0
    for edition_id in _due():
        if time.perf_counter() > until:
            break
        recount(db.session.get_one(Edition, edition_id))
        end_read()
        done += 1
    return done


def _due() -> list[int]:
    other = sa.orm.aliased(Edition)
    newer = sa.exists().where(
        other.publication_id == Edition.publication_id,
        other.status == EditionStatus.RELEASED,
        other.number > Edition.number,
    )
    rows = db.session.execute(
        sa.select(Edition.id, Edition.released_at, Batch.status, ~newer, Tally)
        .join(Batch, sa.and_(Batch.subject_id == Edition.id, Batch.reason == "edition"))
        .outerjoin(Tally, sa.and_(Tally.edition_id == Edition.id, Tally.kind == TallyKind.RELEASE))
        .where(Batch.number == 1, Edition.released_at.is_not(None))
        .order_by(Tally.counted_at.is_not(None), Tally.counted_at, Edition.id)
    )
    new_since, under_way = clock.now() - _IS_NEW, (BatchStatus.RUNNING, BatchStatus.PAUSED)
    due: list[int] = []
    for edition_id, released_at, status, is_newest, tally in rows:
        is_new = released_at is not None and released_at > new_since
        is_watched = is_newest or status in under_way or is_new
        if tally is None or tally.is_older_than(_age(tally, is_watched=is_watched)):
            due.append(edition_id)
    return due


def _age(tally: Tally, *, is_watched: bool) -> timedelta:
    if tally.found["missing"] or tally.found["apart"]:
        return clock.MINUTE
    return _WATCHED if is_watched else _LATER


def count_due_later(batch: Batch) -> int:
    """How many letters of a release wait for a moment that is still to come."""
    query = sa.select(sa.func.count()).where(
        # The condition of the queue's index to the letter.
        sa.text("status = 'queued' AND claimed_at IS NULL"),
        Delivery.priority.in_(PRIORITIES),
        Delivery.due_at > clock.now(),
        Delivery.batch_id + 0 == batch.id,
    )
    return db.session.scalar(query) or 0


def letters_per_second(batch: Batch) -> float:
    """The pace of a release: what left in the last minute, else what the settings allow."""
    last = sa.select(Attempt).order_by(Attempt.id.desc()).limit(_ATTEMPTS).subquery("last")
    lately = (
        sa.select(sa.func.count(), sa.func.min(last.c.ended_at))
        .join(Delivery, Delivery.id == last.c.delivery_id)
        .where(
            Delivery.batch_id + 0 == batch.id,
            last.c.outcome == "accepted",
            last.c.ended_at > clock.now() - clock.MINUTE,
        )
    )
    count, first = db.session.execute(lately).one()
    if count < 2 or first is None:
        return float(config().mail_rate)
    seconds = (clock.now() - first).total_seconds()
    return float(count / max(seconds, 1.0))
