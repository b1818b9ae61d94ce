"""A stranger who orders at somebody's new address, and never pays, keeps nobody from it and names
nobody (B10)."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store.demo.pay import Arrival, Decision, decide
from store.distribution.customers_csv import read_customers
from store.distribution.import_export import import_customers
from store.entitlements.granting import revoke_order
from store.entitlements.models import REFUNDED, Link
from store.entitlements.order_moves import accept_move, request_move
from store.kit import clock
from store.kit.database import db, transaction
from store.orders.customers import customer_by_address, find_or_add_customer, rename
from store.orders.models import Customer, Order, OrderStatus
from store.payments.models import Checkout
from store.staff.credentials import authenticator
from tests.admin.sign_in import press, signed_in
from tests.admin.test_orders_and_customers import with_two_step
from tests.conftest import Clock, on_both_when_long
from tests.editions import guide
from tests.entitlements.presses import SURE, B, address_of, asked_to_change, changed, owner_of
from tests.entitlements.test_parted_orders import titles_of
from tests.letters import sent
from tests.links import anna, path_to
from tests.pages import check_page
from tests.payments.bank import arrive
from tests.purchases import ANNA, a_paid_order, apply_received, give_imported
from tests.storefront.forms import fields_of
from tests.storefront.strangers import annas_shop, places, strangers_order, strangers_path

pytestmark = [on_both_when_long, pytest.mark.usefixtures("frozen")]


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


def test_an_unpaid_order_at_the_new_address_comes_along(
    client: FlaskClient, customer_id: int, frozen: Clock
) -> None:
    order_id = squatted(client, frozen).id
    page = strangers_path()
    path = asked_to_change(client, path_to("library", customer_id), B)
    done = client.post(path, data=SURE)
    assert done.status_code == 200, done.text
    check_page(done.text, path="/address/…")
    assert (address_of(customer_id), owner_of(order_id)) == (B, B)
    assert db.session.get_one(Order, order_id).customer_id == customer_id
    assert db.session.get_one(Customer, customer_id).name == "Anna Berg"
    closed = client.get(page)
    assert closed.status_code == 410
    check_page(closed.text, path="/orders/…")
    assert "address was changed" not in closed.text
    assert titles_of(B) == ["send-early-years"]
    assert client.get(path_to("library", customer_id)).status_code == 200


def test_undoing_leaves_it_at_the_address_where_it_was_placed(
    client: FlaskClient, customer_id: int, frozen: Clock
) -> None:
    order_id = squatted(client, frozen).id
    undo = changed(client, customer_id, B)
    frozen.advance(days=1)
    assert client.post(undo, data=SURE).status_code == 200
    assert (address_of(customer_id), owner_of(order_id)) == (ANNA, B)
    assert (titles_of(ANNA), titles_of(B)) == (["send-early-years"], [])
    # The customer of that address is another one, and pays for themselves.
    sent()
    frozen.advance(days=1)
    again = changed(client, customer_id, B)
    assert owner_of(order_id) == B
    assert client.post(again, data=SURE).status_code == 200
    assert (address_of(customer_id), owner_of(order_id)) == (ANNA, B)


def test_what_was_ordered_before_at_an_address_of_ones_own_is_not_parted(
    client: FlaskClient, customer_id: int, frozen: Clock
) -> None:
    order_id = a_paid_order(guide(1), ANNA).id
    squatted(client, frozen)
    changed(client, customer_id, B)
    frozen.advance(days=1)
    undo = changed(client, customer_id, "c@third.example")
    assert client.post(undo, data=SURE).status_code == 200
    assert db.session.get_one(Order, order_id).customer_id == customer_id
    assert address_of(customer_id) == B


def test_a_stranger_names_no_customer_by_it(
    client: FlaskClient, customer_id: int, frozen: Clock
) -> None:
    with transaction():
        rename(anna(), "")
    squatted(client, frozen)
    changed(client, customer_id, B)
    assert db.session.get_one(Customer, customer_id).name == ""


def test_staff_correct_the_address_all_the_same(
    client: FlaskClient, customer_id: int, frozen: Clock
) -> None:
    order_id = squatted(client, frozen).id
    desk = signed_in(client)
    secret = with_two_step("owner@publisher.example")
    form = {"email": B, "code": authenticator(secret).at(clock.now())}
    answer = press(desk, f"/admin/customers/{customer_id}/address", form)
    assert answer.status_code == 303, answer.text
    assert (address_of(customer_id), owner_of(order_id)) == (B, B)
    page = desk.get(f"/admin/customers/{customer_id}")
    check_page(page.text, path="/admin/customers/…")


def _part_of_a_transfer(order_id: int) -> None:
    arrive(order_id, 100)


def _at_the_bank(_order_id: int) -> None:
    with transaction() as session:
        session.execute(sa.update(Checkout).values(processing_at=clock.now()))


def _does_not_fit(_order_id: int) -> None:
    with transaction() as session:
        session.execute(sa.update(Checkout).values(held_at=clock.now()))


def _was_refunded(_order_id: int) -> None:
    bought = a_paid_order(guide(1), B)
    with transaction() as session:
        revoke_order(session.get_one(Order, bought.id), REFUNDED)


def _has_a_copy(_order_id: int) -> None:
    with transaction():
        give_imported(find_or_add_customer(B), guide(1), notify=False)


@pytest.mark.parametrize(
    "happens", [_part_of_a_transfer, _at_the_bank, _does_not_fit, _was_refunded, _has_a_copy]
)
def test_who_has_bought_there_or_is_paying_stays_a_customer_of_their_own(
    client: FlaskClient, customer_id: int, frozen: Clock, happens: Callable[[int], None]
) -> None:
    order_id = squatted(client, frozen, pay_by="transfer").id
    happens(order_id)
    path = asked_to_change(client, path_to("library", customer_id), B)
    answer = client.post(path, data=SURE)
    assert answer.status_code == 409
    check_page(answer.text, path="/address/…")
    assert "a person brings them together" in answer.text
    assert address_of(customer_id) == ANNA
    desk = signed_in(client)
    answer = press(desk, f"/admin/customers/{customer_id}/address", {"email": B})
    assert answer.status_code == 422
    assert "Another customer has bought at this address." in answer.text
    assert db.session.get_one(Order, order_id).status is OrderStatus.PENDING


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
    # From then on she keeps it, no matter who orders in her name.
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
