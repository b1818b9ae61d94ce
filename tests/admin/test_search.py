"""The search in the head leads straight to what alone fits, and shows what a role may open."""

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Publication
from store.kit import clock
from store.kit.database import db, transaction
from store.orders.models import Order
from store.orders.placing import Details
from store.payments.models import Payment
from tests.admin.sign_in import signed_in
from tests.conftest import on_both
from tests.editions import a_shop
from tests.links import anna
from tests.pages import check_page, page_at
from tests.purchases import ANNA, a_paid_order, placed_order
from tests.statements import statements

SEARCH = "/admin/search"


@pytest.fixture
def desk(client: FlaskClient) -> FlaskClient:
    """An owner at the desk of a shop with one customer's order and one of a nursery."""
    publication = a_shop()
    a_paid_order(publication)
    with transaction() as session:
        session.get_one(Publication, publication.id).title = "Effective SEND Practice"
        details = Details("bursar@oaks.example", "", "Crèche Les Chênes")
        nursery = placed_order(publication, details, "n" * 22)
        session.add(
            Payment(
                order_id=nursery.id,
                gateway="stripe",
                gateway_payment_id="pi_1",
                amount=1250,
                currency="GBP",
                card_last4="4242",
                received_at=clock.now(),
            )
        )
    return signed_in(client)


def nursery() -> Order:
    return db.session.scalars(sa.select(Order).where(Order.organisation != "")).one()


@on_both
def test_what_alone_fits_is_opened_at_once(desk: FlaskClient) -> None:
    person, order = f"/admin/customers/{anna().id}", f"/admin/orders/{nursery().reference}"
    reference = nursery().reference
    buyer = f"/admin/customers/{nursery().customer_id}"
    db.session.rollback()
    for typed, place in {
        reference.lower().replace("-", " "): order,
        ANNA.upper(): person,
        "berg anna": person,  # their order fits, too, and is theirs
        "les chenes": order,
        "bursar@oaks": buyer,
        "4242": order,
        "send practice": "/admin/publications/send-early-years",
    }.items():
        answer = desk.get(SEARCH, query_string={"q": typed})
        assert (answer.status_code, answer.location) == (303, place), typed


@on_both
def test_what_fits_in_several_ways_stands_in_groups_with_the_same_statements(
    desk: FlaskClient,
) -> None:
    publication = nursery().lines[0].publication
    with transaction():
        for name in ("Berg", "Bergen"):
            details = Details(f"{name}@send.example", f"Ben {name}")
            placed_order(publication, details, f"{name:_<22}")
    with statements() as few:
        page = page_at(desk, f"{SEARCH}?q=send")
    check_page(page, path=SEARCH)
    for words in (
        "Ben Bergen",
        "Berg@send.example",
        "Effective SEND Practice",
        "Customers",
        "Orders",
    ):
        assert words in page, words
    assert "that fit" not in page
    with transaction():
        for number in range(30):
            details = Details(f"r{number}@send.example", f"Reader {number}")
            placed_order(publication, details, f"{number:022}")
    with statements() as many:
        page = page_at(desk, f"{SEARCH}?q=send")
    assert len(many) == len(few)
    assert page.count("The newest 5 of more") == 2
    assert "Reader 7" in page_at(desk, "/admin/orders?q=send&part=1")


def test_orders_of_one_card_are_shown_a_page_at_a_time(desk: FlaskClient) -> None:
    publication, now = nursery().lines[0].publication, clock.now()
    with transaction() as session:
        for number in range(5):
            order = placed_order(publication, Details(f"r{number}@x.example"), f"{number:022}")
            session.add(
                Payment(
                    order_id=order.id,
                    gateway="stripe",
                    gateway_payment_id=f"pi_{number}_",
                    amount=1250,
                    currency="GBP",
                    card_last4="4242",
                    received_at=now,
                )
            )
    first = page_at(desk, f"{SEARCH}?q=4242")
    assert "Paid by a card that ends in 4242" in first
    link = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    late = page_at(desk, link.replace("&amp;", "&"))
    assert nursery().reference in late
    assert nursery().reference not in first


def test_an_editor_finds_titles_alone(app: Flask, desk: FlaskClient) -> None:
    reference = nursery().reference
    client = signed_in(app.test_client(), "editor")
    for typed in (ANNA, "berg", reference, "4242", "oaks"):
        page = page_at(client, f"{SEARCH}?q={typed}")
        assert "Nothing fits" in page, typed
        assert "Berg" not in page.replace("berg", "")
    answer = client.get(f"{SEARCH}?q=practice")
    assert answer.location == "/admin/publications/send-early-years"


def test_a_search_for_nothing_says_what_can_be_found(desk: FlaskClient) -> None:
    for typed in ("", "   ", "zzzz"):
        page = page_at(desk, f"{SEARCH}?q={typed}")
        check_page(page, path=SEARCH)
        assert ("Nothing fits" in page) is (typed == "zzzz")
