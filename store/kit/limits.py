"""How often a thing may be asked for, counted in our own database, so that all processes share it.

Everything is counted before it is judged: many at once are no more than many one after the other.
What is counted is a network (an address of IPv4, a /64 of IPv6), an address or a person; what proves
right is taken back. Beyond a limit the answer is 429 with Retry-After and the time that is left.
"""

import hashlib
import ipaddress
import math
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import cast

import sqlalchemy as sa
from flask import Flask, Response, current_app
from flask_limiter import Limiter, RateLimitExceeded
from flask_limiter.util import get_remote_address
from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, Storage
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy.orm import Mapped, mapped_column

from store.kit.database import Base, db, give_connection_back, insert_into, one_write
from store.kit.engine import PATIENCE
from store.kit.errors import Refusal
from store.kit.formatting import format_span

FROM_HERE = "That was asked for too often from here. Wait {span}, then try again."

# One limit with the names of what is counted under it.
Counted = tuple[RateLimitItem, tuple[str, ...]]

# The seconds of a refusal, until the answer to it says them.
_wait: ContextVar[int | None] = ContextVar("wait", default=None)


class RateCount(Base):
    """How often one thing was asked for in one window."""

    __tablename__ = "rate_counts"

    key: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    count: Mapped[int]
    ends_at: Mapped[float]  # seconds since 1970, as the library counts


class DatabaseStorage(Storage):
    """The library's fixed windows over one table."""

    STORAGE_SCHEME = ["colophon"]  # noqa: RUF012 - the library reads it as a class attribute

    @property
    def base_exceptions(self) -> type[Exception]:
        return sa.exc.SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count once more and return the count; where the window has ended, a new one begins."""
        now = time.time()
        row = RateCount.__table__.c
        fresh = {"key": key, "count": amount, "ends_at": now + expiry}
        ended = row.ends_at <= now
        statement = insert_into(RateCount).values(fresh)
        statement = statement.on_conflict_do_update(
            index_elements=["key"],
            set_={
                "count": sa.case((ended, amount), else_=row.count + amount),
                "ends_at": sa.case((ended, now + expiry), else_=row.ends_at),
            },
        ).returning(row.count)
        with one_write() as connection:
            return int(connection.execute(statement).scalar_one())

    def take_back(self, key: str) -> None:
        """Count once less, while the window is open."""
        row = RateCount.__table__.c
        is_open = sa.and_(row.key == key, row.count > 0, row.ends_at > time.time())
        with one_write() as connection:
            connection.execute(sa.update(RateCount).where(is_open).values(count=row.count - 1))

    def get(self, key: str) -> int:
        """The count of the window that is open, else 0."""
        return int(self._row(key)[0])

    def get_expiry(self, key: str) -> float:
        """When the open window ends; now, where none is open."""
        return float(self._row(key)[1])

    def check(self) -> bool:
        """Whether the table answers."""
        self.get("check")
        return True

    def reset(self) -> int | None:
        """Forget all counts."""
        with one_write() as connection:
            return int(connection.execute(sa.delete(RateCount)).rowcount)

    def clear(self, key: str) -> None:
        """Forget one count."""
        with one_write() as connection:
            connection.execute(sa.delete(RateCount).where(RateCount.key == key))

    def _row(self, key: str) -> tuple[int, float]:
        now = time.time()
        query = sa.select(RateCount.count, RateCount.ends_at).where(
            RateCount.key == key, RateCount.ends_at > now
        )
        give_connection_back()
        with db.engine.connect() as connection:
            found = connection.execute(query).first()
        return (found[0], found[1]) if found else (0, now)


class TooOften(Refusal):
    """Asked for more often than allowed; `words` say what, and how long to wait as `{span}`."""

    status = 429
    heading = "That was asked for too often"
    retry_after: int

    def __init__(self, seconds: int, words: str = FROM_HERE) -> None:
        self.retry_after = seconds
        super().__init__(words.format(span=format_span(seconds)))


class DoorLimiter(Limiter):
    """Asks at the doors that say a limit; others are spared the library's looks before each request
    and after it, for headers that it does not write."""

    def init_app(self, app: Flask) -> None:
        before = list(app.after_request_funcs[None])
        super().init_app(app)
        app.after_request_funcs[None] = before

    def _check_request_limit(
        self, callable_name: str | None = None, in_middleware: bool = True
    ) -> None:
        if in_middleware:
            return
        try:
            super()._check_request_limit(callable_name, in_middleware)
        except RateLimitExceeded:
            counted = [(one.limit, tuple(one.request_args)) for one in self.current_limits]
            raise _too_often(counted) from None


def network_of(address: str | None) -> str:
    """The network that somebody asks from: an address of IPv4, the /64 of IPv6 that one
    household or office has (RFC 6177), and has more addresses than anybody could count."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return (address or "nowhere")[:45]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found), 64), strict=False))


def asking_network() -> str:
    """The network of this request."""
    return network_of(get_remote_address())


def mark(text: str) -> str:
    """A key to count under that does not give away who is counted."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


limiter = DoorLimiter(
    asking_network, storage_uri="colophon://", headers_enabled=False, swallow_errors=False
)


def storage() -> DatabaseStorage:
    """The store that holds the counts."""
    return cast(DatabaseStorage, limiter.storage)


def count_try(what: str, allowed: Mapping[str, str], words: str = FROM_HERE) -> list[Counted]:
    """Count a try before it is judged: for each key (hashed) its limits, as `5 per minute;30 per
    hour`. Returns what was counted, for `take_back` where the try was right. Refuses (`TooOften`
    with these words). Writes in a transaction of its own, so it is called outside any."""
    if not limiter.enabled:
        return []
    counted = _limits(what, allowed)
    if not all(limiter.limiter.hit(limit, *names) for limit, names in counted):
        raise _too_often(counted, words)
    return counted


def _too_often(counted: Iterable[Counted], words: str = FROM_HERE) -> TooOften:
    refusal = TooOften(seconds_left(counted), words)
    _wait.set(refusal.retry_after)
    return refusal


def is_within(what: str, allowed: Mapping[str, str]) -> bool:
    """Whether this process may do it once more, counted in its memory: for what is left out beyond the
    limit, on pages that are read and must not wait for a writer. Each process counts for itself."""
    here = cast(FixedWindowRateLimiter, current_app.extensions["colophon.limits"])
    counted = _limits(what, allowed) if limiter.enabled else []
    return all(here.hit(limit, *names) for limit, names in counted)


def was_tried(what: str, allowed: Mapping[str, str]) -> bool:
    """Whether `count_try` has counted any of this in a window that is still open."""
    counted = _limits(what, allowed) if limiter.enabled else []
    return any(storage().get(limit.key_for(*names)) for limit, names in counted)


def _limits(what: str, allowed: Mapping[str, str]) -> list[Counted]:
    return [
        (limit, (what, mark(key))) for key, text in allowed.items() for limit in parse_many(text)
    ]


def take_back(counted: Iterable[Counted]) -> None:
    """What was right is not held against anybody."""
    for limit, names in counted:
        storage().take_back(limit.key_for(*names))


def seconds_left(counted: Iterable[Counted]) -> int:
    """Seconds until none of these limits is used up any more; at least one."""
    windows = [limiter.limiter.get_window_stats(limit, *names) for limit, names in counted]
    ends = max((one.reset_time for one in windows if one.remaining == 0), default=0.0)
    return max(1, math.ceil(ends - time.time()))


def is_turn(name: str, seconds: int) -> bool:
    """Whether nobody, of all processes, had this turn within so many seconds; it is ours then."""
    return limiter.storage.incr(f"turn/{name}", seconds) == 1


def end_turn(name: str) -> None:
    """Give a turn free before its time."""
    limiter.storage.clear(f"turn/{name}")


def probe() -> None:
    """Write one count, to see whether the database takes anything. Raises what the database
    raises, soon where others are writing."""
    now = time.time()
    with one_write(**{PATIENCE: 0.1}) as connection:
        connection.execute(sa.delete(RateCount).where(RateCount.key == "probe"))
        connection.execute(sa.insert(RateCount).values(key="probe", count=1, ends_at=now))


def forget_ended_windows() -> None:
    """Take out counts whose window has ended; the timetable calls it."""
    with one_write() as connection:
        connection.execute(sa.delete(RateCount).where(RateCount.ends_at <= time.time()))


def init_app(app: Flask) -> None:
    """Count for this application."""
    app.extensions["colophon.limits"] = FixedWindowRateLimiter(MemoryStorage())
    limiter.init_app(app)
    app.after_request(_say_when)


def _say_when(answer: Response) -> Response:
    """Tell programs, too, when to ask again, whatever page a door makes of the refusal."""
    seconds = _wait.get()
    _wait.set(None)
    if answer.status_code == TooOften.status and seconds is not None:
        answer.headers["Retry-After"] = str(seconds)
    return answer
