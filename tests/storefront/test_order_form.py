"""From the order form over the review to the payment: one form, one order, nothing typed is lost."""

from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from store.catalog.models import Publication, PublicationStatus
from store.demo.pay import Arrival, Decision, decide
from store.entitlements.links import order_link, token_of
from store.kit.database import db, transaction
from store.kit.limits import limiter
from store.kit.status import advance
from store.orders.consents import has_waiver
from store.orders.models import Order, OrderStatus
from store.payments import checkout
from store.payments.checkout import PaymentsUnavailable
from store.payments.gateways.demo import DemoPayment
from store.payments.models import Checkout, CheckoutStatus
from tests import factories
from tests.conftest import Clock, on_both, on_both_when_long
from tests.pages import Page, check_page
from tests.storefront.forms import fields_of, text_of

PATH = "/publications/send-early-years/order"
BOX = "Send me the guide straight away. I understand that I then lose my 14-day right to cancel."


@pytest.fixture(autouse=True)
def publication(app: Flask, frozen: Clock) -> Publication:
    """A pre-order expected on 31 March, on 1 March 2027."""
    with transaction():
        factories.a_seller()
        return factories.a_publication(expected_on=date(2027, 3, 31))


def look(answer: TestResponse, status: int = 200) -> str:
    """The page of an answer, looked over: faults, cookies, who may keep it."""
    assert answer.status_code == status
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] in {"private, no-cache", "no-store"}
    check_page(answer.text, path=PATH)
    return answer.text


def opened(client: FlaskClient) -> dict[str, str]:
    """The fields of the fresh form."""
    return fields_of(look(client.get(PATH)), "email")


def reviewed(client: FlaskClient, **typed: str) -> str:
    """The review page after these details."""
    given = opened(client) | {"email": "anna@reader.example"} | typed
    return look(client.post(PATH, data=given))


def orders() -> list[Order]:
    """Every order, read afresh."""
    db.session.rollback()
    return list(db.session.scalars(sa.select(Order).order_by(Order.id)))


def test_the_form_asks_for_an_address_alone(client: FlaskClient) -> None:
    html = look(client.get(PATH))
    fields = [one.attrib for one in Page(html).all("input") if one.attrib["type"] != "hidden"]
    assert [one["name"] for one in fields] == [
        "email",
        "name",
        "organisation",
        "purchase_order_number",
        "code",
    ]
    email = fields[0]
    assert (email["type"], email["autocomplete"], email["spellcheck"]) == (
        "email",
        "email",
        "false",
    )
    assert (email["maxlength"], email["size"], "required" in email) == ("254", "30", False)
    words = text_of(html)
    assert "Your receipt, your link and each new edition go here." in words
    assert (
        "Effective SEND Practice in the Early Years Pre-order. Published by the end of March 2027. "
        "Later editions included. Total no VAT to pay £12.50 E-mail address"
    ) in words
    assert [one.attrib.get("open") for one in Page(html).all("details")] == [None, None]
    assert (
        "You pay nothing yet: the next page shows your order to check. You can pay by card."
        in words
    )
    assert Page(html).all("form")[0].attrib["novalidate"] == ""


@on_both_when_long
def test_a_buyer_with_one_address_is_two_presses_from_the_payment(client: FlaskClient) -> None:
    given = fields_of(reviewed(client), "seen_amount")
    answer = client.post(PATH, data=given)
    assert answer.status_code == 303
    assert answer.headers["Cache-Control"] == "no-store"
    assert (answer.data, answer.headers["Content-Length"]) == (b"", "0")
    (order,) = orders()
    (started,) = db.session.scalars(sa.select(Checkout)).all()
    assert answer.headers["Location"] == started.pay_url
    assert (order.status, order.email, started.amount) == ("pending", "anna@reader.example", 1250)


def test_the_review_shows_all_that_counts_before_the_button(client: FlaskClient) -> None:
    html = reviewed(
        client, name="Anna Berg", organisation="Little Oaks", purchase_order_number="PO 7"
    )
    words = text_of(html)
    parts = [
        "Effective SEND Practice in the Early Years Pre-order. Published by the end of March 2027.",
        "Total no VAT to pay £12.50",
        "E-mail anna@reader.example Change e-mail",
        "Name Anna Berg Change name",
        "Organisation Little Oaks Change organisation",
        "Purchase order PO 7 Change purchase order",
        "Until it is published. You get all of it back.",
        "Order and pay £12.50 by card",
    ]
    places = [words.index(part) for part in parts]
    assert places == sorted(places)


def test_change_leads_back_with_everything_typed(client: FlaskClient) -> None:
    typed = {
        "email": "anna@reader.example",
        "name": "Zoë <b>",
        "organisation": 'The "Oaks"',
        "purchase_order_number": "7",
    }
    review = reviewed(client, **typed)
    change = next(
        fields
        for fields in (fields_of(review, "step"), _fields_of_form(review, "change"))
        if fields["step"] == "change"
    )
    form = fields_of(look(client.post(PATH, data=change)), "email")
    assert {name: form[name] for name in typed} == typed
    assert form["form_key"] == change["form_key"]


def _fields_of_form(html: str, form_id: str) -> dict[str, str]:
    form = next(one for one in Page(html).all("form") if one.attrib.get("id") == form_id)
    return {one.attrib["name"]: one.attrib.get("value", "") for one in form.iter("input")}


def test_an_address_that_cannot_be_is_said_twice_in_the_same_words(client: FlaskClient) -> None:
    given = opened(client) | {"email": "anna@", "name": "Anna"}
    html = look(client.post(PATH, data=given), 422)
    page = Page(html)
    sentence = (
        "“anna@” is not an e-mail address that we can write to. Check it for slips; "
        "it should look like name@example.com."
    )
    title = "".join(page.all("title")[0].itertext())
    assert title == "Error: Your details – Early Years Sample Press"
    first = page.all("main")[0][0]
    assert "".join(first.itertext()).split(maxsplit=4)[:4] == ["There", "is", "a", "problem"]
    assert first.attrib["role"] == "alert"
    assert [one.attrib["href"] for one in first.iter("a")] == ["#email"]
    field = next(one.attrib for one in page.all("input") if one.attrib.get("id") == "email")
    assert (field["aria-invalid"], field["aria-describedby"]) == ("true", "email-hint email-error")
    assert text_of(html).count(sentence) == 2
    assert fields_of(html, "email") == given
    assert orders() == []


@pytest.mark.parametrize(
    "pasted",
    [
        " anna@reader.example ",
        "anna@reader.example\u00a0",
        "\ufeffanna@reader.example",
        "an\u2060na@reader.example",
        "Anna <anna@reader.example>",
        "mailto:anna@reader.example",
        "ａnna@reader.example",
    ],
)
def test_a_pasted_address_is_shown_clean_and_ordered_for(client: FlaskClient, pasted: str) -> None:
    html = reviewed(client, email=pasted)
    assert "anna@reader.example Change" in text_of(html)
    client.post(PATH, data=fields_of(html, "seen_amount"))
    assert [order.email for order in orders()] == ["anna@reader.example"]


def test_a_slip_in_the_domain_is_pointed_out_and_may_be_passed(client: FlaskClient) -> None:
    given = opened(client) | {"email": "anna@gmial.com", "name": "Anna"}
    html = look(client.post(PATH, data=given))
    assert "Did you mean anna@gmail.com? Use anna@gmail.com" in text_of(html)
    assert "Continue with anna@gmial.com" in text_of(html)
    again = fields_of(html, "email")
    assert (again["name"], again["form_key"]) == ("Anna", given["form_key"])
    assert "anna@gmial.com Change" in text_of(look(client.post(PATH, data=again)))
    corrected = look(client.post(PATH, data=again | {"meant": "anna@gmail.com"}))
    assert "anna@gmail.com Change" in text_of(corrected)
    other = look(client.post(PATH, data=again | {"email": "anna@hotmial.com"}))
    assert "Did you mean anna@hotmail.com?" in text_of(other)
    # The return key presses the first button; what was typed over the slip counts all the same.
    typed = again | {"email": "anna@yahoo.com", "meant": "anna@gmail.com"}
    assert "anna@yahoo.com Change" in text_of(look(client.post(PATH, data=typed)))


@pytest.mark.parametrize(
    ("expected", "asks"), [(date(2027, 3, 15), True), (date(2027, 3, 16), False), (None, True)]
)
def test_the_consent_box_stands_exactly_where_it_is_needed(
    client: FlaskClient, publication: Publication, expected: date | None, asks: bool
) -> None:
    with transaction():
        publication.expected_on = expected
    html = reviewed(client)
    boxes = [one for one in Page(html).all("input") if one.attrib["type"] == "checkbox"]
    assert len(boxes) == asks
    assert (BOX in text_of(html)) is asks
    assert all("checked" not in box.attrib for box in boxes)


@pytest.mark.parametrize("ticks", [True, False])
def test_after_the_release_the_box_decides_when_the_copy_comes(
    client: FlaskClient, publication: Publication, ticks: bool
) -> None:
    with transaction():
        factories.a_released_edition(publication)
    html = reviewed(client)
    assert (
        f"{BOX} If you do not tick this, your copy comes on 16 March 2027. Until then you can cancel, "
        "and get all of your money back. Order and pay £12.50 by card"
    ) in text_of(html)
    assert "Effective SEND Practice in the Early Years Edition 1, 1 March 2027" in text_of(html)
    given = fields_of(html, "seen_amount") | ({"wants_now": "yes"} if ticks else {})
    assert client.post(PATH, data=given).status_code == 303
    assert has_waiver(orders()[0].id) is ticks


def test_a_price_that_changed_is_shown_and_asked_again(
    client: FlaskClient, publication: Publication
) -> None:
    given = fields_of(reviewed(client, name="Anna"), "seen_amount")
    with transaction():
        publication.price_amount = 1500
    html = look(client.post(PATH, data=given), 422)
    words = text_of(html)
    assert "It is now £15.00. You have not been charged." in words
    assert "Order and pay £15.00" in words
    assert orders() == []
    again = fields_of(html, "seen_amount")
    assert (again["name"], again["form_key"]) == ("Anna", given["form_key"])
    assert client.post(PATH, data=again).status_code == 303
    assert [order.total_amount for order in orders()] == [1500]


@pytest.mark.parametrize("amount", ["", "12.50", "-1", "٣", "9" * 30])
def test_a_total_that_nobody_was_shown_is_asked_again(client: FlaskClient, amount: str) -> None:
    given = fields_of(reviewed(client), "seen_amount") | {"seen_amount": amount}
    look(client.post(PATH, data=given), 422)
    assert orders() == []


@on_both
def test_pressing_twice_reloading_and_going_back_is_one_order_and_one_payment(
    client: FlaskClient,
) -> None:
    details = opened(client) | {"email": "anna@reader.example"}
    given = fields_of(look(client.post(PATH, data=details)), "seen_amount")
    first = client.post(PATH, data=given)
    second = client.post(PATH, data=given)
    back = fields_of(look(client.post(PATH, data=details | {"name": "Anna"})), "seen_amount")
    third = client.post(PATH, data=back)
    assert {one.headers["Location"] for one in (first, second, third)} == {
        first.headers["Location"]
    }
    assert [order.name for order in orders()] == ["Anna"]
    assert db.session.scalar(sa.select(sa.func.count(Checkout.id))) == 1


@pytest.mark.parametrize("status", [PublicationStatus.DRAFT, PublicationStatus.RETIRED])
def test_a_form_that_was_kept_open_buys_nothing_that_left_the_window(
    client: FlaskClient, publication: Publication, status: PublicationStatus
) -> None:
    given = fields_of(reviewed(client), "seen_amount")
    with transaction():
        publication.status = status
    assert client.post(PATH, data=given).status_code in {404, 410}
    assert orders() == []


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://elsewhere.example"}]
)
def test_a_form_from_another_site_is_refused(client: FlaskClient, headers: dict[str, str]) -> None:
    given = fields_of(reviewed(client), "seen_amount")
    assert client.post(PATH, data=given, headers=headers).status_code == 403
    assert orders() == []


def _pending(client: FlaskClient) -> tuple[int, str]:
    review = reviewed(client, name="Anna", organisation="Little Oaks")
    client.post(PATH, data=fields_of(review, "seen_amount"))
    (order,) = orders()
    with transaction():
        token = token_of(order_link(order.id, order.customer_id))
        return order.id, f"{PATH}?resume={token}"


def test_a_payment_that_was_left_leads_back_to_the_review(client: FlaskClient) -> None:
    order_id, address = _pending(client)
    html = look(client.get(address))
    assert client.get(address).headers["Cache-Control"] == "no-store"
    words = text_of(html)
    assert "The payment was not made You have not been charged." in words
    assert "Name As you typed it Change name Organisation As you typed it Change" in words
    assert "E-mail a•••@reader.example Change" in words
    assert client.post(PATH, data=fields_of(html, "seen_amount")).status_code == 303
    assert [one.id for one in orders()] == [order_id]


def test_a_refused_card_says_why_and_loses_nothing(client: FlaskClient) -> None:
    order_id, address = _pending(client)
    with transaction() as session:
        tried = session.scalars(sa.select(Checkout)).one()
        tried.failure = "The card was declined."
        advance(tried, CheckoutStatus.FAILED)
    html = look(client.get(address))
    assert (
        "The payment was not made The card was declined. You have not been charged. "
        "Your order is kept, and you can try again."
    ) in text_of(html)
    assert client.post(PATH, data=fields_of(html, "seen_amount")).status_code == 303
    assert [one.id for one in orders()] == [order_id]
    assert db.session.scalar(sa.select(sa.func.count(Checkout.id))) == 2


def test_an_order_that_is_paid_meanwhile_leads_to_its_own_page(client: FlaskClient) -> None:
    order_id, address = _pending(client)
    with transaction():
        order = orders()[0]
        advance(order, OrderStatus.PAID)
        order.paid_at = order.placed_at
    answer = client.get(address)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("http://127.0.0.1:8000/orders/")
    assert order_id == orders()[0].id


def test_an_order_that_ran_out_is_begun_again(client: FlaskClient) -> None:
    given = fields_of(reviewed(client), "seen_amount")
    client.post(PATH, data=given)
    with transaction():
        advance(orders()[0], OrderStatus.EXPIRED)
    html = look(client.post(PATH, data=given), 422)
    assert "The order that you began here is closed." in text_of(html)
    again = fields_of(html, "seen_amount")
    assert again["form_key"] != given["form_key"]
    assert client.post(PATH, data=again).status_code == 303
    assert [one.status for one in orders()] == ["expired", "pending"]


@pytest.mark.parametrize("token", ["nonsense", "a.b.c"])
def test_a_link_that_is_none_shows_no_order(client: FlaskClient, token: str) -> None:
    assert client.get(f"{PATH}?resume={token}").status_code == 404


def test_a_link_of_another_publication_shows_no_order(client: FlaskClient) -> None:
    _, address = _pending(client)
    with transaction():
        factories.a_publication("other")
    assert client.get(address.replace("send-early-years", "other")).status_code == 404


def test_a_payment_service_that_is_away_costs_nobody_the_order(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(order_id: int, gateway_name: str | None = None) -> str:
        raise PaymentsUnavailable

    given = fields_of(reviewed(client), "seen_amount")
    with monkeypatch.context() as patch:
        patch.setattr(checkout, "begin_checkout", away)
        html = look(client.post(PATH, data=given), 503)
    assert "No payment has been begun, and your order is kept." in text_of(html)
    assert client.post(PATH, data=fields_of(html, "seen_amount")).status_code == 303
    assert len(orders()) == 1


def test_on_leap_day_the_way_to_the_payment_holds(client: FlaskClient, frozen: Clock) -> None:
    frozen.set(datetime(2028, 2, 29, 12, tzinfo=UTC))
    html = reviewed(client)
    assert f"{BOX} If you do not tick this, your copy comes on 15 March 2028 or," in text_of(html)
    assert client.post(PATH, data=fields_of(html, "seen_amount")).status_code == 303


@pytest.mark.parametrize("is_limited", [True, False])
def test_sending_the_form_without_end_is_slowed_down(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, is_limited: bool
) -> None:
    monkeypatch.setattr(limiter, "enabled", is_limited)  # without it: the control
    answers = [client.post(PATH, data={"step": "change"}).status_code for _ in range(121)]
    assert answers == [200] * 120 + [429 if is_limited else 200]
    assert client.get(PATH).status_code == 200


def test_a_paid_order_whose_news_is_late_is_not_rewritten_at_another_price(
    client: FlaskClient,
) -> None:
    given = fields_of(reviewed(client), "seen_amount")
    client.post(PATH, data=given)
    with transaction() as session:
        payment = session.query(DemoPayment).one()
        reference = payment.reference
    decide(reference, Decision.PAY, Arrival.LATE)
    with transaction() as session:
        session.query(Publication).one().price_amount = 1500
    answer = client.post(PATH, data=given | {"seen_amount": "1500"})

    assert answer.status_code == 303
    assert "/orders/" in answer.headers["Location"]
    assert [(one.status, one.total_amount) for one in orders()] == [("paid", 1250)]


def test_another_currency_is_shown_and_asked_again(client: FlaskClient) -> None:
    given = fields_of(reviewed(client), "seen_amount")
    with transaction() as session:
        session.query(Publication).one().currency = "EUR"
    html = look(client.post(PATH, data=given), 422)

    assert "€12.50" in html
    assert orders() == []
