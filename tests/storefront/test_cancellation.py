"""Giving up and cancelling: a page with a box that no robot ticks, and the right reason (C19)."""

from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store.kit.database import db, transaction
from store.orders.models import Order, OrderStatus
from store.payments.cancellation import (
    ASKED_FOR_NOW,
    CANCELLED,
    FREE,
    GIVEN_UP,
    NOT_PAID_IN_TIME,
    PART_IS_HERE,
    REFUNDED,
)
from store.payments.refunds import refund_order
from tests.conftest import Clock, on_both_when_long
from tests.editions import a_shop, put_out
from tests.entitlements.presses import hold
from tests.links import order_path
from tests.pages import check_page
from tests.payments.bank import a_transfer_order, arrive
from tests.purchases import an_order
from tests.rows import count_rows, order_of
from tests.storefront.forms import fields_of, text_of
from tests.storefront.test_order_page import paid, publication

pytestmark = pytest.mark.usefixtures("frozen")

SURE = {"sure": "yes"}


@pytest.fixture
def order_id(app: Flask, frozen: Clock) -> int:
    return an_order()


def refused(client: FlaskClient, path: str) -> str:
    """The sentence, the same on the page and for the press; the page leads to the order."""
    pages = [client.get(f"{path}/cancel"), client.post(f"{path}/cancel", data=SURE)]
    assert [page.status_code for page in pages] == [409, 409]
    assert pages[0].text == pages[1].text
    check_page(pages[0].text, path=path)
    assert f'href="{path}">Go to the order</a>' in pages[0].text
    return (
        text_of(pages[0].text)
        .removeprefix("This order cannot be cancelled here ")
        .removesuffix(" Go to the order")
    )


@on_both_when_long
@pytest.mark.parametrize("is_paid", [True, False])
def test_a_robot_that_sends_the_form_as_it_stands_changes_nothing(
    client: FlaskClient, order_id: int, is_paid: bool
) -> None:
    path = paid(order_id) if is_paid else order_path(order_id)
    form = fields_of(client.get(f"{path}/cancel").text)
    assert form == {}
    before = count_rows()
    for given in (form, {"sure": "no"}, {"sure": ""}):
        answer = client.post(f"{path}/cancel", data=given)
        assert answer.status_code == 422
        check_page(answer.text, path=path)
        assert "Tick the box if you are sure, or keep your order." in text_of(answer.text)
    assert count_rows() == before
    assert client.post(f"{path}/cancel", data=SURE).status_code == 303
    assert count_rows() != before


def test_what_is_cancelled_already_says_so(client: FlaskClient, order_id: int) -> None:
    path = paid(order_id)
    client.post(f"{path}/cancel", data=SURE)
    page = client.get(f"{path}/cancel")
    assert (page.status_code, CANCELLED in text_of(page.text)) == (409, True)
    # Pressed twice it answers the same.
    assert client.post(f"{path}/cancel", data=SURE).status_code == 303


def test_what_was_given_up_already_says_so(client: FlaskClient, order_id: int) -> None:
    path = order_path(order_id)
    client.post(f"{path}/cancel", data=SURE)
    assert refused(client, path) == GIVEN_UP


def test_what_ran_out_says_so(client: FlaskClient, order_id: int) -> None:
    with transaction() as session:
        session.get_one(Order, order_id).status = OrderStatus.EXPIRED
    assert refused(client, order_path(order_id)) == NOT_PAID_IN_TIME


def test_what_was_refunded_says_so(client: FlaskClient, order_id: int) -> None:
    path = paid(order_id)
    refund_order(order_id, who="Olga", why="", key="one")
    assert refused(client, path) == REFUNDED


def test_what_was_asked_for_at_once_says_so(client: FlaskClient, order_id: int) -> None:
    path = paid(order_id)
    put_out(publication(), 1)
    client.post(f"{path}/consent", data={"wants_now": "yes"})
    assert refused(client, path) == ASKED_FOR_NOW


def test_whose_days_are_over_reads_when_that_was(
    client: FlaskClient, order_id: int, frozen: Clock
) -> None:
    path = paid(order_id)
    put_out(publication(), 1)
    frozen.advance(days=20)
    assert refused(client, path).startswith(
        "The publication you pre-ordered has come out. Your 14 days to cancel ended on 15 March"
    )


def test_what_was_never_a_pre_order_is_told_of_its_days(client: FlaskClient, frozen: Clock) -> None:
    a_shop()
    path = paid(an_order())
    frozen.advance(days=20)
    assert refused(client, path).startswith("Your 14 days to cancel ended on 15 March 2027.")


def test_what_cost_nothing_says_so(client: FlaskClient, order_id: int) -> None:
    path = paid(order_id)
    put_out(publication(), 1)
    with transaction() as session:
        session.get_one(Order, order_id).total_amount = 0
    db.session.rollback()
    client.post(f"{path}/consent", data={"wants_now": "yes"})
    assert refused(client, path) == FREE


def test_an_order_with_part_of_its_money_says_so(client: FlaskClient, frozen: Clock) -> None:
    order_id = a_transfer_order()
    arrive(order_id, 500)
    assert refused(client, order_path(order_id)) == PART_IS_HERE
    assert order_of(order_id).status is OrderStatus.PENDING


@on_both_when_long
@pytest.mark.parametrize("is_out", [False, True], ids=["pre-order", "waits for its 14 days"])
def test_a_held_order_says_until_when_its_right_to_cancel_is_kept(
    client: FlaskClient, frozen: Clock, is_out: bool
) -> None:
    if is_out:
        a_shop()
    order_id = an_order()
    paid(order_id)
    hold(order_id)
    path = order_path(order_id)
    said = (
        "This order is held, because somebody objected to its move. Write to us {} if you want to "
        "cancel: your right to cancel is kept."
    )
    assert refused(client, path) == said.format("by 15 March 2027")
    frozen.set(datetime(2027, 3, 15, 23, 59, tzinfo=UTC))
    assert refused(client, path) == said.format("by 15 March 2027")
    frozen.set(datetime(2027, 3, 16, 0, 0, tzinfo=UTC))
    if is_out:
        assert refused(client, path).startswith("Your 14 days to cancel ended on 15 March 2027.")
    else:
        assert refused(client, path) == said.format("before its first edition is published")


def test_a_held_order_that_was_asked_for_at_once_has_no_right_that_is_kept(
    client: FlaskClient, frozen: Clock
) -> None:
    a_shop()
    order_id = an_order()
    client.post(f"{paid(order_id)}/consent", data={"wants_now": "yes"})
    hold(order_id)
    assert refused(client, order_path(order_id)) == ASKED_FOR_NOW


@on_both_when_long
def test_a_held_order_says_why_no_copy_can_be_asked_for(client: FlaskClient, frozen: Clock) -> None:
    a_shop()
    order_id = an_order()
    paid(order_id)
    hold(order_id)
    path = order_path(order_id)
    pages = [
        client.get(f"{path}/consent"),
        client.post(f"{path}/consent", data={"wants_now": "yes"}),
    ]
    assert [page.status_code for page in pages] == [409, 409]
    for page in pages:
        check_page(page.text, path=path)
        assert text_of(page.text) == (
            "This order is held Somebody objected to its move. Until a person has looked at it, no "
            "copy of it can be opened, so there is nothing to ask for yet. Go to the order"
        )
