"""The accountant's file: one row a movement, VAT that sums up, nobody's name (journeys A17, desk-4)."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Publication, VatTreatment
from store.catalog.publications import publication_by_slug
from store.cli import main
from store.commands import base
from store.kit.database import db, transaction
from store.kit.spreadsheets import to_csv
from store.orders.models import Order
from store.orders.placing import Details
from store.payments.checkout import begin_checkout
from store.payments.models import Dispute, Payment
from store.payments.movements import HEADING, movements
from store.payments.refunds import refund_order
from tests.admin.sign_in import press, signed_in
from tests.conftest import Clock, on_both
from tests.factories import a_publication, a_seller
from tests.payments.bank import BANK, arrive
from tests.purchases import BUYER, buy, give, pay, placed_order

Rows = list[dict[str, str]]


@pytest.fixture
def shop(app: Flask, frozen: Clock) -> Clock:
    """A guide at £12.50 with 20 % VAT in it."""
    with transaction():
        a_seller(vat_number="GB 123 4567 89", bank_details=BANK)
        a_publication(title="=1+1", vat_treatment=VatTreatment.STANDARD_INCLUDED)
    return frozen


def _order(address: str = BUYER.email) -> int:

    with transaction():
        details = Details(address, "Anna Berg", wants_now=True)
        return placed_order(publication_by_slug("send-early-years"), details).id


def _rows(first: date = date(2027, 3, 1), last: date = date(2027, 3, 31)) -> Rows:
    db.session.rollback()
    text = "".join(to_csv(piece) for piece in movements(first, last))
    return list(csv.DictReader(io.StringIO(text)))


def _sum(rows: Rows, column: str) -> Decimal:
    return sum((Decimal(row[column]) for row in rows), Decimal(0))


@on_both
def test_each_movement_is_a_row_and_its_vat_sums_up_to_that_of_the_order(shop: Clock) -> None:
    order_id = _order()
    pay(order_id)
    for number, amount in enumerate((333, 333, 584)):
        shop.advance(days=1)
        refund_order(order_id, amount=amount, who="Olga", why="", key=f"k{number}")

    rows = _rows()

    assert [row["movement"] for row in rows] == ["sale", "refund", "refund", "refund"]
    assert [row["gross"] for row in rows] == ["12.50", "-3.33", "-3.33", "-5.84"]
    assert [row["vat"] for row in rows] == ["2.08", "-0.55", "-0.56", "-0.97"]
    assert all(_sum([row], "gross") == _sum([row], "net") + _sum([row], "vat") for row in rows)
    assert (_sum(rows, "gross"), _sum(rows, "vat")) == (0, 0)
    order = db.session.get_one(Order, order_id)
    assert rows[0] == dict(zip(HEADING, (
        "2027-03-01", "2027-03-01T10:00:00+00:00", "sale", order.reference, "'=1+1", "12.50",
        "10.42", "2.08", "20", "standard_included", "GBP", "", "", "demo",
        rows[0]["gateway_reference"], "GB", "", "",
    ), strict=True))  # fmt: skip
    assert [row["date"] for row in _rows(date(2027, 3, 2), date(2027, 3, 3))] == [
        "2027-03-02",
        "2027-03-03",
    ]


@on_both
def test_transfers_count_as_they_arrive_disputes_once_lost_and_gifts_never(shop: Clock) -> None:

    order_id = _order("tom@reader.example")
    begin_checkout(order_id, "manual")
    arrive(order_id, 500)
    shop.advance(days=1)
    arrive(order_id, 750)
    give("send-early-years", email="gita@reader.example")
    disputed = _order("dan@reader.example")
    pay(disputed)
    assert [(row["gross"], row["method"]) for row in _rows()][:2] == [
        ("5.00", "bank transfer"),
        ("7.50", "bank transfer"),
    ]
    with transaction() as session:
        payment = session.scalars(sa.select(Payment).filter_by(order_id=disputed)).one()
        dispute = Dispute(
            payment_id=payment.id,
            gateway="demo",
            gateway_dispute_id="d1",
            reason="fraudulent",
            amount=1250,
            currency="GBP",
            is_inquiry=False,
            opened_at=shop.at,
        )
        session.add(dispute)
    assert [row["movement"] for row in _rows()] == ["sale", "sale", "sale"]
    with transaction():
        dispute.lost_at = datetime(2027, 3, 20, tzinfo=UTC)
    assert [(row["movement"], row["gross"], row["vat"]) for row in _rows()][3:] == [
        ("dispute", "-12.50", "-2.08")
    ]


def test_what_was_paid_twice_and_given_back_holds_vat_once(shop: Clock) -> None:
    with transaction() as session:
        publication = session.get_one(Publication, 1)
        order = buy(publication)
        order_id = order.id
    with transaction() as session:
        twice = session.scalars(sa.select(Payment)).one()
        session.add(
            Payment(
                order_id=order_id,
                gateway="demo",
                gateway_payment_id="again",
                amount=1250,
                currency="GBP",
                method=twice.method,
                received_at=shop.advance(hours=1),
            )
        )
    assert [row["vat"] for row in _rows()] == ["2.08", "0.00"]


def test_the_desk_and_the_command_line_give_the_same_file(
    shop: Clock, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, app: Flask
) -> None:
    pay(_order())
    desk = signed_in(client)
    wrong = press(desk, "/admin/accounts", {"first": "2027-03-31", "last": "2027-03-01"})
    assert (wrong.status_code, "The last day is before" in wrong.text) == (422, True)
    endless = press(desk, "/admin/accounts", {"first": "2027-03-01", "last": "9999-12-31"})
    assert (endless.status_code, "Choose the last day." in endless.text) == (422, True)
    days = {"first": "2027-03-01", "last": "2027-03-31"}
    file = press(desk, "/admin/accounts", days)
    assert file.headers["Content-Disposition"].endswith('"money-2027-03-01-2027-03-31.csv"')
    assert "anna" not in file.text.casefold()
    monkeypatch.setattr(base, "the_shop", lambda: app)
    run: Callable[..., object] = CliRunner().invoke
    words = ("order", "export", "--from", "2027-03-01", "--to", "2027-03-31")
    assert run(main, words).stdout_bytes == file.data  # type: ignore[attr-defined]
    assert file.data.startswith(b"\xef\xbb\xbfdate,moment,movement,order,")

    page = "/admin/publications/send-early-years"
    people = press(desk, f"{page}/customers.csv", seen_on=page)
    assert people.text.startswith("\ufeffemail,name,since,order,price,currency\r\nanna@")
