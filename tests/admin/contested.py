"""A paid order at the desk, paid again or contested, for the tests of its pages."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.kit import clock
from store.kit.database import db, transaction
from store.payments.fulfilment import apply_state
from store.payments.gateways.base import GatewayDispute, GatewayState, Standing
from store.payments.models import Checkout, Dispute, Payment
from tests.admin.sign_in import signed_in
from tests.conftest import Clock
from tests.payments.gateway_side import paid_at_gateway
from tests.purchases import an_order, pay, start
from tests.rows import order_of, rows


@pytest.fixture
def order_id(app: Flask, frozen: Clock) -> int:
    """A paid pre-order."""
    order_id = an_order()
    pay(order_id)
    return order_id


@pytest.fixture
def desk(frozen: Clock, client: FlaskClient) -> FlaskClient:
    """An owner at the desk."""
    return signed_in(client)


def pay_again(order_id: int) -> None:
    """Once more, as by a buyer with two windows."""
    with transaction() as session:
        session.execute(sa.text("UPDATE orders SET status = 'pending'"))
    paid_at_gateway(start(order_id), clock.now())
    with transaction() as session:
        session.execute(sa.text("UPDATE orders SET status = 'paid'"))
    for (checkout_id,) in rows(Checkout.id):
        from store.payments.inbox import fulfil_checkout

        fulfil_checkout(checkout_id)


def contest(order_id: int, number: int = 0, **given: Any) -> int:
    """The demonstration says that one of the payments is disputed; returns the dispute's id."""
    payment = payment_of(order_id, number)
    values: dict[str, Any] = {
        "dispute_id": f"du_{payment.id}",
        "reason": "product_not_received",
        "amount": 1250,
        "currency": "GBP",
        "is_inquiry": False,
        "opened_at": clock.now(),
        "due_at": clock.now() + timedelta(days=9),
    }
    checkout = db.session.get_one(Checkout, payment.checkout_id)
    state = GatewayState(
        reference=str(checkout.gateway_reference),
        standing=Standing.PAID,
        amount=1250,
        currency="GBP",
        order_reference=payment.order.reference,
        checkout_id=checkout.id,
        payment_id=payment.gateway_payment_id,
        disputes=(GatewayDispute(**(values | given)),),
    )
    with transaction():
        apply_state("demo", state)
    return int(rows(Dispute.id)[-1][0])


def payment_of(order_id: int, number: int) -> Payment:
    """One payment of the order, counted from 0."""
    db.session.rollback()
    query = sa.select(Payment).where(Payment.order_id == order_id).order_by(Payment.id)
    return db.session.scalars(query).all()[number]


def desk_path(order_id: int) -> str:
    """Where the desk shows the order."""
    return f"/admin/orders/{order_of(order_id).reference}"
