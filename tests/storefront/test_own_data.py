"""A reader fetches a copy of all that is held about them: behind the library link, by a letter, and
with nothing of anybody else in it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store.cli import main
from store.commands import base
from store.entitlements import own_data
from store.entitlements.addresses import merge_customers
from store.entitlements.models import Entitlement, Link
from store.entitlements.personal import TABLES
from store.kit import clock
from store.kit.database import db, transaction
from store.orders.customer_notes import add_note
from store.orders.customers import find_or_add_customer
from store.orders.models import OrderLine
from store.orders.placing import Details
from tests.admin.contested import contest
from tests.admin.sign_in import press, signed_in
from tests.conftest import Clock
from tests.editions import a_shop
from tests.letters import links_in, sent, text_of
from tests.links import anna, given_second, order_path, path_to
from tests.pages import page_at
from tests.purchases import ANNA, give, pay, placed_order

OLD, SECOND = "anna.b@work.example", "anna@home.example"
STAFF = "olga@publisher.example"
HELD = {
    "customers": 1,
    "second_addresses": 1,
    "customer_merges": 1,
    "orders": 4,
    "order_lines": 4,
    "consents": 3,
    "checkouts": 3,
    "payments": 3,
    "disputes": 1,
    "entitlements": 4,
    "links": 19,
    "deliveries": 10,
    "attempts": 7,
    "captured_letters": 5,
    "customer_notes": 1,
    "status_changes": 9,
}
OTHERS = ("bea@reader.example", "Bea Mole", "Elm School", STAFF, "198.51.100.7", "Otto")


def an_order(slug: str, details: Details) -> int:
    publication = a_shop(slug=slug)
    with transaction():
        return placed_order(publication, details).id


@pytest.fixture
def story(client: FlaskClient, frozen: Clock) -> str:
    """Anna with orders at two addresses that staff made one, a second address, a gift, a seat of a
    school's order, a dispute; and a stranger who typed her address. Her library's path."""
    bought = an_order("guide", Details(email=ANNA, name="Anna Berg", network="203.0.113.9"))
    pay(bought)
    contest(bought)
    pay(an_order("atlas", Details(email=OLD, name="Anna Berg")))
    a_shop(slug="gift")
    give("gift", email=ANNA, reason="For her review")
    stranger = Details(email=ANNA, name="Otto", network="198.51.100.7")
    an_order("typed", stranger)
    schools = an_order(
        "class", Details(email=OTHERS[0], name="Bea Mole", organisation="Elm School")
    )
    pay(schools)
    sent()
    client.get(order_path(bought))
    with transaction() as session:
        merge_customers(find_or_add_customer(OLD), anna(), STAFF)
        given_second(anna(), SECOND)
        add_note(anna(), "Rang about a receipt", STAFF)
        line = session.scalars(sa.select(OrderLine).where(OrderLine.order_id == schools)).one()
        seat = {"customer_id": anna().id, "publication_id": line.publication_id, "seat": 2}
        now = clock.now()
        session.add(Entitlement(**seat, order_line_id=line.id, granted_at=now, available_at=now))
    sent()
    return path_to("library", anna().id)


def mailed(client: FlaskClient, library: str) -> str:
    """Ask for the copy; the path of the link in the letter."""
    page = client.post(f"{library}/data").get_data(as_text=True)
    assert "a•••@reader.example" in page
    letter = sent()[-1]
    assert (letter["To"], letter["Subject"]) == (
        "Anna Berg <anna@reader.example>",
        "Your data: the link you asked for",
    )
    return next(path for path in links_in(text_of(letter)) if path.startswith("/your-data/"))


def test_the_copy_has_everything_of_a_person_and_nothing_of_others(
    client: FlaskClient, story: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_data, "AT_ONCE", 2)
    path = mailed(client, story)
    answer = client.get(f"{path}/copy.json")
    text = answer.get_data(as_text=True)
    data = held_in(text)
    assert [(one["email"], one["name"], one["network"]) for one in data["orders"]] == [
        (ANNA, "Anna Berg", "203.0.113.9"),
        (OLD, "Anna Berg", ""),
        (ANNA, "Anna Berg", ""),
        (None, None, None),
    ]
    assert [one.get("left_out") for one in data["orders"]] == [None] * 3 + [own_data.NOT_PROVED]
    assert [(one["order"], one["reason"]) for one in data["disputes"]] == [
        (data["orders"][0]["reference"], "product_not_received")
    ]
    assert [one["seat"] for one in data["entitlements"]] == [1, 1, 1, 2]
    assert data["second_addresses"][0]["email"] == SECOND
    assert {name: len(rows) for name, rows in data.items() if rows} == HELD
    assert [one for one in (*OTHERS, *references()) if one in text] == []
    assert answer.headers["Cache-Control"] == "no-store"
    page = page_at(client, path)
    shown = dict(re.findall(r"<summary>\s*(.*?) \((\d+)\)\s*</summary>", page))
    assert shown == {TABLES[name].title: str(number) for name, number in HELD.items()}
    assert [one for one in (*OTHERS, *references()[:-1]) if one in page] == []


def references() -> list[str]:
    """What stands in the links that were mailed, that of the copy last."""
    return list(db.session.scalars(sa.select(Link.reference).order_by(Link.id)))


def test_a_library_link_alone_opens_no_data_and_the_mailed_one_works_for_a_day(
    client: FlaskClient, story: str, frozen: Clock
) -> None:
    first = mailed(client, story)
    second = mailed(client, story)
    asked = client.get(f"{story}/data").get_data(as_text=True)
    assert [one for one in (ANNA, SECOND, "Anna Berg") if one in asked] == []
    token = story.rpartition("/")[2]
    answers = [f"/your-data/{token}", first, f"{first}/copy.json", second]
    assert [client.get(one).status_code for one in answers] == [404, 410, 410, 200]
    frozen.advance(hours=25)
    assert client.get(second).status_code == 410


def test_owners_and_operators_take_out_the_same_copy_on_record(
    app: Flask, client: FlaskClient, story: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    number, file = anna().id, tmp_path / "anna.json"
    path = mailed(client, story)
    theirs = held_in(client.get(f"{path}/copy.json").get_data(as_text=True))
    desk = signed_in(client)
    owners = press(desk, f"/admin/customers/{number}/data.json").get_data(as_text=True)
    monkeypatch.setattr(base, "the_shop", lambda: app)
    CliRunner().invoke(main, ["customer", "data", ANNA, "--output", str(file)])
    copies = [held_in(owners), held_in(file.read_text(encoding="utf-8"))]
    acts = [copy.pop("audit_entries") for copy in (theirs, *copies)]
    assert [[one["act"] for one in lines] for lines in acts] == [
        [],
        ["data_copied"],
        ["data_copied"] * 2,
    ]
    assert copies == [theirs, theirs]


def held_in(text: str) -> dict[str, Any]:
    """The rows of a copy by table."""
    return {name: part["rows"] for name, part in json.loads(text)["data"].items()}
