"""Customers brought in through the desk, and what the desk tells of a publication's past."""

import io
import re

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from store.admin import customer_import
from store.catalog.models import Publication
from store.distribution import recalling
from store.entitlements.models import Entitlement
from store.kit.database import db, transaction
from tests.admin.sign_in import press, signed_in
from tests.conftest import on_both
from tests.distribution.test_csv_columns import GUMROAD
from tests.editions import drafted_and_released
from tests.factories import a_publication, a_seller
from tests.letters import send
from tests.pages import Page, check_page
from tests.purchases import buy

PUBLICATION = "/admin/publications/send-early-years"
ROWS = "email,name\nann@reader.example,Ann\nnobody,Nobody\nanna@reader.example,Anna\nann@reader.example,Ann\n"
LEFT_OUT = ["3", "4", "5"]


@pytest.fixture
def publication(app: Flask) -> Publication:
    """A publication that one customer has."""
    with transaction():
        a_seller()
        publication = a_publication()
        buy(publication, "anna@reader.example")
    return publication


def bring_in(desk: FlaskClient, rows: str, act: str = "import", **more: str) -> TestResponse:
    """Send the form with a file."""
    data = {"file": (io.BytesIO(rows.encode()), "people.csv"), "act": act, **more}
    return press(desk, f"{PUBLICATION}/import", data, content_type="multipart/form-data")


def holders() -> int:
    """How many copies were granted."""
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count(Entitlement.id))) or 0


def lines(answer: TestResponse) -> list[str]:
    """The lines that the page names as left out."""
    page = Page(answer.text)
    return sorted(one.text for one in page.all("th") if one.attrib.get("scope") == "row")


@on_both
def test_a_look_says_line_by_line_what_an_import_then_does(
    desk: FlaskClient, publication: Publication
) -> None:
    assert f"{PUBLICATION}/import" in desk.get(PUBLICATION).text
    look = bring_in(desk, ROWS, "look")
    assert (look.status_code, lines(look), holders()) == (200, LEFT_OUT, 1)
    check_page(look.text, path=f"{PUBLICATION}/import")
    assert "Nothing is written yet" in look.text
    assert "has this publication already" in look.text

    done = bring_in(desk, ROWS)
    assert (done.status_code, lines(done), holders()) == (200, LEFT_OUT, 2)
    check_page(done.text, path=f"{PUBLICATION}/import")

    again = bring_in(desk, ROWS)
    assert (lines(again), holders()) == (["2", *LEFT_OUT], 2)


def test_rows_left_out_stand_under_their_reasons_and_all_sum_to_the_file(
    desk: FlaskClient, publication: Publication
) -> None:
    rows = ROWS + "ann@reader.example,Ann\nbad@,B\nbad,B\n,\nx@reader.example\n"
    page = Page(bring_in(desk, rows, "look").text)
    told = [one.text for one in page.all("summary") if " left out: " in one.text]
    counts = {one.partition(": ")[2][:30]: int(one.partition(" ")[0]) for one in told}
    assert counts == {
        "… has no @. It should look lik": 2,
        "the same address as on line …": 2,
        "has this publication already": 1,
        "… is not an e-mail address tha": 1,
        "empty line": 1,
        "… field where the heading has ": 1,
    }
    # One would be added.
    assert sum(counts.values()) + 1 == 9


def test_an_editor_learns_nothing_of_customers_by_it(
    client: FlaskClient, publication: Publication
) -> None:
    editor = signed_in(client, "editor")
    pages = []
    for address in ("anna@reader.example", "nobody@reader.example"):
        look = bring_in(editor, f"email,name\n{address},A\n", "look")
        check_page(look.text, path=f"{PUBLICATION}/import")
        pages.append(re.sub(r'value="[^"]{30,}"', "", look.text).replace(address, ""))
    assert pages[0] == pages[1]
    assert "added, or had it already" in pages[0]


def test_headings_of_the_files_own_are_named_and_kept(
    desk: FlaskClient, publication: Publication
) -> None:
    named = {"email_column": "Contact", "name_column": "Who", "notify": "yes"}
    answer = bring_in(desk, "Who;Contact\nAnn;ann@reader.example\n", **named)
    assert holders() == 2
    assert 'value="Contact"' in answer.text


def test_an_export_of_another_shop_is_read_as_by_the_command(
    desk: FlaskClient, publication: Publication
) -> None:
    answer = bring_in(desk, GUMROAD, item="A guide")
    check_page(answer.text, path=f"{PUBLICATION}/import")
    assert (answer.status_code, holders()) == (200, 5)
    for reason in ("refunded", "disputed", "access was revoked", "a row of totals"):
        assert f"<td>{reason}" in answer.text
    several = GUMROAD.replace("hal@reader.example,,0", "ida@reader.example,,0")
    several = several.replace(",0,0,0,0,,1\nTotals", ",0,0,0,0,,3\nTotals")
    answer = bring_in(desk, several, item="A guide")
    check_page(answer.text, path=f"{PUBLICATION}/import")
    assert "ordered 3 copies: the address gets one" in answer.text


def test_a_column_that_bears_on_the_right_refuses_the_file_until_it_is_named(
    desk: FlaskClient, publication: Publication
) -> None:
    rows = "email,bought on\nann@reader.example,2027-02-01\n"
    answer = bring_in(desk, rows)
    check_page(answer.text, path=f"{PUBLICATION}/import")
    assert (answer.status_code, holders()) == (422, 1)
    assert answer.text.count("The column “bought on” says something that bears on who has") == 2
    answer = bring_in(desk, rows, ordered_on_column="Bought on")
    assert (answer.status_code, holders()) == (200, 2)
    assert 'value="Bought on"' in answer.text


def test_only_those_who_are_to_hear_of_the_newest_edition_are_written_to(
    desk: FlaskClient, publication: Publication
) -> None:
    drafted_and_released(publication)
    before = len(send())
    bring_in(desk, "email\nann@reader.example\n")
    assert len(send()) == before
    bring_in(desk, "email\nben@reader.example\n", notify="yes")
    assert [letter.recipient for letter in send()[before:]] == ["ben@reader.example"]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [("", "Choose a CSV file."), ("email\n" + "x" * 2_000, "too large for a page")],
)
def test_what_cannot_be_read_is_said_beside_the_field(
    desk: FlaskClient,
    publication: Publication,
    monkeypatch: pytest.MonkeyPatch,
    rows: str,
    sentence: str,
) -> None:
    monkeypatch.setattr(customer_import, "LARGEST_FILE", 1_000)
    if rows:
        answer = bring_in(desk, rows)
    else:
        form = {"act": "look"}
        answer = press(desk, f"{PUBLICATION}/import", form, content_type="multipart/form-data")
    assert (answer.status_code, answer.text.count(sentence)) == (422, 2)
    check_page(answer.text, path=f"{PUBLICATION}/import")
    assert holders() == 1


def test_pages_of_publication_and_edition_say_who_did_what(
    desk: FlaskClient, publication: Publication
) -> None:
    edition = drafted_and_released(publication)
    with transaction():
        recalling.withdraw(edition, "Olga", "a wrong table")
    press(desk, f"{PUBLICATION}/retire")

    page = desk.get(f"{PUBLICATION}/editions/1").text
    check_page(page, path=f"{PUBLICATION}/editions/1")
    assert "1 March 2027, 10:00 GMT</b> Edition: draft to scheduled, by Olga" in page
    assert "Edition: released to withdrawn, by Olga (a wrong table)" in page
    assert "Letters: running to recalled, by Olga (the edition was withdrawn)" in page
    assert "You took it off sale" in desk.get(PUBLICATION).text
