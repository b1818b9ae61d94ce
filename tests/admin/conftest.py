"""A browser of its own for the desk: each request in a context of its own, as on a server."""

import re
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


@contextmanager
def _watched() -> Iterator[list[set[str]]]:
    """The tables that each committed transaction of the session wrote to."""
    commits: list[set[str]] = []
    written: set[str] = set()
    engine = db.engine

    def execute(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        found = re.match(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)", statement)
        if found and found[1] not in NOT_ACTS:
            written.add(found[1])

    def commit(_connection: Any) -> None:
        if written:
            commits.append(set(written))
        written.clear()

    def rollback(_connection: Any) -> None:
        written.clear()

    event.listen(engine, "before_cursor_execute", execute)
    event.listen(engine, "commit", commit)
    event.listen(engine, "rollback", rollback)
    try:
        yield commits
    finally:
        event.remove(engine, "before_cursor_execute", execute)
        event.remove(engine, "commit", commit)
        event.remove(engine, "rollback", rollback)


@pytest.fixture(autouse=True)
def _browser(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    app.test_client_class = Browser
    # The cheapest hash there is: what it costs is the library's business, not these tests'.
    cheapest = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("store.staff.credentials.HASHER", cheapest)


@pytest.fixture
def publication(app: Flask) -> Publication:
    """A publication on sale, expected so soon that buyers must agree to get it at once."""
    with transaction():
        a_seller()
        return a_publication(expected_on=clock.now().date() + timedelta(days=5))
