"""Orders that are paid by bank transfer, for tests."""

from datetime import date
from typing import Any

import sqlalchemy as sa

from store.catalog.sellers import state_seller
from store.kit import clock
from store.kit.database import db, transaction
from store.orders.models import Order
from store.payments.checkout import begin_checkout
from store.payments.models import Refund, Transfer, TransferBack
from store.payments.transfers import record_transfer
from tests.purchases import an_order

BANK = "Early Years Sample Press\nSort code 00-00-00\nAccount 00000000"


def a_transfer_order(form_key: str = "f" * 22, slug: str = "send-early-years") -> int:
    """A pending order at £12.50 whose buyer chose to pay by bank; returns its id."""
    order_id = an_order(form_key, slug)
    with transaction():
        state_seller(bank_details=BANK)
    begin_checkout(order_id, "manual")
    return order_id


def arrive(order_id: int, amount: int, form_key: str = "", **given: Any) -> Transfer:
    """Staff mark money as received today."""
    values: dict[str, Any] = {"received_on": today(), "who": "olga@publisher.example"}
    key = form_key or f"press-{order_id}-{amount}"
    return record_transfer(order_id, amount=amount, form_key=key, **(values | given))


def today() -> date:
    """The day that the shop's clock shows."""
    return clock.now().date()


def reference_of(order_id: int) -> str:
    """What people read aloud."""
    db.session.rollback()
    return db.session.get_one(Order, order_id).reference


def backs() -> list[TransferBack]:
    """All that is or was to be sent back."""
    db.session.rollback()
    return list(db.session.scalars(sa.select(TransferBack).order_by(TransferBack.id)))


def refunds() -> list[Refund]:
    """Every refund as it stands."""
    db.session.rollback()
    return list(db.session.scalars(sa.select(Refund).order_by(Refund.id)))
