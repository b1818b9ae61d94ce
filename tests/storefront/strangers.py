"""Somebody who knows Anna's address orders in her name, and holds the link of that order alone."""

import re
from html import unescape
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask.testing import FlaskClient

from store.catalog.sellers import state_seller
from store.demo.pay import Arrival, Decision, decide
from store.entitlements.links import order_link, token_of
from store.kit.database import db, transaction
from store.orders.models import Order
from tests.editions import a_shop
from tests.factories import a_publication, a_released_edition
from tests.payments.bank import BANK
from tests.purchases import ANNA, a_paid_order, apply_received
from tests.storefront.forms import fields_of

CHEAP = "The £3 title"
# What only Anna or the shop may know or open.
SECRETS = (ANNA, "Anna Berg", "Effective SEND Practice", "/library/", "/stop/", "/address/")


def annas_shop() -> str:
    """A shop where Anna owns one title, and another costs £3; returns her order's reference."""
    reference = a_paid_order(a_shop(editions=2)).reference
    with transaction():
        state_seller(bank_details=BANK)
    with transaction():
        cheap = a_publication("cheap", title=CHEAP, subtitle="", price_amount=300, expected_on=None)
        a_released_edition(cheap)
    return reference


def places(client: FlaskClient, *, pay_by: str = "", **typed: str) -> str:
    """Order the £3 title in Anna's name, through the form; returns where the shop leads next."""
    path = "/publications/cheap/order"
    form = fields_of(client.get(path).text, "email")
    given = form | {"email": ANNA, "name": "Sam Stranger"} | typed
    review = fields_of(client.post(path, data=given).text, "seen_amount")
    more = {"wants_now": "yes"} | ({"pay_by": pay_by} if pay_by else {})
    answer = client.post(path, data=review | more)
    assert answer.status_code == 303
    return answer.headers["Location"]


def strangers_order() -> Order:
    """The newest order, which is the stranger's."""
    db.session.rollback()
    return db.session.scalars(sa.select(Order).order_by(Order.id.desc())).first()  # type: ignore[return-value]


def strangers_path() -> str:
    """The page of that order, as its own link leads to it."""
    order = strangers_order()
    with transaction():
        return f"/orders/{token_of(order_link(order.id, order.customer_id))}"


def pays(client: FlaskClient) -> str:
    """Order and pay at the gateway; returns the path of the order's page."""
    decide(places(client).rsplit("/", 1)[1], Decision.PAY, Arrival.ONCE)
    apply_received()
    return strangers_path()


def reachable(client: FlaskClient, start: str) -> dict[str, str]:
    """Every page that can be reached from `start` by links of the shop's own, and by the button
    that leads to payment: path → text as a browser shows it, addresses of links included."""
    pages: dict[str, str] = {}
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in pages:
            continue
        answer = client.get(path)
        if answer.status_code in {302, 303}:
            pages[path] = ""
            waiting.append(_path(answer.headers["Location"]))
            continue
        text = answer.get_data(as_text=True) if answer.mimetype == "text/html" else ""
        pages[path] = unescape(text)
        found = re.findall(r'<a [^>]*href="(/[^"#]*)"', text)
        waiting += [unescape(one) for one in found if _is_behind_the_link(one)]
        for action in re.findall(r'<form method="post" action="(/orders/[^"]+/pay)"', text):
            waiting.append(_path(client.post(action).headers["Location"]))
    return pages


def _is_behind_the_link(path: str) -> bool:
    return path.startswith(("/orders/", "/library/", "/stop/", "/address/", "/download/"))


def _path(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")
