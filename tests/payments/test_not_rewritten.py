"""An order with money under way stays as it was agreed, whatever its form is sent with again."""

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store import tasks
from store.catalog.models import Publication
from store.catalog.sellers import state_seller
from store.demo.pay import Arrival, Decision, decide
from store.entitlements.links import order_link, token_of
from store.entitlements.models import Entitlement
from store.kit.database import db, transaction
from store.orders.consents import has_waiver
from store.orders.discounts import add_discount
from store.orders.models import Order
from store.payments import charge, order_forms
from store.payments.fulfilment import apply_state
from store.payments.gateways.base import GatewayState, GatewayUnreachable, Standing
from store.payments.gateways.demo import DemoGateway, DemoPayment
from store.payments.models import Checkout, Payment, Refund
from tests import factories
from tests.conftest import Clock, on_both, on_both_when_long
from tests.payments.bank import BANK, arrive
from tests.purchases import apply_received
from tests.rows import rows
from tests.storefront.forms import fields_of, text_of

PATH = "/publications/send-early-years/order"
ANNA, BEN = "anna@reader.example", "ben@reader.example"
OTHERWISE = [
    {"code": "EARLY20"},
    {"wants_now": "yes"},
    {"name": "Somebody Else"},
    {"email": BEN},
]


@pytest.fixture(autouse=True)
def publication(app: Flask, frozen: Clock) -> Publication:
    """A pre-order without a date at £12.50, with a code, payable online and by bank."""
    with transaction():
        factories.a_seller()
        state_seller(bank_details=BANK)
        add_discount("Early bird", code="EARLY20", percent=20)
        return factories.a_publication()


def review(client: FlaskClient, **typed: str) -> dict[str, str]:
    """What the button of a fresh review sends."""
    given = fields_of(client.get(PATH).text, "email") | {"email": ANNA} | typed
    return fields_of(client.post(PATH, data=given).text, "seen_amount")


def press_again(client: FlaskClient, given: dict[str, str], typed: dict[str, str]) -> Any:
    """The same form with something else in it, and the button of the review that it leads to."""
    changed = given | typed | {"step": "review"}
    page = client.post(PATH, data=changed)
    fields = fields_of(page.text, "seen_amount") | typed
    return client.post(PATH, data=fields | {"pay_by": "transfer"})


def its_page(client: FlaskClient, answer: Any, typed: dict[str, str]) -> str | None:
    """The page of the order, where the answer leads there; to another address it never does."""
    if "email" in typed:
        assert (answer.status_code, "Location" in answer.headers) == (410, False)
        assert "This form was sent already" in text_of(answer.text)
        return None
    assert answer.status_code == 303
    return str(client.get(answer.headers["Location"]).text)


def the_order() -> Order:
    db.session.rollback()
    return db.session.scalars(sa.select(Order)).one()


def snapshot(order: Order) -> tuple[Any, ...]:
    return (
        order.id,
        order.email,
        order.name,
        order.total_amount,
        order.discount_amount,
        has_waiver(order.id),
    )


@on_both_when_long
@pytest.mark.parametrize("otherwise", OTHERWISE, ids=lambda typed: next(iter(typed)))
def test_part_of_a_transfer_keeps_the_order_as_it_was_and_leads_to_its_page(
    client: FlaskClient, otherwise: dict[str, str]
) -> None:
    given = review(client)
    client.post(PATH, data=given | {"pay_by": "transfer"})
    before = snapshot(the_order())
    arrive(before[0], 500)

    answer = press_again(client, given, otherwise)

    assert snapshot(the_order()) == before
    page = its_page(client, answer, otherwise)
    assert page is None or "£5.00 of £12.50 has arrived" in text_of(page)
    arrive(before[0], 750)
    assert rows(Payment.amount) == [(1250,)]
    assert len(rows(Entitlement.id)) == 1


def test_control_without_the_judgement_part_of_a_transfer_fits_nothing(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = review(client)
    client.post(PATH, data=given | {"pay_by": "transfer"})
    order_id = the_order().id
    arrive(order_id, 500)
    monkeypatch.setattr(
        order_forms, "judge_rewriting", lambda **_given: lambda _order, _change: False
    )

    press_again(client, given, {"code": "EARLY20"})

    arrive(order_id, 750)
    assert the_order().total_amount == 1000
    assert (rows(Payment.amount), rows(Entitlement.id)) == ([], [])


@on_both_when_long
@pytest.mark.parametrize("otherwise", OTHERWISE, ids=lambda typed: next(iter(typed)))
def test_a_bank_debit_under_way_keeps_the_order_as_it_was_and_leads_to_its_page(
    client: FlaskClient, otherwise: dict[str, str]
) -> None:
    given = review(client)
    client.post(PATH, data=given)
    order, (reference,) = the_order(), rows(DemoPayment.reference)[0]
    before = snapshot(order)
    state = GatewayState(reference, Standing.PROCESSING, 1250, "GBP", order.reference, None)
    with transaction():
        apply_state("demo", state)

    answer = press_again(client, given, otherwise)

    assert snapshot(the_order()) == before
    page = its_page(client, answer, otherwise)
    assert page is None or "Your bank is making the payment." in text_of(page)


@on_both_when_long
@pytest.mark.parametrize("otherwise", OTHERWISE, ids=lambda typed: next(iter(typed)))
def test_a_payment_whose_news_is_not_in_keeps_the_order_as_it_was(
    client: FlaskClient, otherwise: dict[str, str]
) -> None:
    given = review(client)
    client.post(PATH, data=given)
    before = snapshot(the_order())
    decide(rows(DemoPayment.reference)[0][0], Decision.PAY, Arrival.LATE)

    answer = press_again(client, given, otherwise)

    page = its_page(client, answer, otherwise)
    assert page is None or "Thank you for your pre-order" in page
    assert snapshot(the_order()) == before
    assert (rows(Payment.amount), len(rows(Entitlement.id))) == ([(1250,)], 1)


def _pay_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """The buyer pays just after the gateway was asked, and before the order is written."""
    asked = order_forms.fulfil_order

    def ask(order_id: int) -> bool:
        answer = asked(order_id)
        decide(rows(DemoPayment.reference)[0][0], Decision.PAY, Arrival.LATE)
        return answer

    monkeypatch.setattr(order_forms, "fulfil_order", ask)


@on_both
def test_a_payment_between_the_question_and_the_lock_keeps_the_order_as_it_was(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = review(client)
    client.post(PATH, data=given)
    before = snapshot(the_order())
    _pay_between(monkeypatch)

    answer = press_again(client, given, {"code": "EARLY20"})

    assert "Thank you for your pre-order" in client.get(answer.headers["Location"]).text
    assert snapshot(the_order()) == before
    assert (rows(Payment.amount), len(rows(Entitlement.id))) == ([(1250,)], 1)


def test_control_without_ending_the_try_first_that_payment_fits_nothing(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = review(client)
    client.post(PATH, data=given)
    _pay_between(monkeypatch)
    monkeypatch.setattr(
        order_forms, "judge_rewriting", lambda **_given: lambda _order, _change: False
    )

    press_again(client, given, {"code": "EARLY20"})

    assert the_order().total_amount == 1000
    assert (rows(Payment.amount), rows(Entitlement.id)) == ([], [])


@on_both_when_long
@pytest.mark.parametrize("otherwise", OTHERWISE, ids=lambda typed: next(iter(typed)))
def test_while_the_gateway_is_silent_nothing_is_changed_and_nobody_is_said_to_be_uncharged(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, otherwise: dict[str, str]
) -> None:
    given = review(client)
    client.post(PATH, data=given)
    before = snapshot(the_order())
    decide(rows(DemoPayment.reference)[0][0], Decision.PAY, Arrival.LATE)
    with monkeypatch.context() as patch:
        for name in ("fetch", "close"):
            patch.setattr(DemoGateway, name, _silent)
        answer = press_again(client, given, otherwise)
    assert answer.status_code == 503
    words = text_of(answer.text)
    assert "we do not know yet whether you have paid" in words
    assert "you need not pay again" in words
    assert "2 March 2027, 10:00 GMT at the latest" in words
    assert charge.NOT_CHARGED not in words
    assert snapshot(the_order()) == before
    again = client.post(PATH, data=given)
    assert "Thank you for your pre-order" in client.get(again.headers["Location"]).text


@on_both_when_long
def test_another_address_is_another_order_and_the_first_can_be_paid_no_more(
    client: FlaskClient,
) -> None:
    given = review(client)
    client.post(PATH, data=given)
    first = the_order()
    path = f"/orders/{_token(first)}"
    given_up = rows(DemoPayment.reference)[0][0]

    again = given | {"email": BEN}
    places = {client.post(PATH, data=again).headers["Location"] for _ in range(2)}

    found = rows(Order.email, Order.status, Order.reference)
    assert [one[:2] for one in found] == [(ANNA, "cancelled"), (BEN, "pending")]
    assert len(places) == 1
    assert rows(DemoPayment.state) == [("expired",), ("open",)]
    assert decide(given_up, Decision.PAY) is False
    assert rows(Checkout.status) == [("expired",), ("open",)]
    for address in (path, f"{PATH}?resume={path.rsplit('/', 1)[1]}"):
        page = client.get(address).text
        assert found[1][2] not in page
        assert BEN not in page
    assert decide(places.pop().rsplit("/", 1)[1], Decision.PAY) is True
    apply_received()
    assert rows(Order.email, Order.status) == [(ANNA, "cancelled"), (BEN, "paid")]


@on_both_when_long
def test_a_limited_code_follows_its_form_to_another_address(client: FlaskClient) -> None:
    with transaction():
        add_discount("One", code="ONCE", percent=20, max_orders=1)
    given = review(client, code="ONCE")
    client.post(PATH, data=given)

    answer = press_again(client, given, {"email": BEN})

    assert answer.status_code == 303
    assert rows(Order.email, Order.status, Order.total_amount) == [
        (ANNA, "cancelled", 1000),
        (BEN, "pending", 1000),
    ]


def _given_up_while_silent(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> str:
    """An order whose buyer gives it up while the gateway is silent; its reference there."""
    client.post(PATH, data=review(client))
    path = f"/orders/{_token(the_order())}"
    with monkeypatch.context() as patch:
        for name in ("fetch", "close"):
            patch.setattr(DemoGateway, name, _silent)
        assert client.post(f"{path}/cancel", data={"sure": "yes"}).status_code == 303
    assert (rows(Order.status), rows(Checkout.status)) == ([("cancelled",)], [("open",)])
    return str(rows(DemoPayment.reference)[0][0])


@on_both_when_long
def test_money_that_comes_for_an_order_given_up_goes_back(
    client: FlaskClient, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = _given_up_while_silent(client, monkeypatch)
    assert decide(reference, Decision.PAY, Arrival.LATE) is True
    frozen.advance(minutes=6)
    tasks.tick()
    assert (rows(Order.status), rows(Refund.status)) == ([("paid",)], [("succeeded",)])
    assert rows(Entitlement.revoked_reason) == [("refunded",)]


@on_both_when_long
def test_a_try_whose_end_was_lost_is_ended_by_the_timetable(
    client: FlaskClient, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = _given_up_while_silent(client, monkeypatch)
    frozen.advance(minutes=6)
    tasks.tick()
    assert (rows(DemoPayment.state), rows(Checkout.status)) == ([("expired",)],) * 2
    assert decide(reference, Decision.PAY) is False


@on_both_when_long
def test_giving_up_ends_the_try_at_the_gateway(client: FlaskClient) -> None:
    client.post(PATH, data=review(client))
    client.post(f"/orders/{_token(the_order())}/cancel", data={"sure": "yes"})
    assert (rows(DemoPayment.state), rows(Checkout.status)) == ([("expired",)],) * 2


def _silent(*_: object) -> None:
    raise GatewayUnreachable


def _token(order: Order) -> str:
    with transaction():
        return token_of(order_link(order.id, order.customer_id))
