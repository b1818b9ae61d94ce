"""Shops with a mail server of the test's own, and letters owed to many."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

from store.app import create_app
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import lines, outbox
from store.mail.models import Attempt, Batch, BatchStatus, Delivery
from store.mail.smtp import Connection
from tests.conftest import make_settings
from tests.factories import a_seller


@contextmanager
def a_shop(
    database_url: str, folder: Path, port: int | None = None, **given: Any
) -> Iterator[Flask]:
    """A shop that hands its letters to the server at this port, or captures them."""
    server = {"mail_server": "127.0.0.1", "mail_port": port} if port else {}
    settings = {"base_url": "https://shop.example.org", "mail_connections": 1} | server | given
    app = create_app(make_settings(folder, database_url=database_url, **settings))
    with app.app_context():
        with transaction():
            a_seller()
        yield app
        hang_up()
        app.extensions["colophon.huey"].storage.close()
        db.session.remove()
        db.engine.dispose()


def hang_up() -> None:
    """Close this process's idle connections to the mail server."""
    places = lines.idle_places()
    idle = [places.get_nowait() for _ in range(places.qsize())]
    for place in idle:
        if isinstance(place.line, Connection):
            place.line.close()
        places.put(place)


def owe_to(*addresses: str, **given: Any) -> None:
    """One letter to each address, in this order."""
    with transaction():
        for address in addresses:
            facts = {"subject": f"To {address}", "text": f"Good news for {address}."}
            values: dict[str, Any] = {"address": address, "facts": facts} | given
            outbox.owe("staff_alert", f"test:{address}", **values)


def readers(count: int) -> list[str]:
    return [f"reader{n:03}@reader.example" for n in range(1, count + 1)]


def a_batch(**given: Any) -> int:
    values: dict[str, Any] = {"reason": "edition", "subject_id": 1, "status": BatchStatus.RUNNING}
    with transaction() as session:
        batch = Batch(created_at=clock.now(), **(values | given))
        session.add(batch)
        session.flush()
        return batch.id


def deliveries() -> dict[str, Delivery]:
    """Every delivery as it stands now, by its address."""
    db.session.remove()
    found = db.session.scalars(sa.select(Delivery).order_by(Delivery.id)).all()
    return {row.address or "": row for row in found}


def delivery(address: str) -> Delivery:
    return deliveries()[address]


def attempts(address: str) -> list[Attempt]:
    query = sa.select(Attempt).where(Attempt.delivery_id == delivery(address).id)
    return list(db.session.scalars(query.order_by(Attempt.id)).all())


def statuses() -> dict[str, int]:
    """How many letters stand in each status."""
    found: dict[str, int] = {}
    for row in deliveries().values():
        found[str(row.status)] = found.get(str(row.status), 0) + 1
    return found
