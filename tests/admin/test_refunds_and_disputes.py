"""Money going back and disputes at the desk, as staff see and press them."""

import re
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.kit import clock
from store.kit.database import db, transaction
from store.orders.models import Order
from store.payments.applying import apply_state
from store.payments.fulfilment import fulfil_order
from store.payments.gateways.base import (
    DisputeOutcome,
    GatewayDispute,
    GatewayRefused,
    GatewayState,
    GatewayUnreachable,
    Standing,
)
from store.payments.gateways.demo import DemoGateway
from store.payments.models import (
    FRAUD_WARNING,
    Checkout,
    Dispute,
    EventStatus,
    GatewayEvent,
    Payment,
    Refund,
)
from tests.admin.signing import press, signed_in
from tests.conftest import Clock, on_both
from tests.pages import check_page
from tests.payments.making import an_order, order_of, paid_at_gateway, rows, start


@pytest.fixture
def order_id(app: Flask, frozen: Clock) -> int:
    """A paid pre-order."""
    order_id = an_order()
    _pay(order_id)
    return order_id


@pytest.fixture
def desk(frozen: Clock, client: FlaskClient) -> FlaskClient:
    """An owner at the desk."""
    return signed_in(client)


def _pay(order_id: int) -> None:
    paid_at_gateway(start(order_id), clock.now())
    fulfil_order(order_id)


def _pay_again(order_id: int) -> None:
    with transaction() as session:
        session.execute(sa.text("UPDATE orders SET status = 'pending'"))
    paid_at_gateway(start(order_id), clock.now())
    with transaction() as session:
        session.execute(sa.text("UPDATE orders SET status = 'paid'"))
    for (checkout_id,) in rows(Checkout.id):
        from store.payments.fulfilment import fulfil_checkout

        fulfil_checkout(checkout_id)


def _contest(order_id: int, number: int = 0, **given: Any) -> int:
    """The demonstration says that one of the payments is disputed; returns the dispute's id."""
    payment = _payment(order_id, number)
    values: dict[str, Any] = {
        "dispute_id": f"du_{payment.id}",
        "reason": "product_not_received",
        "amount": 1250,
        "currency": "GBP",
        "is_inquiry": False,
        "opened_at": clock.now(),
        "due_at": clock.now() + timedelta(days=9),
    }
    checkout = db.session.get_one(Checkout, payment.checkout_id)
    state = GatewayState(
        reference=str(checkout.gateway_reference),
        standing=Standing.PAID,
        amount=1250,
        currency="GBP",
        order_reference=payment.order.reference,
        checkout_id=checkout.id,
        payment_id=payment.gateway_payment_id,
        disputes=(GatewayDispute(**(values | given)),),
    )
    with transaction():
        apply_state("demo", state)
    return int(rows(Dispute.id)[-1][0])


def _payment(order_id: int, number: int) -> Payment:
    db.session.rollback()
    query = sa.select(Payment).where(Payment.order_id == order_id).order_by(Payment.id)
    return db.session.scalars(query).all()[number]


def _read(client: FlaskClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, f"{path}: {answer.status}"
    check_page(answer.text, path=path)
    return " ".join(answer.text.split())


def _path(order_id: int) -> str:
    return f"/admin/orders/{order_of(order_id).reference}"


def test_an_order_that_was_paid_twice_says_so_and_each_payment_goes_back_by_itself(
    desk: FlaskClient, order_id: int
) -> None:
    _pay_again(order_id)
    path = _path(order_id)
    page = _read(desk, path)
    assert "Paid more than once" in page
    assert "2 payments came in for this order." in page

    second = _payment(order_id, 1).id
    unchosen = press(desk, f"{path}/refund", {"form_key": "k" * 20})
    assert unchosen.status_code == 422
    assert "Choose which payment goes back." in unchosen.text
    done = press(
        desk, f"{path}/refund", {"form_key": "k" * 20, "payment": str(second), "why": "twice"}
    )
    assert done.status_code == 303

    assert rows(Refund.payment_id, Refund.amount, Refund.who, Refund.why) == [
        (second, 1250, "owner@publisher.example", "twice")
    ]
    page = _read(desk, path)
    assert "of payment 2" in page
    assert "owner@publisher.example" in page


def test_a_form_that_is_pressed_twice_refunds_once(desk: FlaskClient, order_id: int) -> None:
    path = f"{_path(order_id)}/refund"
    for _ in range(2):
        press(desk, path, {"form_key": "k" * 20, "amount": "5.00"})

    assert rows(Refund.amount) == [(500,)]


def test_a_refund_that_failed_says_why_and_can_be_tried_again(
    desk: FlaskClient, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise GatewayRefused("the card is closed")

    path = _path(order_id)
    with monkeypatch.context() as patch:
        patch.setattr(DemoGateway, "refund", refuses)
        press(desk, f"{path}/refund", {"form_key": "k" * 20, "amount": "5.00"})
    page = _read(desk, path)
    assert "£5.00: failed. The card is closed" in page
    again = re.search(r'href="(\S+/refund\?payment=\d+&amp;amount=5.00)">Try again', page)
    assert again
    assert 'value="5.00"' in _read(desk, again[1].replace("&amp;", "&"))

    press(desk, f"{path}/refund", {"form_key": "l" * 20, "amount": "5.00"})
    assert sorted(status for (status,) in rows(Refund.status)) == ["failed", "succeeded"]


def test_a_disputed_payment_says_why_it_cannot_be_refunded_before_anything_is_pressed(
    desk: FlaskClient, order_id: int
) -> None:
    _contest(order_id)
    path = _path(order_id)
    page = _read(desk, path)
    assert "The customer’s bank holds it while it decides: it cannot be refunded." in page
    assert ">Refund</a>" not in page
    answer = desk.get(f"{path}/refund")
    assert answer.status_code == 409
    assert "This payment is disputed" in answer.text


def test_of_two_payments_the_disputed_one_cannot_be_chosen(
    desk: FlaskClient, order_id: int
) -> None:
    _pay_again(order_id)
    _contest(order_id, 0)
    page = _read(desk, f"{_path(order_id)}/refund")

    first, second = _payment(order_id, 0).id, _payment(order_id, 1).id
    assert "Payment 1: £12.50 of" in page
    assert f'value="{first}"' not in page
    assert f'value="{second}"' in page


def test_disputes_are_listed_those_to_answer_first(desk: FlaskClient, order_id: int) -> None:
    assert "No disputes" in _read(desk, "/admin/disputes")
    number = _contest(order_id)
    page = _read(desk, "/admin/disputes")

    assert "product not received" in page
    assert "to answer" in page
    assert f'href="/admin/disputes/{number}"' in page
    assert f'href="/admin/disputes/{number}"' in _read(desk, _path(order_id))


def test_an_answer_is_edited_kept_and_submitted_once(
    desk: FlaskClient, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, dict[str, str], bool]] = []

    def send(_: object, name: str, evidence: dict[str, str], *, submit: bool) -> None:
        sent.append((name, evidence, submit))

    monkeypatch.setattr(DemoGateway, "send_evidence", send)
    number = _contest(order_id)
    path = f"/admin/disputes/{number}"
    assert "Anna Berg" in _read(desk, path)
    kept = press(desk, path, {"product_description": "As I know it.", "then": "keep"})
    assert kept.status_code == 303
    assert sent == []
    page = _read(desk, path)
    assert "Kept. Nothing was sent to the bank yet." in page
    assert "As I know it." in page
    assert "Anna Berg" not in page

    on = press(desk, path, {"product_description": "As I know it.", "then": "submit"})
    assert on.headers["Location"] == f"{path}/submit"
    assert "Submit this answer?" in _read(desk, f"{path}/submit")
    assert press(desk, f"{path}/submit").status_code == 303

    name = f"du_{_payment(order_id, 0).id}"
    assert sent == [(name, {"product_description": "As I know it."}, True)]
    page = _read(desk, path)
    assert "by owner@publisher.example" in page
    assert "<textarea" not in page
    assert desk.get(f"{path}/submit").status_code == 409


def test_while_stripe_is_away_the_draft_is_kept(
    desk: FlaskClient, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **_given: object) -> None:
        raise GatewayUnreachable

    monkeypatch.setattr(DemoGateway, "send_evidence", away)
    path = f"/admin/disputes/{_contest(order_id)}"
    press(desk, path, {"product_description": "As I know it.", "then": "submit"})
    answer = press(desk, f"{path}/submit")

    assert answer.status_code == 503
    assert "Nothing is lost: your draft is kept." in answer.text
    assert "As I know it." in _read(desk, path)


def test_what_is_too_long_is_said_and_kept(desk: FlaskClient, order_id: int) -> None:
    path = f"/admin/disputes/{_contest(order_id)}"
    answer = press(desk, path, {"access_activity_log": "x" * 20_001, "customer_name": "Kept"})

    assert answer.status_code == 422
    check_page(answer.text, path=path)
    assert "Downloads: 20,001 characters are more than the 20,000" in answer.text
    assert 'value="Kept"' in answer.text


def test_a_draft_is_dropped_for_what_the_records_say(desk: FlaskClient, order_id: int) -> None:
    path = f"/admin/disputes/{_contest(order_id)}"
    press(desk, path, {"product_description": "As I know it.", "then": "keep"})
    press(desk, f"{path}/gather", seen_on=path)

    page = _read(desk, path)
    assert "As I know it." not in page
    assert "Anna Berg" in page


@pytest.mark.parametrize("outcome", ["won", "lost", "closed"])
def test_a_decided_dispute_takes_no_answer(desk: FlaskClient, order_id: int, outcome: str) -> None:
    number = _contest(order_id, outcome=DisputeOutcome(outcome))
    page = _read(desk, f"/admin/disputes/{number}")

    assert "<textarea" not in page
    assert f"<dt>{outcome.capitalize()}</dt>" in page


def test_support_prepares_an_answer_and_an_owner_submits_it(
    app: Flask, client: FlaskClient, order_id: int
) -> None:
    signed_in(client, "support")
    path = f"/admin/disputes/{_contest(order_id)}"
    assert "An owner submits it." in _read(client, path)
    assert press(client, path, {"customer_name": "Anna"}).status_code == 303
    assert client.get(f"{path}/submit").status_code == 403


def test_a_dispute_that_is_not_there_is_not_found(desk: FlaskClient) -> None:
    assert desk.get("/admin/disputes/77").status_code == 404


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
    assert "The card’s bank suspects fraud" in _read(desk, _path(order_id))


@on_both
def test_the_list_takes_as_many_statements_for_ninety_as_for_one(
    desk: FlaskClient, order_id: int
) -> None:
    _contest(order_id)
    one = _statements(desk)
    with transaction() as session:
        payment_id = session.scalars(sa.select(Payment.id)).one()
        session.add_all(
            Dispute(
                payment_id=payment_id,
                gateway="demo",
                gateway_dispute_id=f"du_more_{number}",
                reason="fraudulent",
                amount=1250,
                currency="GBP",
                is_inquiry=False,
                opened_at=clock.now(),
            )
            for number in range(90)
        )
    assert _statements(desk) == one
    assert "Next" in desk.get("/admin/disputes").text


def _statements(client: FlaskClient) -> int:
    seen: list[str] = []

    def note(_c: object, _cur: object, statement: str, *_more: object) -> None:
        seen.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    client.get("/admin/disputes")
    sa.event.remove(db.engine, "before_cursor_execute", note)
    return len(seen)


def test_the_buyer_reads_that_the_copies_rest(client: FlaskClient, order_id: int) -> None:
    from store.entitlements.links import order_url

    _contest(order_id)
    path = "/orders/" + order_url(order_id).partition("/orders/")[2]
    db.session.rollback()
    page = _read(client, path)

    rest = "your copies rest until that is decided."
    assert f"The payment is being disputed with your bank; {rest}" in page
    assert "Cancel this order" not in page
    library = re.search(r'href="(/library/[^"]+)"', page)
    assert library is None
    assert db.session.scalars(sa.select(Order.status)).one() == "paid"
