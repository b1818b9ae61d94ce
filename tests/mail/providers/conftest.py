"""A shop that hears every provider, and an Amazon that answers with our certificate."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from store.app import create_app
from store.kit.database import db
from store.mail.providers import ses
from tests.conftest import Clock, make_settings
from tests.mail import posted


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was fetched from Amazon, which answers with our certificate."""
    found: list[str] = []

    def fetched(url: str) -> bytes:
        found.append(url)
        return posted.sns_certificate()

    monkeypatch.setattr(ses, "_fetched", fetched)
    ses._certificate.cache_clear()
    yield found
    ses._certificate.cache_clear()


@pytest.fixture
def shop(database_url: str, tmp_path: Path, asked: list[str], frozen: Clock) -> Iterator[Flask]:
    given = posted.SETTINGS | {"bounce_address": "bounces+{token}@shop.example.org"}
    app = create_app(make_settings(tmp_path, database_url=database_url, **given))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()
