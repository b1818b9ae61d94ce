"""Discounts at the desk and on the command line."""

import json

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.publications import publication_by_slug
from store.cli import main
from store.commands import base
from store.kit.database import db, transaction
from store.kit.status import advance
from store.orders.discounts import add_discount
from store.orders.models import Discount, OrderStatus
from store.orders.placing import Details, place_order
from tests import factories
from tests.admin.sign_in import press, signed_in
from tests.conftest import Clock, on_both_when_long
from tests.pages import Page, check_page


@pytest.fixture
def desk(client: FlaskClient, frozen: Clock) -> FlaskClient:
    """A desk with a publication, an editor signed in."""
    with transaction():
        factories.a_seller()
        factories.a_publication()
    return signed_in(client)


@on_both_when_long
def test_a_code_is_added_listed_and_ended(desk: FlaskClient) -> None:
    empty = desk.get("/admin/discounts")
    check_page(empty.text, path="/admin/discounts")
    assert "No discounts yet" in empty.text
    fields = {"name": "Early bird", "code": "EARLY20", "percent": "20", "currency": "GBP", "ends_on": "2027-03-31", "max_orders": "50"}  # fmt: skip
    added = press(desk, "/admin/discounts/new", fields)
    assert (added.status_code, added.location) == (303, "/admin/discounts")
    page = desk.get("/admin/discounts").text
    check_page(page, path="/admin/discounts")
    assert "until 31 March 2027" in page
    assert '<td data-label="Used">0 of 50</td>' in page
    assert press(desk, "/admin/discounts/1/end", seen_on="/admin/discounts").status_code == 303
    assert ">ended</span>" in desk.get("/admin/discounts").text


@on_both_when_long
def test_the_list_says_how_many_orders_use_a_discount_and_how_many_hold_a_place(
    desk: FlaskClient, frozen: Clock
) -> None:
    with transaction():
        add_discount("Early bird", code="EARLY20", percent=20, max_orders=2)
        for number in range(2):
            details = Details(f"reader{number}@reader.example", code="EARLY20")
            publication = publication_by_slug("send-early-years")
            order = place_order(publication, details, form_key=f"{number:022}", seen_amount=1000)
        advance(order, OrderStatus.PAID)
    assert _figures(desk) == ["1 of 2", "1", "20%"]
    frozen.advance(hours=2)
    assert _figures(desk) == ["1 of 2", "0", "20%"]


def _figures(desk: FlaskClient) -> list[str]:
    page = desk.get("/admin/discounts").text
    check_page(page, path="/admin/discounts")
    cells = [cell for cell in Page(page).all("td") if {"class", "data-label"} & {*cell.attrib}]
    return [str(cell.text) for cell in cells if cell.attrib.get("class") != "act"]


def test_a_wrong_form_keeps_what_was_typed(desk: FlaskClient) -> None:
    fields = {"name": "Early bird", "code": "A!", "percent": "many", "currency": "GBP"}
    bad = press(desk, "/admin/discounts/new", fields)
    assert bad.status_code == 422
    check_page(bad.text, path="/admin/discounts/new")
    assert "Enter a whole number, or leave it empty." in bad.text
    assert 'value="Early bird"' in bad.text
    bad = press(desk, "/admin/discounts/new", fields | {"percent": "20"})
    assert "A code has 3 to 30 letters (A to Z) and digits." in bad.text
    assert db.session.query(Discount).count() == 0


def test_the_command_line_adds_lists_and_ends(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "the_shop", lambda: app)

    def store(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["discount", *words])
        assert result.exit_code == code, result.output
        return result.output

    assert store("add", "Early bird", "--code", "EARLY", "--amount", "2.50") == (
        "Early bird takes off £2.50.\n"
    )
    assert store("add", "Members", "--percent", "10", "--domains", "nursery.example")
    assert [one["name"] for one in json.loads(store("list", "--json"))] == ["Members", "Early bird"]
    assert store("end", "early") == "Early bird is ended.\n"
    assert json.loads(store("list", "--json"))[1]["state"] == "ended"
    assert "no discount of that name" in store("end", "LATE", code=1)
    assert "percentage" in store("add", "Nothing", "--code", "NOTHING", code=1)


@pytest.mark.parametrize(
    ("field", "option", "text", "sentence"),
    [
        ("amount", "--amount", "1,0", "The amount “1,0” must be written like 12.50 for GBP."),
        (
            "starts_on",
            "--from",
            "soon",
            "“soon” is not a day of the calendar. Leave it empty for none.",
        ),
        ("ends_on", "--until", "2020-01-01", "The end must come after the beginning."),
        (
            "ends_on",
            "--until",
            "9999-12-31",
            "“9999-12-31” is not a day of the calendar. Leave it empty for none.",
        ),
        ("code", "--code", "A!", "A code has 3 to 30 letters (A to Z) and digits."),
        ("max_orders", "--max-orders", "0", "Enter a number of 1 or more, or leave it empty."),
        (
            "domains",
            "--domains",
            "nursery",
            "“nursery” is not the end of an address, such as nursery.example.",
        ),
    ],
)
def test_the_form_and_the_command_say_the_same_of_a_fault(
    desk: FlaskClient,
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    field: str,
    option: str,
    text: str,
    sentence: str,
) -> None:
    fields = {"name": "Early bird", "code": "EARLY", "percent": "20", "currency": "GBP", "starts_on": "2027-03-01"}  # fmt: skip
    page = press(desk, "/admin/discounts/new", fields | {field: text})
    assert (page.status_code, sentence in page.text) == (422, True)
    check_page(page.text, path="/admin/discounts/new")
    assert f'href="#{field}"' in page.text
    monkeypatch.setattr(base, "the_shop", lambda: app)
    options = {"--code": "EARLY", "--percent": "20", "--from": "2027-03-01"} | {option: text}
    words = [word for pair in options.items() for word in pair]
    told = CliRunner().invoke(main, ["discount", "add", "Early bird", *words])
    assert (told.exit_code, told.output) == (1, f"{sentence}\n")
