"""An order ends the same whatever the gateway says, how often and in which order."""

from itertools import permutations

import pytest
import sqlalchemy as sa
from flask import Flask

from store.demo.pay import Arrival, Decision, decide, deliver, deliver_held
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.models import Order, OrderStatus
from store.orders.orders import cancel_pending, expire_order
from store.payments import inbox, refunds, sums
from store.payments.gateways.demo import DemoGateway
from store.payments.models import (
    Checkout,
    CheckoutStatus,
    EventStatus,
    GatewayEvent,
    Payment,
    Refund,
    RefundStatus,
)
from tests.conftest import Clock, on_both
from tests.payments.gateway_side import at_gateway, news, paid_at_gateway, refunded_at_gateway
from tests.purchases import an_order, apply_received, start
from tests.rows import dump, emptied, order_of, rows

pytestmark = on_both

NEWS = ["paid", "paid again", "refunded", "failed late", "success page"]
ORDERS_OF_NEWS = list(permutations(NEWS))
PAID_AND_REFUNDED = {
    "orders": [(OrderStatus.PAID, 1250)],
    "checkouts": [(CheckoutStatus.COMPLETED, 1250, "")],
    "payments": [(1250, "GBP")],
    "refunds": [(RefundStatus.SUCCEEDED, 1250, "gateway:demo", "")],
    "entitlements": [(1, 1, "refunded")],
    "deliveries": [("order_confirmation", "queued", 1), ("order_refunded", "queued", 1)],
    "events": [(EventStatus.APPLIED, "")] * 3,
}


def _letters() -> list[tuple[str]]:
    return rows(Delivery.kind)


def test_the_same_news_in_another_order_ends_in_the_same_rows(app: Flask, frozen: Clock) -> None:
    # Each kind of news comes first in some and last in others; `make test-long` tries them all.
    assert _ends_otherwise(ORDERS_OF_NEWS[::5], frozen) == {}


@pytest.mark.long
def test_every_order_of_the_same_news_ends_in_the_same_rows(app: Flask, frozen: Clock) -> None:
    assert len(ORDERS_OF_NEWS) == 120
    assert _ends_otherwise(ORDERS_OF_NEWS, frozen) == {}


def _ends_otherwise(
    histories: list[tuple[str, ...]], frozen: Clock
) -> dict[tuple[str, ...], dict[str, object]]:
    ends = {history: _play(history, turn, frozen) for turn, history in enumerate(histories)}
    return {history: end for history, end in ends.items() if end != PAID_AND_REFUNDED}


def _play(history: tuple[str, ...], turn: int, frozen: Clock) -> dict[str, object]:
    emptied()
    order_id = an_order()
    reference = start(order_id)
    paid_at_gateway(reference, frozen())
    refunded_at_gateway(reference)
    paid = news(reference, "checkout.paid", frozen())
    held = {
        "paid": paid,
        "paid again": paid,
        "refunded": news(reference, "refund.succeeded", frozen()),
        "failed late": news(reference, "checkout.card_failed", frozen()),
    }
    for step in history:
        if step == "success page":
            inbox.fulfil_order(order_id)
        else:
            deliver(held[step])
            apply_received()
    return dict(dump())


def test_news_between_the_payment_and_the_refund_ends_the_same(app: Flask, frozen: Clock) -> None:
    order_id = an_order()
    reference = start(order_id)
    paid_at_gateway(reference, frozen())
    inbox.fulfil_order(order_id)
    assert _letters() == [("order_confirmation",)]

    refunded_at_gateway(reference)
    for kind in ("checkout.paid", "refund.succeeded", "refund.succeeded"):
        deliver(news(reference, kind, frozen()))
        apply_received()

    assert dump() == PAID_AND_REFUNDED


def test_a_partial_refund_keeps_the_copy(app: Flask, frozen: Clock) -> None:
    order_id = an_order()
    reference = start(order_id)
    paid_at_gateway(reference, frozen())
    refunded_at_gateway(reference, 250)
    inbox.fulfil_order(order_id)

    after = dump()
    assert after["entitlements"] == [(1, 1, "")]
    assert sums.refunded_amount(order_id) == 250

    refunded_at_gateway(reference, 1000)
    deliver(news(reference, "refund.succeeded", frozen()))
    apply_received()

    assert dump()["entitlements"] == [(1, 1, "refunded")]


@pytest.mark.parametrize("arrival", list(Arrival))
def test_however_the_news_of_a_payment_arrives_the_order_is_paid_once(
    app: Flask, frozen: Clock, arrival: Arrival
) -> None:
    order_id = an_order()
    reference = start(order_id)

    assert decide(reference, Decision.PAY, arrival) is True
    assert decide(reference, Decision.PAY, arrival) is False
    apply_received()
    deliver_held(reference)
    apply_received()

    after = dump()
    after.pop("events")
    assert after == {
        "orders": [(OrderStatus.PAID, 1250)],
        "checkouts": [(CheckoutStatus.COMPLETED, 1250, "")],
        "payments": [(1250, "GBP")],
        "refunds": [],
        "entitlements": [(1, 1, "")],
        "deliveries": [("order_confirmation", "queued", 1)],
    }


@pytest.mark.parametrize(
    ("decision", "status", "reason"),
    [
        (Decision.DECLINE, CheckoutStatus.FAILED, "Your bank declined the card."),
        (Decision.ABANDON, CheckoutStatus.EXPIRED, "You left the payment page."),
    ],
)
def test_a_try_that_failed_charges_nothing_and_leaves_the_order_to_be_paid(
    app: Flask, frozen: Clock, decision: Decision, status: CheckoutStatus, reason: str
) -> None:
    order_id = an_order()
    decide(start(order_id), decision, Arrival.TWICE)
    apply_received()

    assert rows(Checkout.status, Checkout.failure) == [(status, reason)]
    assert order_of(order_id).status is OrderStatus.PENDING
    assert _letters() == []

    second = start(order_id)
    decide(second, Decision.PAY)
    apply_received()

    assert order_of(order_id).status is OrderStatus.PAID
    assert rows(Checkout.status) == sorted([(status,), (CheckoutStatus.COMPLETED,)])


def test_money_for_an_expired_order_is_taken_and_delivered(app: Flask, frozen: Clock) -> None:
    order_id = an_order()
    reference = start(order_id)
    at_gateway(reference, state="expired")
    inbox.fulfil_order(order_id)
    with transaction():
        assert expire_order(db.session.get_one(Order, order_id), "not paid in time")

    paid_at_gateway(reference, frozen())
    deliver(news(reference, "checkout.paid", frozen()))
    apply_received()

    assert order_of(order_id).status is OrderStatus.PAID
    assert rows(Checkout.status) == [(CheckoutStatus.COMPLETED,)]
    assert _letters() == [("order_confirmation",)]


def test_money_for_a_cancelled_order_goes_back_by_itself(app: Flask, frozen: Clock) -> None:
    order_id = an_order()
    reference = start(order_id)
    with transaction():
        assert cancel_pending(db.session.get_one(Order, order_id), "customer")

    decide(reference, Decision.PAY, Arrival.TWICE)
    apply_received()
    assert rows(Refund.status) == [(RefundStatus.REQUESTED,)]
    refunds.send_refunds()
    refunds.send_refunds()

    assert order_of(order_id).status is OrderStatus.PAID
    assert rows(Refund.status, Refund.amount) == [(RefundStatus.SUCCEEDED, 1250)]
    assert dump()["entitlements"] == [(1, 1, "refunded")]
    assert len(DemoGateway().fetch(reference).refunds) == 1  # type: ignore[union-attr]


def test_of_a_cancelled_order_only_what_did_not_go_back_already_goes_back(
    app: Flask, frozen: Clock
) -> None:
    order_id = an_order()
    reference = start(order_id)
    with transaction():
        cancel_pending(db.session.get_one(Order, order_id), "customer")
    paid_at_gateway(reference, frozen())
    refunded_at_gateway(reference, 1000)
    inbox.fulfil_order(order_id)
    refunds.send_refunds()

    assert rows(Refund.amount, Refund.status) == [
        (250, RefundStatus.SUCCEEDED),
        (1000, RefundStatus.SUCCEEDED),
    ]
    assert dump()["entitlements"] == [(1, 1, "refunded")]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"amount": 1249}, "£12.49 was paid, £12.50 was agreed"),
        ({"currency": "EUR"}, "€12.50 was paid, £12.50 was agreed"),
        ({"order_reference": "AAAA-AAAA"}, "the gateway names the order “AAAA-AAAA”"),
    ],
)
def test_money_that_does_not_fit_delivers_nothing_and_staff_hear_why(
    app: Flask, frozen: Clock, wrong: dict[str, object], reason: str
) -> None:
    order_id = an_order()
    reference = start(order_id)
    at_gateway(reference, **wrong)
    decide(reference, Decision.PAY, Arrival.TWICE)
    apply_received()
    inbox.fulfil_order(order_id)

    assert order_of(order_id).status is OrderStatus.PENDING
    assert rows(Payment.id) == []
    assert rows(GatewayEvent.status, GatewayEvent.note) == [
        (EventStatus.IGNORED, f"Nothing was delivered: {reason}.")
    ]
    alert = db.session.scalars(sa.select(Delivery)).one()
    assert alert.kind == "staff_alert"
    assert reason in (alert.facts or {})["text"]


def test_an_order_that_was_amended_after_its_checkout_began_is_not_paid_short(
    app: Flask, frozen: Clock
) -> None:
    order_id = an_order()
    reference = start(order_id)
    with transaction():
        db.session.get_one(Order, order_id).total_amount = 2000
    decide(reference, Decision.PAY)
    apply_received()

    assert order_of(order_id).status is OrderStatus.PENDING
    assert _letters() == [("staff_alert",)]


def test_an_order_paid_twice_keeps_both_payments_and_staff_hear_of_it(
    app: Flask, frozen: Clock
) -> None:
    order_id = an_order()
    first = start(order_id)
    at_gateway(first, state="declined")
    second = start(order_id)
    paid_at_gateway(second, frozen())
    inbox.fulfil_order(order_id)
    paid_at_gateway(first, frozen())
    deliver(news(first, "checkout.paid", frozen()))
    apply_received()

    assert rows(Payment.amount) == [(1250,), (1250,)]
    assert _letters() == [("order_confirmation",), ("staff_alert",)]
    assert dump()["entitlements"] == [(1, 1, "")]


def test_the_news_may_come_before_we_noted_where_the_buyer_pays(app: Flask, frozen: Clock) -> None:
    order_id = an_order()
    reference = start(order_id)
    with transaction() as session:
        session.execute(sa.update(Checkout).values(gateway_reference=None, pay_url=""))
    decide(reference, Decision.PAY)
    apply_received()

    assert order_of(order_id).status is OrderStatus.PAID
    assert rows(Checkout.gateway_reference) == [(reference,)]


def test_a_fault_half_way_leaves_nothing_half_done(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = an_order()
    decide(start(order_id), Decision.PAY)
    before = dump()
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "_mark", _broken)
        with pytest.raises(RuntimeError):
            apply_received()
    assert dump() == before

    apply_received()

    assert order_of(order_id).status is OrderStatus.PAID


def test_a_gateway_is_never_asked_inside_a_transaction(app: Flask, frozen: Clock) -> None:
    reference = start(an_order())
    with transaction(), pytest.raises(RuntimeError, match="outside transactions"):
        DemoGateway().fetch(reference)


def _broken(*_: object) -> None:
    raise RuntimeError("the power went")
