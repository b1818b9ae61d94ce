"""The bell: it wakes workers early and carries a name and ids, never a truth.

What is due stands in the database, and the timetable finds it with this queue emptied; so a bell
that cannot be rung is a line in the log and nothing more.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from flask import Flask, current_app

from store.kit import logs, space
from store.kit.database import after_commit
from store.kit.errors import Refusal
from store.kit.happenings import Happening, tell
from store.kit.pulse import Pulse
from store.kit.system_words import is_damaged
from store.kit.unloaded import not_loaded

# It loads the driver of each store that it knows; PostgreSQL's takes 8 MB of every process of a shop
# that is on SQLite.
with not_loaded("psycopg"):
    import huey.storage
    from huey import Huey, PostgresHuey, crontab
    from huey.consumer import Consumer
    from huey.storage import SqliteStorage

log = logging.getLogger(__name__)


def init_app(app: Flask, database_url: str, queue_file: str) -> None:
    """Give this application its bell."""
    app.extensions["colophon.huey"] = make_huey(database_url, queue_file)
    app.extensions["colophon.pulse"] = Pulse()


class BellDamaged(Refusal):
    """The file of the queue is no database any more."""


def must_be_whole(database_url: str, queue_file: str) -> None:
    """Refuses (`BellDamaged`) where the queue is a file, and damaged: nobody is to take it for the shop's."""
    if not database_url.startswith("sqlite") or not Path(queue_file).exists():
        return
    try:
        with closing(sqlite3.connect(queue_file)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError as fault:
        if not is_damaged(fault):
            raise
        raise BellDamaged(
            f"{queue_file} is damaged ({fault}). It only wakes workers early, and nothing is lost with it: stop "
            "the shop, remove the file with those of its name and -wal or -shm, and start again."
        ) from None


def make_huey(database_url: str, queue_file: str) -> Huey:
    """The queue beside the shop's database: a file of its own, or PostgreSQL. Refuses as `must_be_whole`."""
    if database_url.startswith("sqlite"):
        must_be_whole(database_url, queue_file)
        named = {"storage_class": _FileOfBells, "filename": queue_file}
        return Huey("colophon", results=False, utc=True, **named)
    dsn = database_url.replace("postgresql+psycopg://", "postgresql://")
    huey.storage.psycopg = import_module("psycopg")
    return PostgresHuey("colophon", connection=partial(_open, dsn), results=False, utc=True)


class _FileOfBells(SqliteStorage):  # type: ignore[misc]
    """A bell that a power cut swallows is made good by the timetable, so none waits for the disk."""

    def _create_connection(self) -> Any:
        connection = super()._create_connection()
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection


def _open(dsn: str) -> Any:
    import psycopg  # noqa: PLC0415 - the extra `postgresql`

    connection = psycopg.connect(dsn, autocommit=True)
    connection.execute("SET synchronous_commit = off")
    return connection


def ring(name: str, *ids: int) -> None:
    """Ask a worker to do the job `name` soon: after the commit where a transaction is open."""

    def enqueue() -> None:
        jobs = cast(dict[str, Callable[..., Any]], current_app.extensions["colophon.jobs"])
        try:
            jobs[name](*ids)
        except KeyError:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever the queue's store raises, the row is the truth
            if space.is_full(fault):
                space.tell()
                return
            log.warning("bell %s could not be rung; the timetable will find the work", name)

    after_commit(enqueue)


def register(app: Flask, job: Callable[..., None], *, each_minute: bool = False) -> None:
    """Make `job` ringable by its name; with `each_minute` the timetable rings it too."""

    queue, name = app.extensions["colophon.huey"], job.__name__

    def run(*ids: int, task: Any) -> None:
        begun = time.monotonic()
        at_work = pulse_of(app).at_work()
        with at_work, app.app_context(), logs.within(job=name, job_id=task.id[:8]):
            try:
                job(*ids)
            except Exception:  # noqa: BLE001 - nobody above could do more; the timetable finds the work
                tell(Happening.JOB_FAILED, fault=True)
            else:
                tell(Happening.JOB_DONE, ms=round(1000 * (time.monotonic() - begun)))

    run.__name__ = name
    task = queue.task(name=name, context=True)
    app.extensions.setdefault("colophon.jobs", {})[name] = task(run)
    if each_minute:
        each = queue.periodic_task(crontab(minute="*"), name=f"{name}_each_minute", context=True)
        each(run)


def pulse_of(app: Flask) -> Pulse:
    """What the threads of this process are at."""
    return cast(Pulse, app.extensions["colophon.pulse"])


def make_consumer(app: Flask, threads: int) -> Consumer:
    """A consumer built in code; TERM finishes the running job (its own default loses it)."""
    return Consumer(
        app.extensions["colophon.huey"],
        workers=threads,
        periodic=True,
        max_delay=1.0,
        check_worker_health=True,
        graceful_signal="TERM",
    )
