"""A whole purchase through Stripe: from the form over its page to the copy."""

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.orders.models import Order, OrderStatus
from store.payments.checkout import begin_checkout
from store.payments.models import Checkout, CheckoutStatus, EventStatus, GatewayEvent, Payment
from tests.conftest import on_both
from tests.payments.making import an_order, apply_received, order_of, rows
from tests.payments.stripe_shop import (
    newest_session,
    pay_on_page,
    session_behind,
)
from tests.stripe_double import StripeDouble


@on_both
def test_a_payment_on_stripes_page_ends_in_a_paid_order(
    shop: Flask, served: str, double: StripeDouble
) -> None:
    order_id = an_order()
    url = begin_checkout(order_id)
    answer = pay_on_page(url)
    assert answer.status_code == 303
    assert double.control.settle()
    apply_received()
    assert order_of(order_id).status is OrderStatus.PAID
    assert rows(Payment.amount, Payment.currency, Payment.gateway) == [(1250, "GBP", "stripe")]
