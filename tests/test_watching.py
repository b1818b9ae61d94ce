"""A served shop whose worker dies says so by itself: at /readyz, on the desk's home, and once by letter.

Its processes make their rounds each second here, where a minute would be waited for again and again.
"""

import json
import shutil
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from store.app import create_app
from store.kit.database import db, transaction
from tests import hurried
from tests.conftest import SECRET, make_settings
from tests.databases import Databases
from tests.factories import a_seller
from tests.serving import answers, environment, free_port, store, until

AGED = {
    "sqlite": "UPDATE heartbeats SET seen_at = datetime(seen_at, '-5 minutes'),"
    " ran_at = datetime(ran_at, '-5 minutes')",
    "postgresql": "UPDATE heartbeats SET seen_at = seen_at - interval '5 minutes',"
    " ran_at = ran_at - interval '5 minutes'",
}

OWED = (
    "INSERT INTO deliveries (kind, status, reason, dedupe_key, address, facts, priority, created_at,"
    " due_at, tries, is_possibly_twice) VALUES ('staff_alert', 'queued', '', 'test', 'a@reader.example',"
    """ '{"subject": "A test", "text": "Nothing."}', 0, '2026-01-01', '2026-01-01', 0, false)"""
)


class Place:
    """A shop's data folder and its database."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url

    def tell(self, statement: str) -> list[tuple[Any, ...]]:
        """One statement past the shop; the rows it answers with."""
        if self.url.startswith("sqlite"):
            with sqlite3.connect(self.folder / "colophon.db", timeout=30) as database:
                return database.execute(statement).fetchall()
        with psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def environment(self, port: int, **given: str) -> dict[str, str]:
        """Of its processes."""
        url = {} if self.url.startswith("sqlite") else {"STORE_DATABASE_URL": self.url}
        words = {"STORE_SECRET_KEY": SECRET, "STORE_ALERTS_TO": "desk@publisher.example"}
        return environment(self.folder, port, **(url | words | given))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path) -> Iterator[Place]:
    """A migrated shop whose seller is known, on either database."""
    with _place(request, sqlite_template, tmp_path) as found:
        url = {} if found.url.startswith("sqlite") else {"database_url": found.url}
        app = create_app(make_settings(tmp_path, **url))
        with app.app_context():
            with transaction():
                a_seller()
            db.session.remove()
            db.engine.dispose()
        yield found


@contextmanager
def _place(request: pytest.FixtureRequest, template: Path, folder: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        shutil.copy(template, folder / "colophon.db")
        yield Place(folder, "sqlite")
        return
    databases: Databases = request.getfixturevalue("databases")
    with databases.one() as url:
        yield Place(folder, url.replace("+psycopg", ""))


@contextmanager
def process(word: str, place: Place, port: int, **given: str) -> Iterator[Any]:
    """One command of the shop; killed at the end, with what it started."""
    import psutil

    env = place.environment(port, STORE_BIND=f"127.0.0.1:{port}", **given)
    life = store(word, env=env, program="tests.hurried")
    try:
        yield life
    finally:
        for one in psutil.Process(life.pid).children(recursive=True) if life.poll() is None else []:
            one.kill()
        life.kill()
        life.wait()
        if life.stdout:
            life.stdout.close()


def ready(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30) as page:
        return dict(json.loads(page.read()))


def unwell(port: int) -> list[str]:
    return [one["part"] for one in ready(port)["not_well"]]


def alerts(place: Place) -> int:
    return int(place.tell("SELECT count(*) FROM deliveries WHERE kind = 'staff_alert'")[0][0])


def test_in_use_processes_make_their_rounds_as_often_as_the_plan_says() -> None:
    assert hurried.usual() == hurried.USUAL


@pytest.mark.long
def test_a_killed_worker_is_noticed_told_once_and_well_again_with_the_next(place: Place) -> None:
    port = free_port()
    kind = "sqlite" if place.url.startswith("sqlite") else "postgresql"
    with process("web", place, port):
        until(lambda: answers(port) == 200, "the shop answers")
        with process("worker", place, port) as worker:
            ran = "SELECT count(*) FROM heartbeats WHERE ran_at IS NOT NULL"
            until(lambda: place.tell(ran)[0][0] == 1, "a worker is seen, and its timetable")
            assert unwell(port) == []
            worker.kill()
            worker.wait()
        place.tell(AGED[kind])
        assert unwell(port) == ["worker"]
        assert answers(port, "/readyz") == 200
        assert answers(port, "/readyz?strict") == 503
        # Two processes of the web server look; one tells.
        until(lambda: alerts(place), "an alert is owed", 150)
        with process("worker", place, port):
            until(lambda: unwell(port) == [], "a worker is back")
            sent = "SELECT count(*) FROM deliveries WHERE kind = 'staff_alert' AND status = 'sent'"
            until(lambda: place.tell(sent)[0][0] == 1, "the alert has left")
            over = "SELECT count(*) FROM troubles WHERE ended_at IS NOT NULL"
            until(lambda: place.tell(over)[0][0] == 1, "it is over", 150)
        assert alerts(place) == 1


@pytest.mark.long
def test_a_worker_that_ends_in_order_says_so(place: Place) -> None:
    port = free_port()
    with process("worker", place, port) as worker:
        seen = "SELECT count(*) FROM heartbeats WHERE ran_at IS NOT NULL"
        until(lambda: place.tell(seen)[0][0] == 1, "a worker is seen")
        worker.terminate()
        assert worker.wait(60) == 0
    assert place.tell("SELECT count(*) FROM heartbeats WHERE ended_at IS NULL") == [(0,)]


def seen(port: int, name: str) -> float:
    """A number of a scrape, 0 where there is none yet."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    return next((float(one.rpartition(" ")[2]) for one in lines if one.startswith(name + " ")), 0)


@pytest.mark.long
def test_what_two_web_processes_and_a_worker_measure_adds_up_and_outlives_them(
    place: Place,
) -> None:
    port = free_port()
    pages = 'colophon_page_seconds_count{rule="/terms"}'
    sends = 'colophon_send_seconds_count{outcome="accepted"}'
    place.tell(OWED)
    with process("web", place, port, STORE_WEB_WORKERS="2") as web:
        until(lambda: answers(port) == 200, "the shop answers")
        assert [answers(port, "/terms") for _ in range(40)] == [200] * 40
        with process("worker", place, port) as worker:
            until(lambda: seen(port, sends) == 1, "the letter of the worker is counted")
            worker.terminate()
            worker.wait(60)
        until(lambda: seen(port, pages) == 40, "all pages are counted, whoever answered")
        assert [answers(port, "/terms") for _ in range(5)] == [200] * 5
        web.terminate()
        web.wait(60)
    with process("web", place, port):
        until(lambda: answers(port) == 200, "the shop answers again")
        assert seen(port, pages) == 45
