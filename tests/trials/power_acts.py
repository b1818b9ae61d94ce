"""What the lives of a shop do whose machine loses its power. All that touches the disk is done here, so
that nobody else keeps it in use when it is taken out."""

import json
import os
import secrets
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_migrate import upgrade

from store.catalog.models import Asset, Edition, EditionStatus, Publication
from store.catalog.sellers import state_seller
from store.entitlements.models import Entitlement
from store.entitlements.received import CONFIRMATION
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import worker
from store.mail.models import Delivery, DeliveryStatus
from store.orders.discounts import add_discount
from store.orders.models import Order, OrderLine, OrderStatus
from store.payments.transfers import DETAILS
from store.staff.kept_files import compare
from tests.editions import a_shop
from tests.factories import a_publication, an_asset, an_edition
from tests.mail.shops import a_batch, owe_to
from tests.payments.bank import BANK
from tests.purchases import apply_received

from .shoppers import GIFT

OCTETS = 30_000


def begin(app: Flask, letters: int) -> None:
    """Tables, a publication on sale, and so many letters of a release."""
    with app.app_context():
        upgrade()
        a_shop()
        with transaction():
            a_publication("uploads")
            state_seller(bank_details=BANK)
            add_discount("A gift", code=GIFT, percent=100)
        addresses = [f"reader{number:04}@reader.example" for number in range(letters)]
        owe_to(*addresses, batch_id=a_batch())


def machine(app: Flask, bind: str, connections: int, told: str) -> None:
    """All that a shop does, in processes of one group, until its power is cut."""
    from .acts import web

    for work in (lambda: send_on(app, connections), lambda: upload(app, told)):
        if os.fork() == 0:
            with suppress(BaseException):  # what the cut makes of it
                work()
            os._exit(0)
    web(app, bind)


def send_on(app: Flask, connections: int) -> None:
    """A worker that sends whatever comes, until it dies."""
    from .acts import send

    while True:
        send(app, connections)
        time.sleep(0.02)


def upload(app: Flask, told: str) -> None:
    """One file after the other, until it dies; what is stored and on record is told outside."""
    with app.app_context(), Path(told).open("a") as file:
        while True:
            with transaction() as session:
                publication = session.scalars(
                    sa.select(Publication).filter_by(slug="uploads")
                ).one()
                newest = session.scalar(
                    sa.select(sa.func.max(Edition.number)).filter_by(publication_id=publication.id)
                )
                values: dict[str, Any] = {"released_at": clock.now()}
                edition = an_edition(
                    publication, (newest or 0) + 1, status=EditionStatus.RELEASED, **values
                )
                asset = an_asset(edition, data=secrets.token_bytes(OCTETS))
                digest = asset.sha256
            file.write(f"{digest}\n")
            file.flush()


def look(app: Flask, told: str) -> None:
    """What stands in the tables, and what is wrong with the files, into a file outside."""
    with app.app_context():
        worker.sweep()
        apply_received()
        files = compare(None)
        orders = {order.email: _state(order) for order in db.session.scalars(sa.select(Order))}
        rows = db.session.scalars(sa.select(Delivery)).all()
        found = {
            "orders": orders,
            "letters": {
                row.id: [
                    str(row.status),
                    row.message_id,
                    row.is_possibly_twice,
                ]
                for row in rows
            },
            "queued": sum(row.status is DeliveryStatus.QUEUED for row in rows),
            "files": files.faults,
            "uploaded": list(db.session.scalars(sa.select(Asset.sha256))),
        }
        db.session.rollback()
        Path(told).write_text(json.dumps(found))


def _state(order: Order) -> list[str]:
    """What belongs to an order and is there twice, or not at all."""
    letters = sa.select(Delivery.kind).where(Delivery.order_id == order.id)
    kinds = Counter(db.session.scalars(letters))
    right = sa.select(Entitlement.id).join(OrderLine).where(OrderLine.order_id == order.id)
    rights = len(db.session.scalars(right).all())
    due = {"right": 1, CONFIRMATION: 1, DETAILS: 0}
    if order.status is not OrderStatus.PAID:
        due = {"right": 0, CONFIRMATION: 0, DETAILS: 1}
    found = {"right": rights, CONFIRMATION: kinds[CONFIRMATION], DETAILS: kinds[DETAILS]}
    return [what for what, count in due.items() if found[what] != count]
