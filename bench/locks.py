"""Many threads of one process that write to SQLite: with turns, beside each asking by itself."""

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import sqlalchemy as sa
from flask import Flask

from bench.figures import Figure, rounds
from bench.shops import add_publication, shop
from store.kit import engine
from store.kit.database import transaction
from store.kit.engine import Turns
from store.orders.models import Customer

THREADS = 32
WRITES = 20


class _NoTurns(Turns):
    """Every thread asks for the lock each millisecond, without regard to the others."""

    @contextmanager
    def turn(self, deadline: float) -> Iterator[bool]:  # noqa: ARG002 - as the real one
        yield True


def measure() -> list[Figure]:
    """Within what time 95 of 100 writes by 32 threads are done, the wait for the lock included."""
    with tempfile.TemporaryDirectory() as folder:
        in_turn = _shop(Path(folder) / "turns", Turns)
        all_at_once = _shop(Path(folder) / "none", _NoTurns)
        took: list[float] = []

        def ours() -> float:
            took.append(_p95(in_turn))
            return took[-1]

        ratio = rounds(5, ours, lambda: _p95(all_at_once))
    return [
        Figure(
            f"written to SQLite, 95 of 100, {THREADS} threads waiting in turn",
            "the same without turns",
            ratio,
            0.6,
            at_least=False,
            detail=f"{statistics.median(took) * 1000:.0f} ms",
        )
    ]


def _shop(folder: Path, turns: type[Turns]) -> Flask:
    with (
        patch.object(engine, "Turns", turns),
        shop(folder, mail_connections=THREADS) as app,
    ):
        add_publication(500)
    return app


def _p95(app: Flask) -> float:
    came = threading.Barrier(THREADS)

    def write() -> list[float]:
        took = []
        with app.app_context():
            came.wait(60)
            for _ in range(WRITES):
                start = time.perf_counter()
                with transaction() as session:
                    # About what an order reads and writes while it holds the lock.
                    for customer in session.scalars(sa.select(Customer).limit(60)):
                        customer.name = f"{customer.name[:40]}."
                took.append(time.perf_counter() - start)
        return took

    with ThreadPoolExecutor(THREADS) as pool:
        done = [pool.submit(write) for _ in range(THREADS)]
        return statistics.quantiles([one for each in done for one in each.result()], n=20)[-1]
