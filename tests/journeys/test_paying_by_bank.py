"""Paying by bank transfer and getting a copy for nothing, through the doors that people take."""

import re

from flask import Flask

from store.commands.demo import DEMO_OWNER, ensure_demo_owner
from tests.conftest import on_both_when_long
from tests.journeys.test_main_job import SLUG, Visitor, letters, link, publish, shop

__all__ = ["shop"]
BY_BANK = "Order and pay by bank transfer"
DESK = f"/admin/publications/{SLUG}"


def at_the_desk(app: Flask) -> Visitor:
    """The owner of the sample shop, signed in, with bank details filled in."""
    desk = Visitor(app).open("/admin/sign-in")
    desk.send("Sign in", email=DEMO_OWNER, password=ensure_demo_owner())
    bank = "Sort code 00-00-00\nAccount 00000000"
    desk.open("/admin/seller/bank")
    desk.send("Save", bank_details=bank, password=ensure_demo_owner())
    return desk


def to_the_review(app: Flask) -> Visitor:
    """A visitor who has filled in the form."""
    buyer = Visitor(app).open(f"/publications/{SLUG}").follow("Pre-order for £12.50")
    return buyer.send("Continue", email="anna@reader.example", name="Anna Berg")


@on_both_when_long
def test_from_the_form_over_the_pro_forma_and_two_transfers_to_the_copy(shop: Flask) -> None:
    desk = at_the_desk(shop)
    buyer = to_the_review(shop).send(BY_BANK, wants_now="yes")
    assert "Pay £12.50 by bank transfer" in buyer.words
    assert "Account 00000000" in buyer.words
    page = buyer.path
    reference = re.search(r"Reference to quote ([A-Z2-9]{4}-[A-Z2-9]{4})", buyer.words)[1]  # type: ignore[index]
    [told] = letters(shop, "anna@reader.example", "Please transfer")
    assert link(told, "orders").split("/")[1] == "orders"

    form = f"/admin/orders/{reference}/received"
    desk.open(form).send("Mark as received", amount="5.00")
    assert "£5.00 of £12.50 has arrived" in desk.words
    assert "£5.00 of £12.50 has arrived." in buyer.open(page).words
    desk.open(form).send("Mark as received")
    assert "The order is paid" in desk.words
    assert "Thank you for your pre-order" in buyer.open(page).words
    assert len(letters(shop, "anna@reader.example", "Your pre-order")) == 1

    publish(desk, 1, "1 person")
    assert len(letters(shop, "anna@reader.example", "Edition 1")) == 1
    assert "Your copy is ready." in buyer.open(page).words


@on_both_when_long
def test_a_buyer_who_changes_their_mind_pays_by_card_instead(shop: Flask) -> None:
    at_the_desk(shop)
    buyer = to_the_review(shop).send(BY_BANK).send("Pay by card instead")
    buyer.send("Order and pay £12.50 by card", sure="yes").send("Pay £12.50")
    assert "You paid £12.50." in buyer.words
    assert letters(shop, "anna@reader.example", "Please transfer") == []


@on_both_when_long
def test_a_refund_by_bank_from_the_press_to_the_letter(shop: Flask) -> None:
    desk = at_the_desk(shop)
    buyer = to_the_review(shop).send(BY_BANK)
    page = buyer.path
    reference = re.search(r"Reference to quote (\S{9})", buyer.words)[1]  # type: ignore[index]
    desk.open(f"/admin/orders/{reference}/received").send("Mark as received")
    buyer.open(page).follow("Cancel this order").send("Cancel and get £12.50 back", sure="yes")
    assert "We are paying £12.50 back" in buyer.words
    assert letters(shop, "anna@reader.example", "We have refunded") == []

    desk.open("/admin/transfers").send("Mark as sent")
    assert "£12.50 is marked as sent." in desk.words
    assert "We have paid £12.50 back" in buyer.open(page).words
    assert len(letters(shop, "anna@reader.example", "We have refunded")) == 1


@on_both_when_long
def test_a_gift_before_the_release_gets_the_first_edition_and_the_next(shop: Flask) -> None:
    desk = at_the_desk(shop)
    desk.open(f"{DESK}/give").send(
        "Give this copy", email="rita@reader.example", name="Rita", reason="Review"
    )
    [told] = letters(shop, "rita@reader.example", "A copy for you")
    library = link(told, "orders")
    assert "gave you a copy" in Visitor(shop).open(library).words
    for number in (1, 2):
        assert publish(desk, number, "1 person") <= 3
        [letter] = letters(shop, "rita@reader.example", f"Edition {number}")
        visitor = Visitor(shop).open(link(letter, "library"))
        assert f"Edition {number}, newest" in visitor.words
