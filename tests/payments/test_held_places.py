"""How long an order keeps a place of a limited code, by the way in which it is paid."""

import pytest
from flask import Flask

from store.catalog.publications import publication_by_slug
from store.catalog.sellers import state_seller
from store.kit.database import db, transaction
from store.orders.discounts import CodeRefused, Places, add_discount, places_by_discount
from store.orders.models import OrderStatus
from store.orders.placing import Details, place_order
from store.orders.prices import quote
from store.payments.checkout import begin_checkout
from store.payments.fulfilment import apply_state
from store.payments.gateways.base import GatewayState, Standing
from tests import factories
from tests.conftest import Clock, on_both
from tests.payments.bank import BANK, arrive
from tests.purchases import start
from tests.rows import order_of

pytestmark = on_both


@pytest.fixture(autouse=True)
def shop(app: Flask, frozen: Clock) -> None:
    """A publication at £12.50 and a code for one order at £10.00."""
    with transaction():
        factories.a_seller()
        state_seller(bank_details=BANK)
        factories.a_publication()
        add_discount("Early bird", code="EARLY20", percent=20, max_orders=1)


def place(name: str) -> int:
    """An order with the code; returns its id."""
    details = Details(f"{name}@reader.example", code="EARLY20")
    with transaction():
        publication = publication_by_slug("send-early-years")
        return place_order(publication, details, form_key=f"{name:_<22}", seen_amount=1000).id


def is_free() -> bool:
    """Whether the place of the code could be had by another."""
    publication = publication_by_slug("send-early-years")
    try:
        quote(publication, code="EARLY20")
    except CodeRefused:
        return False
    return True


def bank_says(order_id: int, reference: str, standing: Standing) -> None:
    """News of a way of paying that takes days."""
    order = order_of(order_id)
    state = GatewayState(
        reference,
        standing,
        order_reference=order.reference,
        amount=order.total_amount,
        currency=order.currency,
        checkout_id=None,
        reason="Your bank did not make the payment.",
    )
    with transaction():
        apply_state("demo", state)


def test_a_card_holds_a_place_for_two_hours(frozen: Clock) -> None:
    start(place("anna"))
    frozen.advance(hours=1, minutes=59)
    assert not is_free()
    frozen.advance(minutes=1)
    assert is_free()


def test_a_transfer_holds_a_place_for_a_day(frozen: Clock) -> None:
    order_id = place("anna")
    begin_checkout(order_id, "manual")
    frozen.advance(hours=23, minutes=59)
    assert not is_free()
    begin_checkout(order_id, "manual")
    frozen.advance(minutes=1)
    assert is_free()


def test_the_first_money_of_a_transfer_keeps_the_place(frozen: Clock) -> None:
    order_id = place("anna")
    begin_checkout(order_id, "manual")
    frozen.advance(hours=23)
    arrive(order_id, 1)
    frozen.advance(days=20)
    assert not is_free()
    assert places_by_discount([1]) == {1: Places(used=0, held=1)}


def test_a_transfer_that_comes_after_the_place_is_gone_is_honoured(frozen: Clock) -> None:
    late = place("anna")
    begin_checkout(late, "manual")
    frozen.advance(days=2)
    other = place("ben")
    arrive(late, 1000)
    order = order_of(late)
    assert (order.status, order.total_amount) == (OrderStatus.PAID, 1000)
    assert order_of(other).status is OrderStatus.PENDING
    assert places_by_discount([1]) == {1: Places(used=1, held=1)}


def test_a_bank_at_work_keeps_the_place_until_it_says_no(frozen: Clock) -> None:
    order_id = place("anna")
    reference = start(order_id)
    bank_says(order_id, reference, Standing.PROCESSING)
    frozen.advance(days=4)
    assert not is_free()
    bank_says(order_id, reference, Standing.FAILED)
    assert is_free()


def test_a_buyer_who_comes_back_after_the_place_is_gone_is_told_before_paying(
    frozen: Clock,
) -> None:
    start(place("anna"))
    frozen.advance(hours=3)
    place("ben")
    with pytest.raises(CodeRefused, match="used as often as it may be"):
        place("anna")
    db.session.rollback()
