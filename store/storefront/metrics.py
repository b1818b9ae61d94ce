"""What is wrong now, in numbers: each scrape costs the same few statements, however many rows there are,
and a look at no index but those of what waits."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from store.backups.latest import last_backup
from store.kit import measures
from store.kit.database import db
from store.kit.exposition import Family
from store.kit.measures import BOUNDS, ERRORS, PAGES, SENDS
from store.kit.space import disk_left, unrecorded_downloads
from store.mail import claims, heartbeats, restores, standstills
from store.mail.models import (
    Batch,
    BatchStatus,
    Delivery,
    DeliveryStatus,
    Repair,
    open_letters,
    stands_at,
)
from store.mail.smtp import OutcomeKind
from store.payments.models import Checkout, CheckoutStatus, EventStatus, GatewayEvent
from store.staff import troubles
from store.staff.troubles import Part

# What is counted begins with nought: of a number that first shows as 50, Prometheus sees no increase.
_FAULTS = ("500", "503", "507")
_EVERY: dict[str, Sequence[str]] = {PAGES: (), SENDS: [one.value for one in OutcomeKind]}
# A gateway that is asked about a checkout answers within the hour's passes; longer is no answer.
_OVERDUE = timedelta(minutes=10)


def collected() -> list[Family]:
    """All metrics, in the order in which they are read. Where the database does not answer, what
    can be said without it."""
    try:
        told = list(_of_database())
    except sa.exc.SQLAlchemyError:
        db.session.rollback()
        return [_one("database_up", "Whether the database answers.", 0), *_of_machine()]
    return [_one("database_up", "Whether the database answers.", 1), *_of_machine(), *told]


def _of_machine() -> Iterator[Family]:
    info = _gauge("info", "Which version answers.")
    info.add(1, version=heartbeats.running_version())
    yield info
    left = disk_left()
    yield _one("disk_free_bytes", "Bytes left where this machine's data or files lie.", left.free)
    yield _one("disk_free_ratio", "The share of that disk that is left.", left.share)


def _of_database() -> Iterator[Family]:
    lost = unrecorded_downloads()  # first, as it gives the connection back
    seen = heartbeats.workers()
    yield from _of_letters(seen.now)
    yield from _of_payments(seen.now)
    yield _one("workers", "Worker processes seen within three minutes.", seen.at_work)
    yield _age("worker_age_seconds", "Since any worker was seen.", seen.now, seen.seen_at)
    yield _age(
        "timetable_age_seconds", "Since the timetable was gone through.", seen.now, seen.ran_at
    )
    held, standing = restores.holding(), standstills.now_standing()
    since = standing.began_at if standing else seen.now
    since = min(since, held.restored_at) if held else since
    yield _age(
        "standstill_seconds", "For how long no letters have left; 0: they do.", seen.now, since
    )
    wrong = _gauge("troubles", "What is not well with the machines, as /readyz names it.")
    parts = [one.part for one in troubles.standing(seen)]
    for part in Part:
        wrong.add(parts.count(part), part=part.value)
    yield wrong
    made = last_backup()
    words = "Since the newest whole backup was made."
    yield _age("backup_age_seconds", words, seen.now, made.made_at if made else None)
    yield _one("unrecorded_downloads", "Downloads that left no record on a full disk.", lost)
    yield from _of_measures()


def _of_letters(now: datetime) -> Iterator[Family]:
    some = open_letters(Delivery.id).subquery("open_ones")
    statuses = (DeliveryStatus.HELD, DeliveryStatus.FAILED, DeliveryStatus.BOUNCED)
    waiting, paused, repairs, *rest = db.session.execute(
        sa.select(
            _count(sa.select(sa.func.count()).select_from(some)),
            _count(_counting(Batch).where(Batch.status == BatchStatus.PAUSED)),
            _count(_counting(Repair).where(sa.text("ended_at IS NULL"))),
            *(_count(_counting(Delivery).where(stands_at(one))) for one in statuses),
        )
    ).one()
    letters = _gauge(
        "letters", "Letters that wait or are under way, are held, failed, or came back."
    )
    names = ("waiting", "held", "failed", "returned")
    for name, number in zip(names, (waiting, *rest), strict=True):
        letters.add(number, state=name)
    yield letters
    due = claims.oldest_due(db.session())
    words = "For how long the letter has been due that has waited longest and may leave."
    yield _age("letters_due_age_seconds", words, now, due or now)
    yield _one("batches_paused", "Releases and changes of a date whose letters are paused.", paused)
    yield _one("repairs_open", "Letters that came back and wait for a person.", repairs)


def _of_payments(now: datetime) -> Iterator[Family]:
    waits = GatewayEvent.status == EventStatus.RECEIVED
    is_open = Checkout.status == CheckoutStatus.OPEN
    events, oldest, unsettled, overdue = db.session.execute(
        sa.select(
            _count(_counting(GatewayEvent).where(waits)),
            sa.select(sa.func.min(GatewayEvent.received_at)).where(waits).scalar_subquery(),
            _count(_counting(Checkout).where(is_open)),
            _count(_counting(Checkout).where(is_open, Checkout.ask_at < now - _OVERDUE)),
        )
    ).one()
    yield _one("gateway_events_unapplied", "Messages about payments that wait.", events)
    words = "Since the oldest of them came; 0: none waits."
    yield _age("gateway_events_age_seconds", words, now, oldest or now)
    yield _one("checkouts_unsettled", "Tries to pay that are open.", unsettled)
    words = "Those of them about which the gateway should have been asked ten minutes ago."
    yield _one("checkouts_overdue", words, overdue)


def _of_measures() -> Iterator[Family]:
    rows = measures.all_rows()
    errors = Family("colophon_errors_total", "counter", "Answers of 500 and above, by status.")
    failed = dict.fromkeys(_FAULTS, 0) | {
        one.label: one.number for one in rows if one.name == ERRORS
    }
    for status, number in sorted(failed.items()):
        errors.add(number, status=status)
    yield errors
    told = {
        PAGES: ("page_seconds", "rule", "Time until a page is ready, by address rule."),
        SENDS: ("send_seconds", "outcome", "Time that handing a letter over takes, by outcome."),
    }
    for name, (metric, label, words) in told.items():
        family = Family(f"colophon_{metric}", "histogram", words)
        for one in measures.times(rows, name, _EVERY[name]):
            family.add_times(BOUNDS[name], one.numbers, one.seconds, **{label: one.label})
        yield family


def _gauge(name: str, words: str) -> Family:
    return Family(f"colophon_{name}", "gauge", words)


def _one(name: str, words: str, value: float) -> Family:
    family = _gauge(name, words)
    family.add(value)
    return family


def _age(name: str, words: str, now: datetime, since: datetime | None) -> Family:
    """Without a sample where there is no such moment."""
    family = _gauge(name, words)
    if since is not None:
        family.add(max(0.0, (now - since).total_seconds()))
    return family


def _counting(model: type[Any]) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(model)


def _count(query: sa.Select[Any]) -> sa.ScalarSelect[Any]:
    return query.scalar_subquery()
