"""The settings page: paragraphs of one's own with their versions, and connections that are tried."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Publication
from store.catalog.publications import publication_by_slug
from store.kit import clock
from store.kit.database import db
from store.kit.storage import Storage
from store.orders.consents import accepted_terms
from store.orders.models import Order
from store.staff.models import AuditEntry
from tests.admin.sign_in import press, sign_in, signed_in
from tests.conftest import Clock, on_both
from tests.editions import a_shop
from tests.letters import sent
from tests.pages import check_page, read
from tests.purchases import a_paid_order
from tests.storefront.forms import text_of

SETTINGS = "/admin/settings"
OWNER = "owner@publisher.example"


@pytest.fixture
def desk(app: Flask, client: FlaskClient, frozen: Clock) -> Iterator[FlaskClient]:
    """An owner at the desk of a shop that sells."""
    a_shop()
    return signed_in(client)


def acts() -> list[tuple[str, dict | None, dict | None]]:
    """What is on record but the sign-in."""
    db.session.rollback()
    rows = db.session.scalars(sa.select(AuditEntry).order_by(AuditEntry.id))
    return [(row.act, row.before, row.after) for row in rows if row.act != "signed_in"]


@on_both
def test_paragraphs_stand_behind_the_default_ones_and_an_order_keeps_those_it_saw(
    app: Flask, desk: FlaskClient, frozen: Clock
) -> None:
    reader = app.test_client()
    before = a_paid_order(_publication())
    path = f"{SETTINGS}/terms"
    for words in ("We post *nothing*.", "We post **all**."):
        frozen.advance(days=1)
        sign_in(desk, OWNER)
        assert press(desk, path, {"text": words}).status_code == 303
        order = a_paid_order(_publication(), f"r{frozen.at.day}@reader.example")
    assert press(desk, path, {"text": "We post **all**."}).status_code == 303

    page = read(desk, path)
    check_page(page, path=path)
    assert text_of(page).count("3 March 2027, 10:00 GMT, stands now") == 1
    assert "We post <em>nothing</em>." in page
    newest = reader.get("/terms").text
    check_page(newest, path="/terms")
    assert ("In addition" in newest, "We post <strong>all</strong>." in newest) == (True, True)
    assert "In addition" not in reader.get(_terms_of(before)).text
    assert "We post <strong>all</strong>." in reader.get(_terms_of(order)).text
    first = db.session.scalars(sa.select(Order).where(Order.email == "r2@reader.example")).one()
    assert "We post <em>nothing</em>." in reader.get(_terms_of(first)).text
    assert [(act, after) for act, _, after in acts()] == [
        ("statement_changed", {"terms": "We post *nothing*."}),
        ("statement_changed", {"terms": "We post **all**."}),
    ]
    for wrong in ("x", "999", "9" * 20):
        assert reader.get(f"/terms/2026-2?own={wrong}").status_code == 404


def test_an_address_that_leads_nowhere_and_a_text_too_long_come_back_as_typed(
    desk: FlaskClient,
) -> None:
    for text, sentence in (
        ("See [us](ftp://x.example).", "This address leads nowhere: “ftp://x.example”."),
        ("x" * 20_001, "That is 20,001 characters long. The most is 20,000."),
    ):
        refused = press(desk, f"{SETTINGS}/privacy", {"text": text})
        assert (refused.status_code, sentence in text_of(refused.text)) == (422, True)
        assert text in refused.text
        check_page(refused.text, path="privacy")
    assert press(desk, f"{SETTINGS}/accessibility", {"text": "Ring the bell."}).status_code == 303
    assert "Ring the bell." in read(desk, "/accessibility")
    assert press(desk, f"{SETTINGS}/accessibility", {"text": " "}).status_code == 303
    assert "In addition" not in read(desk, "/accessibility")


def test_connections_are_tried_by_a_press_and_say_what_is_wrong(
    desk: FlaskClient, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "machine_time", frozen)
    check_page(read(desk, SETTINGS), path=SETTINGS)
    well = press(desk, f"{SETTINGS}/connections", seen_on=SETTINGS)
    check_page(well.text, path=SETTINGS)
    assert "Every connection answers" in well.text
    assert "Mail server well no server set: letters are captured" in text_of(well.text)

    def refuses(_storage: Storage) -> bool:
        raise OSError("no such bucket at https://key:secret@s3.example")

    monkeypatch.setattr(Storage, "answers", refuses)
    ill = text_of(press(desk, f"{SETTINGS}/connections", seen_on=SETTINGS).text)
    assert "1 connection does not answer" in ill
    assert "OSError: no such bucket at https://***@s3.example" in ill
    (_, _, first), (_, _, second) = acts()
    assert (first or {})["Storage of files"] == "answers"
    assert (second or {})["Storage of files"] == "at fault"


def test_a_test_letter_goes_to_the_owner_who_presses(desk: FlaskClient) -> None:
    assert press(desk, f"{SETTINGS}/letter", seen_on=SETTINGS).status_code == 303
    (letter,) = sent()
    assert (letter["To"], letter["Subject"]) == (OWNER, "A test of the shop’s mail")


@pytest.mark.parametrize("role", ["editor", "support"])
def test_only_owners_see_the_settings(app: Flask, client: FlaskClient, role: str) -> None:
    assert signed_in(client, role).get(SETTINGS).status_code == 403


def _publication() -> Publication:
    return publication_by_slug("send-early-years")


def _terms_of(order: Order) -> str:
    accepted = accepted_terms(order)
    assert accepted
    return accepted.path
