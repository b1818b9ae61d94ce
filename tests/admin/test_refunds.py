"""Money going back at the desk, as staff see and press it."""

import re

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store.entitlements.models import Entitlement
from store.kit import clock
from store.kit.database import transaction
from store.payments.gateways.base import GatewayRefused
from store.payments.gateways.demo import DemoGateway
from store.payments.models import FRAUD_WARNING, EventStatus, GatewayEvent, Payment, Refund
from tests.admin.contested import contest, desk_path, pay_again, payment_of
from tests.admin.sign_in import press
from tests.entitlements.presses import hold
from tests.pages import read
from tests.rows import rows


def test_an_order_that_was_paid_twice_says_so_and_each_payment_goes_back_by_itself(
    desk: FlaskClient, order_id: int
) -> None:
    pay_again(order_id)
    path = desk_path(order_id)
    page = read(desk, path)
    assert "Paid more than once" in page
    assert "2 payments came in for this order." in page

    second = payment_of(order_id, 1).id
    for chosen in ({}, {"payment": "9" * 5000}):
        unchosen = press(desk, f"{path}/refund", {"form_key": "k" * 20} | chosen)
        assert unchosen.status_code == 422
        assert "Choose which payment goes back." in unchosen.text
    done = press(
        desk, f"{path}/refund", {"form_key": "k" * 20, "payment": str(second), "why": "twice"}
    )
    assert done.status_code == 303

    assert rows(Refund.payment_id, Refund.amount, Refund.who, Refund.why) == [
        (second, 1250, "owner@publisher.example", "twice")
    ]
    page = read(desk, path)
    assert "of payment 2" in page
    assert "owner@publisher.example" in page


def test_a_form_that_is_pressed_twice_refunds_once(desk: FlaskClient, order_id: int) -> None:
    path = f"{desk_path(order_id)}/refund"
    for _ in range(2):
        press(desk, path, {"form_key": "k" * 20, "amount": "5.00"})

    assert rows(Refund.amount) == [(500,)]


def test_a_held_order_goes_back_to_who_writes_within_its_days(
    desk: FlaskClient, order_id: int
) -> None:
    hold(order_id)
    path = desk_path(order_id)
    assert f"{path}/refund" in read(desk, path)
    done = press(desk, f"{path}/refund", {"form_key": "k" * 20, "why": "asked within 14 days"})
    assert done.status_code == 303
    assert rows(Refund.amount, Refund.status) == [(1250, "succeeded")]
    assert all(revoked for (revoked,) in rows(Entitlement.revoked_at))


def test_a_refund_that_failed_says_why_and_can_be_tried_again(
    desk: FlaskClient, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise GatewayRefused("the card is closed")

    path = desk_path(order_id)
    with monkeypatch.context() as patch:
        patch.setattr(DemoGateway, "refund", refuses)
        press(desk, f"{path}/refund", {"form_key": "k" * 20, "amount": "5.00"})
    page = read(desk, path)
    assert "£5.00: failed. The card is closed" in page
    again = re.search(r'href="(\S+/refund\?payment=\d+&amp;amount=5.00)">Try again', page)
    assert again
    assert 'value="5.00"' in read(desk, again[1].replace("&amp;", "&"))

    press(desk, f"{path}/refund", {"form_key": "l" * 20, "amount": "5.00"})
    assert sorted(status for (status,) in rows(Refund.status)) == ["failed", "succeeded"]


def test_a_disputed_payment_says_why_it_cannot_be_refunded_before_anything_is_pressed(
    desk: FlaskClient, order_id: int
) -> None:
    contest(order_id)
    path = desk_path(order_id)
    page = read(desk, path)
    assert "The customer’s bank holds it while it decides: it cannot be refunded." in page
    assert ">Refund</a>" not in page
    answer = desk.get(f"{path}/refund")
    assert answer.status_code == 409
    assert "This payment is disputed" in answer.text


def test_of_two_payments_the_disputed_one_cannot_be_chosen(
    desk: FlaskClient, order_id: int
) -> None:
    pay_again(order_id)
    contest(order_id, 0)
    page = read(desk, f"{desk_path(order_id)}/refund")

    first, second = payment_of(order_id, 0).id, payment_of(order_id, 1).id
    assert "Payment 1: £12.50 of" in page
    assert f'value="{first}"' not in page
    assert f'value="{second}"' in page


def test_a_warning_of_fraud_stands_with_the_order(desk: FlaskClient, order_id: int) -> None:
    with transaction() as session:
        subject = session.scalars(sa.select(Payment.gateway_payment_id)).one()
        session.add(
            GatewayEvent(
                gateway="demo",
                event_id="evt_1",
                kind=FRAUD_WARNING,
                subject=subject,
                payload={},
                status=EventStatus.APPLIED,
                received_at=clock.now(),
            )
        )
    assert "The card’s bank suspects fraud" in read(desk, desk_path(order_id))
