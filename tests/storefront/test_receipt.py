"""The receipt of an order, and what its buyer adds to it; money and rights stay as they are."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.entitlements.models import Entitlement
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.models import Consent, Order, OrderLine, OrderStatus
from store.payments.models import Dispute, Payment, Refund
from store.payments.refunds import refund_order
from tests.admin.sign_in import signed_in
from tests.conftest import Clock, on_both_when_long
from tests.links import order_path, path_to
from tests.pages import Page, check_page
from tests.purchases import an_order, pay
from tests.rows import rows
from tests.storefront.forms import fields_of

pytestmark = pytest.mark.usefixtures("frozen")

ADDRESS = "The Bursar\n2 Elm Road\nLeeds LS1 1AA"
BILLING = {
    "organisation": "Elm Nursery & School",
    "billing_address": ADDRESS,
    "purchase_order_number": "PO-4711",
    "vat_number": "GB 123 4567 89",
}


@pytest.fixture
def order_id(app: Flask, frozen: Clock) -> int:
    return an_order()


def paid(order_id: int) -> str:
    """Pay it; returns the path of the order's page."""
    pay(order_id)
    return order_path(order_id)


def write(order_id: int, **values: object) -> None:
    """An order as it may stand, written over the one that was placed."""
    with transaction() as session:
        order = session.get_one(Order, order_id)
        for name, value in values.items():
            setattr(order.lines[0] if name.startswith("vat_") else order, name, value)


def page_of(client: FlaskClient, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    check_page(answer.text, path=path)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Robots-Tag"] == "noindex"
    return text_of(answer.text)


def text_of(html: str) -> str:
    """The words of the main part, those of neighbouring cells apart."""
    return " ".join(" ".join(Page(html).all("main")[0].itertext()).split())


def money_and_rights() -> list[list[tuple[object, ...]]]:
    """Every row that billing details have no business with."""
    db.session.rollback()
    tables = (OrderLine, Payment, Refund, Entitlement, Consent, Delivery)
    left = [rows(*model.__table__.columns) for model in tables]
    theirs = {*BILLING, "search_key"}  # the words by which staff find an order
    others = [one for one in Order.__table__.columns if one.name not in theirs]
    return [*left, rows(*others)]


@on_both_when_long
def test_a_receipt_names_both_sides_the_sum_and_how_it_was_paid(
    client: FlaskClient, order_id: int
) -> None:
    path = paid(order_id)
    page = page_of(client, f"{path}/receipt")
    reference = db.session.get_one(Order, order_id).reference
    for words in (
        "Receipt",
        "For Anna Berg a•••@reader.example",
        "From Early Years Sample Press CIO 1 Sample Street, London hello@publisher.example",
        "Registered charity 000000",
        f"Order {reference} Ordered on 1 March 2027",
        "1 × Effective SEND Practice in the Early Years £12.50",
        "Total £12.50 No VAT to pay Paid online on 1 March 2027 £12.50",
    ):
        assert words in page
    assert "nvoice" not in page


def test_the_library_the_order_and_the_desk_lead_to_the_receipt(
    client: FlaskClient, order_id: int
) -> None:
    path = paid(order_id)
    reference = db.session.get_one(Order, order_id).reference
    library = path_to("library", db.session.get_one(Order, order_id).customer_id)
    for page in (path, library):
        links = [link.attrib["href"] for link in Page(client.get(page).text).all("a")]
        assert [href for href in links if href.endswith("/receipt")] == [f"{path}/receipt"]
    desk = signed_in(client)
    assert f"/admin/orders/{reference}/receipt" in desk.get(f"/admin/orders/{reference}").text
    answer = desk.get(f"/admin/orders/{reference}/receipt")
    check_page(answer.text, path="/admin/orders/receipt")
    assert "Paid online on 1 March 2027 £12.50" in text_of(answer.text)


def test_discount_and_vat_are_said_as_the_order_holds_them(
    client: FlaskClient, order_id: int
) -> None:
    # The rate of its day, whatever rate holds now.
    write(order_id, discount_amount=250, discount_label="Members", total_amount=1000)
    write(order_id, vat_treatment="standard_included", vat_rate=1750, vat_amount=149)
    path = paid(order_id)
    page = page_of(client, f"{path}/receipt")
    assert "Members −£2.50 Total £10.00 Of this, before VAT £8.51 VAT at 17.5% £1.49" in page
    assert "£10.00, includes £1.49 VAT at 17.5%" in page_of(client, path)


@pytest.mark.parametrize(
    ("treatment", "number", "words"),
    [
        ("zero_rated", "", "Total £12.50 No VAT to pay Paid"),
        ("zero_rated", "GB 1", "Total £12.50 No VAT to pay (zero-rated, 0%) Paid"),
        ("not_registered", "", "Total £12.50 No VAT is charged Paid"),
    ],
)
def test_what_holds_no_vat_says_why(
    client: FlaskClient, order_id: int, treatment: str, number: str, words: str
) -> None:
    write(order_id, vat_treatment=treatment)
    with transaction() as session:
        session.get_one(Order, order_id).seller.vat_number = number
    assert words in page_of(client, f"{paid(order_id)}/receipt")


@on_both_when_long
def test_refunds_stand_on_the_receipt_with_their_days(
    client: FlaskClient, order_id: int, frozen: Clock
) -> None:
    path = paid(order_id)
    frozen.set(datetime(2027, 3, 4, 9, tzinfo=UTC))
    refund_order(order_id, amount=500, who="Olga", why="goodwill", key="one")
    page = page_of(client, f"{path}/receipt")
    assert "Refunded on 4 March 2027 −£5.00 Paid after refunds £7.50" in page
    refund_order(order_id, who="Olga", why="all", key="two")
    page = page_of(client, f"{path}/receipt")
    assert "−£7.50 Paid after refunds £0.00" in page
    assert "goodwill" not in page


def test_a_refund_that_has_not_arrived_is_on_its_way(
    client: FlaskClient, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = paid(order_id)
    monkeypatch.setattr("store.payments.refunds.send_refund", lambda _: None)
    refund_order(order_id, who="Olga", why="", key="one")
    page = page_of(client, f"{path}/receipt")
    assert "Refund on its way, asked for on 1 March 2027 −£12.50" in page


def test_what_the_bank_took_back_is_said(client: FlaskClient, order_id: int, frozen: Clock) -> None:
    path = paid(order_id)
    with transaction() as session:
        payment_id = session.scalars(sa.select(Payment.id)).one()
        facts = {"reason": "fraudulent", "amount": 1250, "currency": "GBP", "is_inquiry": False}
        dispute = Dispute(
            payment_id=payment_id, gateway="demo", gateway_dispute_id="d", opened_at=frozen.at
        )
        for name, value in facts.items():
            setattr(dispute, name, value)
        dispute.lost_at = frozen.at
        session.add(dispute)
    page = page_of(client, f"{path}/receipt")
    assert "Taken back by your bank on 1 March 2027 −£12.50 Paid after refunds £0.00" in page


def test_a_transfer_is_named_and_two_payments_are_both_there(
    client: FlaskClient, order_id: int, frozen: Clock
) -> None:
    path = paid(order_id)
    with transaction() as session:
        for number, method in enumerate(("bank transfer", "card")):
            session.add(
                Payment(
                    order_id=order_id,
                    gateway="manual",
                    gateway_payment_id=str(number),
                    amount=1250,
                    currency="GBP",
                    method=method,
                    received_at=frozen.at,
                )
            )
    page = page_of(client, f"{path}/receipt")
    assert "Paid by bank transfer on 1 March 2027 £12.50" in page
    assert "Paid by card on 1 March 2027 £12.50" in page


@pytest.mark.parametrize(
    ("reason", "words"),
    [("For a review", "This copy was given to you. There was nothing to pay."),
     ("", "There was nothing to pay.")],
)  # fmt: skip
def test_a_receipt_over_nothing_says_so_and_keeps_our_reason_to_us(
    client: FlaskClient, order_id: int, reason: str, words: str
) -> None:
    paid(order_id)
    with transaction() as session:
        session.execute(sa.delete(Payment))
    gift = {"discount_amount": 1250, "discount_label": "Free copy", "total_amount": 0}
    write(order_id, given_reason=reason, **gift)
    page = page_of(client, f"{order_path(order_id)}/receipt")
    assert "Free copy −£12.50 Total £0.00" in page
    assert words in page
    assert "For a review" not in page
    assert "Paid" not in page


@pytest.mark.parametrize(
    "status", [OrderStatus.PENDING, OrderStatus.EXPIRED, OrderStatus.CANCELLED]
)
def test_an_unpaid_order_has_no_receipt_and_says_so(
    client: FlaskClient, order_id: int, status: OrderStatus
) -> None:
    path = order_path(order_id)
    write(order_id, status=status)
    assert "This order is not paid." in page_of(client, f"{path}/receipt", 404)
    assert f'href="{path}"' in client.get(f"{path}/receipt").text
    assert f'href="{path}/receipt"' not in client.get(path).text


@on_both_when_long
@pytest.mark.parametrize("is_refunded", [False, True])
def test_the_buyer_adds_an_organisation_and_nothing_else_changes(
    client: FlaskClient, order_id: int, is_refunded: bool
) -> None:
    path = paid(order_id)
    if is_refunded:
        refund_order(order_id, who="Olga", why="", key="one")
    before = money_and_rights()
    form = client.get(f"{path}/billing").text
    check_page(form, path=f"{path}/billing")
    typed = fields_of(form, "organisation") | BILLING
    answer = client.post(f"{path}/billing", data=typed)
    assert (answer.status_code, answer.location) == (303, f"{path}/receipt")
    page = page_of(client, answer.location)
    to = "For Elm Nursery & School Anna Berg The Bursar 2 Elm Road Leeds LS1 1AA a•••@"
    assert to in page
    assert "VAT number GB 123 4567 89" in page
    assert "Purchase order PO-4711" in page
    assert "Change your organisation or address" in page
    assert money_and_rights() == before


def test_more_fields_than_asked_for_are_not_taken(client: FlaskClient, order_id: int) -> None:
    path = paid(order_id)
    before = money_and_rights()
    more = {"total_amount": "1", "discount_amount": "1249", "email": "x@y.example", "status": "x"}
    assert client.post(f"{path}/billing", data=BILLING | more).status_code == 303
    assert money_and_rights() == before


def test_what_is_too_long_is_named_and_nothing_typed_is_lost(
    client: FlaskClient, order_id: int
) -> None:
    path = paid(order_id)
    typed = {
        "organisation": "o" * 201,
        "billing_address": "a" * 401,
        "purchase_order_number": "p" * 61,
        "vat_number": "v" * 41,
    }
    answer = client.post(f"{path}/billing", data=typed)
    assert answer.status_code == 422
    check_page(answer.text, path=path)
    page = text_of(answer.text)
    for words in (
        "There is a problem",
        "The organisation can have at most 200 characters; this has 201.",
        "The address can have at most 400 characters; this has 401.",
        "The purchase order number can have at most 60 characters; this has 61.",
        "The VAT number can have at most 40 characters; this has 41.",
        "a" * 401,
    ):
        assert words in page
    kept = fields_of(answer.text, "organisation")
    assert kept | {"billing_address": typed["billing_address"]} == typed
    assert db.session.get_one(Order, order_id).organisation == ""


def test_an_address_has_as_many_lines_as_an_envelope(client: FlaskClient, order_id: int) -> None:
    path = paid(order_id)
    answer = client.post(f"{path}/billing", data={"billing_address": "line\r\n" * 9})
    assert answer.status_code == 422
    assert "The address can have at most 8 lines; this has 9." in text_of(answer.text)
    odd = " The \u202eBursar \r\n\r\n\t2  Elm\x07 Road \r\n"
    assert client.post(f"{path}/billing", data={"billing_address": odd}).status_code == 303
    db.session.rollback()
    assert db.session.get_one(Order, order_id).billing_address == "The Bursar\n2 Elm Road"


def test_what_was_typed_is_words_and_no_markup(client: FlaskClient, order_id: int) -> None:
    path = paid(order_id)
    odd = "<script>alert(1)</script>"
    client.post(f"{path}/billing", data=dict.fromkeys(BILLING, odd))
    for door in ("receipt", "billing"):
        page = client.get(f"{path}/{door}").text
        check_page(page, path=path)
        assert odd not in page
    assert "&lt;script&gt;" in client.get(path).text


@on_both_when_long
def test_an_unpaid_order_takes_an_address_too_and_leads_back_to_itself(
    client: FlaskClient, order_id: int
) -> None:
    path = order_path(order_id)
    answer = client.post(f"{path}/billing", data=BILLING)
    assert (answer.status_code, answer.location) == (303, path)
    assert "Elm Nursery & School" in page_of(client, f"{paid(order_id)}/receipt")


@pytest.mark.parametrize("door", ["receipt", "billing"])
def test_a_link_that_is_not_ours_opens_neither(client: FlaskClient, door: str) -> None:
    assert client.get(f"/orders/nonsense/{door}").status_code == 404
