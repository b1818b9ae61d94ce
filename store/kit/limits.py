"""How often a public form may be sent, counted in our own database, so that all processes share it."""

import time
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits.storage import Storage
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from store.kit.database import Base, db
from store.kit.engine import WRITES


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
        """Count once more and return the count; a window that has ended begins anew."""
        now = time.time()
        dialect: Any = sqlite if db.engine.dialect.name == "sqlite" else postgresql
        row = RateCount.__table__.c
        fresh = {"key": key, "count": amount, "ends_at": now + expiry}
        ended = row.ends_at <= now
        statement = dialect.insert(RateCount).values(fresh)
        statement = statement.on_conflict_do_update(
            index_elements=["key"],
            set_={
                "count": sa.case((ended, amount), else_=row.count + amount),
                "ends_at": sa.case((ended, now + expiry), else_=row.ends_at),
            },
        ).returning(row.count)
        with self._write() as connection:
            return int(connection.execute(statement).scalar_one())

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
        with self._write() as connection:
            return int(connection.execute(sa.delete(RateCount)).rowcount)

    def clear(self, key: str) -> None:
        """Forget one count."""
        with self._write() as connection:
            connection.execute(sa.delete(RateCount).where(RateCount.key == key))

    def _row(self, key: str) -> tuple[int, float]:
        now = time.time()
        query = sa.select(RateCount.count, RateCount.ends_at).where(
            RateCount.key == key, RateCount.ends_at > now
        )
        with db.engine.connect() as connection:
            found = connection.execute(query).first()
        return (found[0], found[1]) if found else (0, now)

    @staticmethod
    def _write() -> Any:
        return db.engine.execution_options(**{WRITES: True}).begin()


class DoorLimiter(Limiter):
    """Asks at the doors that say a limit; others are spared the library's look before each request."""

    def _check_request_limit(
        self, callable_name: str | None = None, in_middleware: bool = True
    ) -> None:
        if not in_middleware:
            super()._check_request_limit(callable_name, in_middleware)


limiter = DoorLimiter(
    get_remote_address, storage_uri="colophon://", headers_enabled=False, swallow_errors=False
)


def is_turn(name: str, seconds: int) -> bool:
    """Whether nobody, of all processes, had this turn within so many seconds; it is ours then."""
    return limiter.storage.incr(f"turn/{name}", seconds) == 1


def end_turn(name: str) -> None:
    """Give a turn free before its time."""
    limiter.storage.clear(f"turn/{name}")


def forget_ended_windows() -> None:
    """Take out counts whose window has ended; the timetable calls it."""
    with db.engine.execution_options(**{WRITES: True}).begin() as connection:
        connection.execute(sa.delete(RateCount).where(RateCount.ends_at <= time.time()))


def init_app(app: Flask) -> None:
    """Count for this application."""
    limiter.init_app(app)
