"""An address of somebody who is erased is another customer's, too: their second is its first, or the other
way round. What is the other's stays, and no letter tells one of the other."""

import json

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store.distribution.imports import open_import
from store.distribution.models import CustomerImport
from store.entitlements.addresses import request_change
from store.entitlements.erasing import erase_person
from store.entitlements.forgotten import forget_customers
from store.entitlements.own_data import copy_of
from store.entitlements.second_addresses import request_second
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.models import AddressHold, Delivery, ReturnKind
from store.mail.returns import take
from store.orders.customers import customer_by_address
from store.orders.discounts import add_discount
from store.orders.models import Customer
from store.orders.placing import Details
from store.payments.erasures import carry_out_due
from tests.conftest import Clock, on_both, on_both_when_long
from tests.editions import a_shop, guide
from tests.entitlements.presses import SURE, asked_to_move, gave_second
from tests.letters import links_in, sent, text_of
from tests.links import anna, given_second, path_to
from tests.pages import check_page
from tests.purchases import ANNA, a_paid_order, placed_order
from tests.rows import every_table

pytestmark = pytest.mark.usefixtures("frozen")

BEA, STRANGER = "bea@reader.example", "stranger@some.example"


@pytest.fixture
def order_id(client: FlaskClient, frozen: Clock) -> int:
    """Anna's, whose second address is Bea's first and on file; Bea has copies, and a price by it."""
    order_id = a_paid_order(a_shop()).id
    a_paid_order(a_shop(slug="beas"), BEA)
    with transaction():
        add_discount("Members", percent=20, members=BEA)
        add_discount("Friends", percent=10, members=ANNA)
    sent()
    gave_second(client, anna().id, BEA)
    asked_to_move(client, order_id, STRANGER)
    frozen.advance(days=15)
    client.post("/find-my-copies", data={"who": BEA})
    sent()
    return order_id


def bea() -> Customer:
    found = customer_by_address(BEA)
    assert found is not None
    return found


def erased(client: FlaskClient, frozen: Clock, customer_id: int) -> list[tuple[str, str, str]]:
    """Have somebody erased; to whom letters about it went, with subject and text."""
    assert client.post(f"{path_to('library', customer_id)}/erase", data=SURE).status_code == 200
    told = [one for one in sent() if "to be erased" in one["Subject"]]
    said = [(one["To"].addresses[0].addr_spec, one["Subject"], text_of(one)) for one in told]
    for _, _, text in said:
        check_page(client.get(links_in(text)[0]).text, path="/keep/…")
    frozen.advance(days=7, minutes=1)
    carry_out_due()
    sent()
    assert db.session.get_one(Customer, customer_id).erased_at is not None
    return said


def found_in(word: str) -> list[tuple[str, str]]:
    """The tables and columns in which a word stands."""
    db.session.rollback()
    return sorted(
        {
            (table.name, name)
            for table in every_table()
            for row in db.session.execute(sa.select(table)).mappings()
            for name, value in row.items()
            if value is not None and word in str(value).casefold()
        }
    )


@on_both
def test_whose_first_address_is_the_second_of_who_is_erased_keeps_everything(
    client: FlaskClient, frozen: Clock, order_id: int
) -> None:
    mine = {(name, row[0]) for name, row in rows_at(BEA) if name != "links"}
    said = erased(client, frozen, anna().id)
    assert [(address, subject[:15]) for address, subject, _ in said] == [
        (ANNA, "Your data is to"),
        (BEA, "Somebody’s copi"),
    ]
    letter, page = said[1][2], client.get(path_to("library", bea().id)).text
    assert [one for one in (ANNA, "anna", "Berg", "Effective SEND") if one in letter] == []
    assert "They stay: this letter is not about them." in letter
    assert "/download/" in page
    assert found_in("anna@") == found_in("stranger") == []
    # Of all rows with her address those that were about Anna are gone, and no other.
    left = {(name, row[0]) for name, row in rows_at(BEA)}
    assert left < mine
    assert {name for name, _ in mine - left} == {
        "attempts",
        "captured_letters",
        "deliveries",
        "second_addresses",
    }
    assert all(BEA not in str(row) for name, row in rows_at("") if name == "links")
    letters = len(sent())
    client.post("/find-my-copies", data={"who": BEA})
    assert [one["To"].addresses[0].addr_spec for one in sent()[letters:]] == [BEA]


def rows_at(word: str) -> list[tuple[str, tuple[object, ...]]]:
    db.session.rollback()
    return [
        (table.name, tuple(row))
        for table in every_table()
        for row in db.session.execute(sa.select(table))
        if word in str(row).casefold()
    ]


def test_a_copy_of_data_has_nothing_of_whose_address_is_the_second_one(order_id: int) -> None:
    data = json.loads("".join(copy_of(anna().id)))["data"]
    assert [one["email"] for one in data["second_addresses"]["rows"]] == [BEA]
    assert [one["discount"] for one in data["discount_members"]["rows"]] == ["Friends"]
    assert {one["recipient"] for one in data["captured_letters"]["rows"]} == {ANNA}


@on_both
def test_who_is_erased_is_nobodys_second_address_any_more(
    client: FlaskClient, frozen: Clock, order_id: int
) -> None:
    before = path_to("library", anna().id)
    page = client.get(f"{path_to('library', bea().id)}/erase").text
    assert "second address of other copies" in page
    # What was ordered with another address is nobody's who has only this link.
    for way in ("erase", "data"):
        page = client.get(f"{path_to('library', bea().id)}/{way}").text
        assert "Those orders have a page of their own" in page
    assert [address for address, _, _ in erased(client, frozen, bea().id)] == [BEA]
    assert found_in("bea@") == []
    letter = sent()[-1]
    assert letter["To"].addresses[0].addr_spec == ANNA
    assert "Your second e-mail address works no longer: it was taken out." in text_of(letter)
    assert [one for one in ("erase", "bea", "b•••") if one in text_of(letter).casefold()] == []
    assert client.get(before).status_code == 410
    library = next(path for path in links_in(text_of(letter)) if "/library/" in path)
    assert "/download/" in client.get(library).text
    letters = len(sent())
    client.post("/find-my-copies", data={"who": BEA})
    assert len(sent()) == letters


@on_both_when_long
def test_a_second_address_that_waits_ends_with_its_mailbox_too(
    client: FlaskClient, frozen: Clock
) -> None:
    a_paid_order(a_shop())
    a_paid_order(a_shop(slug="beas"), BEA)
    sent()
    assert client.post(f"{path_to('library', bea().id)}/erase", data=SURE).status_code == 200
    gave_second(client, anna().id, BEA)
    with transaction():
        request_second(anna(), "bea@elsewhere.example")
    frozen.advance(days=8)
    sent()
    carry_out_due()
    sent()
    assert found_in(BEA) == []


@on_both_when_long
def test_letters_that_asked_who_is_erased_name_them_no_more(
    client: FlaskClient, frozen: Clock
) -> None:
    order_id = a_paid_order(a_shop()).id
    a_paid_order(a_shop(slug="beas"), BEA)
    sent()
    with transaction():
        request_second(anna(), BEA)
        request_change(anna(), BEA)
    asked_to_move(client, order_id, BEA)
    erased(client, frozen, bea().id)
    assert found_in("bea@") == []
    assert anna().email == ANNA


def test_who_is_forgotten_without_being_asked_takes_nothing_that_is_of_the_address_alone(
    client: FlaskClient, frozen: Clock
) -> None:
    publication = a_shop()
    a_paid_order(publication)
    with transaction():
        add_discount("Members", percent=20, members=BEA)
        placed_order(publication, Details(email=BEA))  # by anybody
    sent()
    frozen.advance(days=401)
    with transaction():
        given_second(anna(), BEA)
    sent()
    forget_customers()
    assert customer_by_address(BEA) is None
    assert ("discount_members", "email_key") in found_in(BEA)
    assert ("second_addresses", "email") in found_in(BEA)


def test_a_hold_of_the_shared_address_stays_with_whose_first_it_is(
    client: FlaskClient, frozen: Clock, order_id: int
) -> None:
    letter = db.session.scalars(
        sa.select(Delivery.id).where(Delivery.customer_id == bea().id).order_by(Delivery.id.desc())
    ).first()
    with transaction():
        assert take(letter, ReturnKind.HARD, words="gone", key="late")
    erased(client, frozen, anna().id)
    assert db.session.scalars(sa.select(AddressHold.address_key)).all() == [BEA]


def test_a_file_of_customers_goes_with_whose_address_stands_in_it_and_with_no_longer_one(
    client: FlaskClient, frozen: Clock
) -> None:
    number = a_shop().id
    a_paid_order(guide(number))
    stay = ["joanna@reader.example", "x-anna@reader.example", "anna@reader.example.org"]
    go = ["Anna@Reader.example", "Anna <anna@reader.example>", "mailto:anna@reader.example."]
    with transaction() as session:
        publication = guide(number)
        for row in [*stay, *go]:
            session.add(open_import(publication, None, row, f"Email\n{row}\n".encode()))
        session.flush()
        erase_person(anna().id, clock.now())
    assert sorted(db.session.scalars(sa.select(CustomerImport.file_name))) == sorted(stay)
