"""A robot opens the letter that says how to pay, and sends the forms that it finds as they stand."""

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.kit.database import db, transaction
from store.orders.discounts import add_discount
from store.orders.models import Order
from store.payments.models import Checkout
from tests.storefront.forms import fields_of
from tests.storefront.strangers import annas_shop, places, strangers_order, strangers_path

HALF = {"percent": 50, "code": "HALF", "max_orders": 1}


def _taken_up_again(client: FlaskClient, pressed: str) -> tuple[str, str]:
    where = client.post(f"{pressed}/pay").headers["Location"]
    return where, client.get(where).text


def _tries() -> list[tuple[str, str]]:
    """How the stranger's order was to be paid, first to last."""
    tries = sa.select(Checkout.gateway, Checkout.status).order_by(Checkout.id)
    rows = db.session.execute(tries.where(Checkout.order_id == strangers_order().id))
    return [(gateway, str(status)) for gateway, status in rows]


def test_the_forms_of_an_awaited_transfer_end_it_only_by_a_ticked_box(
    app: Flask, client: FlaskClient
) -> None:
    annas_shop()
    places(client, pay_by="transfer")
    assert _tries() == [("manual", "open")]
    where, review = _taken_up_again(client, strangers_path())
    form = fields_of(review, "seen_amount")

    as_it_stands = client.post(where, data=form)

    assert as_it_stands.status_code == 422
    assert "instead of by the bank transfer in your letter" in as_it_stands.text
    assert _tries() == [("manual", "open")]
    assert client.post(where, data=form | {"sure": "yes"}).status_code == 303
    assert _tries() == [("manual", "expired"), ("demo", "open")]


def test_an_empty_field_keeps_the_code_of_an_order_and_a_box_takes_it_out(
    app: Flask, client: FlaskClient
) -> None:
    annas_shop()
    with transaction():
        add_discount("Half", **HALF)
    places(client, code="HALF")
    where, review = _taken_up_again(client, strangers_path())
    change = fields_of(review, "form_key") | {"step": "change"}
    change.pop("seen_amount", None)
    details = fields_of(client.post(where, data=change).text, "email")

    kept = client.post(where, data=details | {"step": "details"}).text
    without = client.post(where, data=details | {"step": "details", "drop_code": "yes"}).text

    assert (fields_of(kept, "seen_amount")["seen_amount"]) == "150"
    assert (fields_of(without, "seen_amount")["seen_amount"]) == "300"
    assert client.post(where, data=fields_of(without, "seen_amount")).status_code == 303
    db.session.rollback()
    newest = db.session.scalars(sa.select(Order).order_by(Order.id.desc())).first()
    assert newest is not None
    assert newest.total_amount == 300
