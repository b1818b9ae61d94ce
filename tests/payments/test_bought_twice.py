"""One person's two orders of one title within a day: said to owners, in the second letter and in the
library, where one is given back; and nowhere a stranger may look."""

from datetime import timedelta
from typing import NamedTuple

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Publication, PublicationStatus
from store.entitlements.links import order_link, token_of
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.models import Order
from store.orders.placing import Details, place_order
from store.payments.cancellation import cancel_preorder
from store.payments.refunds import refund_order
from tests import factories
from tests.conftest import Clock, on_both_when_long
from tests.letters import sent
from tests.letters import text_of as letter_text
from tests.links import path_to
from tests.purchases import pay
from tests.rows import rows
from tests.storefront.forms import text_of

ANNA = "anna@reader.example"
TITLE = "Effective SEND Practice in the Early Years"


@pytest.fixture(autouse=True)
def publication_id(app: Flask, frozen: Clock) -> int:
    """A pre-order at £12.50 without a date."""
    with transaction():
        factories.a_seller()
        return factories.a_publication(status=PublicationStatus.LISTED).id


class Bought(NamedTuple):
    """An order's names, whatever session is open."""

    id: int
    reference: str
    customer_id: int


def buy(publication_id: int, key: str, email: str = ANNA, *, wants_now: bool = False) -> Bought:
    """Placed and paid at this moment."""
    with transaction() as session:
        publication = session.get_one(Publication, publication_id)
        details = Details(email=email, name="", wants_now=wants_now)
        order_id = place_order(publication, details, form_key=key * 22, seen_amount=1250).id
    pay(order_id)
    found = db.session.get_one(Order, order_id)
    return Bought(found.id, found.reference, found.customer_id)


def alerts() -> list[str]:
    db.session.rollback()
    query = sa.select(Delivery.facts).where(Delivery.kind == "staff_alert").order_by(Delivery.id)
    return [
        str((facts or {})["subject"]) + " " + str((facts or {})["text"])
        for facts in db.session.scalars(query)
    ]


def confirmations() -> list[str]:
    """The text of each confirmation, the first one first."""
    texts = [
        letter_text(letter) for letter in sent() if letter["To"].addresses[0].addr_spec == ANNA
    ]
    return [" ".join(text.split()) for text in texts if "Your right to cancel" in text]


def library(client: FlaskClient, order: Bought) -> str:
    return client.get(path_to("library", order.customer_id)).text


@on_both_when_long
def test_the_second_letter_and_the_library_name_the_first_order_and_lead_to_giving_one_back(
    client: FlaskClient, frozen: Clock, publication_id: int
) -> None:
    first = buy(publication_id, "a").reference
    frozen.advance(hours=23)
    second = buy(publication_id, "b")

    (told,) = alerts()
    assert f"Orders {first} and {second.reference} may be one purchase made twice" in told
    assert ANNA not in told
    one, two = confirmations()
    assert second.reference not in one
    assert f"You have bought this already: order {first}, paid on 1 March 2027." in two
    page = library(client, second)
    assert f"Orders {first} and {second.reference} were paid within a day" in text_of(page)
    with transaction():
        path = f"/orders/{token_of(order_link(second.id, second.customer_id))}"
    assert f'/cancel">Cancel order {second.reference}' in page

    order_page = text_of(client.get(path).text)
    assert first not in order_page
    assert "within a day" not in order_page

    cancel_preorder(second.id, "customer")
    assert "within a day" not in text_of(library(client, second))


@on_both_when_long
def test_a_copy_that_is_handed_over_is_given_back_by_a_person(
    client: FlaskClient, publication_id: int
) -> None:
    with transaction() as session:
        factories.a_released_edition(session.get_one(Publication, publication_id))
    buy(publication_id, "a", wants_now=True)
    second = buy(publication_id, "b", wants_now=True)

    letter = confirmations()[-1]
    assert "If that was a slip, reply to this letter, and we pay one of them back." in letter
    words = text_of(library(client, second))
    assert "If that was a slip, write to us, and we pay one of them back." in words
    assert f"Cancel order {second.reference}" not in words


@pytest.mark.parametrize("case", ["another day", "another person", "refunded"])
def test_two_orders_that_are_no_slip_are_not_spoken_of(
    client: FlaskClient, frozen: Clock, publication_id: int, case: str
) -> None:
    first = buy(publication_id, "a", "ben@reader.example" if case == "another person" else ANNA)
    if case == "refunded":
        refund_order(first.id, who="olga", why="", key="press")
    frozen.at += timedelta(hours=25 if case == "another day" else 1)
    second = buy(publication_id, "b")

    assert alerts() == []
    assert "You have bought this already" not in confirmations()[-1]
    assert "within a day" not in text_of(library(client, second))
    assert len(rows(Order.id)) == 2
