"""Nothing to pay: fulfilled at once, in production too, and never what costs something."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store.app import create_app
from store.entitlements.access import rights_of_order
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.models import Order, OrderStatus
from store.payments import checkout
from store.payments.checkout import begin_checkout
from store.payments.gateways.base import BadSignature, GatewayRefused
from store.payments.gateways.inhouse import FreeGateway
from store.payments.inbox import fulfil_checkout, sweep
from store.payments.models import Checkout, Payment
from store.payments.money_back import NothingToRefund
from store.payments.refunds import refund_order
from tests.conftest import Clock, make_settings, on_both, on_both_when_long
from tests.editions import a_shop
from tests.letters import sent, text_of
from tests.links import order_path
from tests.pages import check_page
from tests.payments.test_checkout import PRODUCTION
from tests.purchases import an_order
from tests.rows import order_of, rows

pytestmark = pytest.mark.usefixtures("frozen")


def a_free_order(form_key: str = "f" * 22) -> int:
    """A pending order of which a code took the whole price off."""
    order_id = an_order(form_key)
    with transaction() as session:
        order = session.get_one(Order, order_id)
        order.discount_amount, order.discount_label, order.total_amount = 1250, "Summer", 0
    return order_id


@on_both
def test_an_order_without_a_price_is_fulfilled_at_once_and_once(app: Flask) -> None:
    a_shop(editions=1)
    order_id = a_free_order()
    url = begin_checkout(order_id)
    assert url.split("/orders/")[0] == "http://127.0.0.1:8000"
    assert begin_checkout(order_id, "manual").split("/orders/")[0] == "http://127.0.0.1:8000"
    fulfil_checkout(rows(Checkout.id)[0][0])

    assert order_of(order_id).status is OrderStatus.PAID
    assert rows(Checkout.gateway, Checkout.status) == [("free", "completed")]
    assert rows(Payment.gateway, Payment.gateway_payment_id, Payment.amount) == [
        ("free", "free-1", 0)
    ]
    # Nobody ticked the box: where nothing was paid, nothing is waited for.
    assert [right.available_at for right in rights_of_order(order_id)] == [clock.now()]
    assert rows(Delivery.kind) == [("order_confirmation",)]


def test_page_and_letter_say_that_there_was_nothing_to_pay(app: Flask, client: FlaskClient) -> None:
    a_shop(editions=1)
    order_id = a_free_order()
    begin_checkout(order_id)
    page = client.get(order_path(order_id)).text
    check_page(page, path="/orders/")
    words = " ".join(page.split())
    assert "Nothing to pay" in words
    assert "You ordered. There was nothing to pay." in words
    for said in ("£0.00", "You paid", "Cancel this order", "Paid on"):
        assert said not in words, said
    text = text_of(sent()[-1])
    assert "Total price: Nothing to pay" in text
    assert "You paid nothing, so there is no money to give back." in text
    for said in ("£0.00", "charged", "Payment:", "Cancel this order"):
        assert said not in text, said


@on_both_when_long
def test_a_full_discount_needs_no_gateway_in_production(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    order_id = a_free_order()
    shop = create_app(make_settings(tmp_path, database_url=database_url, **PRODUCTION))
    with shop.app_context():
        begin_checkout(order_id)
        assert order_of(order_id).status is OrderStatus.PAID
        db.session.remove()
        db.engine.dispose()
    shop.extensions["colophon.huey"].storage.close()


def test_nothing_goes_back_where_nothing_came_in(app: Flask) -> None:
    order_id = a_free_order()
    begin_checkout(order_id)
    with pytest.raises(NothingToRefund):
        refund_order(order_id, who="olga", why="", key="k")
    with pytest.raises(GatewayRefused):
        FreeGateway().refund("free-1", 1, "k")


def test_nobody_speaks_in_the_name_of_what_is_free(app: Flask, client: FlaskClient) -> None:
    with pytest.raises(BadSignature):
        FreeGateway().read_event({}, b"{}")
    assert client.post("/webhooks/free", data=b"{}").status_code in {400, 404}
    assert client.post("/webhooks/manual", data=b"{}").status_code in {400, 404}


def test_what_costs_something_is_never_handed_over_as_free(app: Flask) -> None:
    order_id = an_order()
    with transaction() as session:
        row = Checkout(
            order_id=order_id,
            gateway="free",
            gateway_reference="free-1",
            status="open",
            amount=1250,
            currency="GBP",
            created_at=clock.now(),
            expires_at=clock.now(),
        )
        session.add(row)
        session.flush()
        checkout_id = row.id
    fulfil_checkout(checkout_id)
    assert order_of(order_id).status is OrderStatus.PENDING
    assert rights_of_order(order_id) == []
    with transaction() as session:  # the control: at no price the same try is paid
        session.get_one(Order, order_id).total_amount = 0
        session.get_one(Checkout, checkout_id).amount = 0
    fulfil_checkout(checkout_id)
    assert order_of(order_id).status is OrderStatus.PAID


def test_the_sweep_finishes_what_a_crash_left_unfinished(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = a_free_order()

    def killed(_checkout_id: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkout, "fulfil_checkout", killed)
        with pytest.raises(KeyboardInterrupt):
            begin_checkout(order_id)
    assert order_of(order_id).status is OrderStatus.PENDING
    frozen.advance(minutes=6)
    sweep()
    assert order_of(order_id).status is OrderStatus.PAID
