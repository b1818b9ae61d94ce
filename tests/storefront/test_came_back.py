"""The order's page asks its buyer about a letter that came back, and tells a stranger nothing more."""

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.entitlements import repairs
from store.kit.database import db, transaction
from store.mail.models import Delivery, DeliveryStatus
from store.mail.returns import ReturnKind, take
from store.orders.models import Order
from tests.conftest import Clock, on_both_when_long
from tests.editions import a_shop, drafted_and_released, guide
from tests.entitlements.test_repairs import the_repair
from tests.letters import send, sent
from tests.links import order_path
from tests.pages import check_page
from tests.payments.bank import a_transfer_order
from tests.purchases import ANNA, a_paid_order, an_order, annas_order, pay

ASKED = "Our letter to a•••@reader.example came back: is it right?"
RIGHT = "anna.berg@reader.example"

pytestmark = pytest.mark.usefixtures("frozen")


def came_back(**which: object) -> None:
    """The newest letter of these values came back for good."""
    send()
    found = sa.select(Delivery).filter_by(status=DeliveryStatus.SENT, **which)
    number = db.session.scalars(found.order_by(Delivery.id.desc())).first().id  # type: ignore[union-attr]
    db.session.rollback()
    with transaction():
        assert take(number, ReturnKind.HARD, words=f"550 <{ANNA}> unknown", key=str(number))


def page_of(client: FlaskClient, order_id: int) -> str:
    path = order_path(order_id)
    page = client.get(path).text
    check_page(page, path=path)
    return page


@on_both_when_long
def test_the_page_asks_and_its_form_moves_that_order(app: Flask, client: FlaskClient) -> None:
    order_id = annas_order()
    assert "came back" not in page_of(client, order_id)
    came_back(kind="order_confirmation", order_id=order_id)
    page = page_of(client, order_id)
    assert ASKED in page
    assert ANNA not in page
    assert "We have mailed you the link too" not in page
    assert page.count(f"{order_path(order_id)}/move") == 1
    asked = client.post(f"{order_path(order_id)}/move", data={"email": RIGHT})
    assert asked.status_code == 200
    assert sent()[-1]["To"].addresses[0].addr_spec == RIGHT
    # Until that mailbox accepts it nothing has changed.
    assert ASKED in page_of(client, order_id)
    number = the_repair().id
    with transaction():
        repairs.resend(number, "Olga")
    assert "came back" not in page_of(client, order_id)


@on_both_when_long
def test_news_that_came_back_is_asked_about_long_after_without_the_form(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    publication = a_shop()
    order_id = a_paid_order(publication).id
    send()
    frozen.advance(days=30)
    drafted_and_released(guide(publication.id), 2)
    came_back(kind="edition_notice")
    page = page_of(client, order_id)
    assert ASKED in page
    assert "/move" not in page
    assert "write to us" in page


@on_both_when_long
def test_who_orders_in_somebody_s_name_learns_nothing_of_letters_before(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    publication = a_shop()
    annas = a_paid_order(publication).id
    send()
    drafted_and_released(guide(publication.id), 2)
    came_back(kind="edition_notice")
    frozen.advance(minutes=1)
    strangers = an_order("s" * 22)
    assert "came back" not in page_of(client, strangers)
    pay(strangers)
    assert "came back" not in page_of(client, strangers)
    assert ASKED in page_of(client, annas)


@on_both_when_long
def test_an_order_that_is_not_paid_yet_is_given_the_right_address_by_its_form(
    app: Flask, client: FlaskClient
) -> None:
    order_id = a_transfer_order()
    came_back(order_id=order_id)
    page = page_of(client, order_id)
    assert ASKED in page
    token = order_path(order_id).rsplit("/", 1)[1]
    assert f"/publications/send-early-years/order?resume={token}" in page
    assert client.get(f"/publications/send-early-years/order?resume={token}").status_code == 200


def test_a_closed_order_asks_nothing(app: Flask, client: FlaskClient) -> None:
    order_id = a_transfer_order()
    came_back(order_id=order_id)
    with transaction() as session:
        order = session.get_one(Order, order_id)
        session.execute(sa.update(Order).where(Order.id == order.id).values(status="cancelled"))
    assert "came back" not in page_of(client, order_id)
