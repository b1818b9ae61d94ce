"""Complimentary copies: an order at no price, with a reason, one per press."""

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Edition, PublicationStatus
from store.catalog.publications import publication_by_slug
from store.distribution.coverage import coverage
from store.entitlements.access import readable_editions, rights_of_order
from store.kit.database import db, transaction
from store.kit.errors import InvalidFields
from store.kit.status import StatusChange
from store.orders.gifts import NotPublished, gift_key
from store.orders.models import Consent, Order, OrderLine
from tests.conftest import on_both
from tests.editions import a_shop, drafted_and_released
from tests.factories import a_publication, a_seller
from tests.letters import deliveries, sent, text_of
from tests.links import anna, order_path
from tests.pages import check_page
from tests.purchases import REASON, give
from tests.rows import order_of, rows

pytestmark = pytest.mark.usefixtures("frozen")


def numbers() -> list[int]:
    """The editions that Anna may fetch now, newest first."""
    publication = publication_by_slug("send-early-years")
    return [one.number for one in readable_editions(anna().id, publication.id)]


@on_both
def test_a_gift_is_an_order_at_no_price_with_its_reason(app: Flask) -> None:
    a_shop(editions=1)
    order_id = give()
    db.session.rollback()
    assert rows(
        Order.discount_amount, Order.discount_label, Order.given_reason, Order.total_amount
    ) == [(1250, "Complimentary copy", REASON, 0)]
    assert rows(OrderLine.price_amount, OrderLine.vat_rate, OrderLine.vat_amount) == [(1250, 0, 0)]
    assert rows(Consent.id) == []
    changes = db.session.scalars(
        sa.select(StatusChange).filter_by(entity="orders", entity_id=order_id)
    )
    assert [(one.to_status, one.who, one.why) for one in changes] == [
        ("pending", "olga@publisher.example", REASON),
        ("paid", "gateway:free", ""),
    ]


@on_both
def test_a_gift_after_the_release_is_there_at_once(app: Flask) -> None:
    a_shop(editions=1)
    order_id = give()
    [letter] = sent()
    text = text_of(letter)
    assert letter["subject"] == "A copy for you: Effective SEND Practice in the Early Years"
    assert "Early Years Sample Press gives you a copy of" in text
    assert "There is nothing to pay." in text
    assert "Your copy of edition 1 is ready." in text
    for said in ("£", "charged", "receipt and", "you ordered from us", REASON):
        assert said not in text, said
    assert len(rights_of_order(order_id)) == 1
    assert numbers() == [1]


@on_both
def test_a_gift_before_the_release_gets_edition_1_and_2(app: Flask) -> None:
    a_shop(editions=0)
    give()
    assert "We mail you the link on the day it is published." in text_of(sent()[0])
    for number in (1, 2):
        edition = drafted_and_released(publication_by_slug("send-early-years"), number)
        assert list(deliveries(edition)) == ["anna@reader.example"]
        assert coverage(db.session.get_one(Edition, edition.id)).total == 1
    sent()
    assert numbers() == [2, 1]


@on_both
def test_one_press_is_one_gift_and_two_presses_are_two(app: Flask) -> None:
    a_shop(editions=1)
    assert give(form_key="gift:a") == give(form_key="gift:a")
    assert rows(Order.id) == [(1,)]
    give(form_key="gift:b")
    assert len(rows(Order.id)) == 2


def test_the_same_command_for_the_same_person_is_one_gift() -> None:
    assert gift_key("guide", "Anna@Reader.example") == gift_key("guide", "anna@reader.example")
    assert gift_key("guide", "anna@reader.example") != gift_key("other", "anna@reader.example")
    assert len(gift_key("guide", "anna@reader.example")) <= 40


def test_the_page_of_a_gift_says_who_gave_it_and_offers_no_money(
    app: Flask, client: FlaskClient
) -> None:
    a_shop(editions=0)
    order_id = give()
    page = client.get(order_path(order_id)).text
    check_page(page, path="/orders/")
    words = " ".join(page.split())
    assert "<h1>A copy for you</h1>" in words
    assert "Early Years Sample Press gave you a copy. There is nothing to pay." in words
    for said in ("£", "Cancel this order", REASON, "pre-order"):
        assert said not in words.split("<footer")[0], said
    assert order_of(order_id).paid_at is not None


def test_a_gift_needs_a_reason_an_address_and_something_published(app: Flask) -> None:
    a_shop()
    with pytest.raises(InvalidFields) as refused:
        give(email="nobody", reason=" ")
    assert sorted(refused.value.faults) == ["email", "reason"]
    with pytest.raises(InvalidFields):
        give(reason="x" * 301)
    with transaction():
        a_seller()
        a_publication("draft", status=PublicationStatus.DRAFT)
    with pytest.raises(NotPublished):
        give("draft")
    assert rows(Order.id) == []
