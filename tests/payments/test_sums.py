"""One worked example, and the same figures wherever the shop shows a sum of money."""

import csv
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Publication
from store.distribution.import_export import export_customers
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, transaction
from store.orders.models import Order
from store.payments.day_sums import sums_by_day
from store.payments.models import Dispute, Payment
from store.payments.money_back import settle_order
from store.payments.receipts import receipt_of
from store.payments.refunds import refund_order
from store.payments.sums import Sums, left_by_order, sums_by_order, sums_of
from tests.admin.sign_in import signed_in
from tests.conftest import Clock, on_both_when_long
from tests.payments.bank import a_transfer_order, arrive
from tests.purchases import an_order, give, pay
from tests.rows import order_of
from tests.storefront.forms import text_of


@pytest.fixture
def orders(app: Flask, frozen: Clock) -> dict[str, int]:
    """Five orders of one title: part refunded, paid by bank in two parts, part arrived, given, lost
    to a bank; the refund and the loss on the day after."""
    ids = {
        "refunded": _bought("a" * 22),
        "by bank": a_transfer_order("b" * 22),
        "in part": a_transfer_order("c" * 22),
        "lost": _bought("d" * 22),
    }
    arrive(ids["by bank"], 500)
    arrive(ids["by bank"], 750)
    arrive(ids["in part"], 500)
    ids["given"] = give(email="guest@reader.example", name="", reason="review")
    frozen.advance(days=1)
    refund_order(ids["refunded"], amount=250, who="olga", why="", key="press")
    _lose(ids["lost"])
    return ids


def _bought(key: str) -> int:
    order_id = an_order(key)
    pay(order_id)
    return order_id


def _lose(order_id: int) -> None:
    with transaction() as session:
        payment = session.scalars(sa.select(Payment).filter_by(order_id=order_id)).one()
        dispute = Dispute(
            payment_id=payment.id,
            gateway="demo",
            gateway_dispute_id="du_1",
            reason="fraudulent",
            amount=1250,
            currency="GBP",
            is_inquiry=False,
            opened_at=clock.now() - timedelta(hours=1),
            lost_at=clock.now(),
        )
        session.add(dispute)
        session.flush()
        settle_order(session.get_one(Order, order_id))


EXAMPLE = {
    "refunded": Sums("GBP", 1, 1250, 250, 0),
    "by bank": Sums("GBP", 1, 1250, 0, 0),
    "in part": Sums("GBP", 0, 500, 0, 0),
    "lost": Sums("GBP", 1, 1250, 0, 1250),
    "given": Sums("GBP", 0, 0, 0, 0),
}


@on_both_when_long
def test_gifts_are_no_sales_parts_are_received_and_losses_go_off_on_their_day(
    orders: dict[str, int], frozen: Clock
) -> None:
    zone = config().zone
    today = clock.today(zone)
    yesterday = today - timedelta(days=1)
    # Yesterday's sales are not today's, and today's losses were not yesterday's.
    assert sums_by_day(yesterday, zone) == {
        yesterday: [Sums("GBP", 3, 4250, 0, 0)],
        today: [Sums("GBP", 0, 0, 250, 1250)],
    }
    assert list(sums_by_day(today, zone)) == [today]
    assert sum(one.left for one in EXAMPLE.values()) == 2750
    found = [order_of(order_id) for order_id in orders.values()]
    by_order = sums_by_order(found)
    assert {name: by_order[order_id] for name, order_id in orders.items()} == EXAMPLE
    assert sums_of(order_of(orders["refunded"])) == EXAMPLE["refunded"]


@on_both_when_long
def test_home_orders_order_receipt_and_export_show_the_same_figures(
    client: FlaskClient, orders: dict[str, int]
) -> None:
    desk = signed_in(client)
    home = text_of(desk.get("/admin/").text)
    assert "Received, less what went back £27.50 Orders paid 3" in home
    assert "£42.50 came in, £2.50 refunded, £12.50 lost in disputes." in home

    listed = desk.get("/admin/orders").text
    rows = listed.split("<tr>")[2:]
    shown = {}
    for name, order_id in orders.items():
        (row,) = [one for one in rows if order_of(order_id).reference in one]
        shown[name] = row.split('<span class="tag')[1].split(">")[1].split("<")[0]
    assert shown == {
        "refunded": "Paid",
        "by bank": "Paid",
        "in part": "Waits for money",
        "lost": "Lost to the bank",
        "given": "Given",
    }

    path = f"/admin/orders/{order_of(orders['refunded']).reference}"
    assert "Received £12.50, refunded £2.50: £10.00 is left." in text_of(desk.get(path).text)
    part = f"/admin/orders/{order_of(orders['in part']).reference}"
    assert "Received £5.00." in text_of(desk.get(part).text)

    assert receipt_of(order_of(orders["refunded"])).left == "£10.00"
    assert receipt_of(order_of(orders["lost"])).left == "£0.00"
    db.session.rollback()
    publication = db.session.scalars(sa.select(Publication)).one()
    exported = csv.DictReader("".join(export_customers(publication, left_by_order)).splitlines())
    prices = {row["order"]: row["price"] for row in exported}
    assert prices == {
        order_of(orders["refunded"]).reference: "10.00",
        order_of(orders["given"]).reference: "0.00",
    }
