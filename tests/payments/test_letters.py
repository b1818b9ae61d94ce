"""The letter about money that went back."""

import pytest
import sqlalchemy as sa
from flask import Flask

from store.kit.database import db, transaction
from store.mail.letters import Letter, facts_of, preview, render_letter
from store.mail.models import Delivery
from store.orders.models import Order
from store.payments import letters
from store.payments.cancellation import cancel_preorder
from store.payments.models import Refund
from store.payments.money_back import give_up
from store.payments.refunds import refund_order
from tests.conftest import Clock
from tests.purchases import an_order, pay


@pytest.fixture
def paid(app: Flask, frozen: Clock) -> int:
    """A paid pre-order."""
    order_id = an_order()
    pay(order_id)
    return order_id


def _facts() -> Letter:
    query = sa.select(Delivery).filter_by(kind="order_refunded").order_by(Delivery.id.desc())
    found = facts_of(db.session.scalars(query).first())  # type: ignore[arg-type]
    assert isinstance(found, Letter)
    return found


def test_a_cancelled_order_says_what_goes_back_and_when_it_is_seen(paid: int) -> None:
    cancel_preorder(paid, "customer")
    facts = _facts()
    letter = render_letter("order_refunded", facts.context)

    reference = facts.context["reference"]
    assert facts.to.address == "anna@reader.example"
    assert letter.subject == f"We have refunded £12.50 for order {reference}"
    lines = letter.text.splitlines()
    assert "Your order is cancelled, and all your money goes back to you." in lines
    assert f"Order: {reference}" in lines
    assert "Refunded: £12.50" in lines
    assert "Asked for on: 1 March 2027" in lines
    assert facts.context["order_url"] in lines
    assert "Banks take 5 to 10 working days to show it." in letter.text


def test_a_cancellation_whose_refund_failed_and_was_tried_again_says_that_it_is_one(
    paid: int, frozen: Clock
) -> None:
    cancel_preorder(paid, "customer")
    with transaction() as session:
        refund = session.scalars(sa.select(Refund)).one()
        give_up(session.get_one(Order, paid), refund, "sent back", who="gateway:demo")
    cancel_preorder(paid, "customer")
    keys = db.session.scalars(sa.select(Refund.request_key).order_by(Refund.id)).all()
    assert keys == ["cancel", "cancel~1"]
    letter = render_letter("order_refunded", _facts().context)
    assert "Your order is cancelled, and all your money goes back to you." in letter.text


def test_a_partial_refund_says_that_the_copy_stays(paid: int) -> None:
    refund_order(paid, amount=250, who="staff", why="", key="press-1")
    facts = _facts()
    letter = render_letter("order_refunded", facts.context)

    reference = facts.context["reference"]
    assert letter.subject == f"We have refunded £2.50 of what you paid for order {reference}"
    assert "Refunded: £2.50" in letter.text.splitlines()
    assert "Your copy stays yours." in letter.text
    assert "no longer work" not in letter.text


def test_a_refund_in_two_parts_ends_with_a_letter_that_says_all_went_back(paid: int) -> None:
    refund_order(paid, amount=250, who="staff", why="", key="press-1")
    refund_order(paid, who="staff", why="", key="press-2")

    assert _facts().context["is_whole"] is True


def test_the_preview_can_be_written(app: Flask, frozen: Clock) -> None:
    from tests.factories import a_seller

    a_seller()
    assert letters.order_refunded is not None
    assert preview("order_refunded").subject == "We have refunded £12.50 for order K7QM-2XWP"
