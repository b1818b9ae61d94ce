"""Owing a release to 100,000 customers beside a narrow INSERT … SELECT of as many rows."""

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sqlalchemy as sa
from flask import Flask

from bench.figures import Figure, rounds
from bench.letters import release
from bench.shops import add_publication, postgresql, shop
from store.kit import clock
from store.kit.database import UtcDateTime, db, transaction
from store.orders.models import Customer

CUSTOMERS = 100_000
BETWEEN_WRITES = 0.01
# As narrow as an outbox can be: one row a reader and edition, and what is due next is found.
_NARROW = """
CREATE TABLE narrow (
    id {}, edition_id INTEGER NOT NULL, customer_id INTEGER NOT NULL, status VARCHAR(20) NOT NULL,
    due_at {} NOT NULL, UNIQUE (edition_id, customer_id)
)"""
_QUEUE = "CREATE INDEX narrow_queue ON narrow (due_at, id) WHERE status = 'queued'"
_FILL = sa.text(
    "INSERT INTO narrow (edition_id, customer_id, status, due_at)"
    " SELECT DISTINCT :edition, customer_id, 'queued', :now FROM entitlements"
    " WHERE publication_id = (SELECT publication_id FROM editions WHERE id = :edition)"
).bindparams(sa.bindparam("edition", type_=sa.Integer), sa.bindparam("now", type_=UtcDateTime))


def measure() -> list[Figure]:
    """The two times, on both databases."""
    with tempfile.TemporaryDirectory() as folder:
        # SQLite works in our own process; PostgreSQL in others, whose time is not ours to read.
        figures = _figures("SQLite", Path(folder), "", time.process_time, 6.5, 5)
        with postgresql() as server:
            figures += _figures(
                "PostgreSQL", Path(folder) / "pg", server, time.perf_counter, 5.5, 4.5
            )
    return figures


def _figures(
    name: str, folder: Path, database: str, read: Callable[[], float], must: float, aim: float
) -> list[Figure]:
    took: list[float] = []
    with shop(folder, database_url=database) as app:
        add_publication(CUSTOMERS)
        _make_narrow()
        editions = [add_publication(CUSTOMERS, are_known=True) for _ in range(5)]
        narrow, ours = iter(editions), iter(editions)

        def ours_once() -> float:
            took.append(_timed(lambda: release(next(ours)), read))
            return took[-1]

        def fill() -> float:
            return _timed(lambda: _fill(next(narrow)), read)

        fill(), ours_once()  # the first ones only warm up
        ratio = rounds(3, ours_once, fill)
        worst = _worst_write(app, lambda: release(next(ours)))
    of_which = "processor time" if read is time.process_time else "time"
    return [
        Figure(
            f"releasing to {CUSTOMERS:,} customers, {of_which}, {name}",
            "a narrow INSERT … SELECT DISTINCT of as many, with a unique key and a queue",
            ratio,
            must,
            aim,
            at_least=False,
            detail=f"{statistics.median(took[1:]):.2f} s in one transaction",
        ),
        Figure(
            f"a shop's write meanwhile, the longest, {name}",
            "",
            worst,
            1,
            at_least=False,
            unit="s",
        ),
    ]


def _make_narrow() -> None:
    is_sqlite = db.engine.dialect.name == "sqlite"
    types = (
        ("INTEGER PRIMARY KEY", "DATETIME") if is_sqlite else ("SERIAL PRIMARY KEY", "TIMESTAMPTZ")
    )
    with transaction() as session:
        session.execute(sa.text(_NARROW.format(*types)))
        session.execute(sa.text(_QUEUE))


def _fill(edition_id: int) -> None:
    with transaction() as session:
        session.execute(_FILL, {"edition": edition_id, "now": clock.now()})
    db.session.remove()


def _timed(work: Callable[[], None], read: Callable[[], float]) -> float:
    start = read()
    work()
    return read() - start


def _worst_write(app: Flask, work: Callable[[], None]) -> float:
    """Seconds that the longest of a shop's small writes takes while `work` is done."""
    is_over = threading.Event()

    def write() -> float:
        took = []
        with app.app_context():
            while not is_over.is_set():
                took.append(_timed(_write, time.perf_counter))
                is_over.wait(BETWEEN_WRITES)
        return max(took)

    with ThreadPoolExecutor(1) as pool:
        worst = pool.submit(write)
        try:
            work()
        finally:
            is_over.set()
    return worst.result()


def _write() -> None:
    with transaction() as session:
        session.get_one(Customer, 1).name = f"Reader {time.monotonic_ns()}"
