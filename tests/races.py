"""What goes on at once, each in a thread of its own: two sides of a race, or whoever keeps a shop at work."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from flask import Flask

from store.kit.database import db, end_read

# A ceiling and no pace: what one side of a race waits for the other on a machine under load.
PATIENCE_SECONDS = 60


def at_once(app: Flask, *acts: Callable[[], object]) -> list[str]:
    """Run each in a thread with a session of its own; the names of what they raised, sorted."""
    faults: list[str] = []

    def run(act: Callable[[], object]) -> None:
        with app.app_context():
            try:
                act()
            except Exception as fault:
                faults.append(type(fault).__name__)
            finally:
                db.session.remove()

    end_read()
    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(faults)


@contextmanager
def at_work(*works: Callable[[], object]) -> Iterator[None]:
    """While each of these is done again and again."""
    stop = threading.Event()

    def go_on(work: Callable[[], object]) -> None:
        while not stop.is_set():
            work()

    threads = [threading.Thread(target=go_on, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def is_waiting() -> bool:
    """Whether somebody waits for a lock in this database."""
    with db.engine.connect() as connection:
        found = connection.execute(
            sa.text(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )
        return bool(found.scalar())


def until_waiting(is_over: Callable[[], bool] = lambda: False) -> None:
    """Come back when somebody waits for a lock, or when there is nobody any more who would."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_over() and not is_waiting():
        assert time.monotonic() < deadline
        time.sleep(0.01)
