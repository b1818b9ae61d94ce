"""What the timetable makes good: lost bells, lost news, a silent gateway, and time that is up."""

import pytest
from flask import Flask

from store.demo.pay import Arrival, Decision, decide
from store.orders.models import OrderStatus
from store.payments import inbox
from store.payments.checkout import expire_due
from store.payments.gateways.base import GatewayUnreachable
from store.payments.gateways.demo import DemoGateway
from store.payments.models import Checkout, CheckoutStatus, EventStatus, GatewayEvent
from tests.conftest import Clock, on_both, on_both_when_long
from tests.purchases import an_order, start
from tests.rows import order_of, rows


@on_both_when_long
def test_a_lost_bell_is_made_good_by_the_sweep_after_a_minute(app: Flask, frozen: Clock) -> None:
    order_id = an_order()
    decide(start(order_id), Decision.PAY)
    frozen.advance(seconds=60)
    inbox.sweep()
    assert order_of(order_id).status is OrderStatus.PENDING

    frozen.advance(seconds=1)
    inbox.sweep()

    assert order_of(order_id).status is OrderStatus.PAID
    assert rows(GatewayEvent.status) == [(EventStatus.APPLIED,)]


@on_both
def test_a_payment_whose_news_never_arrives_is_found_by_the_sweep(
    app: Flask, frozen: Clock
) -> None:
    order_id = an_order()
    reference = start(order_id)
    frozen.advance(minutes=6)
    inbox.sweep()
    decide(reference, Decision.PAY, Arrival.LATE)
    frozen.advance(minutes=4)
    inbox.sweep()
    assert order_of(order_id).status is OrderStatus.PENDING

    frozen.advance(minutes=1)
    inbox.sweep()

    assert order_of(order_id).status is OrderStatus.PAID
    assert rows(GatewayEvent.id) == []


@on_both_when_long
def test_a_checkout_that_nobody_paid_ends_and_its_order_with_it(app: Flask, frozen: Clock) -> None:
    order_id = an_order()
    start(order_id)
    for _ in range(25):
        frozen.advance(hours=1)
        inbox.sweep()
        expire_due()

    assert rows(Checkout.status, Checkout.failure) == [
        (CheckoutStatus.EXPIRED, "The time for this payment ran out.")
    ]
    assert order_of(order_id).status is OrderStatus.EXPIRED


@on_both_when_long
def test_a_gateway_that_does_not_answer_leaves_the_event_for_later(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = an_order()
    reference = start(order_id)
    decide(reference, Decision.PAY)
    with monkeypatch.context() as patch:
        patch.setattr(DemoGateway, "fetch", _silent)
        frozen.advance(minutes=10)
        inbox.sweep()
        inbox.fulfil_order(order_id)
    assert rows(GatewayEvent.status) == [(EventStatus.RECEIVED,)]

    inbox.sweep()

    assert rows(GatewayEvent.status) == [(EventStatus.APPLIED,)]
    assert order_of(order_id).status is OrderStatus.PAID


def _silent(*_: object) -> None:
    raise GatewayUnreachable
