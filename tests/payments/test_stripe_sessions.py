"""Starting a payment at Stripe: what it is asked, once, and what happens while it is away."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Publication
from store.kit.database import transaction
from store.kit.money import format_money, parse_price
from store.orders.models import Order, OrderStatus
from store.payments import checkout, inbox
from store.payments.checkout import begin_checkout
from store.payments.models import Checkout, CheckoutStatus, Payment
from tests.conftest import on_both
from tests.factories import a_publication, a_seller
from tests.payments.stripe_shop import (
    BUYER,
    PATH,
    newest_session,
    post_all,
    press_order,
    together,
)
from tests.purchases import an_order
from tests.rows import order_of, rows
from tests.storefront.forms import fields_of, text_of
from tests.stripe_double import StripeDouble

CREATE = {"method": "POST", "path": "/v1/checkout/sessions"}


@pytest.fixture(autouse=True)
def publication(shop: Flask) -> None:
    """A pre-order at £12.50."""
    with transaction():
        a_seller()
        a_publication()


def _creations(double: StripeDouble) -> list[dict[str, Any]]:
    return [
        entry
        for entry in double.control.log()
        if (entry["method"], entry["path"]) == ("POST", "/v1/checkout/sessions")
    ]


def _sessions(double: StripeDouble) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = double.control.state().get("checkout.session", [])
    return found


def test_a_session_is_asked_for_what_was_agreed_and_names_the_order_thrice(
    shop: Flask, double: StripeDouble
) -> None:
    order = order_of(an_order())
    begin_checkout(order.id)

    session = newest_session(double)
    names = {"order_reference": order.reference, "checkout_id": "1"}
    assert session["client_reference_id"] == order.reference
    assert session["metadata"] == names
    assert (session["mode"], session["ui_mode"]) == ("payment", "hosted_page")
    assert (session["amount_total"], session["currency"]) == (1250, "gbp")
    assert session["customer_email"] == BUYER
    assert not session["allow_promotion_codes"]
    assert session["success_url"].endswith("?session_id={CHECKOUT_SESSION_ID}")
    assert 22 * 3600 < session["expires_at"] - session["created"] <= 24 * 3600
    item = double.world.secret(double.world.get("checkout.session", session["id"]))["items"][0]
    assert item.price["tax_behavior"] == "inclusive"
    double.control.complete(session["id"])
    assert double.control.state()["payment_intent"][0]["metadata"] == names
    assert [entry["idempotency_key"] for entry in _creations(double)] == [
        f"order-{order.reference}-checkout-1"
    ]


@on_both
def test_a_double_click_is_one_session(shop: Flask, double: StripeDouble) -> None:
    client = shop.test_client()
    given = fields_of(client.get(PATH).text, "email") | {"email": BUYER}
    review = client.post(PATH, data=given).text

    answers = together(
        lambda: press_order(shop.test_client(), review),
        lambda: press_order(shop.test_client(), review),
    )

    assert [answer.status_code for answer in answers] == [303, 303]
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert len(_sessions(double)) == 1
    assert len({entry["idempotency_key"] for entry in _creations(double)}) == 1
    assert len(rows(Order.id)) == 1
    assert len(rows(Checkout.id)) == 1


def test_an_amount_that_the_form_claims_is_not_asked_for(
    buyer: FlaskClient, double: StripeDouble
) -> None:
    given = fields_of(buyer.get(PATH).text, "email") | {"email": BUYER}
    fields = fields_of(buyer.post(PATH, data=given).text, "seen_amount")

    refused = buyer.post(PATH, data=fields | {"seen_amount": "100"})
    assert refused.status_code == 422
    assert _sessions(double) == []

    extra = {"amount": "100", "price": "1.00", "total_amount": "100", "currency": "JPY"}
    assert buyer.post(PATH, data=fields | extra).status_code == 303
    assert (newest_session(double)["amount_total"], newest_session(double)["currency"]) == (
        1250,
        "gbp",
    )


@pytest.mark.parametrize(
    ("price", "currency", "asked"),
    [
        ("19.99", "GBP", 1999),
        ("8.20", "GBP", 820),
        ("8.29", "GBP", 829),
        ("7.77", "EUR", 777),
        ("5.10", "GBP", 510),
        ("1.15", "USD", 115),
        ("4.35", "GBP", 435),
        ("32.80", "GBP", 3280),
        ("1500", "JPY", 1500),
        ("12.340", "KWD", 12340),
        ("1500", "ISK", 150000),
    ],
)
def test_stripe_is_asked_exactly_the_price_that_the_page_shows(
    buyer: FlaskClient, double: StripeDouble, price: str, currency: str, asked: int
) -> None:
    amount = parse_price(price, currency)
    with transaction() as session:
        session.execute(sa.update(Publication).values(price_amount=amount, currency=currency))
    given = fields_of(buyer.get(PATH).text, "email") | {"email": BUYER}
    review = buyer.post(PATH, data=given).text
    assert format_money(amount, currency) in text_of(review)

    press_order(buyer, review)

    session = newest_session(double)
    (line,) = double.world.secret(double.world.get("checkout.session", session["id"]))["items"]
    assert (line.price["unit_amount"], session["amount_total"]) == (asked, asked)
    assert session["currency"] == currency.lower()
    double.control.complete(session["id"])
    post_all(buyer, double)
    assert rows(Payment.amount, Payment.currency) == [(amount, currency)]


@pytest.mark.parametrize("kind", ["rate_limit", "server_error", "unavailable", "reset", "lost"])
def test_while_stripe_is_away_a_clear_page_says_so_and_the_order_is_kept(
    buyer: FlaskClient, double: StripeDouble, kind: str
) -> None:
    double.control.fault(kind, **CREATE, times=3)
    answer = press_order(buyer)

    words = text_of(answer.text)
    assert answer.status_code == 503
    assert "The payment service does not answer." in words
    assert "No payment has been begun, and your order is kept." in words
    assert BUYER in words
    assert rows(Order.status) == [(OrderStatus.PENDING,)]
    assert rows(Checkout.status, Checkout.gateway_reference) == [(CheckoutStatus.OPEN, None)]

    double.control.no_faults()
    again = press_order(buyer, answer.text)

    assert again.status_code == 303
    assert len(_sessions(double)) == 1
    assert len({entry["idempotency_key"] for entry in _creations(double)}) == 1
    assert len(rows(Order.id)) == 1
    double.control.complete(newest_session(double)["id"])
    post_all(buyer, double)
    assert rows(Order.status) == [(OrderStatus.PAID,)]
    assert len(rows(Payment.id)) == 1


@pytest.mark.parametrize("kind", ["lost", "server_error", "reset"])
def test_one_answer_that_is_lost_is_asked_for_again_by_the_next_press_under_the_same_key(
    buyer: FlaskClient, double: StripeDouble, kind: str
) -> None:
    double.control.fault(kind, **CREATE)
    away = press_order(buyer)
    assert (away.status_code, len(_creations(double))) == (503, 1)

    assert press_order(buyer, away.text).status_code == 303
    assert len(_sessions(double)) == 1
    assert len({entry["idempotency_key"] for entry in _creations(double)}) == 1


def test_an_error_that_stripe_would_repeat_for_a_day_ends_that_try_alone(
    buyer: FlaskClient, double: StripeDouble
) -> None:
    double.control.fault("error_after", **CREATE)
    answer = press_order(buyer)
    assert answer.status_code == 503
    assert rows(Checkout.status) == [(CheckoutStatus.EXPIRED,)]
    assert rows(Order.status) == [(OrderStatus.PENDING,)]

    assert press_order(buyer, answer.text).status_code == 303
    double.control.complete(newest_session(double)["id"])
    post_all(buyer, double)

    assert rows(Order.status) == [(OrderStatus.PAID,)]
    assert len(rows(Payment.id)) == 1
    assert len({entry["idempotency_key"] for entry in _creations(double)}) == 2


def test_a_key_that_may_not_start_payments_is_no_word_about_the_order(
    buyer: FlaskClient, double: StripeDouble, caplog: pytest.LogCaptureFixture
) -> None:
    double.control.restrict("rk_test_least", ["events:read"])
    answer = press_order(buyer)

    assert answer.status_code == 503
    assert rows(Checkout.status) == [(CheckoutStatus.OPEN,)]
    assert "the key for Stripe is refused or may not do this" in caplog.text
    assert "rk_test" not in caplog.text
    assert BUYER not in caplog.text


def test_a_payment_page_that_is_not_stripes_is_never_led_to(
    shop: Flask, double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(double.world, "base_url", "https://evil.example")

    with pytest.raises(checkout.PaymentsUnavailable):
        begin_checkout(an_order())
    assert rows(Checkout.pay_url) == [("",)]


def test_a_session_that_ran_out_ends_the_try_and_the_order_can_be_paid_by_another(
    buyer: FlaskClient, double: StripeDouble, pass_time: Callable[[float], None]
) -> None:
    order_id = an_order()
    review = begin_checkout(order_id)
    first = newest_session(double)
    pass_time(23 * 3600 + 60)
    assert newest_session(double)["status"] == "expired"
    inbox.sweep()
    assert rows(Checkout.status, Checkout.failure) == [
        (CheckoutStatus.EXPIRED, "The time for this payment ran out.")
    ]

    url = begin_checkout(order_id)

    assert url != review
    assert newest_session(double)["id"] != first["id"]


def test_another_total_ends_the_open_session_before_there_is_another(
    shop: Flask, double: StripeDouble
) -> None:
    order_id = an_order()
    begin_checkout(order_id)
    first = newest_session(double)
    with transaction() as session:
        session.execute(sa.update(Order).values(total_amount=1000))

    begin_checkout(order_id)

    states = {one["id"]: one for one in _sessions(double)}
    assert states.pop(first["id"])["status"] == "expired"
    assert [one["amount_total"] for one in states.values()] == [1000]


def test_a_session_that_was_paid_while_it_was_to_be_ended_is_news_and_no_failure(
    shop: Flask, double: StripeDouble
) -> None:
    order_id = an_order()
    begin_checkout(order_id)
    reference = newest_session(double)["id"]
    double.control.complete(reference)

    from store.payments.gateways.stripe import StripeGateway

    StripeGateway().close(reference)
    assert begin_checkout(order_id).startswith(
        f"{shop.extensions['colophon.settings'].base_url}/orders/"
    )
    assert order_of(order_id).status is OrderStatus.PAID
