"""A browser of its own for the desk: each request in a context of its own, as on a server."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import event
from werkzeug.test import TestResponse

from store.catalog.models import Publication
from store.kit import clock
from store.kit.database import db, transaction
from tests.admin.contested import desk, order_id  # noqa: F401 - fixtures
from tests.conftest import Reader
from tests.factories import a_publication, a_seller

# Counts of tries, and the codes that a sign-in uses up before it is let in.
NOT_ACTS = {"rate_counts"}


class Browser(Reader):
    """The test client; nothing that one request kept in mind reaches the next. What it changes at
    the desk must be on record, in a transaction that changed it; a form pressed twice, once."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.pressed: set[str | None] = set()

    def open(self, *args: Any, **given: Any) -> TestResponse:
        given.setdefault("buffered", True)  # what is streamed ends with its own request
        with self.application.app_context(), _watched() as commits:
            answer = super().open(*args, **given)
        sent = given.get("data")
        key = sent.get("form_key") if isinstance(sent, dict) else None
        is_desk = answer.request.path.startswith("/admin/")
        if is_desk and answer.status_code == 303 and commits and key not in self.pressed:
            kept = any("audit_entries" in tables for tables in commits)
            assert kept, (answer.request.path, commits)
        self.pressed |= {key} - {None}
        return answer


class _Watch(threading.local):
    """What the thread's request wrote, where one is watched. An engine is listened to once and
    for good: browsers come at the same moment, and its listeners are no list to change then."""

    commits: list[set[str]] | None = None
    written: set[str]


_watch = _Watch()


@contextmanager
def _watched() -> Iterator[list[set[str]]]:
    """The tables that each committed transaction of the session wrote to."""
    commits: list[set[str]] = []
    _watch.commits, _watch.written = commits, set()
    try:
        yield commits
    finally:
        _watch.commits = None


def _execute(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
    found = re.match(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)", statement)
    if found and found[1] not in NOT_ACTS and _watch.commits is not None:
        _watch.written.add(found[1])


def _commit(_connection: Any) -> None:
    if _watch.commits is not None and _watch.written:
        _watch.commits.append(set(_watch.written))
        _watch.written.clear()


def _rollback(_connection: Any) -> None:
    if _watch.commits is not None:
        _watch.written.clear()


@pytest.fixture(autouse=True)
def _browser(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    app.test_client_class = Browser
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", _execute)
        event.listen(db.engine, "commit", _commit)
        event.listen(db.engine, "rollback", _rollback)
    # The cheapest hash there is: what it costs is the library's business, not these tests'.
    cheapest = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("store.staff.credentials.HASHER", cheapest)


@pytest.fixture
def publication(app: Flask) -> Publication:
    """A publication on sale, expected so soon that buyers must agree to get it at once."""
    with transaction():
        a_seller()
        return a_publication(expected_on=clock.now().date() + timedelta(days=5))
