"""Money goes back through Stripe: from our side and from its dashboard, and sometimes it returns."""

from itertools import permutations
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.entitlements import granting
from store.entitlements.models import Entitlement
from store.kit.database import transaction
from store.mail.models import Delivery
from store.orders.models import OrderStatus
from store.orders.orders import cancel_pending
from store.payments import cancellation, money_back, refunds, sums
from store.payments.cancellation import cancel_within_14_days
from store.payments.checkout import begin_checkout
from store.payments.fulfilment import apply_state
from store.payments.gateways.base import GatewayRefund, GatewayState, RefundStanding, Standing
from store.payments.models import Checkout, Refund, RefundStatus
from store.payments.refunds import refund_order
from store.payments.sums import payments_of
from tests.conftest import Clock, on_both, on_both_when_long
from tests.payments.contested_copies import (
    a_bought_copy,
    a_placed_order,
    alerts,
    can_read,
    intent_of,
    notices,
    pay,
    release_another,
)
from tests.payments.stripe_shop import post_all, post_event, session_behind, together
from tests.purchases import an_order, start
from tests.rows import order_of, rows
from tests.stripe_double import StripeDouble

RETURNING_CARD = "4000000000005126"
DECLINED_CARD = "4000000000000002"


def _revoked() -> list[tuple[Any, ...]]:
    return rows(Entitlement.revoked_reason)


def _a_minute_later(buyer: FlaskClient, double: StripeDouble) -> None:
    double.control.clock(advance=61)
    post_all(buyer, double)


@on_both_when_long
def test_a_refund_from_the_dashboard_ends_in_the_same_rows_as_ours(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_bought_copy(buyer, double)
    double.control.refund(intent_of(double), 250)
    post_all(buyer, double)
    assert can_read(buyer, order_id)
    refund_order(order_id, amount=1000, who="olga", why="asked", key="press-1")
    post_all(buyer, double)

    assert rows(Refund.amount, Refund.status, Refund.who, Refund.why) == [
        (250, RefundStatus.SUCCEEDED, "gateway:stripe", ""),
        (1000, RefundStatus.SUCCEEDED, "olga", "asked"),
    ]
    assert not can_read(buyer, order_id)
    assert _revoked() == [("refunded",)]
    assert len([1 for (kind,) in rows(Delivery.kind) if kind == "order_refunded"]) == 2


@on_both
def test_a_refund_that_comes_back_reopens_the_order_and_alerts(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_bought_copy(buyer, double, RETURNING_CARD)
    refund_order(order_id, who="olga", why="asked", key="press-1")
    assert not can_read(buyer, order_id)
    release_another()

    _a_minute_later(buyer, double)

    assert can_read(buyer, order_id)
    assert _revoked() == [("",)]
    assert rows(Refund.status, Refund.failure) == [
        (RefundStatus.FAILED, "expired or canceled card")
    ]
    assert sums.refunded_amount(order_id) == 0
    assert alerts() == [f"A refund for order {order_of(order_id).reference} failed"]
    # The edition that came out meanwhile is brought by a letter after all.
    assert notices() == ["skipped", "queued"]
    # It can be asked for again.
    again = refund_order(order_id, who="olga", why="asked", key="press-2")
    assert [refund.status for refund in again] == [RefundStatus.SUCCEEDED]
    assert not can_read(buyer, order_id)


@on_both_when_long
def test_an_order_that_its_buyer_cancelled_stays_closed_while_its_refund_is_tried_again(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = an_order()
    pay(double, order_id, RETURNING_CARD)
    post_all(buyer, double)
    cancellation.cancel_preorder(order_id, "customer")
    _a_minute_later(buyer, double)

    assert rows(Refund.status) == [(RefundStatus.FAILED,)]
    assert _revoked() == [("refunded",)]
    again = refund_order(order_id, who="olga", why="again", key="press-1")
    assert [refund.status for refund in again] == [RefundStatus.SUCCEEDED]
    assert _revoked() == [("refunded",)]


@on_both_when_long
def test_money_for_an_order_given_up_before_stays_closed_too(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_placed_order()
    pay(double, order_id, RETURNING_CARD)
    with transaction():
        assert cancel_pending(order_of(order_id), "customer")
    post_all(buyer, double)
    refunds.send_refunds()
    _a_minute_later(buyer, double)

    assert order_of(order_id).status is OrderStatus.PAID
    assert not can_read(buyer, order_id)


@on_both_when_long
def test_a_late_failure_of_the_first_card_undoes_nothing(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_placed_order()
    session = session_behind(begin_checkout(order_id))
    first = double.control.complete(session, email="anna@reader.example", card=DECLINED_CARD)
    assert first["kind"] == "declined"
    pay(double, order_id)
    failed = double.control.events("payment_intent.payment_failed")
    for event in double.control.events("checkout.session.completed") + failed:
        post_event(buyer, double, event["id"])
    post_all(buyer, double)

    assert order_of(order_id).status is OrderStatus.PAID
    assert rows(Delivery.kind, Delivery.customer_id.is_(None)).count(("payment_failed", False)) == 0


@on_both_when_long
def test_a_refund_that_is_heard_of_before_the_payment_ends_refunded_and_stays_so(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_placed_order()
    pay(double, order_id)
    double.control.refund(intent_of(double))
    for kind in ("charge.refunded", "checkout.session.completed"):
        post_event(buyer, double, double.control.events(kind)[0]["id"])
        post_all(buyer, double)
    # Days later the payment is told once more, under another id.
    session = double.control.state()["checkout.session"][-1]["id"]
    double.control.emit("checkout.session.completed", session)
    post_all(buyer, double)

    assert _revoked() == [("refunded",)]
    assert not can_read(buyer, order_id)
    assert sums.is_wholly_refunded(order_id)


@on_both_when_long
def test_paid_twice_each_payment_goes_back_by_itself(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_bought_copy(buyer, double)
    with transaction() as session:
        session.execute(sa.text("UPDATE orders SET status = 'pending'"))
    pay(double, order_id)
    with transaction() as session:
        session.execute(sa.text("UPDATE orders SET status = 'paid'"))
    post_all(buyer, double)
    first, second = (payment.id for payment in payments_of(order_id))

    refund_order(order_id, who="olga", why="twice", key="press-1", payment_id=second)
    assert rows(Refund.payment_id, Refund.amount) == [(second, 1250)]
    assert can_read(buyer, order_id)
    with pytest.raises(money_back.NothingToRefund):
        refund_order(order_id, who="olga", why="twice", key="press-2", payment_id=second)

    refund_order(order_id, who="olga", why="asked", key="press-3", payment_id=first)
    assert not can_read(buyer, order_id)


def _press_twice_at_once(app: Flask, order_id: int) -> None:
    def press() -> None:
        with app.app_context():
            refund_order(order_id, amount=500, who="olga", why="", key="desk:one-form")

    together(press, press)


@on_both
def test_two_presses_of_one_form_at_the_same_moment_refund_once(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_bought_copy(buyer, double)
    _press_twice_at_once(shop, order_id)

    assert rows(Refund.amount, Refund.status) == [(500, RefundStatus.SUCCEEDED)]
    assert len(double.control.state()["refund"]) == 1


@on_both
def test_without_the_key_of_the_form_two_presses_refund_twice(
    shop: Flask, buyer: FlaskClient, double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = a_bought_copy(buyer, double)
    monkeypatch.setattr(money_back, "asked_for", lambda *_: [])
    keys = iter("ab")
    real = money_back._add_refund
    monkeypatch.setattr(
        money_back,
        "_add_refund",
        lambda *args, **given: real(*args, **{**given, "key": next(keys)}),
    )
    _press_twice_at_once(shop, order_id)

    assert len(double.control.state()["refund"]) == 2


def _state(order_id: int, reference: str, *refunds: GatewayRefund) -> GatewayState:
    return GatewayState(
        reference=reference,
        standing=Standing.PAID,
        amount=1250,
        currency="GBP",
        order_reference=order_of(order_id).reference,
        checkout_id=rows(Checkout.id)[0][0],
        payment_id="pay_1",
        refunds=refunds,
    )


@on_both_when_long
def test_refunds_seen_in_any_order_of_their_states_end_the_same(app: Flask, frozen: Clock) -> None:
    order_id = an_order()
    reference = start(order_id)
    with transaction():
        apply_state("demo", _state(order_id, reference))
    states = [RefundStanding.PENDING, RefundStanding.SUCCEEDED, RefundStanding.FAILED]
    seen = set()
    for order in permutations(states):
        with transaction() as session:
            session.execute(sa.text("DELETE FROM refunds"))
        for standing in order:
            refund = GatewayRefund("re_1", standing, 1250, "GBP", None, "closed card")
            with transaction():
                apply_state("demo", _state(order_id, reference, refund))
        seen.add(str((rows(Refund.status), _revoked())))
    assert len(seen) == 1
    assert _revoked() == [("",)]


@on_both_when_long
def test_without_a_second_look_at_the_money_access_never_returns(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = an_order()
    reference = start(order_id)
    monkeypatch.setattr(granting, "_settle_right", lambda *_args, **_given: None)
    for standing in (RefundStanding.SUCCEEDED, RefundStanding.FAILED):
        refund = GatewayRefund("re_1", standing, 1250, "GBP")
        with transaction():
            apply_state("demo", _state(order_id, reference, refund))

    assert _revoked() == [("refunded",)]


@on_both_when_long
def test_a_copy_that_waits_is_cancelled_once_and_one_to_be_had_at_once_is_not(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_bought_copy(buyer, double)
    with pytest.raises(cancellation.NotCancellable):
        cancel_within_14_days(order_id, "customer")
    assert rows(Refund.id) == []


@on_both_when_long
def test_a_preorder_that_is_released_within_the_14_days_can_still_be_cancelled(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = an_order()
    pay(double, order_id)
    post_all(buyer, double)
    release_another(1)

    with pytest.raises(cancellation.NotCancellable):
        cancellation.cancel_preorder(order_id, "customer")
    first = cancel_within_14_days(order_id, "customer")
    second = cancel_within_14_days(order_id, "customer")

    assert [one.id for one in first] == [one.id for one in second]
    assert rows(Refund.who, Refund.why, Refund.status) == [
        ("customer", "cancelled within 14 days", RefundStatus.SUCCEEDED)
    ]
    assert _revoked() == [("refunded",)]
