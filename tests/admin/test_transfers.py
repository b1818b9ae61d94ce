"""Money by bank and copies given, as staff do it through the desk's pages."""

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.kit.database import db
from store.orders.models import Order, OrderStatus
from store.payments.models import Transfer
from store.payments.refunds import refund_order
from tests.admin.sign_in import a_member, press, sign_in, signed_in
from tests.conftest import on_both_when_long
from tests.editions import a_shop
from tests.links import order_path
from tests.pages import check_page, read
from tests.payments.bank import a_transfer_order, arrive, backs, reference_of
from tests.rows import order_of, rows
from tests.storefront.forms import fields_of, text_of

GIVE = "/admin/publications/send-early-years/give"


@on_both_when_long
def test_staff_mark_a_transfer_in_two_parts_and_the_buyer_reads_of_each(
    app: Flask, client: FlaskClient
) -> None:
    order_id = a_transfer_order()
    reference = reference_of(order_id)
    desk = signed_in(client, "support")
    assert "1 order waits for a bank transfer" in read(desk, "/admin/")
    assert reference in read(desk, "/admin/transfers")
    order_page = f"/admin/orders/{reference}"
    assert "The customer pays £12.50 by bank transfer" in read(desk, order_page)

    form = f"{order_page}/received"
    typed = fields_of(read(desk, form), "amount")
    assert (typed["amount"], typed["note"]) == ("12.50", "")
    much = desk.post(form, data=typed | {"amount": "13.00"})
    assert much.status_code == 422
    check_page(much.text, path=form)
    assert "Only £12.50 of £12.50 is still due." in much.text
    for wrong in ({"amount": "a lot"}, {"received_on": "soon"}, {"received_on": "2999-01-01"}):
        answer = desk.post(form, data=typed | wrong)
        assert answer.status_code == 422
        check_page(answer.text, path=form)

    part = typed | {"amount": "5.00", "note": "SAMPLE NURSERY"}
    for _ in range(2):  # pressed twice
        assert desk.post(form, data=part).location == order_page
    assert rows(Transfer.amount, Transfer.who) == [(500, "support@publisher.example")]
    page = read(desk, order_page)
    assert "<b>£5.00 of £12.50 has arrived</b>, £7.50 is still to come." in page
    assert "SAMPLE NURSERY" in page
    assert "£5.00 of £12.50 has arrived" in read(desk, "/admin/transfers")
    assert "£5.00 of £12.50 has arrived" in app.test_client().get(order_path(order_id)).text

    assert "£5.00 Still due £7.50" in text_of(read(desk, form))
    rest = fields_of(read(desk, form), "amount")
    assert rest["amount"] == "7.50"
    desk.post(form, data=rest)
    assert "The order is paid" in read(desk, order_page)
    assert order_of(order_id).status is OrderStatus.PAID
    assert "Mark money received" not in read(desk, order_page)
    assert desk.get(form).status_code == 422
    assert "No order waits for a transfer" in read(desk, "/admin/transfers")


@on_both_when_long
def test_a_refund_by_bank_waits_on_the_list_until_an_owner_marks_it_sent(
    app: Flask, client: FlaskClient
) -> None:
    order_id = a_transfer_order()
    arrive(order_id, 1250)
    refund_order(order_id, who="olga", why="", key="k")
    reference = reference_of(order_id)
    support = signed_in(client, "support")
    assert "1 refund is to be sent by bank" in read(support, "/admin/")
    assert "An owner marks it." in read(support, "/admin/transfers")
    assert "£12.50 has to be sent back by bank." in read(support, f"/admin/orders/{reference}")
    sent = f"/admin/transfers/back/{backs()[0].id}/sent"
    assert press(support, sent, seen_on=f"/admin/orders/{reference}").status_code == 403
    assert backs()[0].sent_at is None  # the control: nothing has gone

    owner = app.test_client()
    sign_in(owner, a_member())
    assert press(owner, sent, seen_on="/admin/transfers").location == "/admin/transfers"
    assert [(back.sent_by, back.sent_at is None) for back in backs()] == [
        ("olga@publisher.example", False)
    ]
    assert "£12.50 is marked as sent." in read(owner, "/admin/transfers")
    assert ">given back<" in read(owner, f"/admin/orders/{reference}")


def test_an_order_by_card_has_no_money_to_mark(app: Flask, client: FlaskClient) -> None:
    a_shop()
    desk = signed_in(client, "editor")
    desk.post(GIVE, data=fields_of(read(desk, GIVE), "reason") | GIFT)
    owner = app.test_client()
    sign_in(owner, a_member())
    page = f"/admin/orders/{reference_of(1)}"
    words = read(owner, page)
    assert "Mark money received" not in words
    assert f'href="{page}/refund"' not in words
    assert "with nothing to pay" in words
    assert " was given this on " in words
    assert owner.get(f"{page}/received").status_code == 409


GIFT = {"email": "rita@reader.example", "name": "Rita", "reason": "Author's copy"}


@on_both_when_long
def test_an_editor_gives_a_copy_once_however_often_it_is_pressed(
    app: Flask, client: FlaskClient
) -> None:
    a_shop(editions=1)
    desk = signed_in(client, "editor")
    assert "Give a copy" in read(desk, "/admin/publications/send-early-years")
    typed = fields_of(read(desk, GIVE), "reason")
    bad = desk.post(GIVE, data=typed | GIFT | {"reason": "", "email": "rita"})
    assert bad.status_code == 422
    check_page(bad.text, path=GIVE)
    assert "Say why this copy is given" in bad.text
    for _ in range(2):
        answer = desk.post(GIVE, data=typed | GIFT)
        assert answer.location == "/admin/publications/send-early-years"
    assert rows(Order.email, Order.given_reason, Order.status) == [
        ("rita@reader.example", "Author's copy", "paid")
    ]
    page = read(desk, "/admin/publications/send-early-years")
    assert "Given to rita@reader.example as order" in page
    assert "<dt>Customers</dt> <dd> 1 </dd>" in page


@pytest.mark.parametrize("role", ["support"])
def test_support_gives_no_copies(app: Flask, client: FlaskClient, role: str) -> None:
    a_shop()
    assert signed_in(client, role).get(GIVE).status_code == 403
    assert db.session.scalars(sa.select(Order)).all() == []
