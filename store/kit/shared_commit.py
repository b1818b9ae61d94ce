"""One commit for all threads of a process that wait for one, each going on once its own step is durable.

SQLite has one writer, and each commit waits for the disk. Threads hand their steps to the one of them
that has the lock, which writes down all that wait in one transaction. Nobody waits for others to come:
who finds nobody before them commits alone.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast

import sqlalchemy as sa
from flask import current_app

from store.kit.database import db
from store.kit.engine import LOCK_PATIENCE_SECONDS, begin_to_write, wait_for_nobody

Made = TypeVar("Made")


class SharedCommit:
    """The shared commits of one process on one SQLite database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()
        # Whose turn it is uses it. A connection of the pool, and a transaction of SQLAlchemy's, cost
        # more than the statements.
        self._kept: Any = None
        self._waiting: deque[_Step[Any]] = deque()
        sa.event.listen(engine, "engine_disposed", self._hang_up)

    def write(self, write: Callable[[Any], Made]) -> Made:
        """What `write`, given the connection of SQLite's driver, returns, once it is durable. It may
        be called twice: a fault of another's undoes what was written with it. Raises what SQLAlchemy
        would. Never within a transaction of the caller's, which has the lock."""
        step = _Step(write)
        self._waiting.append(step)
        try:
            with self._turn:
                if not step.is_done:
                    self._write_all(step)
        finally:
            # Where this thread is torn away before its turn, nobody writes in its place.
            with suppress(ValueError):
                self._waiting.remove(step)
        return step.outcome()

    def waiting(self) -> int:
        """How many steps wait for the lock."""
        return len(self._waiting)

    def _hang_up(self, _engine: sa.Engine) -> None:
        """With the connections of the pool goes the one that is not of it."""
        with self._turn:
            if self._kept is not None:
                self._kept.close()
                self._kept = None

    def _write_all(self, ours: "_Step[Any]") -> None:
        """Write down all that waits once the lock is had, in one transaction; each by itself
        where that fails, so that a fault is the fault of those whom it concerns."""
        together: list[_Step[Any]] = []
        try:
            with self._transaction(ours.patience()) as driver:
                while self._waiting:
                    together.append(self._waiting.popleft())
                for step in together:
                    step.write_with(driver)
            for step in together:
                step.is_done = True
        except Exception as fault:  # noqa: BLE001 - the thread of each step raises it
            if ours in self._waiting:  # we alone have waited for the lock in vain
                self._waiting.remove(ours)
                ours.fail(fault)
            for step in together:
                if len(together) == 1:
                    step.fail(fault)
                else:
                    self._write_alone(step)
        finally:
            # Where this thread is torn away, the next one writes down what it leaves.
            self._waiting.extendleft(
                step for step in reversed(together) if not step.is_done and step is not ours
            )

    def _write_alone(self, step: "_Step[Any]") -> None:
        try:
            with self._transaction(LOCK_PATIENCE_SECONDS) as driver:
                step.write_with(driver)
        except Exception as fault:  # noqa: BLE001 - its thread raises it
            step.fail(fault)
        else:
            step.is_done = True

    @contextmanager
    def _transaction(self, patience: float) -> Iterator[Any]:
        with in_words_of(self._engine, "a shared commit"):
            if self._kept is None:
                # Not counted by the pool: it is never given back.
                pooled = self._engine.raw_connection()
                self._kept = pooled.dbapi_connection
                pooled.detach()
                wait_for_nobody(self._kept)
            driver: Any = self._kept
            begin_to_write(self._engine, driver, patience)
            try:
                yield driver
                self._commit(driver)
            except BaseException:
                self._kept = None
                driver.close()  # which undoes all
                raise

    def _commit(self, driver: Any) -> None:
        driver.execute("COMMIT")


class _Step(Generic[Made]):
    """What one thread has to write down, and what came of it."""

    def __init__(self, write: Callable[[Any], Made]) -> None:
        self._write = write
        self._deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        self._made: Made
        self._fault: Exception | None = None
        self.is_done = False

    def patience(self) -> float:
        """Seconds for which it may wait for the lock yet."""
        return max(0.0, self._deadline - time.monotonic())

    def write_with(self, driver: Any) -> None:
        """Within a transaction; it is done once that is committed."""
        self._made = self._write(driver)

    def fail(self, fault: Exception) -> None:
        """It is over without being written down."""
        self._fault, self.is_done = fault, True

    def outcome(self) -> Made:
        """What came of it. Raises what has kept it from being written down."""
        if self._fault is not None:
            raise self._fault
        return self._made


@contextmanager
def in_words_of(engine: sa.Engine, what: str) -> Iterator[None]:
    """Raise a fault of the driver as SQLAlchemy would, naming what was done, without the values, which
    are people's."""
    driver: Any = engine.dialect.loaded_dbapi
    try:
        yield
    except driver.Error as fault:
        raise sa.exc.DBAPIError.instance(
            what, None, fault, driver.Error, hide_parameters=True
        ) from fault


def in_sqlite(moment: datetime) -> str:
    """As SQLAlchemy writes a moment."""
    return moment.astimezone(UTC).isoformat(" ", "microseconds")[:26]


def shared_commit() -> SharedCommit:
    """That of this process, on SQLite."""
    extensions = current_app.extensions
    if "colophon.shared_commit" not in extensions:
        extensions.setdefault("colophon.shared_commit", SharedCommit(db.engine))
    return cast(SharedCommit, extensions["colophon.shared_commit"])
