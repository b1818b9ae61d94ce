"""How each database is opened, and how a writer waits for SQLite's lock.

No door holds two connections: counts of limits are written with the session's connection given
back, and a count inside a transaction is refused. The pool has one for each thread of the process
(`STORE_WEB_THREADS`, or `STORE_MAIL_CONNECTIONS` + 2), one more for each that sends letters, which
has a second for its ledger, and four to spare.
"""

import math
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.pool import ConnectionPoolEntry

LOCK_PATIENCE_SECONDS = 15.0
IDLE_SECONDS = 1.0
# How long a writer waits between two looks at the lock. A worker that sends letters has it again within
# a fraction of a millisecond, and who looks seldom finds it taken.
_OFTEN, _SELDOM = 0.0002, 0.001
_SOON_SECONDS = 0.02
# Beside those of threads at work: the main thread, the scheduler, and some to spare.
SPARE_CONNECTIONS = 4
# The execution option that says: this transaction writes.
WRITES = "colophon_writes"
# And for how many seconds it waits for SQLite's lock, where that is another time than usual.
PATIENCE = "colophon_patience"
_AT_ONCE = "PRAGMA busy_timeout = 0"
_PATIENTLY = f"PRAGMA busy_timeout = {int(LOCK_PATIENCE_SECONDS * 1000)}"


def prepare_engine(engine: sa.Engine) -> None:
    """Fit a new engine with what its database needs."""
    if engine.dialect.name == "sqlite":
        _turns_of[engine] = turns = Turns()
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _Beginning(turns))
    else:
        sa.event.listen(engine, "checkin", _note_use)
        sa.event.listen(engine, "checkout", _make_sure)


def engine_options(url: str, most: int) -> dict[str, Any]:
    """Arguments of create_engine for this address and a process whose threads hold so many connections
    at most; errors do not quote the values, which are people's."""
    # As many as they may hold, so nobody waits for the pool.
    options = {
        "hide_parameters": True,
        "pool_size": most + SPARE_CONNECTIONS,
        "max_overflow": 10,
        # The one used last is warm, and need not be asked whether it still lives.
        "pool_use_lifo": True,
    }
    return options | connecting(url)


def connecting(url: str) -> dict[str, Any]:
    """Those of them for the driver."""
    if url.startswith("sqlite"):
        # Autocommit in the driver: BEGIN is ours, by the event below.
        return {"connect_args": {"isolation_level": None, "timeout": 0}}
    # A database that knows no letters gives bytes; that it is none of ours is then said in words.
    return {"connect_args": {"client_encoding": "utf8"}}


def _note_use(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()


def _make_sure(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Whether a connection that rested still lives, as the pool's own ping asks before every use:
    that costs each letter two more round trips."""
    if time.monotonic() - record.info.get("used_at", math.inf) < IDLE_SECONDS:
        return
    import psycopg  # noqa: PLC0415 - the extra `postgresql`

    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as fault:
        raise sa.exc.DisconnectionError from fault


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute(_PATIENTLY)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


class Turns:
    """A queue of the threads of one process: the first may go on, the others sleep until their turn comes."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._line: deque[threading.Lock] = deque()

    @contextmanager
    def turn(self, deadline: float) -> Iterator[bool]:
        """Whether our turn came before the deadline (of `time.monotonic`); whatever happens
        within, the next one is let on afterwards."""
        mine = threading.Lock()
        with self._mutex:
            self._line.append(mine)
            if self._line[0] is not mine:
                mine.acquire()  # until who is before us lets it go
        try:
            yield mine.acquire(timeout=max(0.0, deadline - time.monotonic()))
        finally:
            with self._mutex:
                is_first = self._line[0] is mine
                self._line.remove(mine)
                if is_first and self._line:
                    self._line[0].release()

    def waiting(self) -> int:
        """How many stand in the queue, with the one whose turn it is."""
        return len(self._line)


_turns_of: WeakKeyDictionary[sa.Engine, Turns] = WeakKeyDictionary()


def wait_for_nobody(driver: Any) -> None:
    """Fit a connection of SQLite's driver for `begin_to_write`."""
    driver.execute(_AT_ONCE)


def begin_to_write(engine: sa.Engine, driver: Any, patience: float) -> None:
    """Begin to write over a connection of SQLite's driver, in turn with the other writers of this
    process. Raises the driver's error where the lock was not had within so many seconds."""
    deadline = time.monotonic() + patience
    with _turns_of[engine].turn(deadline) as is_ours:
        if not (is_ours and _ask_for_lock(driver, deadline)):
            driver.execute("BEGIN IMMEDIATE")


class _Beginning:
    """How a transaction begins on one SQLite database: writers of this process ask in turn, as
    dozens of threads that each ask every millisecond would starve the one that has the lock."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns

    def __call__(self, connection: Connection) -> None:
        # Said to the driver itself: a statement through the engine costs several times as much.
        driver = cast(sqlite3.Connection, connection.connection.dbapi_connection)
        options = connection.get_execution_options()
        if not options.get(WRITES):
            driver.execute("BEGIN")
            return
        deadline = time.monotonic() + options.get(PATIENCE, LOCK_PATIENCE_SECONDS)
        with self.turns.turn(deadline) as is_ours:
            # SQLite's own busy handler sleeps longer and longer, and a page starves behind workers
            # that lock again at once; asking each millisecond keeps the worst wait short.
            driver.execute(_AT_ONCE)
            try:
                if not (is_ours and _ask_for_lock(driver, deadline)):
                    connection.exec_driver_sql("BEGIN IMMEDIATE")  # refused in SQLAlchemy's words
            finally:
                driver.execute(_PATIENTLY)


def _ask_for_lock(driver: sqlite3.Connection, deadline: float) -> bool:
    """Whether the lock was had before the deadline."""
    soon = time.monotonic() + _SOON_SECONDS
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            now = time.monotonic()
            if "locked" not in str(error) or now > deadline:
                return False
            time.sleep(_OFTEN if now < soon else _SELDOM)
        else:
            return True
