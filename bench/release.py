"""Owing a release to 100,000 customers beside a narrow INSERT … SELECT of as many rows."""

import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from bench.figures import Figure
from bench.shops import add_publication, postgresql, shop
from store.catalog.models import Edition
from store.distribution.releasing import release_edition
from store.kit.database import db, transaction

CUSTOMERS = 100_000


def measure() -> list[Figure]:
    """The two times, on both databases."""
    with tempfile.TemporaryDirectory() as folder:
        figures = [_ratio("SQLite", Path(folder), "", must=8)]
        with postgresql() as server:
            figures.append(_ratio("PostgreSQL", Path(folder) / "pg", server, must=4))
    return figures


def _ratio(name: str, folder: Path, database: str, *, must: float) -> Figure:
    with shop(folder, database_url=database):
        edition_id = add_publication(CUSTOMERS)
        narrow = _narrow()
        start = time.perf_counter()
        with transaction() as session:
            release_edition(session.get_one(Edition, edition_id), "bench")
        ours = time.perf_counter() - start
    return Figure(
        f"releasing to {CUSTOMERS:,} customers, {name}",
        "a narrow INSERT … SELECT of as many rows",
        ours / narrow,
        must,
        at_least=False,
        detail=f"{ours:.2f} s in one transaction",
    )


def _narrow() -> float:
    with transaction() as session:
        session.execute(
            sa.text(
                "CREATE TABLE narrow (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL,"
                " status VARCHAR(20) NOT NULL)"
            )
        )
    start = time.perf_counter()
    with transaction() as session:
        session.execute(
            sa.text("INSERT INTO narrow SELECT id, customer_id, 'queued' FROM entitlements")
        )
    took = time.perf_counter() - start
    db.session.remove()
    return took
