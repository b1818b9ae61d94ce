"""Exports of other shops: who has a right, who has not, and what nobody may pass over."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask

from store.catalog.models import Edition, Publication
from store.cli import main
from store.commands import base
from store.distribution.coverage import coverage
from store.distribution.csv_columns import FileUnclear
from store.distribution.customers_csv import read_customers, read_moment
from store.distribution.import_export import import_customers
from store.distribution.releasing import owe_missing
from store.entitlements.access import readable_editions
from store.entitlements.models import Entitlement
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.customers import customer_by_address
from store.orders.models import Customer
from tests.conftest import Clock, on_both_when_long
from tests.editions import drafted_and_released
from tests.factories import a_publication, a_seller
from tests.letters import deliveries

GUMROAD = """\
Purchase ID,Item Name,Buyer Name,Purchase Email,Buyer Email,Do not contact?,Purchase Date,Purchase Time (UTC timezone),Sale Price ($),Refunded?,Partial Refund ($),Fully Refunded?,Disputed?,Dispute Won?,Access Revoked?,Giftee Email,Quantity
g1,A guide,Anna Berg,anna@reader.example,anna.home@reader.example,1,2026-09-02,2026-09-02 10:00:00 UTC,12.5,0,0.0,0,0,0,0,,1
g2,A guide,Bea,bea@reader.example,,0,2026-09-02,2026-09-02 10:00:00 UTC,12.5,1,0.0,1,0,0,0,,1
g3,A guide,Cy,cy@reader.example,,0,2026-09-02,2026-09-02 10:00:00 UTC,12.5,1,2.5,0,0,0,0,,1
g4,A guide,Dee,dee@reader.example,,0,2026-09-02,2026-09-02 10:00:00 UTC,12.5,0,0.0,0,1,0,0,,1
g5,A guide,Eve,eve@reader.example,,0,2026-09-02,2026-09-02 10:00:00 UTC,12.5,0,0.0,0,1,1,0,,1
g6,A guide,Fay,fay@reader.example,,0,2026-09-02,2026-09-02 10:00:00 UTC,12.5,0,0.0,0,0,0,1,,1
g7,A guide,Gil,gil@reader.example,,0,2026-09-02,2026-09-02 10:00:00 UTC,12.5,0,0.0,0,0,0,0,gus@reader.example,1
g8,A guide,'=Hal,hal@reader.example,,0,2026-09-02,2026-09-02 10:00:00 UTC,12.5,0,0.0,0,0,0,0,,1
Totals,,,,,,,,100.0,,2.5,,,,,,
"""
WOO = (
    "Date,Order #,N. Revenue (formatted),Status,Customer,Customer type,Product(s),Items sold,"
    "Coupon(s),Net Sales,Attribution\n"
    "2026-09-01 10:00:00,1234,£12.50,completed,Anna Berg,returning,1× A guide,1,,12.50,Direct\n"
)
SHOPIFY = """\
Name,Email,Financial Status,Paid at,Currency,Total,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Billing Name,Refunded Amount,Id
#1001,anna@reader.example,paid,2026-09-03 10:15:00 +0100,GBP,32.50,2026-09-03 10:14:00 +0100,1,Mug,20.00,MUG,Anna,0.00,5550000001
#1001,anna@reader.example,,,,,2026-09-03 10:14:00 +0100,1,A guide,12.50,GUIDE,,,
#1002,bea@reader.example,refunded,2026-09-03 11:00:00 +0100,GBP,12.50,2026-09-03 11:00:00 +0100,1,A guide,12.50,GUIDE,Bea,12.50,5550000002
#1003,cy@reader.example,partially_refunded,2026-09-03 12:00:00 +0100,GBP,12.50,2026-09-03 12:00:00 +0100,1,A guide,12.50,GUIDE,Cy,2.50,5550000003
#1004,dee@reader.example,voided,,GBP,12.50,2026-09-03 13:00:00 +0100,1,A guide,12.50,GUIDE,Dee,0.00,5550000004
#1005,eve@reader.example,pending,,GBP,12.50,2026-09-03 14:00:00 +0100,1,A guide,12.50,GUIDE,Eve,0.00,5550000005
"""
STRIPE = """\
id,Created date (UTC),Amount,Amount Refunded,Currency,Status,Customer Email,Description
ch_1,2026-09-02 10:00,12.50,0.00,gbp,Paid,anna@reader.example,
ch_2,2026-09-02 10:00,12.50,12.50,gbp,Refunded,bea@reader.example,
ch_3,2026-09-02 10:00,12.50,2.50,gbp,Paid,cy@reader.example,
ch_4,2026-09-02 10:00,12.50,0.00,gbp,Failed,dee@reader.example,
ch_5,2026-09-02 10:00,"1,000.00",0.00,gbp,Paid,eve@reader.example,
ch_6,2026-09-02 10:00,12.50,0.00,gbp,Paid,ANNA@reader.example,
"""


@pytest.fixture
def publication(app: Flask, frozen: Clock) -> Publication:
    """“A guide”, without an edition, on 1 March 2027."""
    with transaction():
        a_seller()
        return a_publication(title="A guide", updates_months=12)


def holders() -> list[str]:
    """The addresses of those who have a right, in the order of the alphabet."""
    db.session.rollback()
    query = sa.select(Customer.email).join(Entitlement, Entitlement.customer_id == Customer.id)
    return sorted(db.session.scalars(query))


def letters() -> int:
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count(Delivery.id))) or 0


def bring_in(publication: Publication, text: str, **given: bool) -> dict[int, str]:
    """Import a file; the reasons of the rows that are left out, by their lines."""
    read = read_customers(text.encode(), item="A guide")
    report = import_customers(publication, read, **given)
    lines = len(list(csv.reader(io.StringIO(text)))) - 1
    assert report.total == lines == report.added + len(report.left_out)
    return {one.line: one.reason for one in report.left_out}


@on_both_when_long
def test_gumroad_s_sales_give_five_rights_and_a_reason_for_each_other_row(
    publication: Publication,
) -> None:
    assert bring_in(publication, GUMROAD) == {
        3: "refunded",
        5: "disputed",
        7: "access was revoked",
        10: "a row of totals, and no purchase",
    }
    assert holders() == [f"{one}@reader.example" for one in ("anna", "cy", "eve", "gus", "hal")]
    names = dict(db.session.execute(sa.select(Customer.email, Customer.name)).all())
    assert (names["hal@reader.example"], names["gus@reader.example"]) == ("=Hal", "")
    assert letters() == 0
    assert len(bring_in(publication, GUMROAD)) == 9
    assert len(holders()) == 5


def test_woocommerce_s_analytics_name_nobody_and_store_nothing(publication: Publication) -> None:
    with pytest.raises(FileUnclear) as refusal:
        read_customers(WOO.encode(), item="A guide")
    assert refusal.value.sentence == (
        "This is the orders list of WooCommerce Analytics. It has no column with e-mail addresses "
        "(“Customer” is a name), so nobody can be brought in from it. Exports by an order export "
        "add-on do: their column is called “billing_email” or “Email (Billing)”."
    )
    assert holders() == []


@on_both_when_long
def test_shopify_s_orders_are_judged_by_their_first_line_and_by_the_product(
    publication: Publication,
) -> None:
    assert bring_in(publication, SHOPIFY) == {
        2: "another product: “Mug”",
        4: "refunded",
        6: "not paid: voided",
        7: "not paid: pending",
    }
    assert holders() == ["anna@reader.example", "cy@reader.example"]
    anna = customer_by_address("anna@reader.example")
    assert anna is not None
    assert anna.name == "Anna"


@on_both_when_long
def test_stripe_s_payments_are_readers_once_and_a_second_import_adds_nothing(
    publication: Publication,
) -> None:
    assert bring_in(publication, STRIPE) == {
        3: "refunded",
        5: "not paid: failed",
        7: "the same address as on line 2",
    }
    first = holders()
    assert first == [f"{one}@reader.example" for one in ("anna", "cy", "eve")]
    assert len(bring_in(publication, STRIPE)) == 6
    assert holders() == first


@pytest.mark.parametrize(
    ("more", "values", "reason"),
    [
        ("Free trial purchase?", "1", "a free trial"),
        ("Pre-order authorization?", "1", "a pre-order that was not charged"),
        ("Subscription End Date", "2026-10-01", "the subscription was ended"),
        ("Cancellation Date", "2026-10-01", "the subscription was ended"),
        ("Disputed?", "maybe", "“maybe” says neither yes nor no"),
        ("Quantity", "0", "quantity 0"),
        ("Quantity", "two", "the quantity “two” is no number"),
        ("Purchase Date", "03/04/2026", "the date “03/04/2026” is not written like 2027-03-31"),
        ("Purchase Date", "2026-02-30", "there is no date “2026-02-30”"),
        ("Purchase Date", "2028-02-29", "the date “2028-02-29” is still to come"),
        ("Purchase Date", "9999-12-31", "there is no date “9999-12-31”"),
        ("Purchase Date", "", "no date of the order"),
    ],
)
def test_every_other_column_of_gumroad_s_that_bears_on_the_right_is_read(
    app: Flask, frozen: Clock, more: str, values: str, reason: str
) -> None:
    text = f"Purchase ID,Item Name,Purchase Email,{more}\ng1,A guide,a@reader.example,{values}\n"
    assert [one.reason for one in read_customers(text.encode(), item="A guide").left_out] == [
        reason
    ]


@pytest.mark.parametrize(
    ("more", "values", "reason"),
    [
        ("Captured", "false", "not captured"),
        ("Mode", "Test", "a test payment"),
        ("Disputed Amount,Dispute Status", "12.50,lost", "disputed"),
        ("Disputed Amount,Dispute Status", "12.50,won", ""),
        ("Mode", "Live", ""),
    ],
)
def test_every_other_column_of_stripe_s_that_bears_on_the_right_is_read(
    more: str, values: str, reason: str
) -> None:
    text = (
        f"id,Amount,Amount Refunded,Currency,Status,Customer Email,{more}\n"
        f"ch_1,12.50,0.00,gbp,Paid,a@reader.example,{values}\n"
    )
    found = read_customers(text.encode()).left_out
    assert [one.reason for one in found] == ([reason] if reason else [])


def test_several_copies_for_one_address_are_one_and_are_remarked_upon(
    publication: Publication,
) -> None:
    text = GUMROAD.replace("gus@reader.example,1", "gus@reader.example,3")
    report = import_customers(publication, read_customers(text.encode(), item="A guide"))
    assert report.as_dict()["remarks"] == [
        {
            "line": 8,
            "value": "gus@reader.example",
            "reason": "ordered 3 copies: the address gets one",
        }
    ]


# Header rows as the shops write them (exports read in their source, or in other people's importers).
HEADERS = {
    "Gumroad": (
        "Purchase ID, Item Name, Buyer Name, Purchase Email, Buyer Email, Do not contact?, Purchase Date, Purchase Time (UTC timezone), Subtotal ($), Taxes ($), Tax Type, Shipping ($), Sale Price ($), Fees ($), Net Total ($), Tip ($), Tax Included in Price?, Street Address, City, Zip Code, State, Country, Referrer, Refunded?, Partial Refund ($), Fully Refunded?, Disputed?, Dispute Won?, Access Revoked?, Variants, Discount Code, Recurring Charge?, Free trial purchase?, Pre-order authorization?, Product ID, Order Number, Pre-order authorization time (UTC timezone), Custom Fields, Item Price ($), Variants Price ($), Giftee Email, SKU ID, Quantity, Recurrence, Affiliate, Affiliate commission ($), Discover?, Cancellation Date, Subscription End Date, Rating, Review, License Key, License Key Activation Count, License Key Enabled?, Payment Type, PayPal Transaction ID, PayPal Fee Amount, PayPal Fee Currency, Stripe Transaction ID, Stripe Fee Amount, Stripe Fee Currency, Purchasing Power Parity Discounted?, Upsold?, Sent Abandoned Cart Email?, UTM Source, UTM Medium, UTM Campaign, UTM Term, UTM Content, Buyer Currency, Buyer Total, Buyer Refunded Total",
        "",
    ),
    "Gumroad with a field of the seller's own": (
        "Purchase ID, Item Name, Purchase Email, Quantity, Delivery status",
        "“Delivery status”",
    ),
    "WooCommerce Analytics, orders": (WOO.partition("\n")[0], "“Customer” is a name"),
    "WooCommerce Analytics, orders, older": (
        "Date, Order #, N. Revenue (formatted), Status, Customer, Customer type, Product(s), Items sold, Coupon(s)",
        "“Customer” is a name",
    ),
    "WooCommerce Analytics, customers": (
        "Name, Username, Last Active, Sign Up, Email, Orders, Total Spend, AOV, Country / Region, City, Region, Postal Code",
        "“Orders” counts all",
    ),
    "WooCommerce add-on 1": (
        "order_id,order_number,order_date,paid_date,status,shipping_total,shipping_tax_total,fee_total,fee_tax_total,tax_total,cart_discount,order_discount,discount_total,order_total,order_subtotal,order_currency,payment_method,payment_method_title,transaction_id,customer_ip_address,customer_user_agent,shipping_method,customer_id,customer_user,customer_email,billing_first_name,billing_last_name,billing_company,billing_email",
        "“order_date”, “paid_date” and “status”",
    ),
    "WooCommerce add-on 2": (
        '"Order Number","Order Status","Order Date","Customer Note","First Name (Billing)","Last Name (Billing)","Company (Billing)","Address 1&2 (Billing)","Email (Billing)","Phone (Billing)","Item #",SKU,Name,"Product Variation",Quantity,"Quantity (- Refund)","Item Cost","Order Line (w/o tax)","Order Line Tax","Order Line Total","Order Line Total Refunded"',
        "“Order Status”, “Order Date”, “Quantity”, “Quantity (- Refund)” and “Order Line Total Refunded”",
    ),
    "Easy Digital Downloads": (
        "Payment ID, Payment Number, Email, Customer ID, First Name, Last Name, Address, Address (Line 2), City, State, Country, Zip / Postal Code, Products (Verbose), Products (Raw), SKUs, Amount (£), Tax (£), Discount Code, Payment Method, Transaction ID, Purchase Key, Date, User, Currency, IP Address, Mode (Live|Test), Status",
        "“Date”, “Mode (Live|Test)” and “Status”",
    ),
    "Shopify": (
        "Name, Email, Financial Status, Paid at, Fulfillment Status, Fulfilled at, Accepts Marketing, Currency, Subtotal, Shipping, Taxes, Total, Discount Code, Discount Amount, Shipping Method, Created at, Lineitem quantity, Lineitem name, Lineitem price, Lineitem compare at price, Lineitem sku, Lineitem requires shipping, Lineitem taxable, Lineitem fulfillment status, Billing Name, Billing Street, Billing Address1, Billing Address2, Billing Company, Billing City, Billing Zip, Billing Province, Billing Country, Billing Phone, Shipping Name, Shipping Phone, Notes, Note Attributes, Cancelled at, Payment Method, Payment Reference, Refunded Amount, Vendor, Outstanding Balance, Employee, Location, Device ID, Id, Tags, Risk Level, Source, Lineitem discount, Tax 1 Name, Tax 1 Value, Tax 5 Value, Phone, Receipt Number, Duties, Billing Province Name, Shipping Province Name, Payment ID, Payment Terms Name, Next Payment Due At, Payment References",
        "",
    ),
    "Stripe": (
        "id, Created date (UTC), Amount, Amount Refunded, Currency, Captured, Converted Amount, Converted Amount Refunded, Converted Currency, Fee, Is Link, Mode, Payment Source Type, Status",
        "This file of Stripe has no column with e-mail addresses.",
    ),
    "Stripe with more columns": (
        "id, Created date (UTC), Amount, Amount Refunded, Currency, Captured, Converted Amount, Converted Amount Refunded, Converted Currency, Fee, Is Link, Mode, Payment Source Type, Status, Description, Customer ID, Customer Email, Invoice ID, Transfer, colour (metadata)",
        "",
    ),
    "Stripe with a status of the shop's own": (
        "id, Amount, Amount Refunded, Currency, Status, Customer Email, order_status (metadata)",
        "“order_status (metadata)”",
    ),
    "Ko-fi": (
        "DateTime (UTC),From,Message,Item,Received,Given,Currency,TransactionType,TransactionId,Reference,SalesTax,SalesTaxPercentage,SalesTaxIncludesShipping,BuyerCountry,BuyerStateOrProvince,BuyerEmail,PaymentProvider",
        "“DateTime (UTC)”, “TransactionType” and “BuyerStateOrProvince”",
    ),
    "Ko-fi, older": (
        "DateTime (UTC),From,Message,Item,Received,Given,Currency,TransactionType,TransactionId,Email",
        "“DateTime (UTC)” and “TransactionType”",
    ),
    "Kickstarter": (
        "Backer Number,Backer UID,Backer Name,Email,Shipping Country,Shipping Amount,Reward Minimum,Reward ID,Pledge Amount,Pledged At,Rewards Sent?,Pledged Status,Notes",
        "“Pledged At”, “Rewards Sent?” and “Pledged Status”",
    ),
    "SendOwl": (
        "SendOwl Order ID,Item Name,Amount,Order date/time,State,Refunded,Buyer Email",
        "“Order date/time”, “State” and “Refunded”",
    ),
    "Payhip": ("buyer email,amount", ""),
    "Payhip, two addresses": (
        "buyer email,customer email,amount",
        "“buyer email” and “customer email”",
    ),
    "our own": ("email,name,since,order,price,currency", ""),
    "a list with a product": ("email,name,product", "“product” says what was bought"),
    "a list with an address": ("email,name,city,state,customer note", ""),
}


@pytest.mark.parametrize("shop", HEADERS)
def test_a_header_row_is_understood_or_refused_by_the_column_s_name(shop: str) -> None:
    header, named = HEADERS[shop]
    text = header.replace(", ", ",") + "\n"
    if not named:
        assert read_customers(text.encode(), item="A guide").total == 0
        return
    with pytest.raises(FileUnclear) as refusal:
        read_customers(text.encode(), item="A guide")
    assert named in refusal.value.sentence


def test_a_column_that_is_named_is_understood(app: Flask, frozen: Clock) -> None:
    text = "email,ordered,product\na@reader.example,2026-09-02,A guide\nb@reader.example,2026-09-02,Mug\n"
    columns = {"ordered_on": "Ordered", "item": "Product"}
    found = read_customers(text.encode(), columns, "a guide")
    assert [row.email for row in found.rows] == ["a@reader.example"]
    assert [one.reason for one in found.left_out] == ["another product: “Mug”"]
    with pytest.raises(FileUnclear, match="“ordered” says something that bears on who has a right"):
        read_customers(text.encode(), {"item": "Product"}, "A guide")


@pytest.mark.parametrize(
    ("text", "is_utc", "moment"),
    [
        ("2026-07-03", False, datetime(2026, 7, 3, 22, 59, 59, 999999, UTC)),
        ("2026-07-03", True, datetime(2026, 7, 3, 23, 59, 59, 999999, UTC)),
        ("2026-07-03 10:15", False, datetime(2026, 7, 3, 9, 15, tzinfo=UTC)),
        ("2026-07-03 10:15", True, datetime(2026, 7, 3, 10, 15, tzinfo=UTC)),
        ("2026-07-03 10:15:00 UTC", False, datetime(2026, 7, 3, 10, 15, tzinfo=UTC)),
        ("2026-07-03T10:15:00Z", False, datetime(2026, 7, 3, 10, 15, tzinfo=UTC)),
        ("2026-07-03 10:15:00 +0200", False, datetime(2026, 7, 3, 8, 15, tzinfo=UTC)),
        ("2026-07-03 10:15:00.5-05:00", False, datetime(2026, 7, 3, 15, 15, 0, 500000, UTC)),
    ],
)
def test_days_and_moments_are_read_as_exports_write_them(
    app: Flask, frozen: Clock, text: str, is_utc: bool, moment: datetime
) -> None:
    assert read_moment(text, is_utc=is_utc) == moment


def two_editions(publication: Publication, frozen: Clock) -> list[Edition]:
    """Edition 1 of 1 March, edition 2 of 1 April 2027; it is 1 May."""
    first = drafted_and_released(publication)
    frozen.advance(days=31)
    second = drafted_and_released(publication, 2)
    frozen.advance(days=30)
    return [first, second]


DATED = """\
email,ordered
early@reader.example,2027-02-27
first@reader.example,2027-03-01
second@reader.example,2027-04-01
"""


def dated(publication: Publication, **given: bool) -> None:
    read = read_customers(DATED.encode(), {"ordered_on": "ordered"})
    assert import_customers(publication, read, **given).added == 3


@on_both_when_long
def test_the_order_s_day_says_whose_copy_came_before_which_edition(
    publication: Publication, frozen: Clock
) -> None:
    first, second = two_editions(publication, frozen)
    dated(publication)
    rights = sa.select(Customer.email, Entitlement.from_edition_id, Entitlement.updates_until)
    found = db.session.execute(rights.join(Customer, Customer.id == Entitlement.customer_id))
    assert {email: (edition, str(until)[:10]) for email, edition, until in found} == {
        "early@reader.example": (None, "2028-03-02"),
        "first@reader.example": (first.id, "2028-03-02"),
        "second@reader.example": (second.id, "2028-04-01"),
    }
    assert (letters(), owe_missing(), letters()) == (0, 0, 0)
    for email, numbers in (("early", [2, 1]), ("first", [2, 1]), ("second", [2])):
        customer = customer_by_address(f"{email}@reader.example")
        assert customer is not None
        editions = readable_editions(customer.id, publication.id)
        assert [one.number for one in editions] == numbers
    third = drafted_and_released(publication, 3)
    assert set(deliveries(third)) == {
        f"{one}@reader.example" for one in ("early", "first", "second")
    }


@on_both_when_long
def test_with_notify_only_those_hear_of_the_newest_edition_to_whom_it_is_news(
    publication: Publication, frozen: Clock
) -> None:
    first, second = two_editions(publication, frozen)
    dated(publication, notify=True)
    assert set(deliveries(second)) == {"early@reader.example", "first@reader.example"}
    assert deliveries(first) == {}
    assert owe_missing() == 0


@on_both_when_long
def test_a_customer_who_came_by_import_stands_in_one_column_of_each_edition_that_is_theirs(
    publication: Publication, frozen: Clock
) -> None:
    first, second = two_editions(publication, frozen)
    dated(publication)
    for edition, people in ((first, 2), (second, 3)):
        counted = coverage(edition)
        assert counted.left_out == {"imported as having it": people}
        assert (counted.sums_match, counted.missing) == (True, 0)
    db.session.rollback()


def test_months_that_are_over_bring_no_later_edition_and_no_letter(
    publication: Publication, frozen: Clock
) -> None:
    first = drafted_and_released(publication)
    frozen.advance(days=400)
    second = drafted_and_released(publication, 2)
    frozen.advance(days=1)
    read = read_customers(b"email,day\nlate@reader.example,2027-03-02\n", {"ordered_on": "day"})
    import_customers(publication, read, notify=True)
    customer = customer_by_address("late@reader.example")
    assert customer is not None
    assert [one.id for one in readable_editions(customer.id, publication.id)] == [first.id]
    assert (deliveries(second), coverage(second).total, owe_missing()) == ({}, 0, 0)
    db.session.rollback()


def test_of_two_orders_of_one_address_the_later_day_counts(app: Flask, frozen: Clock) -> None:
    text = b"email,day\na@reader.example,2026-01-02\nA@reader.example,2026-03-02\n"
    (row,) = read_customers(text, {"ordered_on": "day"}).rows
    assert row.ordered_at == datetime(2026, 3, 2, 23, 59, 59, 999999, UTC)


def test_the_command_says_it_in_words_and_as_data(
    app: Flask,
    publication: Publication,
    frozen: Clock,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    frozen.advance(days=61)
    monkeypatch.setattr(base, "the_shop", lambda: app)
    for name, text in (("g.csv", GUMROAD), ("woo.csv", WOO), ("d.csv", DATED)):
        (tmp_path / name).write_text(text, encoding="utf-8")

    def store(name: str, *words: str) -> tuple[int, str]:
        whole = ["customer", "import", "send-early-years", str(tmp_path / name), *words]
        result = CliRunner().invoke(main, whole)
        return result.exit_code, result.output

    code, told = store("g.csv", "--json", "--dry-run")
    report = json.loads(told)
    assert (code, report["total"], report["added"], len(report["left_out"])) == (0, 9, 5, 4)
    assert store("g.csv")[1].endswith("9 rows: 5 added, 4 left out.\n")
    code, told = store("woo.csv")
    assert (code, "no column with e-mail addresses" in told) == (1, True)
    assert store("d.csv")[0] == 1
    assert store("d.csv", "--ordered-on", "ordered")[1] == "3 rows: 3 added, 0 left out.\n"
    assert store("g.csv", "--item", "Another", "--dry-run")[1].count("another product") == 5


@pytest.mark.parametrize(
    ("heading", "cells", "name"),
    [
        ("E-Mail-Adresse;Vorname;Name;Bemerkung", "k@reader.example;Karin;Lund;bar", "Karin Lund"),
        ("Prénom;Nom;Courriel", "Zoé;Martin;k@reader.example", "Zoé Martin"),
        ("Nom complet;Adresse e-mail", "Zoé Martin;k@reader.example", "Zoé Martin"),
        ("Correo electrónico;Nombre;Apellidos", "k@reader.example;Ana;Gil Ruiz", "Ana Gil Ruiz"),
        ("Indirizzo e-mail;Cognome;Nome", "k@reader.example;Rossi;Ada", "Ada Rossi"),
        ("First name;Surname;Email address", "Ann;Bell;k@reader.example", "Ann Bell"),
        ("Email;Nom", "k@reader.example;Zoé Martin", "Zoé Martin"),
        (
            "First Name (Billing);Last Name (Billing);Name;Email (Billing)",
            "Ann;Bell;Mug;k@reader.example",
            "Ann Bell",
        ),
        ("Correo;Ciudad;Estado;Nombre", "k@reader.example;León;CyL;Ana", "Ana"),
    ],
)
def test_common_headings_of_five_languages_are_known(
    app: Flask, heading: str, cells: str, name: str
) -> None:
    (row,) = read_customers(f"{heading}\n{cells}\n".encode()).rows
    assert (row.email, row.name) == ("k@reader.example", name)


@pytest.mark.parametrize(
    "column", ["Erstattet", "Remboursé", "Quantité", "Fecha de pedido", "Stato", "Anzahl", "Estado"]
)
def test_what_bears_on_the_right_refuses_the_file_in_five_languages(
    app: Flask, column: str
) -> None:
    with pytest.raises(FileUnclear, match="bears on who has a right"):
        read_customers(f"Email,{column}\nk@reader.example,1\n".encode())
