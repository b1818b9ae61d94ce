"""The clock by which machines that share an outbox compare claims and keep the pace: the database's,
as their own may be a day apart, while a claim holds for minutes.

Everything else goes by the machine's own clock.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from store.kit import clock

ASKED = "SELECT clock_timestamp()"
_ASKED_EACH_SECONDS = 60
# As near as nobody needs it nearer; to ask takes a moment, too.
NEAR = timedelta(seconds=1)


@dataclass(frozen=True)
class _Seen:
    """What the database's clock showed, and this process's count of seconds."""

    at: datetime
    seconds: float


def shared_now(ask: Callable[[], datetime]) -> datetime:
    """The present moment for all machines, in UTC. `ask` runs `ASKED`; it is called once a minute,
    and seconds are counted in between, so that a clock that is set meanwhile changes nothing."""
    extensions = current_app.extensions
    seen: _Seen | None = extensions.get("colophon.shared_clock")
    if seen is None or time.monotonic() - seen.seconds > _ASKED_EACH_SECONDS:
        seen = extensions["colophon.shared_clock"] = _Seen(ask(), time.monotonic())
    shows = seen.at + timedelta(seconds=time.monotonic() - seen.seconds)
    apart = shows - clock.machine_time()
    return clock.now() + (apart if abs(apart) >= NEAR else timedelta())


def shared_now_of(session: Session) -> datetime:
    """The same, asked in a session; SQLite has one machine, whose clock is as good."""
    if session.get_bind().dialect.name == "sqlite":
        return clock.now()
    return shared_now(lambda: session.execute(sa.text(ASKED)).scalar_one())
