"""The page that a buyer comes back to: it asks Stripe itself, and shows one order alone."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store.entitlements.links import order_link, order_url
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.models import OrderStatus
from store.payments import checkout, inbox
from store.payments.checkout import begin_checkout
from store.payments.models import Checkout, CheckoutStatus, Payment
from tests.conftest import on_both_when_long
from tests.payments.stripe_shop import newest_session, post_all
from tests.purchases import an_order, apply_received
from tests.rows import order_of, rows
from tests.storefront.forms import text_of
from tests.stripe_double import StripeDouble


@pytest.fixture
def order_id(shop: Flask, double: StripeDouble) -> int:
    """A pending order whose session is open."""
    order_id = an_order()
    begin_checkout(order_id)
    return order_id


def _path(order_id: int) -> str:
    with transaction():
        order_link(order_id, order_of(order_id).customer_id)
    return urlsplit(order_url(order_id)).path


def _come_back(buyer: FlaskClient, order_id: int, session_id: str) -> str:
    answer = buyer.get(_path(order_id), query_string={"session_id": session_id})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return text_of(answer.text)


@on_both_when_long
def test_a_buyer_who_has_paid_is_thanked_before_any_news_has_come(
    buyer: FlaskClient, double: StripeDouble, order_id: int
) -> None:
    session_id = newest_session(double)["id"]
    outcome = double.control.complete(session_id)
    parts = urlsplit(outcome["url"])
    assert parts.query == f"session_id={session_id}"

    page = text_of(buyer.get(f"{parts.path}?{parts.query}").text)

    assert "Thank you for your pre-order" in page
    assert order_of(order_id).status is OrderStatus.PAID
    post_all(buyer, double)
    assert len(rows(Payment.id)) == 1


@pytest.mark.parametrize(
    "session_id",
    [
        "",
        "cs_test_unknown",
        "{CHECKOUT_SESSION_ID}",
        "'; DROP TABLE orders",
        "../../v1/refunds",
        "x" * 5_000,
        "cs_test_é",
    ],
)
def test_an_id_that_is_none_shows_the_order_as_it_is(
    buyer: FlaskClient, double: StripeDouble, order_id: int, session_id: str
) -> None:
    words = _come_back(buyer, order_id, session_id)

    assert "Your order is not paid yet" in words
    known = newest_session(double)["id"]
    asked = {entry["path"] for entry in double.control.log() if entry["method"] == "GET"}
    assert asked == {f"/v1/checkout/sessions/{known}"}


def test_the_session_of_another_order_is_neither_asked_about_nor_shown(
    buyer: FlaskClient, double: StripeDouble, order_id: int
) -> None:
    other_id = an_order("g" * 22)
    begin_checkout(other_id)
    foreign = newest_session(double)["id"]
    double.control.complete(foreign)

    words = _come_back(buyer, order_id, foreign)

    assert "Your order is not paid yet" in words
    assert order_of(other_id).reference not in words
    assert order_of(order_id).status is OrderStatus.PENDING
    assert order_of(other_id).status is OrderStatus.PENDING
    asked = {entry["path"] for entry in double.control.log() if entry["method"] == "GET"}
    assert f"/v1/checkout/sessions/{foreign}" not in asked


def test_a_session_that_is_still_open_leaves_the_button(
    buyer: FlaskClient, double: StripeDouble, order_id: int
) -> None:
    words = _come_back(buyer, order_id, newest_session(double)["id"])
    assert "You have not been charged." in words
    assert "Pay £12.50 now" in words


def test_a_session_that_ran_out_says_why_and_the_order_can_still_be_paid(
    buyer: FlaskClient, double: StripeDouble, order_id: int
) -> None:
    session_id = newest_session(double)["id"]
    double.control.clock(advance=23 * 3600 + 60)

    words = _come_back(buyer, order_id, session_id)

    assert "The time for this payment ran out." in words
    assert "Pay £12.50 now" in words


def test_stripe_being_away_shows_the_order_as_we_know_it(
    buyer: FlaskClient, double: StripeDouble, order_id: int
) -> None:
    session_id = newest_session(double)["id"]
    double.control.complete(session_id)
    double.control.fault("server_error", method="GET", times=1)

    words = _come_back(buyer, order_id, session_id)

    assert "We are asking whether you have paid" in words
    assert "You have not been charged" not in words
    assert "Thank you for your pre-order" in _come_back(buyer, order_id, session_id)


def test_money_for_an_order_that_ran_out_in_our_eyes_still_wins(
    buyer: FlaskClient,
    double: StripeDouble,
    order_id: int,
    pass_time: Callable[[float], None],
) -> None:
    session_id = newest_session(double)["id"]
    double.control.complete(session_id)
    double.control.fault("server_error", method="GET", times=99)
    with transaction():
        from store.orders.orders import expire_order

        order = order_of_locked(order_id)
        checkout.end_unheard(db.session.get_one(Checkout, 1))
        expire_order(order, "not paid in time")
    double.control.no_faults()
    assert order_of(order_id).status is OrderStatus.EXPIRED

    words = _come_back(buyer, order_id, session_id)

    assert "Thank you for your pre-order" in words
    assert order_of(order_id).status is OrderStatus.PAID


def order_of_locked(order_id: int) -> object:
    """The order's row, under its lock."""
    from store.orders.orders import lock_order

    return lock_order(order_id)


def test_a_bank_that_takes_its_days_is_said_and_there_is_no_second_button(
    buyer: FlaskClient, double: StripeDouble, shop: Flask
) -> None:
    double.control.methods(["card", "bacs_debit"])
    order_id = an_order()
    begin_checkout(order_id)
    session_id = newest_session(double)["id"]
    double.control.complete(session_id, payment_method_type="bacs_debit")
    assert newest_session(double)["payment_status"] == "unpaid"

    words = _come_back(buyer, order_id, session_id)

    assert "working days" in words
    assert "Pay £12.50 now" not in words
    assert order_of(order_id).status is OrderStatus.PENDING
    assert begin_checkout(order_id).startswith(shop.extensions["colophon.settings"].base_url)
    assert len(double.control.state()["checkout.session"]) == 1

    double.control.finish_debit(session_id, succeed=True)
    post_all(buyer, double)
    assert order_of(order_id).status is OrderStatus.PAID
    assert rows(Payment.method, Payment.amount) == [("bacs_debit", 1250)]
    assert len([one for one in rows(Delivery.kind) if one == ("order_confirmation",)]) == 1


def test_a_bank_that_does_not_pay_in_the_end_is_told_and_delivers_nothing(
    buyer: FlaskClient, double: StripeDouble, shop: Flask
) -> None:
    double.control.methods(["card", "bacs_debit"])
    order_id = an_order()
    begin_checkout(order_id)
    session_id = newest_session(double)["id"]
    double.control.complete(session_id, payment_method_type="bacs_debit")
    post_all(buyer, double)

    double.control.finish_debit(session_id, succeed=False)
    post_all(buyer, double)

    assert rows(Checkout.status, Checkout.failure) == [
        (CheckoutStatus.FAILED, "Your bank did not make the payment.")
    ]
    assert order_of(order_id).status is OrderStatus.PENDING
    assert rows(Payment.id) == []
    kinds = [kind for (kind,) in rows(Delivery.kind)]
    assert kinds.count("payment_failed") == 1
    assert "order_confirmation" not in kinds
    words = _come_back(buyer, order_id, session_id)
    assert "Your bank did not make the payment." in words


def test_the_countries_that_stripe_knows_are_kept_with_the_payment(
    buyer: FlaskClient, double: StripeDouble, order_id: int
) -> None:
    double.control.complete(newest_session(double)["id"], country="FR")
    inbox.fulfil_order(order_id)
    apply_received()
    ((method, billing, card, digits),) = rows(
        Payment.method, Payment.billing_country, Payment.card_country, Payment.card_last4
    )
    assert (method, billing, len(card), digits) == ("card", "FR", 2, "4242")
