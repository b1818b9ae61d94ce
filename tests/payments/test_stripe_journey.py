"""A whole purchase through Stripe, over HTTP: from the form over its page to the copy."""

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient

from store.kit.database import transaction
from store.mail.models import Delivery
from store.orders.models import Order, OrderStatus
from store.payments.models import Checkout, CheckoutStatus, EventStatus, GatewayEvent, Payment
from tests.conftest import on_both_when_long
from tests.factories import a_publication, a_seller
from tests.payments.stripe_shop import (
    DECLINED_CARD,
    PATH,
    newest_session,
    pay_on_page,
    press_order,
)
from tests.purchases import apply_received
from tests.rows import rows
from tests.storefront.forms import text_of
from tests.stripe_double import StripeDouble


@pytest.fixture(autouse=True)
def publication(shop: Flask) -> None:
    """A pre-order at £12.50."""
    with transaction():
        a_seller()
        a_publication()


@on_both_when_long
def test_a_buyer_pays_on_stripes_page_and_owns_the_copy_once(
    buyer: FlaskClient, served: str, double: StripeDouble
) -> None:
    answer = press_order(buyer)
    assert answer.status_code == 303
    page = answer.headers["Location"]
    assert page.startswith(f"{double.url}/c/pay/cs_test_")
    assert f"form-action 'self' {double.url};" in answer.headers["Content-Security-Policy"]

    paid = pay_on_page(page, country="FR")
    assert paid.status_code == 303
    thanks = requests.get(paid.headers["Location"], timeout=60)

    assert thanks.status_code == 200
    assert "Thank you for your pre-order" in text_of(thanks.text)
    assert rows(Order.status) == [(OrderStatus.PAID,)]
    assert double.control.settle()
    apply_received()
    assert rows(Payment.amount, Payment.currency, Payment.gateway, Payment.gateway_payment_id) == [
        (1250, "GBP", "stripe", newest_session(double)["payment_intent"])
    ]
    assert rows(Checkout.status) == [(CheckoutStatus.COMPLETED,)]
    assert [kind for (kind,) in rows(Delivery.kind) if kind != "staff_alert"] == [
        "order_confirmation"
    ]
    assert set(rows(GatewayEvent.status)) == {(EventStatus.APPLIED,)}


def test_every_delivery_is_taken_in_at_once_and_every_call_is_of_the_pinned_version(
    buyer: FlaskClient, served: str, double: StripeDouble
) -> None:
    pay_on_page(press_order(buyer).headers["Location"])
    assert double.control.settle()
    apply_received()

    deliveries = double.control.deliveries()
    assert {delivery["type"] for delivery in deliveries} >= {
        "checkout.session.completed",
        "payment_intent.succeeded",
        "charge.updated",
    }
    assert [one for one in deliveries if one["status"] != 200 or one["seconds"] > 10] == []
    log = double.control.log()
    assert {entry["stripe_version"] for entry in log} == {double.spec.version}
    assert {entry["status"] for entry in log} == {200}
    assert {event["api_version"] for event in double.control.events()} == {double.spec.version}


def test_a_declined_card_leaves_the_page_open_for_another_one(
    buyer: FlaskClient, served: str, double: StripeDouble
) -> None:
    page = press_order(buyer).headers["Location"]
    assert pay_on_page(page, card=DECLINED_CARD).status_code == 402
    assert double.control.settle()
    apply_received()
    assert rows(Checkout.status, Checkout.failure) == [(CheckoutStatus.OPEN, "")]

    assert pay_on_page(page).status_code == 303
    assert double.control.settle()
    apply_received()

    assert rows(Order.status) == [(OrderStatus.PAID,)]
    assert len(rows(Payment.id)) == 1
    assert "payment_failed" not in {kind for (kind,) in rows(Delivery.kind)}


def test_a_bank_that_asks_its_customer_is_answered_and_the_order_is_paid(
    buyer: FlaskClient, served: str, double: StripeDouble
) -> None:
    page = press_order(buyer).headers["Location"]
    challenge = pay_on_page(page, card="4000002500003155")
    assert challenge.status_code == 303
    assert rows(Order.status) == [(OrderStatus.PENDING,)]

    outcome = double.control.authenticate(newest_session(double)["id"])
    assert outcome["kind"] == "complete"
    assert "Thank you for your pre-order" in requests.get(outcome["url"], timeout=60).text


def test_going_back_from_stripes_page_keeps_what_was_typed_and_the_same_session(
    buyer: FlaskClient, served: str, double: StripeDouble
) -> None:
    page = press_order(buyer, name="Anna Berg", organisation="Little Oaks").headers["Location"]
    back = newest_session(double)["cancel_url"]
    review = requests.get(back, timeout=60)

    words = text_of(review.text)
    assert review.status_code == 200
    assert "You have not been charged." in words
    assert "a•••@reader.example" in words
    assert "As you typed it" in words

    again = press_order(buyer, review.text)
    assert again.headers["Location"] == page
    assert len(double.control.state()["checkout.session"]) == 1
    assert back.startswith(f"{served}{PATH}?resume=")
