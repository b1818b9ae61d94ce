"""What people do with their links: change an address, move an order, object; each step as a browser
and a mailbox take it."""

import sqlalchemy as sa
from flask.testing import FlaskClient

from store.entitlements.models import Link
from store.entitlements.order_moves import accept_move, hold_order, request_move
from store.kit.database import db, transaction
from store.orders.models import Customer, Order
from tests.letters import links_in, sent, text_of
from tests.links import order_path, path_to
from tests.pages import check_page

SURE = {"sure": "yes"}
B, C = "b@other.example", "c@third.example"
CARL = "carl@other.example"
SECOND = "anna@at-home.example"


def asked_to_change(client: FlaskClient, library_path: str, new: str) -> str:
    """Ask for a change; the path in the letter to the new address."""
    answer = client.post(f"{library_path}/address", data={"email": new})
    assert answer.status_code == 200
    check_page(answer.text, path=library_path)
    letter = sent()[-1]
    assert letter["Subject"] == "Confirm your new e-mail address"
    assert letter["To"].addresses[0].addr_spec == new
    return links_in(text_of(letter))[0]


def changed(client: FlaskClient, customer_id: int, new: str) -> str:
    """Change the address wholly; the path that undoes it, from the letter to the old one."""
    answer = client.post(asked_to_change(client, path_to("library", customer_id), new), data=SURE)
    assert answer.status_code == 200, answer.text
    db.session.rollback()
    told = [one for one in sent() if one["Subject"] == "Your e-mail address was changed"]
    return links_in(text_of(told[-1]))[0]


def asked_for_second(client: FlaskClient, library_path: str, email: str = SECOND) -> str:
    """Give a second address; the path in the letter to it."""
    answer = client.post(f"{library_path}/second-address", data={"email": email} | SURE)
    assert answer.status_code == 200, answer.text
    check_page(answer.text, path=library_path)
    letter = sent()[-1]
    assert letter["Subject"] == "Confirm a second e-mail address"
    assert letter["To"].addresses[0].addr_spec == email
    return links_in(text_of(letter))[0]


def gave_second(client: FlaskClient, customer_id: int, email: str = SECOND) -> str:
    """Give a second address and confirm it in that mailbox; the path that refuses it, from the
    letter to the first."""
    path = asked_for_second(client, path_to("library", customer_id), email)
    assert client.post(path, data=SURE).status_code == 200
    db.session.rollback()
    told = [one for one in sent() if one["Subject"] == "A second e-mail address was given"]
    return links_in(text_of(told[-1]))[0]


def address_of(customer_id: int) -> str:
    db.session.rollback()
    return db.session.get_one(Customer, customer_id).email


def asked_to_move(client: FlaskClient, order_id: int, to: str = CARL) -> str:
    """Ask for the move; the path in the letter to the other mailbox."""
    answer = client.post(f"{order_path(order_id)}/move", data={"email": to})
    assert answer.status_code == 200, answer.text
    check_page(answer.text, path="/orders/…/move")
    letter = sent()[-1]
    assert letter["Subject"].startswith("Is order ")
    assert letter["To"].addresses[0].addr_spec == to
    return links_in(text_of(letter))[0]


def moved(client: FlaskClient, order_id: int, to: str = CARL) -> None:
    answer = client.post(asked_to_move(client, order_id, to), data=SURE)
    assert answer.status_code == 200, answer.text
    db.session.rollback()


def objection(order_id: int) -> str:
    """The path in the letter to the old address."""
    letters = [one for one in sent() if "went to another address" in one["Subject"]]
    return links_in(text_of(letters[-1]))[0]


def owner_of(order_id: int) -> str:
    db.session.rollback()
    return db.session.get_one(Order, order_id).customer.email


def hold(order_id: int) -> None:
    """Somebody moved the order to another address, and the address that it had objects."""
    with transaction() as session:
        accept_move(request_move(order_id, "carl@other.example"))
        undo = sa.select(Link).where(Link.purpose == "undo", Link.order_id == order_id)
        hold_order(session.scalars(undo).one())
