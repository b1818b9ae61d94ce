"""Starting to pay: one checkout however often it is pressed, and nothing half made."""

from pathlib import Path

import pytest
from flask import Flask

from store.app import create_app
from store.demo.pay import Arrival, Decision, decide
from store.kit.database import db, transaction
from store.orders.models import Order, OrderStatus
from store.orders.orders import cancel_pending
from store.payments import checkout
from store.payments.charge import last_try
from store.payments.checkout import (
    OrderClosed,
    PaymentsUnavailable,
    begin_checkout,
    expire_due,
)
from store.payments.gateways.base import CheckoutRequest, GatewayUnreachable, StartedCheckout
from store.payments.gateways.demo import DemoGateway, DemoPayment
from store.payments.gateways.registry import NoGateway, default_gateway
from store.payments.inbox import fulfil_order
from store.payments.models import Checkout, CheckoutStatus
from tests.conftest import Clock, make_settings, on_both
from tests.purchases import an_order, start
from tests.rows import order_of, rows

PRODUCTION = {
    "env": "production",
    "base_url": "https://shop.example.org",
    "mail_server": "mail.example.org",
    "mail_default_sender": "shop@example.org",
}


@on_both
def test_pressed_twice_it_is_one_checkout_at_one_address(app: Flask, frozen: Clock) -> None:
    order_id = an_order()

    assert begin_checkout(order_id) == begin_checkout(order_id)
    assert len(rows(DemoPayment.id)) == 1
    assert rows(Checkout.status, Checkout.amount, Checkout.currency) == [
        (CheckoutStatus.OPEN, 1250, "GBP")
    ]


def test_the_gateway_hears_what_was_agreed_and_where_to_send_the_buyer_back(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[CheckoutRequest] = []
    real = DemoGateway.start

    def listening(gateway: DemoGateway, request: CheckoutRequest) -> StartedCheckout:
        heard.append(request)
        return real(gateway, request)

    monkeypatch.setattr(DemoGateway, "start", listening)
    order_id = an_order()
    begin_checkout(order_id)

    order = order_of(order_id)
    request = heard[0]
    token = request.success_url.removeprefix("http://127.0.0.1:8000/orders/")
    assert request == CheckoutRequest(
        idempotency_key=f"order-{order.reference}-checkout-1",
        checkout_id=1,
        order_reference=order.reference,
        title="Effective SEND Practice in the Early Years",
        email="anna@reader.example",
        amount=1250,
        currency="GBP",
        expires_at=frozen() + checkout.TIME_TO_PAY,
        success_url=f"http://127.0.0.1:8000/orders/{token}",
        cancel_url=f"http://127.0.0.1:8000/publications/send-early-years/order?resume={token}",
    )


def test_an_order_that_is_paid_leads_to_its_own_page(app: Flask, frozen: Clock) -> None:
    order_id = an_order()
    # The news is held: begin_checkout finds it out by itself.
    decide(start(order_id), Decision.PAY, Arrival.LATE)

    assert begin_checkout(order_id).startswith("http://127.0.0.1:8000/orders/")
    assert order_of(order_id).status is OrderStatus.PAID
    assert len(rows(DemoPayment.id)) == 1


def test_an_order_that_was_given_up_is_not_paid_any_more(app: Flask, frozen: Clock) -> None:
    order_id = an_order()
    with transaction():
        cancel_pending(db.session.get_one(Order, order_id), "customer")

    with pytest.raises(OrderClosed):
        begin_checkout(order_id)


@on_both
def test_a_gateway_that_does_not_answer_leaves_the_order_to_be_paid_later(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = an_order()
    real = DemoGateway.start

    def lost(gateway: DemoGateway, request: CheckoutRequest) -> StartedCheckout:
        real(gateway, request)
        raise GatewayUnreachable

    with monkeypatch.context() as patch:
        patch.setattr(DemoGateway, "start", lost)
        with pytest.raises(PaymentsUnavailable, match="No payment has been begun"):
            begin_checkout(order_id)

    url = begin_checkout(order_id)

    assert [url] == [
        f"http://127.0.0.1:8000/demo/pay/{reference}"
        for (reference,) in rows(DemoPayment.reference)
    ]
    assert rows(Checkout.pay_url) == [(url,)]


@on_both
def test_an_order_whose_price_changed_is_paid_at_the_new_one_only(
    app: Flask, frozen: Clock
) -> None:
    order_id = an_order()
    first = start(order_id)
    with transaction():
        db.session.get_one(Order, order_id).total_amount = 1500
    second = start(order_id)

    assert rows(DemoPayment.amount, DemoPayment.state) == [(1250, "expired"), (1500, "open")]
    assert decide(first, Decision.PAY) is False
    decide(second, Decision.PAY)
    fulfil_order(order_id)
    assert order_of(order_id).status is OrderStatus.PAID


def test_a_checkout_that_was_never_started_ends_by_itself(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = an_order()

    def silent(*_: object) -> StartedCheckout:
        raise GatewayUnreachable

    with monkeypatch.context() as patch:
        patch.setattr(DemoGateway, "start", silent)
        with pytest.raises(PaymentsUnavailable):
            begin_checkout(order_id)
    frozen.advance(hours=22)
    expire_due()
    assert rows(Checkout.status) == [(CheckoutStatus.OPEN,)]

    frozen.advance(hours=1)
    expire_due()

    assert rows(Checkout.status) == [(CheckoutStatus.EXPIRED,)]
    assert order_of(order_id).status is OrderStatus.EXPIRED


def test_an_order_that_was_never_taken_to_payment_expires_too(app: Flask, frozen: Clock) -> None:
    order_id = an_order()
    frozen.advance(hours=24)
    expire_due()

    assert order_of(order_id).status is OrderStatus.EXPIRED


def test_a_second_try_keeps_an_old_order_open(app: Flask, frozen: Clock) -> None:
    order_id = an_order()
    decide(start(order_id), Decision.ABANDON)
    fulfil_order(order_id)
    frozen.advance(hours=20)
    start(order_id)
    frozen.advance(hours=10)
    expire_due()

    assert order_of(order_id).status is OrderStatus.PENDING


@pytest.mark.parametrize(
    ("decision", "sentence"),
    [
        (Decision.DECLINE, "Your bank declined the card."),
        (Decision.ABANDON, "You left the payment page."),
        (Decision.PAY, "This order is paid."),
    ],
)
def test_the_review_page_can_say_what_became_of_the_last_try(
    app: Flask, frozen: Clock, decision: Decision, sentence: str
) -> None:
    order_id = an_order()
    assert last_try(order_id) is None
    reference = start(order_id)
    assert last_try(order_id) is None

    decide(reference, decision)
    fulfil_order(order_id)

    last = last_try(order_id)
    assert last is not None
    assert last.sentence == sentence


def test_production_has_no_demonstration_to_pay_with(tmp_path: Path) -> None:
    shop = create_app(make_settings(tmp_path, **PRODUCTION))
    with shop.app_context(), pytest.raises(NoGateway) as refusal:
        default_gateway()
    assert (refusal.value.status, refusal.value.heading) == (503, "We cannot take payments yet")


def test_a_shop_in_production_refuses_to_start_a_checkout_before_anything_is_written(
    database_url: str, tmp_path: Path, frozen: Clock
) -> None:
    shop = create_app(make_settings(tmp_path, database_url=database_url, **PRODUCTION))
    with shop.app_context():
        order_id = an_order()
        with pytest.raises(NoGateway):
            begin_checkout(order_id)
        assert rows(Checkout.id) == []
        db.session.remove()
        db.engine.dispose()
