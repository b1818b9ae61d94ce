"""Payments cannot be started without end: by network, by address, by form; buyers never notice."""

from datetime import date

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from store.kit.database import db, transaction
from store.kit.limits import RateCount, limiter
from store.kit.tokens import new_reference
from store.orders.models import Order
from store.payments.models import Checkout
from store.storefront.form_limits import count_checkout
from tests import factories
from tests.conftest import Clock, on_both_when_long
from tests.pages import check_page
from tests.storefront.forms import fields_of, text_of

pytestmark = on_both_when_long

PATH = "/publications/send-early-years/order"
NURSERY = "198.51.100.7"


@pytest.fixture(autouse=True)
def publication(app: Flask, frozen: Clock) -> None:
    """A pre-order expected on 31 March, on 1 March 2027."""
    with transaction():
        factories.a_seller()
        factories.a_publication(expected_on=date(2027, 3, 31))


def place(
    client: FlaskClient,
    email: str,
    network: str = NURSERY,
    form_key: str | None = None,
    **given: str,
) -> TestResponse:
    """Press the review page's button, from a network."""
    form = {
        "step": "place",
        "form_key": form_key or new_reference(),
        "email": email,
        "seen_amount": "1250",
        "seen_currency": "GBP",
    }
    return client.post(PATH, data=form | given, environ_overrides={"REMOTE_ADDR": network})


def counted(model: type[Order | Checkout]) -> int:
    db.session.rollback()
    return db.session.scalars(sa.select(sa.func.count()).select_from(model)).one()


@pytest.mark.parametrize("is_limited", [True, False])
def test_a_nursery_of_thirty_buyers_passes_and_the_next_payment_is_refused(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, is_limited: bool
) -> None:
    monkeypatch.setattr(limiter, "enabled", is_limited)  # without it: the control
    codes = [place(client, f"staff{n}@nursery.example").status_code for n in range(31)]
    assert codes == [303] * 30 + [429 if is_limited else 303]
    assert counted(Checkout) == (30 if is_limited else 31)
    assert place(client, "anna@reader.example", network="203.0.113.9").status_code == 303


@pytest.mark.parametrize("is_limited", [True, False])
def test_an_address_has_ten_payments_an_hour_from_whatever_networks(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, is_limited: bool
) -> None:
    monkeypatch.setattr(limiter, "enabled", is_limited)
    spellings = ["anna@reader.example", "Anna <ANNA@Reader.Example>", "mailto:anna@reader.example"]
    codes = [
        place(client, spellings[n % 3], network=f"203.0.113.{n}").status_code for n in range(11)
    ]
    assert codes == [303] * 10 + [429 if is_limited else 303]
    assert counted(Order) == (10 if is_limited else 11)
    assert place(client, "ben@reader.example").status_code == 303


def test_presses_of_one_form_count_once(client: FlaskClient) -> None:
    key = new_reference()
    answers = [place(client, "anna@reader.example", form_key=key) for _ in range(12)]
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    codes = [place(client, "anna@reader.example").status_code for _ in range(10)]
    assert codes == [303] * 9 + [429]


def test_one_form_cannot_be_pressed_without_end(client: FlaskClient) -> None:
    key = new_reference()
    codes = [place(client, "anna@reader.example", form_key=key).status_code for _ in range(21)]
    assert codes == [303] * 20 + [429]


def test_one_form_for_many_addresses_counts_each(client: FlaskClient) -> None:
    key = new_reference()
    for n in range(29):
        count_checkout(key, f"a{n}@reader.example", NURSERY)
    codes = [place(client, f"b{n}@reader.example", form_key=key).status_code for n in range(2)]
    assert codes == [303, 429]


def test_a_refused_form_stays_refused_however_often_it_is_pressed(client: FlaskClient) -> None:
    for _ in range(10):
        place(client, "anna@reader.example")
    key = new_reference()
    codes = [place(client, "anna@reader.example", form_key=key).status_code for _ in range(3)]
    assert codes == [429, 429, 429]


def test_all_addresses_of_one_household_are_one_network(client: FlaskClient) -> None:
    for n in range(30):
        count_checkout(new_reference(), f"a{n}@reader.example", f"2001:db8:1:2::{n + 1:x}")
    buyer = "anna@reader.example"
    assert place(client, buyer, network="2001:db8:1:2:a:b:c:d").status_code == 429
    assert place(client, buyer, network="2001:db8:1:3::1").status_code == 303


def test_the_page_says_why_and_what_to_do_and_keeps_what_was_typed(client: FlaskClient) -> None:
    for _ in range(10):
        place(client, "anna@reader.example")
    typed = {"name": "Anna Berg", "organisation": "Nursery", "purchase_order_number": "PO 7"}
    answer = place(client, "anna@reader.example", form_key="k" * 22, **typed)
    assert answer.status_code == 429
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    check_page(answer.text, path=PATH)
    assert (
        "More payments were started for this e-mail address within an hour than we take. What "
        "you typed is kept on this page. Please wait 1 hour and press again, or write to us: our "
        "address is at the foot of the page. You have not been charged."
    ) in text_of(answer.text)
    assert "hello@publisher.example" in text_of(answer.text, "footer")
    kept = fields_of(answer.text, "seen_amount")
    expected = typed | {"email": "anna@reader.example", "form_key": "k" * 22, "step": "place"}
    assert {name: kept[name] for name in expected} == expected


def test_after_the_hour_the_same_press_goes_through(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(11):
        answer = place(client, "anna@reader.example")
    assert answer.status_code == 429
    with transaction() as session:
        session.execute(sa.update(RateCount).values(ends_at=RateCount.ends_at - 3601))
    assert client.post(PATH, data=fields_of(answer.text, "seen_amount")).status_code == 303


def test_the_counts_name_nobody(client: FlaskClient) -> None:
    place(client, "anna@reader.example")
    keys = " ".join(db.session.scalars(sa.select(RateCount.key)))
    assert keys.count("LIMITER/checkout/") == 3
    assert "anna" not in keys
