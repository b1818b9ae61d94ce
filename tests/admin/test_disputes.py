"""Disputes at the desk: the answer is read, changed and submitted once."""

import re

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.kit import clock
from store.kit.database import db, transaction
from store.orders.models import Order
from store.payments.gateways.base import DisputeOutcome, GatewayUnreachable
from store.payments.gateways.demo import DemoGateway
from store.payments.models import Dispute, Payment
from tests.admin.contested import contest, desk_path, payment_of
from tests.admin.sign_in import press, signed_in
from tests.conftest import on_both_when_long
from tests.pages import check_page, read


def test_disputes_are_listed_those_to_answer_first(desk: FlaskClient, order_id: int) -> None:
    assert "No disputes" in read(desk, "/admin/disputes")
    number = contest(order_id)
    page = read(desk, "/admin/disputes")

    assert "product not received" in page
    assert "to answer" in page
    assert f'href="/admin/disputes/{number}"' in page
    assert f'href="/admin/disputes/{number}"' in read(desk, desk_path(order_id))
    assert "A bank disputes £12.50." in desk.get("/admin/").text


def test_an_answer_is_edited_kept_and_submitted_once(
    desk: FlaskClient, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, dict[str, str], bool]] = []

    def send(_: object, name: str, evidence: dict[str, str], *, submit: bool) -> None:
        sent.append((name, evidence, submit))

    monkeypatch.setattr(DemoGateway, "send_evidence", send)
    number = contest(order_id)
    path = f"/admin/disputes/{number}"
    assert 'value="Anna Berg"' in read(desk, path)
    kept = press(desk, path, {"product_description": "As I know it.", "then": "keep"})
    assert kept.status_code == 303
    assert sent == []
    page = read(desk, path)
    assert "Kept. Nothing was sent to the bank yet." in page
    assert "As I know it." in page
    assert 'value="Anna Berg"' not in page

    on = press(desk, path, {"product_description": "As I know it.", "then": "submit"})
    assert on.headers["Location"] == f"{path}/submit"
    assert "Submit this answer?" in read(desk, f"{path}/submit")
    assert press(desk, f"{path}/submit").status_code == 303

    name = f"du_{payment_of(order_id, 0).id}"
    assert sent == [(name, {"product_description": "As I know it."}, True)]
    page = read(desk, path)
    assert "by owner@publisher.example" in page
    assert "<textarea" not in page
    assert desk.get(f"{path}/submit").status_code == 409


def test_while_stripe_is_away_the_draft_is_kept(
    desk: FlaskClient, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **_given: object) -> None:
        raise GatewayUnreachable

    monkeypatch.setattr(DemoGateway, "send_evidence", away)
    path = f"/admin/disputes/{contest(order_id)}"
    press(desk, path, {"product_description": "As I know it.", "then": "submit"})
    answer = press(desk, f"{path}/submit")

    assert answer.status_code == 503
    assert "Nothing is lost: your draft is kept." in answer.text
    assert "As I know it." in read(desk, path)


def test_what_is_too_long_is_said_and_kept(desk: FlaskClient, order_id: int) -> None:
    path = f"/admin/disputes/{contest(order_id)}"
    answer = press(desk, path, {"access_activity_log": "x" * 20_001, "customer_name": "Kept"})

    assert answer.status_code == 422
    check_page(answer.text, path=path)
    assert "Downloads: 20,001 characters are more than the 20,000" in answer.text
    assert 'value="Kept"' in answer.text


def test_a_draft_is_dropped_for_what_the_records_say(desk: FlaskClient, order_id: int) -> None:
    path = f"/admin/disputes/{contest(order_id)}"
    press(desk, path, {"product_description": "As I know it.", "then": "keep"})
    press(desk, f"{path}/gather", seen_on=path)

    page = read(desk, path)
    assert "As I know it." not in page
    assert "Anna Berg" in page


@pytest.mark.parametrize("outcome", ["won", "lost", "closed"])
def test_a_decided_dispute_takes_no_answer(desk: FlaskClient, order_id: int, outcome: str) -> None:
    number = contest(order_id, outcome=DisputeOutcome(outcome))
    page = read(desk, f"/admin/disputes/{number}")

    assert "<textarea" not in page
    assert f"<dt>{outcome.capitalize()}</dt>" in page


def test_support_prepares_an_answer_and_an_owner_submits_it(
    app: Flask, client: FlaskClient, order_id: int
) -> None:
    signed_in(client, "support")
    path = f"/admin/disputes/{contest(order_id)}"
    assert "An owner submits it." in read(client, path)
    assert press(client, path, {"customer_name": "Anna"}).status_code == 303
    assert client.get(f"{path}/submit").status_code == 403


def test_a_dispute_that_is_not_there_is_not_found(desk: FlaskClient) -> None:
    assert desk.get("/admin/disputes/77").status_code == 404


@on_both_when_long
def test_the_list_takes_as_many_statements_for_ninety_as_for_one(
    desk: FlaskClient, order_id: int
) -> None:
    contest(order_id)
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

    contest(order_id)
    path = "/orders/" + order_url(order_id).partition("/orders/")[2]
    db.session.rollback()
    page = read(client, path)

    rest = "your copies rest until that is decided."
    assert f"The payment is being disputed with your bank; {rest}" in page
    assert "Cancel this order" not in page
    library = re.search(r'href="(/library/[^"]+)"', page)
    assert library is None
    assert db.session.scalars(sa.select(Order.status)).one() == "paid"
