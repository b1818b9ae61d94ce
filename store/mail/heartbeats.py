"""A row for each worker process that says when it was last seen, and when it last went through the
timetable: a worker that is there is not yet one that looks after what falls due.

Moments are those of the database's clock, so that machines whose clocks differ agree. A worker
that ends in order says so; one that was killed is silent, until its row goes after an hour.
"""

import os
import socket
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Mapped, mapped_column

from store.kit.database import Base, db, end_read, transaction
from store.kit.processes import runs
from store.mail.shared_clock import shared_now_of

EVERY_SECONDS = 20.0
# So long nothing was heard of a worker: many beats were missed.
SILENT = timedelta(minutes=3)
# A pass of the timetable is due each minute, and may take some.
LATE = timedelta(minutes=5)
_KEPT = timedelta(hours=1)
_BY_HAND = 0


class Heartbeat(Base):
    """One worker process, or (pid 0) the passes that were made by hand on one machine."""

    __tablename__ = "heartbeats"

    id: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(sa.String(60))
    pid: Mapped[int]
    version: Mapped[str] = mapped_column(sa.String(40))
    started_at: Mapped[datetime]
    # Null of passes by hand.
    seen_at: Mapped[datetime | None]
    # When it went through the timetable last.
    ran_at: Mapped[datetime | None]
    # It ended in order.
    ended_at: Mapped[datetime | None]


@dataclass(frozen=True)
class Workers:
    """How many are at work and since when there was one, when any was seen and went through the
    timetable last, and, while others are at work, the machines whose last worker fell silent, with
    the moment."""

    now: datetime
    at_work: int
    began_at: datetime | None
    seen_at: datetime | None
    ran_at: datetime | None
    silent_hosts: tuple[tuple[str, datetime], ...]

    @property
    def is_late(self) -> bool:
        """Whether a worker has been at work for five minutes in which nobody went through the
        timetable."""
        begun = [one for one in (self.began_at, self.ran_at) if one is not None]
        return self.at_work > 0 and self.now - max(begun) > LATE


def host_name() -> str:
    """This machine, as rows name it."""
    return socket.gethostname()[:60]


def running_version() -> str:
    """Which version of the shop runs."""
    try:
        return version("colophon")
    except PackageNotFoundError:
        return "unknown"


def note_pass() -> None:
    """This process has gone through the timetable; the next beat writes it down."""
    current_app.extensions["colophon.passed"] = time.monotonic()


def beat() -> None:
    """Write down that this worker process is there, and its last pass."""
    passed: float | None = current_app.extensions.get("colophon.passed")
    number: int | None = current_app.extensions.get("colophon.heartbeat")
    with transaction() as session:
        now = shared_now_of(session)
        # What is old goes, while a worker is there to say so: the last ones stay until then.
        session.execute(sa.delete(Heartbeat).where(Heartbeat.seen_at < now - _KEPT))
        said: dict[str, datetime] = {"seen_at": now}
        if passed is not None:
            said["ran_at"] = now - timedelta(seconds=time.monotonic() - passed)
        changed = sa.update(Heartbeat).where(Heartbeat.id == number).values(said)
        if number is None or not session.execute(changed.returning(Heartbeat.id)).first():
            row = Heartbeat(
                host=host_name(), pid=os.getpid(), version=running_version(), started_at=now, **said
            )
            session.add(row)
            session.flush()
            number = row.id
    current_app.extensions["colophon.heartbeat"] = number


def end() -> None:
    """This worker process ends in order."""
    number = current_app.extensions.get("colophon.heartbeat")
    with transaction() as session:
        now = shared_now_of(session)
        ended = sa.update(Heartbeat).where(Heartbeat.id == number)
        session.execute(ended.values(ended_at=now, seen_at=now))


def note_pass_by_hand() -> None:
    """A pass of the timetable that no worker made (`store tick`) is one, too."""
    with transaction() as session:
        now = shared_now_of(session)
        ours = sa.and_(Heartbeat.host == host_name(), Heartbeat.pid == _BY_HAND)
        session.execute(sa.delete(Heartbeat).where(ours))
        session.add(
            Heartbeat(
                host=host_name(),
                pid=_BY_HAND,
                version=running_version(),
                started_at=now,
                ran_at=now,
            )
        )


def workers() -> Workers:
    """What the rows say at this moment, by one statement and the database's clock."""
    rows = db.session.execute(
        sa.select(
            Heartbeat.host,
            Heartbeat.started_at,
            Heartbeat.seen_at,
            Heartbeat.ran_at,
            Heartbeat.ended_at,
        ).order_by(Heartbeat.seen_at)
    ).all()
    now = shared_now_of(db.session())
    seen = [row for row in rows if row.seen_at is not None]
    alive = [row for row in seen if row.ended_at is None and now - row.seen_at <= SILENT]
    # Of each machine the worker that was seen last.
    last = {row.host: row for row in seen}
    living = {row.host for row in alive}
    silent = [
        (host, row.seen_at)
        for host, row in sorted(last.items())
        if alive and host not in living and row.ended_at is None
    ]
    return Workers(
        now,
        len(alive),
        min((row.started_at for row in alive), default=None),
        max((row.seen_at for row in seen), default=None),
        max((row.ran_at for row in rows if row.ran_at), default=None),
        tuple(silent),
    )


def has_come_since(moment: datetime) -> bool:
    """Whether a worker has begun since then."""
    begun = sa.select(Heartbeat.id).where(
        Heartbeat.seen_at.is_not(None), Heartbeat.started_at >= moment
    )
    try:
        return db.session.scalar(begun.limit(1)) is not None
    finally:
        end_read()


def not_running_here() -> timedelta | None:
    """How long ago a worker by the name of this machine was last seen, which is no process of it: killed
    within the last minutes, or of another machine with the same name; None where there is none."""
    now = shared_now_of(db.session())
    rows = db.session.execute(
        sa.select(Heartbeat.pid, Heartbeat.seen_at)
        .where(Heartbeat.host == host_name(), Heartbeat.ended_at.is_(None))
        .order_by(Heartbeat.seen_at.desc())
    )
    for pid, seen_at in rows:
        if seen_at is not None and now - seen_at <= SILENT and not runs(pid):
            return now - seen_at
    return None
