"""The letters about copies: what the law and the design ask of each (journeys 3.2, case mail-1)."""

import difflib
import re
from datetime import UTC, date, datetime
from email.message import EmailMessage

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from markupsafe import Markup

from store.catalog.models import Edition, Publication
from store.entitlements.fresh_links import ask_for_copies
from store.entitlements.granting import NotPaid, resend_confirmation, revoke_order
from store.entitlements.links import order_link, order_url, token_of
from store.kit import tokens
from store.kit.database import db, transaction
from store.mail.letters import preview
from store.mail.models import CapturedLetter, Delivery
from store.orders.models import Order, OrderStatus
from store.orders.placing import Details, place_order
from tests.conftest import Clock, on_both_when_long
from tests.editions import a_shop, put_out, withdraw
from tests.factories import a_seller
from tests.letters import html_of, sent, text_of
from tests.links import anna
from tests.mail.letter_rules import broken
from tests.pages import check_letter_html
from tests.purchases import ANNA, a_paid_order, apply_payment, placed_order

pytestmark = pytest.mark.usefixtures("frozen", "app")

OURS = [
    "order_confirmation",
    "find_my_copies",
    "confirm_address",
    "address_changed",
    "confirm_second_address",
    "second_address_added",
    "second_address_ended",
]
TITLE = 'Children\'s "Q&A" <2026>: A & B'


def words(text: str) -> list[str]:
    return re.findall(r"[\w'’@.-]+", re.sub(r"https?://\S+", "", text))


def words_of_html(html: str) -> list[str]:
    # What stands before the table is shown in a list of letters, and not in the letter.
    body = re.sub(r"(?s)</body>.*", "", html[html.index("<table") :])
    return words(Markup(re.sub(r"</(?:p|li|h\d|dt|dd|div)>|<br>", " ", body)).striptags())


def confirmation() -> EmailMessage:
    return next(letter for letter in sent() if "order" in letter["Subject"])


def plain() -> str:
    """The confirmation's text part, however it is broken into lines."""
    return " ".join(text_of(confirmation()).split())


@pytest.mark.parametrize("kind", OURS)
def test_both_parts_of_a_letter_say_the_same(kind: str) -> None:
    with transaction():
        a_seller()
    letter = preview(kind)
    check_letter_html(letter.html)
    of_text, of_html = words(letter.text), words_of_html(letter.html)
    assert difflib.SequenceMatcher(None, of_text, of_html).ratio() >= 0.95
    assert len(letter.html.encode()) <= 15_000


def test_every_letter_keeps_the_rules_of_delivery(client: FlaskClient) -> None:
    a_paid_order(a_shop())
    client.post("/find-my-copies", data={"who": "anna@reader.example"})
    sent()
    for octets in db.session.scalars(sa.select(CapturedLetter.octets)):
        assert broken(octets, domain="127.0.0.1", notice=False) == []
        paths = re.findall(r"https?://[^/\s\"<]+(/[^\s\"<]*)", octets.decode())
        assert max(map(len, paths)) <= 92 + 1  # a soft line break may stand within


def test_the_confirmation_of_a_copy_that_is_there_is_the_contract() -> None:
    reference = a_paid_order(a_shop()).reference
    text = plain()
    for fact in (
        reference,
        "Ordered on: 1 March 2027",
        "Total price: £12.50, no VAT to pay",
        "Paid on 1 March 2027",
        "PDF and EPUB, to download. It opens on phones, tablets, computers and e-readers.",
        "It has no copy protection (DRM).",
        "Delivered: By the link in this letter, on 1 March 2027",
        "Your right to cancel ended when your copy was ready",
        "On 1 March 2027, 10:00 GMT, you agreed to these words: “Send me the guide straight away.",
        "I understand that I then lose my 14-day right to cancel.”",
        "as described, fit for its purpose and of good quality",
        "The terms you accepted: version 2026-2 of 25 November 2026:",
        "/terms/2026-2?seller=1",
        "Early Years Sample Press CIO",
        "registered charity 000000",
        "1 Sample Street, London",
        "hello@publisher.example",
        "020 7946 0000",
    ):
        assert fact in text
    assert "I cancel my contract" not in text


def test_the_confirmation_of_a_copy_that_waits_says_how_to_cancel_and_until_when() -> None:
    reference = a_paid_order(a_shop(), wants_now=False).reference
    text = plain()
    for fact in (
        "Your copy is ready on 16 March 2027.",
        "You can cancel until the end of 15 March 2027.",
        "To Early Years Sample Press CIO, 1 Sample Street, London, hello@publisher.example:",
        "“I hereby give notice that I cancel my contract for the supply of this digital content:",
        f"Effective SEND Practice in the Early Years. Ordered on 1 March 2027, order {reference}.",
        "/cancellation-form",
        "We pay the money back at once, and within 14 days at the latest.",
        "It goes back the way you paid, at no cost to you.",
    ):
        assert fact in text
    assert "/library/" not in text
    assert "you agreed" not in text


def test_the_confirmation_of_a_pre_order_says_when_and_that_it_can_be_cancelled() -> None:
    a_paid_order(a_shop(editions=0), wants_now=False)
    text = plain()
    assert "Thank you for your pre-order" in text
    assert "We publish it by the end of March 2027." in text
    assert "We have charged you £12.50." in text
    assert "You can cancel until we publish it. You need not say why." in text
    assert "in any case" not in text
    assert "/library/" not in text


def test_a_pre_order_that_may_come_within_the_14_days_can_be_cancelled_until_both_are_over() -> (
    None
):
    shop = a_shop(editions=0)
    with transaction() as session:
        session.get_one(Publication, shop.id).expected_on = date(2027, 3, 8)
    a_paid_order(shop, wants_now=False)
    assert (
        "You can cancel until we publish it, and until the end of 15 March 2027 in any case."
        in plain()
    )


def test_a_confirmation_sent_again_promises_the_present_date_and_not_that_of_the_order(
    frozen: Clock,
) -> None:
    shop = a_shop(editions=0)
    shop_id, order_id = shop.id, a_paid_order(shop, wants_now=False).id
    assert "We publish it by the end of March 2027." in plain()
    with transaction() as session:
        session.get_one(Publication, shop_id).expected_on = date(2027, 5, 12)
        resend_confirmation(session.get_one(Order, order_id), "Olga")
    (text,) = [text_of(one) for one in sent() if "12 May 2027" in text_of(one)]
    assert "We publish it on 12 May 2027." in text
    assert "March 2027. We mail" not in text


def test_discount_and_vat_stand_in_the_letter_as_the_order_holds_them() -> None:
    order_id = a_paid_order(a_shop()).id
    with transaction() as session:
        order = session.get_one(Order, order_id)
        order.discount_amount, order.discount_label, order.total_amount = 250, "Members", 1000
        line = order.lines[0]
        line.vat_treatment, line.vat_rate, line.vat_amount = "standard_included", 1750, 149
    text = plain()
    assert "Price: £12.50 Members: −£2.50" in text
    assert "Total price: £10.00, includes £1.49 VAT at 17.5%" in text


def test_a_letter_with_everything_in_it_is_still_light() -> None:
    order = a_paid_order(a_shop(editions=0), wants_now=False)
    with transaction() as session:
        found = session.get_one(Order, order.id)
        found.name, found.organisation = "n" * 200, "o" * 200
        found.purchase_order_number = "p" * 60
        found.discount_amount, found.discount_label = 1, "d" * 100
        found.seller.address = "\n".join(["a" * 49] * 8)
    letter = confirmation()
    assert len(html_of(letter).encode()) + len(text_of(letter).encode()) <= 15_000


def test_a_confirmation_that_leaves_late_promises_nothing_that_has_passed(
    frozen: Clock,
) -> None:
    a_paid_order(a_shop(editions=0))
    frozen.advance(days=60)
    text = plain()
    assert "March 2027. We mail" not in text
    assert "on the day it is published" in text


def test_a_refund_before_the_letter_leaves_leaves_it_out() -> None:
    order = a_paid_order(a_shop())
    with transaction() as session:
        revoke_order(session.get_one(Order, order.id), "refunded")
    assert sent() == []
    delivery = db.session.scalars(sa.select(Delivery)).one()
    assert (delivery.status, delivery.reason) == ("skipped", "refunded")


def test_a_confirmation_hands_over_what_was_fixed_at_the_grant() -> None:
    shop = a_shop()
    a_paid_order(shop)
    put_out(shop, 2)
    assert "Your copy of edition 1 is ready." in plain()
    assert anna().email in confirmation()["To"]


def test_odd_titles_and_names_stand_as_they_are_and_escaped_once() -> None:
    shop = a_shop()
    with transaction():
        shop.title = TITLE
    order = a_paid_order(shop)
    with transaction():
        order.name = "Siân O'Neil"
    letter = confirmation()
    assert letter["Subject"] == f"Your order is ready: {TITLE}"
    text, html = text_of(letter), html_of(letter)
    assert f"Title: {TITLE}" in text
    assert "Siân O'Neil" in text
    for part in (text, html, letter["Subject"]):
        assert "&amp;amp;" not in part
        assert "\\'" not in part
    assert "&#39;" not in text
    assert "&lt;2026&gt;: A &amp; B" in html
    # In an attribute the brackets may stand as they are.
    assert "<2026>" not in re.sub(r'(aria-label|alt)="[^"]*"', "", html)


def test_a_confirmation_sent_again_carries_what_the_customer_may_read_now(frozen: Clock) -> None:
    shop = a_shop(editions=0)
    order_id = a_paid_order(shop).id
    frozen.advance(days=20)
    put_out(shop, 1)
    sent()
    with transaction() as session:
        resend_confirmation(session.get_one(Order, order_id), "Olga")

    again = text_of(sent()[-1])

    assert "Your copy of edition 1 is ready." in again
    assert "/library/" in again


def test_an_unpaid_order_has_no_confirmation_to_be_sent_again() -> None:
    order = a_paid_order(a_shop())
    with transaction() as session:
        found = session.get_one(Order, order.id)
        found.status = OrderStatus.PENDING
        with pytest.raises(NotPaid):
            resend_confirmation(found, "Olga")


def test_a_confirmation_of_an_edition_that_was_withdrawn_meanwhile_hands_over_none() -> None:
    shop = a_shop()
    a_paid_order(shop)
    withdraw(db.session.query(Edition).one())

    assert "Edition 1 is ready" not in plain()


def test_the_links_go_to_one_address_once_in_ten_minutes_however_they_are_asked_for(
    frozen: Clock,
) -> None:
    order = a_paid_order(a_shop())
    email, reference = order.email, order.reference
    sent()
    frozen.set(datetime(2027, 3, 1, 11, 9, 59, tzinfo=UTC))  # a second before a new window
    for asked in (email, reference):
        with transaction():
            ask_for_copies(asked)
    frozen.advance(seconds=1)
    with transaction():
        ask_for_copies(email)

    assert [message["Subject"] for message in sent()[1:]] == ["Here are your copies and orders"]


@on_both_when_long
def test_an_order_rewritten_and_back_is_mailed_its_own_customers_link(
    app: Flask, frozen: Clock
) -> None:
    publication, key = a_shop(), tokens.new_reference()
    for address in (ANNA, "ben@reader.example", ANNA):
        with transaction():
            order = place_order(
                publication, Details(email=address, name=""), form_key=key, seen_amount=1250
            )
            link = order_link(order.id, order.customer_id)
    assert link.customer_id == anna().id
    assert order_url(order.id).endswith(token_of(link))


def test_a_customer_has_the_name_given_with_the_first_payment(app: Flask, frozen: Clock) -> None:
    publication = a_shop()
    for name, is_paid in [("Somebody Rude", False), ("Anna Berg", True), ("Another", True)]:
        with transaction():
            details = Details(email=ANNA, name=name, wants_now=True)
            placed = placed_order(publication, details)
            if is_paid:
                apply_payment(placed)
    assert anna().name == "Anna Berg"
