"""A stranger who orders at somebody's address, and never pays, names nobody (B10)."""

import pytest
from flask.testing import FlaskClient

from store.distribution.importing import import_customers, read_customers
from store.entitlements.models import Link
from store.entitlements.moving import accept_move, request_move
from store.kit.database import db, transaction
from store.orders.customers import customer_by_address
from store.orders.models import Order
from store.payments.demo_news import Arrival, Decision, decide
from tests.admin.signing import signed_in
from tests.conftest import Clock, on_both
from tests.entitlements.making import ANNA, a_paid_order, anna, guide, sent
from tests.entitlements.pressing import B, owner_of
from tests.entitlements.test_parting import titles_of
from tests.payments.making import apply_received
from tests.storefront.forms import fields_of
from tests.storefront.strangers import annas_shop, places, strangers_order

pytestmark = [on_both, pytest.mark.usefixtures("frozen")]


@pytest.fixture
def customer_id(client: FlaskClient, frozen: Clock) -> int:
    annas_shop()
    sent()
    frozen.advance(days=1)
    return anna().id


def squatted(client: FlaskClient, frozen: Clock, **typed: str) -> Order:
    """An unpaid order at the address that Anna is about to take, which a stranger placed."""
    places(client, email=B, **typed)
    sent()
    frozen.advance(days=1)
    return strangers_order()


@pytest.mark.parametrize("given", ["Bea Berg", ""], ids=["named", "nameless"])
@pytest.mark.parametrize("way", ["import", "gift", "payment"])
def test_who_brings_the_first_right_names_a_customer_whom_a_stranger_had_named(
    client: FlaskClient, customer_id: int, frozen: Clock, way: str, given: str
) -> None:
    squatted(client, frozen, name="Somebody Rude")
    assert _name() == "Somebody Rude"
    if way == "import":
        rows = f"email,name\n{B},{given}\n".encode()
        assert import_customers(guide(1), read_customers(rows)).added == 1
    elif way == "gift":
        form = {"email": B, "name": given, "reason": "thanks"}
        path = "/admin/publications/send-early-years/give"
        filled = fields_of(signed_in(client).get(path).text, "form_key") | form
        assert client.post(path, data=filled).status_code == 303
    else:
        decide(places(client, email=B, name=given).rsplit("/", 1)[1], Decision.PAY, Arrival.ONCE)
        apply_received()
    assert (_name(), len(titles_of(B))) == (given, 1)
    # From then on she keeps it, whoever comes.
    squatted(client, frozen, name="Somebody Else")
    rows = f"email,name\n{B},Third\n".encode()
    other = guide(1 if way == "payment" else 2)
    assert import_customers(other, read_customers(rows)).added == 1
    assert _name() == (given or "Third")


def test_an_order_that_moves_there_keeps_no_name_that_a_stranger_had_typed(
    client: FlaskClient, customer_id: int, frozen: Clock
) -> None:
    order_id = a_paid_order(guide(1), ANNA).id
    squatted(client, frozen, name="Somebody Rude")
    with transaction():
        link_id = request_move(order_id, B).id
    assert _name() == "Somebody Rude"
    with transaction() as session:
        accept_move(session.get_one(Link, link_id))
    assert (_name(), owner_of(order_id)) == ("", B)


def _name() -> str:
    db.session.rollback()
    found = customer_by_address(B)
    assert found is not None
    return found.name
