"""Addresses that belong to nobody we know are in no table once their time is over."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store import tasks
from store.entitlements.links import PATHS, order_link, token_of
from store.kit.database import db, transaction
from store.mail.models import Attempt, Delivery, DeliveryStatus
from store.mail.outbox import FORGOTTEN
from store.orders.discounts import add_discount
from tests.conftest import Clock, on_both_when_long
from tests.editions import a_shop
from tests.letters import links_in, sent
from tests.letters import text_of as text_part
from tests.links import anna, path_to
from tests.purchases import ANNA, a_paid_order
from tests.rows import every_table

STRANGER = "otto@reader.example"
SURE = {"sure": "yes"}
QUOTED = f"550 5.1.1 <{STRANGER}>: no such mailbox"


@pytest.fixture(autouse=True)
def order_path(client: FlaskClient, frozen: Clock) -> str:
    """The page of a paid order of Anna's, in a shop with a members' price."""
    order_id = a_paid_order(a_shop()).id
    with transaction():
        add_discount("Members", percent=20, domains="nursery.example")
    sent()
    with transaction():
        return PATHS["order"] + token_of(order_link(order_id, anna().id))


def for_a_price(client: FlaskClient, _order_path: str, email: str) -> None:
    client.post("/publications/send-early-years/members", data={"email": email})


def for_copies(client: FlaskClient, _order_path: str, email: str) -> None:
    client.post("/find-my-copies", data={"who": email})


def for_a_change(client: FlaskClient, _order_path: str, email: str) -> None:
    client.post(f"{path_to('library', anna().id)}/address", data={"email": email})


def for_a_second(client: FlaskClient, _order_path: str, email: str) -> None:
    library = path_to("library", anna().id)
    client.post(f"{library}/second-address", data={"email": email} | SURE)


def for_a_move(client: FlaskClient, order_path: str, email: str) -> None:
    client.post(f"{order_path}/move", data={"email": email})


def holding(address: str) -> set[str]:
    """The tables that have the address anywhere; captured letters stand for the mail server."""
    db.session.rollback()
    return {
        table.name
        for table in every_table()
        if table.name != "captured_letters"
        for row in db.session.execute(sa.select(table)).all()
        if address in str(tuple(row))
    }


def end_as(status: DeliveryStatus) -> None:
    """The stranger's letters had this end, and the mail server's words have the address."""
    with transaction() as session:
        letters = session.scalars(sa.select(Delivery).where(Delivery.address == STRANGER)).all()
        assert letters
        for letter in letters:
            letter.status, letter.reason = status, QUOTED[: 300 if status != "sent" else 0]
            for attempt in session.scalars(sa.select(Attempt)):
                attempt.reply = QUOTED if attempt.address == STRANGER else attempt.reply


def tick() -> None:
    for step in tasks.TIMETABLE:
        if "forget" in step.__name__:
            step()


ENDS = [
    (ask, ended)
    for ask in (for_a_price, for_copies, for_a_change, for_a_second, for_a_move)
    for ended in (None, "sent", "failed", "held")
    if (ask, ended) != (for_copies, "sent")  # who is unknown gets no letter
]


@on_both_when_long
@pytest.mark.parametrize(
    ("ask", "ended"),
    # One or two ends for each question; `make test-long` has each with each.
    [
        pytest.param(*one, marks=() if number % 3 == 0 else pytest.mark.long)
        for number, one in enumerate(ENDS)
    ],
)
def test_an_address_of_nobody_s_is_forgotten_after_two_days_however_its_letter_ended(
    client: FlaskClient, frozen: Clock, order_path: str, ask: object, ended: str | None
) -> None:
    ask(client, order_path, STRANGER)  # type: ignore[operator]
    sent()
    if ended:
        end_as(DeliveryStatus(ended))
    assert "deliveries" in holding(STRANGER)
    before = holding(ANNA)
    frozen.advance(days=2, seconds=1)
    tick()
    assert holding(STRANGER) == set()
    assert holding(ANNA) == before
    if ended in {"failed", "held"}:
        newest = sa.select(Delivery.reason).order_by(Delivery.id.desc())
        assert db.session.scalars(newest).first() == FORGOTTEN


@pytest.mark.parametrize("ask", [for_a_price, for_a_change, for_a_second, for_a_move])
def test_it_is_kept_while_its_letter_waits_or_its_link_works(
    client: FlaskClient, frozen: Clock, order_path: str, ask: object
) -> None:
    ask(client, order_path, STRANGER)  # type: ignore[operator]
    frozen.advance(days=3)
    tick()
    assert "deliveries" in holding(STRANGER)
    sent()
    frozen.advance(hours=23)
    tick()
    if ask is for_a_price:  # what it asked for is over by then, and no letter leaves
        assert holding(STRANGER) == set()
        return
    path = links_in(text_part(sent()[-1]))[0]
    assert STRANGER in client.get(path).text
    assert client.post(path, data=SURE).status_code == 200


@pytest.mark.parametrize("ask", [for_a_change, for_a_second, for_a_move])
def test_an_address_that_said_yes_is_kept(
    client: FlaskClient, frozen: Clock, order_path: str, ask: object
) -> None:
    ask(client, order_path, STRANGER)  # type: ignore[operator]
    assert client.post(links_in(text_part(sent()[-1]))[0], data=SURE).status_code == 200
    sent()
    before = holding(STRANGER)
    frozen.at += timedelta(days=3)
    tick()
    assert holding(STRANGER) == before


@pytest.mark.parametrize("ask", [for_a_change, for_a_second, for_a_move])
def test_a_link_whose_address_is_forgotten_says_that_it_is_over(
    client: FlaskClient, frozen: Clock, order_path: str, ask: object
) -> None:
    ask(client, order_path, STRANGER)  # type: ignore[operator]
    path = links_in(text_part(sent()[-1]))[0]
    frozen.advance(days=3)
    tick()
    assert client.get(path).status_code == client.post(path, data=SURE).status_code == 410
