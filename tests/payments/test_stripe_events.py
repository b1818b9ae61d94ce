"""What Stripe tells the shop: who may speak, what is kept of it, and what is none of ours."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import stripe
from flask import Flask
from flask.testing import FlaskClient

from store.app import create_app
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.limits import limiter
from store.mail.models import Delivery
from store.orders.models import Customer, Order, OrderStatus
from store.payments import inbox
from store.payments.checkout import begin_checkout
from store.payments.gateways.signatures import signature
from store.payments.models import Checkout, EventStatus, GatewayEvent, Payment
from tests.conftest import make_settings, on_both
from tests.factories import a_seller
from tests.payments.stripe_shop import (
    DECLINED_CARD,
    WEBHOOK_SECRET,
    newest_session,
    post_all,
    post_event,
    stripe_settings,
)
from tests.purchases import an_order, apply_received
from tests.rows import order_of, rows
from tests.stripe_double import StripeDouble

FOREIGN = "It belongs to no checkout of this shop."


def _event(double: StripeDouble, kind: str) -> str:
    return str(double.control.events(kind)[-1]["id"])


def _alerts() -> list[Any]:
    db.session.rollback()
    query = sa.select(Delivery.facts).where(Delivery.kind == "staff_alert")
    return [facts["subject"] for facts in db.session.scalars(query.order_by(Delivery.id))]


@pytest.mark.parametrize("sign", ["wrong", "stale", "missing", "garbled"])
def test_what_stripe_did_not_sign_is_refused_and_leaves_no_row(
    buyer: FlaskClient,
    double: StripeDouble,
    paid: int,
    sign: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    event_id = _event(double, "checkout.session.completed")

    assert post_event(buyer, double, event_id, sign) == 400

    assert rows(GatewayEvent.id) == []
    assert order_of(paid).status is OrderStatus.PENDING
    assert "a message in the name of stripe was refused" in caplog.text
    assert "whsec" not in caplog.text
    assert "anna@reader.example" not in caplog.text


def test_a_body_that_was_changed_after_signing_is_refused(
    buyer: FlaskClient, double: StripeDouble, paid: int
) -> None:
    payload = double.control.payload(_event(double, "checkout.session.completed"))
    for body in (payload["body"] + " ", payload["body"].replace("1250", "1")):
        headers = {"Stripe-Signature": payload["signature"]}
        answer = buyer.post("/webhooks/stripe", data=body, headers=headers)
        assert answer.status_code == 400
    assert rows(GatewayEvent.id) == []


@pytest.mark.parametrize(("seconds", "status"), [(299, 200), (302, 400), (-299, 200), (-302, 400)])
def test_a_signature_holds_for_five_minutes_by_the_shops_clock(
    buyer: FlaskClient,
    double: StripeDouble,
    paid: int,
    monkeypatch: pytest.MonkeyPatch,
    seconds: int,
    status: int,
) -> None:
    now = clock.now()
    payload = double.control.payload(_event(double, "checkout.session.completed"))
    body = payload["body"].encode()
    header = signature(body, WEBHOOK_SECRET.encode(), int(now.timestamp()) - seconds)
    monkeypatch.setattr(clock, "read", lambda: now)

    answer = buyer.post("/webhooks/stripe", data=body, headers={"Stripe-Signature": header})
    assert answer.status_code == status


def test_two_secrets_are_accepted_while_one_is_rolled(
    double: StripeDouble, paid: int, database_url: str, tmp_path: Path
) -> None:
    event_id = _event(double, "checkout.session.completed")

    def shop(secrets: str) -> FlaskClient:
        given = stripe_settings(double, stripe_webhook_secrets=secrets)
        return create_app(make_settings(tmp_path, database_url=database_url, **given)).test_client()

    assert post_event(shop("whsec_new"), double, event_id) == 400
    assert post_event(shop(f"whsec_new,{WEBHOOK_SECRET}"), double, event_id) == 200


def test_a_signed_message_that_is_no_event_is_refused(buyer: FlaskClient) -> None:
    for body in (b"[]", b"{}", b"no json", b"\xff", b'{"id": "evt_1", "type": "x", "data": []}'):
        header = signature(body, WEBHOOK_SECRET.encode(), int(clock.now().timestamp()))
        answer = buyer.post("/webhooks/stripe", data=body, headers={"Stripe-Signature": header})
        assert answer.status_code == 400
    assert rows(GatewayEvent.id) == []


def test_the_inbox_takes_long_messages_and_refuses_endless_ones(buyer: FlaskClient) -> None:
    for size, status in ((200_000, 400), (1_100_000, 413)):
        assert buyer.post("/webhooks/stripe", data=b"x" * size).status_code == status


def test_the_inbox_takes_posts_only_and_nobody_listens_without_a_key(
    buyer: FlaskClient, tmp_path: Path
) -> None:
    assert buyer.get("/webhooks/stripe").status_code == 405
    without = create_app(make_settings(tmp_path / "other")).test_client()
    assert without.post("/webhooks/stripe", data=b"{}").status_code == 404


@on_both
def test_an_event_is_stored_once_with_nothing_personal_however_often_it_comes(
    buyer: FlaskClient, double: StripeDouble, paid: int
) -> None:
    event_id = _event(double, "checkout.session.completed")

    assert [post_event(buyer, double, event_id) for _ in range(3)] == [200, 200, 200]

    session_id = newest_session(double)["id"]
    db.session.rollback()
    (event,) = db.session.scalars(sa.select(GatewayEvent)).all()
    assert (event.event_id, event.kind, event.subject) == (
        event_id,
        "checkout.session.completed",
        session_id,
    )
    assert event.payload == {
        "id": event_id,
        "type": "checkout.session.completed",
        "subject": session_id,
    }


def test_kinds_that_nobody_asked_for_get_a_200_and_change_nothing(
    buyer: FlaskClient, double: StripeDouble, paid: int
) -> None:
    client = stripe.StripeClient("sk_test_owner", base_addresses={"api": double.url})
    customer = client.v1.customers.create({"email": "someone@else.example"})
    event_id = double.control.emit("customer.updated", customer.id)

    assert post_event(buyer, double, event_id) == 200
    apply_received()

    assert rows(GatewayEvent.status, GatewayEvent.note) == [(EventStatus.IGNORED, FOREIGN)]
    assert order_of(paid).status is OrderStatus.PENDING


def test_payments_that_others_took_in_the_same_account_are_left_to_them(
    buyer: FlaskClient, double: StripeDouble, caplog: pytest.LogCaptureFixture
) -> None:
    with transaction():
        a_seller()
    client = stripe.StripeClient("sk_test_owner", base_addresses={"api": double.url})
    price = {"currency": "gbp", "unit_amount": 999, "product_data": {"name": "Mug"}}
    session = client.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [{"price_data": price, "quantity": 1}],
            "success_url": "https://mugs.example/",
        }
    )
    double.control.complete(session.id, email="someone@else.example")
    double.control.refund(session.id, 100)
    double.control.dispute(session.id)

    assert set(post_all(buyer, double)) == {200}

    assert {kind for (kind,) in rows(GatewayEvent.kind)} >= {
        "checkout.session.completed",
        "charge.refunded",
        "charge.dispute.created",
    }
    assert set(rows(GatewayEvent.status, GatewayEvent.note)) == {(EventStatus.IGNORED, FOREIGN)}
    assert rows(Customer.id) == rows(Order.id) == rows(Payment.id) == []
    lines = [one for one in caplog.messages if "was ignored: It belongs to no checkout" in one]
    assert len(lines) == len(rows(GatewayEvent.id))
    assert "someone@else.example" not in caplog.text


def test_a_session_that_only_saves_a_card_delivers_nothing_though_it_names_our_order(
    buyer: FlaskClient, double: StripeDouble
) -> None:
    order = order_of(an_order())
    begin_checkout(order.id)
    client = stripe.StripeClient("sk_test_owner", base_addresses={"api": double.url})
    setup = client.v1.checkout.sessions.create(
        {
            "mode": "setup",
            "currency": "gbp",
            "success_url": "https://shop.example/",
            "metadata": {"order_reference": order.reference, "checkout_id": "1"},
        }
    )
    double.control.complete(setup.id)
    completed = double.control.events("checkout.session.completed")[-1]
    assert completed["data"]["object"]["payment_status"] == "no_payment_required"

    assert set(post_all(buyer, double)) == {200}

    assert order_of(order.id).status is OrderStatus.PENDING
    assert rows(Payment.id) == []


def test_news_that_overtakes_our_own_note_of_the_session_still_finds_its_order(
    buyer: FlaskClient, double: StripeDouble, paid: int
) -> None:
    with transaction() as session:
        session.execute(sa.update(Checkout).values(gateway_reference=None, pay_url=""))

    post_event(buyer, double, _event(double, "checkout.session.completed"))
    apply_received()

    assert order_of(paid).status is OrderStatus.PAID
    assert rows(Checkout.gateway_reference) == [(newest_session(double)["id"],)]


def test_a_session_of_another_shop_in_the_account_never_takes_the_place_of_ours(
    buyer: FlaskClient, double: StripeDouble, paid: int
) -> None:
    ours = newest_session(double)["id"]
    with transaction() as session:
        session.execute(sa.update(Checkout).values(gateway_reference=None, pay_url=""))
    client = stripe.StripeClient("sk_test_owner", base_addresses={"api": double.url})
    price = {"currency": "gbp", "unit_amount": 1250, "product_data": {"name": "Another book"}}
    theirs = {"order_reference": "ZZZZ-ZZZZ", "checkout_id": "1"}
    foreign = client.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [{"price_data": price, "quantity": 1}],
            "success_url": "https://other.example/",
            "metadata": theirs,
            "payment_intent_data": {"metadata": theirs},
        }
    )
    double.control.complete(foreign.id)
    post_event(buyer, double, _event(double, "checkout.session.completed"))
    apply_received()

    assert rows(Checkout.gateway_reference) == [(None,)]
    assert rows(GatewayEvent.status, GatewayEvent.note) == [(EventStatus.IGNORED, FOREIGN)]
    first = double.control.events("checkout.session.completed")[0]["id"]
    post_event(buyer, double, first)
    apply_received()
    assert rows(Checkout.gateway_reference) == [(ours,)]
    assert order_of(paid).status is OrderStatus.PAID


def test_an_event_of_the_other_mode_is_kept_as_ignored_and_staff_hear_of_it_once(
    buyer: FlaskClient, double: StripeDouble, paid: int
) -> None:
    for number in (1, 2):
        event = double.control.events("checkout.session.completed")[-1]
        event |= {"id": f"evt_live_{number}", "livemode": True}
        body = json.dumps(event).encode()
        header = signature(body, WEBHOOK_SECRET.encode(), int(clock.now().timestamp()))
        answer = buyer.post("/webhooks/stripe", data=body, headers={"Stripe-Signature": header})
        assert answer.status_code == 200
    apply_received()

    note = "Ignored: it is from Stripe's live mode."
    assert rows(GatewayEvent.status, GatewayEvent.note) == [(EventStatus.IGNORED, note)] * 2
    assert order_of(paid).status is OrderStatus.PENDING
    assert _alerts() == ["Messages about payments were ignored"]


def test_an_early_fraud_warning_alerts_staff_once(
    buyer: FlaskClient, double: StripeDouble, paid: int
) -> None:
    (intent,) = double.control.state()["payment_intent"]
    event = double.control.events("payment_intent.succeeded")[-1] | {
        "id": "evt_warning",
        "type": "radar.early_fraud_warning.created",
    }
    event["data"] = {
        "object": {
            "object": "radar.early_fraud_warning",
            "id": "issfr_1",
            "payment_intent": intent["id"],
            "fraud_type": "made_with_stolen_card",
        }
    }
    body = json.dumps(event).encode()
    header = signature(body, WEBHOOK_SECRET.encode(), int(clock.now().timestamp()))
    for _ in range(2):
        answer = buyer.post("/webhooks/stripe", data=body, headers={"Stripe-Signature": header})
        assert answer.status_code == 200
    apply_received()

    assert _alerts().count("A payment may be fraudulent") == 1
    assert rows(GatewayEvent.status) == [(EventStatus.APPLIED,)]


def test_what_stripe_could_not_deliver_is_fetched_within_the_hour(
    shop: Flask, double: StripeDouble, paid: int, pass_time: Callable[[float], None]
) -> None:
    double.control.webhooks(drop_types=["*"])
    with transaction() as session:
        session.execute(sa.update(Checkout).values(ask_at=None))  # the sweep would ask by itself

    inbox.take_missed_news()
    apply_received()

    assert order_of(paid).status is OrderStatus.PAID
    stored = len(rows(GatewayEvent.id))
    asked = len(double.control.log())
    inbox.take_missed_news()
    assert len(double.control.log()) == asked
    limiter.reset()
    inbox.take_missed_news()
    assert len(rows(GatewayEvent.id)) == stored


def test_stripe_being_away_when_missed_news_is_asked_for_is_no_failure(
    shop: Flask, double: StripeDouble
) -> None:
    double.control.fault("server_error", method="GET", path="/v1/events", times=3)
    inbox.take_missed_news()
    assert rows(GatewayEvent.id) == []


def test_a_late_failure_of_the_first_card_undoes_nothing(
    buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = an_order()
    begin_checkout(order_id)
    session_id = newest_session(double)["id"]
    assert double.control.complete(session_id, card=DECLINED_CARD)["kind"] == "declined"
    assert double.control.complete(session_id)["kind"] == "complete"
    failed = _event(double, "payment_intent.payment_failed")

    for event in double.control.events():
        if event["id"] != failed:
            post_event(buyer, double, event["id"])
    apply_received()
    post_event(buyer, double, failed)
    apply_received()

    assert order_of(order_id).status is OrderStatus.PAID
    assert "payment_failed" not in {kind for (kind,) in rows(Delivery.kind)}
    assert len(rows(Payment.id)) == 1


def test_a_refund_that_is_told_of_before_the_payment_ends_refunded_for_good(
    buyer: FlaskClient, double: StripeDouble, paid: int
) -> None:
    double.control.refund(newest_session(double)["id"])
    post_event(buyer, double, _event(double, "charge.refunded"))
    apply_received()
    post_event(buyer, double, _event(double, "checkout.session.completed"))
    apply_received()
    again = double.control.emit("checkout.session.completed", newest_session(double)["id"])
    post_event(buyer, double, again)
    apply_received()

    from store.entitlements.models import Entitlement
    from store.payments.models import Refund, RefundStatus

    assert rows(Refund.status, Refund.amount) == [(RefundStatus.SUCCEEDED, 1250)]
    assert rows(Entitlement.revoked_reason) == [("refunded",)]
