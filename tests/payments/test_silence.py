"""While the gateway is silent no page says that nobody was charged, and none waits for long."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store import tasks
from store.catalog.models import PublicationStatus
from store.entitlements.links import order_link, token_of
from store.kit import patience
from store.kit.database import db, transaction
from store.orders.models import Order, OrderStatus
from store.payments.charge import NOT_CHARGED, Charged, charge_of
from store.payments.checkout import begin_checkout
from store.payments.inbox import fulfil_order
from store.payments.models import Checkout
from tests import factories
from tests.conftest import on_both_when_long
from tests.payments.stripe_shop import PATH, newest_session, press_order
from tests.purchases import an_order
from tests.rows import order_of, rows
from tests.storefront.forms import fields_of, text_of
from tests.stripe_double import StripeDouble

FAULTS = ["timeout", "reset", "server_error", "unavailable"]
ASKING = "The payment service does not answer, so we do not know yet whether you have paid."
# What a page may take beside its three seconds of waiting, on a slow machine.
SLACK = 27.0
SILENT_FOR = 60.0
# A fifth of what a page waits in use.
SHORT = 0.6


@pytest.fixture
def order_id(shop: Flask, double: StripeDouble) -> int:
    """A pending order that its buyer has paid at Stripe, and nobody here knows yet."""
    order_id = an_order()
    begin_checkout(order_id)
    double.control.complete(newest_session(double)["id"])
    return order_id


def token(order_id: int) -> str:
    with transaction() as session:
        return token_of(order_link(order_id, session.get_one(Order, order_id).customer_id))


def silence(double: StripeDouble, kind: str) -> None:
    double.control.fault(kind, times=99, seconds=SILENT_FOR)


def calls(double: StripeDouble) -> int:
    return len(double.control.log())


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.monotonic()
    answer = work()
    return answer, time.monotonic() - begun


def see(page: str, order_id: int, buyer: FlaskClient) -> Any:
    """One page that speaks of the money, as a browser gets it."""
    path = f"/orders/{token(order_id)}"
    if page == "review":
        return buyer.get(f"{PATH}?resume={path.rsplit('/', 1)[1]}")
    if page == "closed":
        answer = buyer.post(f"{path}/cancel", data={"sure": "yes"})
        assert answer.status_code == 303
        return buyer.get(path)
    return buyer.get(path + {"order": "", "give up": "/cancel"}[page])


@pytest.fixture
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages wait shorter than in use, where it is about what they say."""
    monkeypatch.setattr(patience, "PAGE_SECONDS", SHORT)


@pytest.mark.usefixtures("little_patience")
@pytest.mark.parametrize("page", ["order", "give up", "review", "closed"])
@pytest.mark.parametrize("kind", FAULTS)
def test_a_silent_gateway_is_said_to_be_asked_and_nobody_has_to_pay_again(
    buyer: FlaskClient, double: StripeDouble, order_id: int, kind: str, page: str
) -> None:
    silence(double, kind)
    answer = see(page, order_id, buyer)
    double.control.no_faults()

    words = text_of(answer.text)
    assert answer.status_code == 200
    assert ASKING in words
    assert "We keep asking, and you need not pay again." in words
    assert "at the latest." in words
    assert NOT_CHARGED not in words
    assert ("all of it goes back" in words) is (page == "closed")


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize(
    "page",
    [
        "order",
        pytest.param("give up", marks=pytest.mark.long),
        pytest.param("review", marks=pytest.mark.long),
    ],
)
def test_no_page_waits_longer_than_three_seconds_and_none_tries_again(
    buyer: FlaskClient, double: StripeDouble, order_id: int, kind: str, page: str
) -> None:
    assert patience.PAGE_SECONDS == 3.0
    silence(double, kind)
    before = calls(double)
    _, took = timed(lambda: see(page, order_id, buyer))
    double.control.no_faults()

    assert took < patience.PAGE_SECONDS + SLACK
    assert calls(double) - before <= 1


def test_a_press_of_the_review_waits_no_longer_for_all_its_questions_together(
    buyer: FlaskClient, double: StripeDouble, shop: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        factories.a_seller()
        factories.a_publication(status=PublicationStatus.LISTED)
    typed = fields_of(buyer.get(PATH).text, "email") | {"email": "anna@reader.example"}
    given = fields_of(buyer.post(PATH, data=typed).text, "seen_amount")
    assert buyer.post(PATH, data=given).status_code == 303
    silence(double, "timeout")
    given_to_each: list[float] = []
    real = patience.waiting

    @contextmanager
    def noted(at_most: float) -> Iterator[float]:
        with real(at_most) as seconds:
            given_to_each.append(seconds)
            yield seconds

    monkeypatch.setattr(patience, "waiting", noted)
    answer, took = timed(lambda: buyer.post(PATH, data=given | {"name": "Somebody Else"}))
    double.control.no_faults()

    assert (answer.status_code, rows(Order.name)) == (503, [("",)])
    assert ASKING in text_of(answer.text)
    assert took < patience.PAGE_SECONDS + SLACK
    # A second question with as much time as the first would make six.
    assert sum(given_to_each) < patience.PAGE_SECONDS + 1


@pytest.mark.long
def test_control_without_the_limit_a_page_waits_as_long_as_the_gateway_is_silent(
    buyer: FlaskClient, double: StripeDouble, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PAGE_SECONDS", 60.0)
    double.control.fault("timeout", seconds=4.0)
    _, took = timed(lambda: see("order", order_id, buyer))
    assert took >= 4.0


def test_the_timetable_has_patience_and_tries_again(double: StripeDouble, order_id: int) -> None:
    double.control.fault("reset", method="GET", times=2)
    assert fulfil_order(order_id) is True
    assert order_of(order_id).status is OrderStatus.PAID


@on_both_when_long
def test_what_the_gateway_has_said_is_said(
    buyer: FlaskClient, double: StripeDouble, shop: Flask
) -> None:
    order_id = an_order()
    begin_checkout(order_id)
    assert NOT_CHARGED in text_of(see("order", order_id, buyer).text)
    assert "You have not been charged, and will not be." in text_of(
        see("give up", order_id, buyer).text
    )
    assert f"You gave it up before it was paid. {NOT_CHARGED}" in text_of(
        see("closed", order_id, buyer).text
    )


@on_both_when_long
def test_a_start_that_nobody_answered_is_no_word_of_the_gateway(
    buyer: FlaskClient, double: StripeDouble, shop: Flask
) -> None:
    with transaction():
        factories.a_seller()
        factories.a_publication(status=PublicationStatus.LISTED)
    double.control.fault("reset", method="POST", times=9)
    answer = press_order(buyer)
    double.control.no_faults()
    assert answer.status_code == 503
    assert "No payment has been begun, and your order is kept." in text_of(answer.text)
    assert NOT_CHARGED not in text_of(answer.text)
    (order_id,) = (one for (one,) in rows(Order.id))
    words = text_of(see("order", order_id, buyer).text)
    assert ("No payment has been begun." in words, NOT_CHARGED in words) == (True, False)


def test_what_was_paid_and_given_up_in_silence_goes_back_and_the_page_says_so(
    buyer: FlaskClient, double: StripeDouble, order_id: int
) -> None:
    silence(double, "reset")
    see("closed", order_id, buyer)
    double.control.no_faults()
    with transaction():
        db.session.get_one(Checkout, 1).ask_at = db.session.get_one(Checkout, 1).created_at
    tasks.tick()
    assert "back" in text_of(see("order", order_id, buyer).text)
    assert charge_of(order_of(order_id), is_heard=True).state is Charged.PAID
