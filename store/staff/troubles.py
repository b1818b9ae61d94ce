"""What is not well with the machines: noticed by every process twice a minute, told once.

A row for each trouble stands from the look that finds it to the look that does not. Whoever finds it
first says so in the log and owes one alert; where no worker is there to send it, it leaves once one
is back. Pages and `/readyz` read the rows, and of workers what is true at the moment.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Mapped, Session, mapped_column

from store.catalog.sellers import SellerUnknown
from store.kit import clock
from store.kit.config import config
from store.kit.database import Base, db, end_read, insert_once, status_type, transaction
from store.kit.formatting import format_moment, format_time
from store.kit.space import disk_left
from store.kit.storage import storage
from store.mail import certificates, heartbeats, outbox
from store.mail.heartbeats import SILENT, Workers
from store.mail.shared_clock import shared_now_of

log = logging.getLogger(__name__)

# Nobody has looked at it for so long: the machine that found it is no more.
_FORGOTTEN = timedelta(hours=2)
_SEEN_AGAIN = timedelta(minutes=10)
_KEPT = timedelta(days=30)
# A database that is started again is no news.
_SHORT_SECONDS = 60.0


class Part(StrEnum):
    """What may not be well."""

    WORKER = "worker"
    TIMETABLE = "timetable"
    DISK = "disk"
    STORAGE = "storage"
    CERTIFICATE = "certificate"


# What everybody may read who asks `/readyz`, and what is to be done.
PLAINLY = {
    Part.WORKER: "A worker has not been seen for three minutes.",
    Part.TIMETABLE: "A worker is there, and nobody has gone through the timetable for five minutes.",
    Part.DISK: "Less than 5 % of a disk is left.",
    Part.STORAGE: "The storage of files does not answer.",
    Part.CERTIFICATE: "The mail server’s certificate is not trusted, or ends soon.",
}
TO_DO = {
    Part.WORKER: "Letters, releases and payments that fall due wait; nothing is lost. For who runs the "
    "server: “systemctl status colophon” says whether it runs, “store worker” starts one by hand.",
    Part.TIMETABLE: "Letters may leave, but what falls due waits; nothing is lost. For who runs the "
    "server: the log says what keeps it; then start the worker again.",
    Part.DISK: "Once it is full nothing can be ordered or changed. For who runs the server: make room.",
    Part.STORAGE: "Nobody can download meanwhile. For who runs the server: “store check” has its words.",
    Part.CERTIFICATE: "Where it does not hold no letter leaves; all of them wait. For who runs the mail "
    "server: renew it. “store check” asks it at once.",
}


class Trouble(Base):
    """Something that is not well, or was; one open row of a part and the machine it is about."""

    __tablename__ = "troubles"
    __table_args__ = (
        sa.Index(
            "uq_troubles_open_part_place",
            "part",
            "place",
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    part: Mapped[Part] = mapped_column(status_type(Part))
    # The machine, or empty where it is about the whole shop.
    place: Mapped[str] = mapped_column(sa.String(60))
    words: Mapped[str] = mapped_column(sa.String(300))
    began_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


@dataclass(frozen=True)
class Found:
    """One trouble at this moment, in words for staff."""

    part: Part
    place: str
    since: datetime
    words: str

    @property
    def to_do(self) -> str:
        """What becomes of it, and who can do what."""
        return TO_DO[self.part]


Key = tuple[str, str]


def standing(seen: Workers | None = None) -> list[Found]:
    """All that is not well: of workers and this machine's disk at this moment, of the rest as a
    process saw it within the last minutes. Two statements; nobody else's server is asked. One statement less where the workers have been `seen`."""
    seen = seen or heartbeats.workers()
    found = {(one.part, one.place): one for one in [*_of_workers(seen), *_of_disk(seen.now)]}
    for row in db.session.scalars(_open().order_by(Trouble.id)):
        is_live = row.part in (Part.WORKER, Part.TIMETABLE) and seen.seen_at is not None
        is_ours = row.part is Part.DISK and row.place == heartbeats.host_name()
        if not (is_live or is_ours):
            said = Found(row.part, row.place, row.began_at, row.words)
            found.setdefault((row.part, row.place), said)
    return list(found.values())


def look() -> None:
    """Compare what is not well with what was, write down what changed, and tell of what is new: a
    line in the log and one alert. Each process does so twice a minute; opens its own transaction,
    none where nothing changed."""
    try:
        found, judged = _look_around()
        end_read()
        _settle(found, judged)
    except sa.exc.SQLAlchemyError:
        db.session.remove()
        _database_is_gone()
        return
    _database_is_back()


def _look_around() -> tuple[dict[Key, Found], set[Key]]:
    """What is not well, and of what else this process can say that it is."""
    seen = heartbeats.workers()
    end_read()
    here = heartbeats.host_name()
    found = [*_of_workers(seen), *_of_disk(seen.now), *_never_seen(seen)]
    judged: set[Key] = {(Part.STORAGE, here)}
    if disk_left().is_well:
        judged.add((Part.DISK, here))
    if not storage().answered_lately():
        found.append(Found(Part.STORAGE, here, seen.now, "The storage of files does not answer."))
    looked = certificates.last_look()
    if looked is not None:
        judged.add((Part.CERTIFICATE, here))
        if looked.fault:
            words = f"The certificate of {config().mail_server} will not do: {looked.fault}."
            found.append(Found(Part.CERTIFICATE, here, seen.now, words))
    return {(one.part, one.place): one for one in found}, judged


def _of_workers(seen: Workers) -> Iterator[Found]:
    if seen.at_work == 0 and seen.seen_at is not None and seen.now - seen.seen_at > SILENT:
        since = seen.ran_at or seen.seen_at
        yield Found(Part.WORKER, "", since, f"{_nothing_since(since)}: is the worker running?")
    for host, at in seen.silent_hosts:
        words = f"The worker of {host} has not been seen since {_near(at)}. Others are at work."
        yield Found(Part.WORKER, host, at, words)
    if seen.is_late:
        since = seen.ran_at or seen.began_at or seen.now
        yield Found(
            Part.TIMETABLE, "", since, f"{_nothing_since(since)}, though a worker is there."
        )


def _never_seen(seen: Workers) -> Iterator[Found]:
    """A shop that was set up without a worker: said once this process has waited for one."""
    if seen.seen_at is None and time.monotonic() - _began() > SILENT.total_seconds():
        yield Found(Part.WORKER, "", seen.now, "No worker has ever been seen: is it running?")


def _of_disk(now: datetime) -> Iterator[Found]:
    left = disk_left()
    if left.is_low:
        host = heartbeats.host_name()
        words = f"The disk of {host} is nearly full: {left.share:.1%} of it is left."
        yield Found(Part.DISK, host, now, words)


def _settle(found: dict[Key, Found], judged: set[Key]) -> None:
    """Write down what began and what is over; only where something did."""
    rows = {(row.part, row.place): row for row in db.session.scalars(_open())}
    now = shared_now_of(db.session())
    new = [one for key, one in found.items() if key not in rows]
    over = [row.id for key, row in rows.items() if key not in found and _is_over(row, judged, now)]
    again = [
        row.id for key, row in rows.items() if key in found and now - row.seen_at > _SEEN_AGAIN
    ]
    end_read()
    if not (new or over or again):
        return
    with transaction() as session:
        told = [one for one in new if _begin(session, one, now)]
        is_one = Trouble.id.in_
        session.execute(sa.update(Trouble).where(is_one(again)).values(seen_at=now))
        ended = sa.update(Trouble).where(is_one(over), Trouble.ended_at.is_(None))
        ended = ended.values(ended_at=now)
        well = session.execute(ended.returning(Trouble.part, Trouble.words)).all()
        session.execute(sa.delete(Trouble).where(Trouble.ended_at < now - _KEPT))
    for one in told:
        log.error("not well, %s: %s", one.part, one.words)
    for part, words in well:
        log.warning("well again, %s, where it was said: %s", part, words)


def _is_over(row: Trouble, judged: set[Key], now: datetime) -> bool:
    is_ours = row.part in (Part.WORKER, Part.TIMETABLE) or (row.part, row.place) in judged
    return is_ours or now - row.seen_at > _FORGOTTEN


def _begin(session: Session, one: Found, now: datetime) -> bool:
    """Whether we were the first to say so; then staff are owed their alert, where there is anybody."""
    values = {"part": one.part, "place": one.place, "words": one.words[:300], "seen_at": now}
    number = insert_once(Trouble, **values, began_at=one.since)
    if number is None:
        return False
    with session.no_autoflush:
        try:
            outbox.alert_staff(one.words.rstrip("."), _letter(one), f"trouble:{number}")
        except SellerUnknown:
            log.warning("nobody can be told by letter: no owner, no STORE_ALERTS_TO, no seller")
    return True


def _letter(one: Found) -> str:
    told = f"{one.words}\n\n{one.to_do}\n\n"
    if one.part is Part.WORKER and not one.place:
        told += "This letter could leave only once a worker was back. "
    return (
        f"{told}There is one letter for each trouble; {config().base_url}/readyz says what stands."
    )


def _database_is_gone() -> None:
    gone = current_app.extensions.setdefault("colophon.gone", (time.monotonic(), clock.now()))
    if time.monotonic() - gone[0] < 1.0:
        log.error("not well, database: it does not answer")


def _database_is_back() -> None:
    gone: tuple[float, datetime] | None = current_app.extensions.pop("colophon.gone", None)
    if gone is None or time.monotonic() - gone[0] < _SHORT_SECONDS:
        return
    words = f"The database did not answer from {format_moment(gone[1])} on"
    with transaction():
        try:
            outbox.alert_staff(
                words,
                f"{words}, until {format_moment(clock.now())}. It answers again. Meanwhile no page that "
                "needs it was shown; letters and releases that fell due follow by themselves.",
                f"trouble:database:{gone[1]:%Y-%m-%dT%H}",
            )
        except SellerUnknown:
            log.warning("nobody can be told by letter")


def _began() -> float:
    """When this process looked around first, in its own count of seconds."""
    began: float = current_app.extensions.setdefault("colophon.began", time.monotonic())
    return began


def _nothing_since(moment: datetime) -> str:
    return f"Nothing has been looked after since {_near(moment)}"


def _near(moment: datetime) -> str:
    """`14:02` today, else with its day."""
    zone = config().zone
    is_today = moment.astimezone(zone).date() == clock.today(zone)
    return format_time(moment) if is_today else format_moment(moment)


def _open() -> sa.Select[Trouble]:
    return sa.select(Trouble).where(Trouble.ended_at.is_(None))
