"""Orders in somebody else's name cannot fill their mailbox: how to pay comes once an hour."""

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.kit.database import db, end_read, transaction
from store.mail.models import Delivery
from store.orders.models import Order
from store.orders.placing import Details, place_order
from store.payments import transfers
from store.payments.checkout import begin_checkout
from store.payments.transfers import DETAILS
from tests.conftest import Clock, on_both_when_long, on_postgresql
from tests.letters import sent, text_of
from tests.links import order_path
from tests.payments.bank import a_transfer_order, reference_of
from tests.payments.gateway_side import failed_slowly
from tests.purchases import an_order, start
from tests.rows import rows

pytestmark = pytest.mark.usefixtures("frozen", "app")


def key(number: int) -> str:
    return str(number).rjust(22, "k")


def how_to_pay() -> list[tuple[str, str]]:
    """To whom, for which order; oldest first."""
    return [
        (one["To"], one["Subject"].split()[-1])
        for one in sent()
        if one["Subject"].startswith("Please transfer")
    ]


@on_both_when_long
def test_ten_orders_at_one_address_bring_one_letter_an_hour_and_each_page_says_how(
    client: FlaskClient, frozen: Clock
) -> None:
    orders = []
    for number in range(10):
        orders.append(a_transfer_order(key(number)))
        sent()
        frozen.advance(minutes=5)
    anna = "Anna Berg <anna@reader.example>"
    assert how_to_pay() == [(anna, reference_of(orders[0]))]
    for order_id in orders:
        page = client.get(order_path(order_id)).text
        assert f"<b>{reference_of(order_id)}</b>" in page
        assert "Sort code 00-00-00" in page
    frozen.advance(minutes=10)
    assert len(how_to_pay()) == 1
    latest = a_transfer_order(key(11))
    assert how_to_pay()[1:] == [(anna, reference_of(latest))]


def test_another_address_has_its_own_hour(frozen: Clock) -> None:
    first = a_transfer_order(key(1))
    with transaction() as session:
        publication = session.get_one(Order, first).lines[0].publication
        other = Details(email="ben@reader.example", name="Ben")
        order_id = place_order(publication, other, form_key=key(2), seen_amount=1250).id
    begin_checkout(order_id, "manual")
    assert [to for to, _ in how_to_pay()] == [
        "Anna Berg <anna@reader.example>",
        "Ben <ben@reader.example>",
    ]


@on_both_when_long
def test_another_try_of_the_same_order_is_told_when_the_hour_is_over(frozen: Clock) -> None:
    order_id = a_transfer_order()
    assert len(how_to_pay()) == 1
    frozen.advance(minutes=10)
    for _ in range(2):
        start(order_id)
        begin_checkout(order_id, "manual")
    assert len(how_to_pay()) == 1
    frozen.advance(minutes=49)
    assert len(how_to_pay()) == 1
    frozen.advance(minutes=1)
    assert [reference for _, reference in how_to_pay()] == [reference_of(order_id)] * 2


def test_a_letter_that_waits_to_leave_tells_of_the_newest_try(frozen: Clock) -> None:
    order_id = a_transfer_order()
    start(order_id)
    frozen.advance(days=1)
    begin_checkout(order_id, "manual")
    assert len(how_to_pay()) == 1
    assert "Please pay by: 1 April 2027" in text_of(sent()[-1])


@pytest.mark.parametrize(("guarded", "letters"), [(True, 1), (False, 2)])
@on_postgresql
def test_two_orders_at_once_bring_one_letter(
    app: Flask, monkeypatch: pytest.MonkeyPatch, guarded: bool, letters: int
) -> None:
    first, second = an_order(key(1)), a_transfer_order(key(2))
    with transaction() as session:
        session.execute(sa.delete(Delivery))
    third = an_order(key(3))
    gate, owe = threading.Barrier(2), transfers.owe

    def meet_and_owe(kind: str, dedupe_key: str, **given: Any) -> bool:
        gate.wait(60)
        mark = "" if guarded else f":{given['order_id']}"
        return owe(kind, dedupe_key + mark, **given)

    monkeypatch.setattr(transfers, "owe", meet_and_owe)

    def choose(order_id: int) -> None:
        with app.app_context():
            begin_checkout(order_id, "manual")
            db.session.remove()

    end_read()
    threads = [threading.Thread(target=choose, args=(one,)) for one in (first, third)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [row for row in rows(Delivery.kind) if row[0] == DETAILS] == [(DETAILS,)] * letters
    assert second not in {order for (order,) in rows(Delivery.order_id)}


@on_both_when_long
def test_payments_that_failed_are_told_one_an_hour_and_none_is_lost(frozen: Clock) -> None:
    for number in range(3):
        failed_slowly(an_order(key(number)))

    def told() -> int:
        return len([one for one in sent() if one["Subject"].endswith("did not arrive")])

    assert told() == 1
    frozen.advance(minutes=59)
    assert told() == 1
    frozen.advance(minutes=1)
    assert told() == 2
    frozen.advance(hours=1)
    assert told() == 3
