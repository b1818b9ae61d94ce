"""Money that takes its days, that does not fit, or that is stuck: nothing waits for it in vain."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.kit.database import transaction
from store.mail.models import Delivery
from store.orders.models import OrderStatus
from store.payments import refunds
from store.payments.checkout import begin_checkout, expire_due
from store.payments.fulfilment import apply_state
from store.payments.gateways.base import GatewayRefund, GatewayState, RefundStanding, Standing
from store.payments.inbox import fulfil_checkout, sweep
from store.payments.models import Checkout, CheckoutStatus, Payment, Refund, RefundStatus
from store.payments.refunds import refund_order
from tests.conftest import Clock, on_both_when_long
from tests.letters import send
from tests.payments.contested_copies import (
    a_bought_copy,
    a_placed_order,
    alerts,
)
from tests.payments.gateway_side import failed_slowly
from tests.payments.stripe_shop import calls, post_all, session_behind
from tests.purchases import an_order, pay, start
from tests.rows import order_of, rows
from tests.stripe_double import StripeDouble

pytestmark = on_both_when_long

RETURNING_CARD = "4000000000005126"
DECLINED_CARD = "4000000000000002"


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


def test_money_that_does_not_fit_is_held_until_it_has_gone_back_and_the_order_ends(
    app: Flask, frozen: Clock
) -> None:
    order_id = an_order()
    reference = start(order_id)
    odd = {**vars(_state(order_id, reference)), "amount": 1249}
    with transaction():
        apply_state("demo", GatewayState(**odd))
    assert rows(Checkout.status) == [(CheckoutStatus.OPEN,)]

    back = GatewayRefund("re_1", RefundStanding.SUCCEEDED, 1249, "GBP")
    with transaction():
        apply_state("demo", GatewayState(**{**odd, "refunds": (back,)}))

    assert rows(Checkout.status) == [(CheckoutStatus.FAILED,)]
    frozen.advance(hours=24)
    expire_due()
    assert order_of(order_id).status is OrderStatus.EXPIRED
    assert len(alerts()) == 1


def test_a_slow_payment_stays_open_and_its_failure_is_told_to_the_buyer_once(
    app: Flask, frozen: Clock
) -> None:
    order_id = an_order()
    reference = start(order_id)
    slow = {**vars(_state(order_id, reference)), "payment_id": None}
    with transaction():
        apply_state("demo", GatewayState(**{**slow, "standing": Standing.PROCESSING}))
    assert rows(Checkout.status, Checkout.processing_at, Checkout.ask_at) == [
        (CheckoutStatus.OPEN, frozen(), frozen() + timedelta(hours=1))
    ]
    frozen.advance(hours=24 * 7)
    expire_due()
    assert order_of(order_id).status is OrderStatus.PENDING
    assert rows(Checkout.status) == [(CheckoutStatus.OPEN,)]

    for _ in range(2):
        with transaction():
            apply_state("demo", GatewayState(**{**slow, "standing": Standing.FAILED}))

    assert rows(Checkout.status) == [(CheckoutStatus.FAILED,)]
    assert rows(Delivery.kind) == [("payment_failed",)]
    assert "Nothing was taken" in _text_of_the_letter()


def test_nobody_hears_that_a_payment_failed_once_another_has_arrived(
    app: Flask, frozen: Clock
) -> None:
    order_id = an_order()
    failed_slowly(order_id)
    pay(order_id)
    send()

    assert rows(Delivery.kind, Delivery.status, Delivery.reason)[-1] == (
        "payment_failed",
        "skipped",
        "paid since",
    )


def _text_of_the_letter() -> str:
    letter = send()[-1]
    return letter.octets.decode("utf-8", "replace")


def test_countries_that_do_not_agree_are_kept_and_told_once(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_placed_order()
    session = session_behind(begin_checkout(order_id))
    double.control.complete(session, email="anna@reader.example", country="FR")
    post_all(buyer, double)
    fulfil_checkout(rows(Checkout.id)[0][0])

    ((method, billing, card),) = rows(Payment.method, Payment.billing_country, Payment.card_country)
    assert (method, billing) == ("card", "FR")
    assert card
    told = [facts for kind, facts in _told() if kind == "staff_alert"]
    assert len(told) == 1
    assert "the billing address FR" in told[0]["text"]


def _told() -> list[tuple[str, Any]]:
    return [(row[0], row[1]) for row in rows(Delivery.kind, Delivery.facts)]


def test_stuck_refunds_do_not_keep_others_waiting(
    shop: Flask, buyer: FlaskClient, double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = a_bought_copy(buyer, double)
    double.control.fault("unavailable", method="POST", path="/v1/refunds", times=50)
    for number, amount in enumerate((100, 200)):
        refund_order(order_id, amount=amount, who="olga", why="", key=f"press-{number}")
    assert {status for (status,) in rows(Refund.status)} == {RefundStatus.REQUESTED}
    asked: list[int] = []
    monkeypatch.setattr(refunds, "AT_ONCE", 1)
    monkeypatch.setattr(refunds, "send_refund", asked.append)
    for _ in range(3):
        refunds.send_refunds()
    double.control.no_faults()

    first, second = (refund_id for (refund_id,) in rows(Refund.id))
    assert asked == [first, second, first]


def test_stuck_checkouts_do_not_keep_others_waiting(
    shop: Flask, buyer: FlaskClient, double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    from store.payments import inbox

    for key in ("a", "b"):
        begin_checkout(an_order(key * 22))
    with transaction() as session:
        session.execute(sa.update(Checkout).values(ask_at=Checkout.created_at))
    asked: list[int] = []
    monkeypatch.setattr(inbox, "AT_ONCE", 1)
    monkeypatch.setattr(inbox, "fulfil_checkout", _noting(asked))
    for _ in range(3):
        sweep()

    first, second = (checkout_id for (checkout_id,) in rows(Checkout.id))
    assert asked == [first, second, first]
    assert calls(double)


def _noting(asked: list[int]) -> Any:
    def fulfil_checkout(checkout_id: int) -> None:
        asked.append(checkout_id)

    return fulfil_checkout
