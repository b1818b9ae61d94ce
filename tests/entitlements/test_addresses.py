"""Change of address: proved by mail to the new one, told to the old one, old links die (B10)."""

import re

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store.entitlements.addresses import AddressTaken, SameAddress, correct_address
from store.kit.database import db, transaction
from store.kit.status import StatusChange
from store.mail.models import Delivery, DeliveryStatus
from store.orders.customers import customer_by_address
from store.orders.models import Customer, Order
from tests.conftest import Clock, on_both
from tests.entitlements.making import (
    ANNA,
    a_paid_order,
    a_shop,
    anna,
    count_rows,
    path_to,
    sent,
    text_of,
)
from tests.factories import a_customer
from tests.pages import check_page

pytestmark = pytest.mark.usefixtures("frozen")

NEW = "Anna.New+send@Reader.Example"


def links_in(text: str) -> list[str]:
    return re.findall(r"http://127\.0\.0\.1:8000(/\S+)", text)


@pytest.fixture
def library_path(client: FlaskClient, frozen: Clock) -> str:
    a_paid_order(a_shop())
    sent()
    return path_to("library", anna().id)


def asked(client: FlaskClient, library_path: str, new: str = NEW) -> str:
    answer = client.post(f"{library_path}/address", data={"email": new})
    assert answer.status_code == 200
    check_page(answer.text, path=library_path)
    letter = sent()[-1]
    assert letter["Subject"] == "Confirm your new e-mail address"
    return links_in(text_of(letter))[0]


@on_both
def test_the_new_address_is_proved_and_the_old_links_die(
    client: FlaskClient, library_path: str
) -> None:
    order_path, customer_id = path_to("order", anna().id), anna().id
    path = asked(client, library_path)
    assert sent()[-1]["To"].addresses[0].addr_spec == NEW
    before = count_rows()
    page = client.get(path)
    assert client.head(path).status_code == page.status_code == 200
    check_page(page.text, path="/address/…")
    assert count_rows() == before
    done = client.post(path)
    assert done.status_code == 200
    check_page(done.text, path="/address/…")
    db.session.rollback()
    customer = db.session.get_one(Customer, customer_id)
    assert (customer.email, customer.email_key) == (NEW, NEW.lower())
    assert client.get(order_path).status_code == 410
    assert client.get(library_path).status_code == 410
    told, fresh = sorted(sent()[-2:], key=lambda letter: letter["Subject"], reverse=True)
    assert told["Subject"] == "Your e-mail address was changed"
    assert told["To"].addresses[0].addr_spec == ANNA
    assert "A•••@Reader.Example" in text_of(told)
    assert links_in(text_of(told)) == []
    assert fresh["Subject"] == "Your copies and orders"
    assert fresh["To"].addresses[0].addr_spec == NEW
    assert [client.get(link).status_code for link in links_in(text_of(fresh))] == [200, 200]


def test_nothing_changes_until_the_button_is_pressed(
    client: FlaskClient, library_path: str
) -> None:
    asked(client, library_path)
    db.session.rollback()
    assert anna().email == ANNA
    assert client.get(library_path).status_code == 200


def test_only_the_newest_link_counts_and_only_for_a_day(
    client: FlaskClient, library_path: str, frozen: Clock
) -> None:
    first = asked(client, library_path)
    second = asked(client, library_path, "other@reader.example")
    answer = client.post(first)
    assert answer.status_code == 410
    check_page(answer.text, path="/address/…")
    assert "only the newest one counts" in answer.text
    frozen.advance(hours=24, seconds=1)
    assert client.post(second).status_code == 410
    assert customer_by_address("other@reader.example") is None


def test_a_second_press_says_that_it_is_done(client: FlaskClient, library_path: str) -> None:
    path = asked(client, library_path)
    client.post(path)
    for again in (client.post(path), client.get(path)):
        assert again.status_code == 200
        check_page(again.text, path="/address/…")
        assert "This address is confirmed already" in again.text
    assert len(sent()) == 4


@on_both
def test_an_address_of_another_customer_is_refused_and_leads_to_a_person(
    client: FlaskClient, library_path: str
) -> None:
    a_paid_order(a_shop(slug="other"), NEW.lower())
    path = asked(client, library_path)
    answer = client.post(path)
    assert answer.status_code == 409
    check_page(answer.text, path="/address/…")
    assert "Write to us" in answer.text
    db.session.rollback()
    assert anna().email == ANNA
    assert client.get(library_path).status_code == 200


def test_asking_tells_nobody_who_else_is_known(client: FlaskClient, library_path: str) -> None:
    with transaction():
        a_customer("known@reader.example")
    pages = [
        client.post(f"{library_path}/address", data={"email": each})
        for each in ("known@reader.example", "fresh@reader.example")
    ]
    assert [page.status_code for page in pages] == [200, 200]
    assert pages[0].text.replace("known", "fresh") == pages[1].text


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [("", "Enter your e-mail address."), (ANNA, "That is the address we have already.")],
)
def test_what_cannot_be_an_address_is_said_beside_the_field(
    client: FlaskClient, library_path: str, typed: str, sentence: str
) -> None:
    answer = client.post(f"{library_path}/address", data={"email": typed})
    assert answer.status_code == 422
    check_page(answer.text, path=library_path)
    assert sentence in answer.text


def test_only_the_capitals_may_change(client: FlaskClient, library_path: str) -> None:
    client.post(asked(client, library_path, "ANNA@reader.example"))
    db.session.rollback()
    assert anna().email == "ANNA@reader.example"


@on_both
def test_staff_correct_an_address_without_proof_and_what_failed_goes_again(
    client: FlaskClient, library_path: str
) -> None:
    with transaction() as session:
        delivery = session.scalars(sa.select(Delivery)).one()
        delivery.status = DeliveryStatus.FAILED
    with transaction():
        customer_id = correct_address(anna(), NEW, "staff@publisher.example").id
    letters = {
        (m["Subject"].split(":")[0].split(" ")[1], m["To"].addresses[0].addr_spec)
        for m in sent()[1:]
    }
    assert letters == {("e-mail", ANNA), ("copies", NEW), ("order", NEW)}
    assert client.get(library_path).status_code == 410
    change = db.session.scalars(
        sa.select(StatusChange).where(StatusChange.entity == "customers")
    ).one()
    assert (change.entity_id, change.who) == (customer_id, "staff@publisher.example")
    with pytest.raises(SameAddress), transaction():
        correct_address(db.session.get_one(Customer, customer_id), NEW, "staff@publisher.example")


def test_staff_cannot_bring_two_customers_together_by_the_way(library_path: str) -> None:
    with transaction():
        a_customer("other@reader.example")
    with pytest.raises(AddressTaken), transaction():
        correct_address(anna(), "OTHER@reader.example", "staff@publisher.example")
    assert anna().email == ANNA


def test_orders_keep_the_address_that_they_were_placed_with(
    client: FlaskClient, library_path: str
) -> None:
    client.post(asked(client, library_path))
    db.session.rollback()
    assert db.session.scalar(sa.select(Order.email)) == ANNA
