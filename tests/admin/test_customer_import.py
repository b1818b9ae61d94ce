"""Customers brought in through the desk, and what the desk tells of a publication's past."""

import io
import re
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Publication
from store.distribution import imports, recalling
from store.distribution.import_export import CHUNK
from store.distribution.models import CustomerImport, ImportLine
from store.entitlements.models import Entitlement
from store.kit import clock, jobs
from store.kit.database import db, transaction
from store.orders.models import Customer
from store.staff.models import AuditEntry
from tests.admin.sign_in import press, signed_in
from tests.conftest import Clock, on_both, on_postgresql
from tests.distribution.test_csv_columns import GUMROAD
from tests.distribution.test_import_export import a_hundred_rows
from tests.editions import drafted_and_released
from tests.factories import a_publication, a_seller
from tests.letters import send
from tests.pages import Page, check_page
from tests.purchases import buy
from tests.races import at_once, until_waiting

PUBLICATION = "/admin/publications/send-early-years"
ROWS = "email,name\nann@reader.example,Ann\nnobody,Nobody\nanna@reader.example,Anna\nann@reader.example,Ann\n"


@pytest.fixture
def publication(app: Flask) -> Publication:
    """A publication that one customer has."""
    with transaction():
        a_seller()
        publication = a_publication()
        buy(publication, "anna@reader.example")
    return publication


def choose_file(desk: FlaskClient, rows: str | bytes, name: str = "people.csv") -> str:
    """Send a file; the address of what is said of it."""
    data = {"file": (io.BytesIO(rows.encode() if isinstance(rows, str) else rows), name)}
    answer = press(desk, f"{PUBLICATION}/import", data, content_type="multipart/form-data")
    assert answer.status_code == 303, answer.text
    return answer.location


def let_in(desk: FlaskClient, url: str, **more: str) -> str:
    """Press the button and let a worker do it; the page then."""
    assert press(desk, url, {"act": "start", **more}).status_code == 303
    imports.bring_in(int(url.rpartition("/")[2]))
    db.session.remove()
    return desk.get(url).text


def holders() -> int:
    """How many copies were granted."""
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count(Entitlement.id))) or 0


def lines(page: str) -> list[str]:
    """The rows that the page names."""
    found = [one.text or "" for one in Page(page).all("th") if one.attrib.get("scope") == "row"]
    return [text for text in found if text.startswith("Line ")]


def columns_chosen(url: str, desk: FlaskClient) -> dict[str, str]:
    """The form of the columns as it stands."""
    page = desk.get(url).text
    headings = re.findall(r'name="(heading\d+)" value="([^"]*)"', page)
    meanings = {}
    selects = r'<select[^>]* name="(meaning\d+)"(.*?)</select>'
    for name, body in re.findall(selects, page, re.DOTALL):
        found = re.search(r'value="([^"]*)" selected', body)
        meanings[name] = found[1] if found else ""
    return dict(headings) | meanings


@on_both
def test_a_look_says_row_by_row_what_an_import_then_does(
    desk: FlaskClient, publication: Publication
) -> None:
    assert f"{PUBLICATION}/import" in desk.get(PUBLICATION).text
    url = choose_file(desk, ROWS)
    look = desk.get(url).text
    check_page(look, path=url)
    assert (lines(look), holders()) == (["Line 3", "Line 5", "Line 4"], 1)
    assert "1 + 1 + 1 + 1 = 4 rows." in look
    assert "Bring in 1 person" in look

    done = let_in(desk, url)
    check_page(done, path=url)
    assert "<b>2 of 2</b> people done, 1 of them new." in done
    assert holders() == 2
    assert (
        "owner@publisher.example brought in 1 of 4 rows" in desk.get(f"{PUBLICATION}/import").text
    )
    listed = desk.get(f"{url}/left-out.csv")
    assert listed.data.decode("utf-8-sig").splitlines() == [
        "line,what stands there,why",
        "3,nobody,“nobody” has no @. It should look like name@example.com.",
        "4,anna@reader.example,has this publication already",
        "5,ann@reader.example,the same address as on line 2",
    ]

    again = choose_file(desk, ROWS)
    assert "0 + 2 + 1 + 1 = 4 rows." in desk.get(again).text


def test_a_hundred_rows_of_every_kind_sum_up(desk: FlaskClient, publication: Publication) -> None:
    with transaction():
        for number in range(3):
            buy(publication, f"known-{number}@reader.example")
    url = choose_file(desk, a_hundred_rows())
    assert "85 + 3 + 5 + 7 = 100 rows." in desk.get(url).text
    assert "85 of 100 rows" not in desk.get(f"{PUBLICATION}/import").text
    let_in(desk, url)
    assert "85 of 100 rows" in desk.get(f"{PUBLICATION}/import").text


def test_an_editor_learns_from_a_file_of_nobody_who_is_a_customer(
    client: FlaskClient, publication: Publication
) -> None:
    editor = signed_in(client, "editor")
    told = []
    for email in ("anna@reader.example", "anne@reader.example"):
        url = choose_file(editor, f"email\n{email}\n")
        pages = [editor.get(url).text, let_in(editor, url), editor.get(f"{url}/left-out.csv").text]
        words = ["".join(Page(one).root.itertext()).replace("@\u200b", "@") for one in pages]
        newest = Page(editor.get(f"{PUBLICATION}/import").text).all("li")[0]
        told.append([one.replace(email, "…") for one in [*words, "".join(newest.itertext())]])
    assert holders() == 2
    assert told[0] == told[1]
    assert "Bring in 1 person" in told[0][0]


def test_an_editor_sees_no_file_that_somebody_else_brought_in(
    app: Flask, client: FlaskClient, publication: Publication
) -> None:
    owner = signed_in(client)
    url = choose_file(owner, ROWS)
    let_in(owner, url)
    editor = signed_in(app.test_client(), "editor")
    for path in (url, f"{url}/left-out.csv"):
        assert editor.get(path).status_code == 404
    assert press(editor, url, {"act": "stop"}).status_code == 404
    assert "brought in" not in editor.get(f"{PUBLICATION}/import").text
    assert "brought in" in owner.get(f"{PUBLICATION}/import").text


def test_columns_are_chosen_on_the_page_and_kept(
    desk: FlaskClient, publication: Publication
) -> None:
    url = choose_file(desk, "Wer;Kontakt;Notiz\nAnn Lee;ann@reader.example;bar\n")
    chosen = columns_chosen(url, desk)
    assert chosen == {
        "heading0": "Wer",
        "heading1": "Kontakt",
        "heading2": "Notiz",
        "meaning0": "",
        "meaning1": "email",
        "meaning2": "",
    }
    twice = press(desk, url, chosen | {"meaning0": "email", "act": "look"})
    assert twice.status_code == 422
    assert "“Wer” and “Kontakt” are both the e-mail address. Choose one of them." in twice.text
    check_page(twice.text, path=url)

    looked = press(desk, url, chosen | {"meaning0": "name", "act": "start"})
    assert (looked.status_code, holders()) == (303, 1)
    assert "You changed the columns." in desk.get(url).text
    let_in(desk, url, **chosen | {"meaning0": "name"})
    names = db.session.scalars(sa.select(Customer.name).order_by(Customer.id.desc())).first()
    assert (names, holders()) == ("Ann Lee", 2)


def test_a_column_that_bears_on_the_right_refuses_the_file_until_it_is_said_what_it_is(
    desk: FlaskClient, publication: Publication
) -> None:
    url = choose_file(desk, "email,bought on\nann@reader.example,2027-02-01\n")
    page = desk.get(url).text
    assert "The column “bought on” says something that bears on who has" in page
    assert press(desk, url, {"act": "start"}).status_code == 409
    chosen = columns_chosen(url, desk) | {"meaning1": "ordered_on", "act": "look"}
    assert press(desk, url, chosen).status_code == 303
    let_in(desk, url)
    assert holders() == 2


def test_an_export_of_another_shop_is_read_as_by_the_command(
    desk: FlaskClient, publication: Publication
) -> None:
    url = choose_file(desk, GUMROAD)
    assert press(desk, url, {"act": "look", "item": "A guide"}).status_code == 303
    page = desk.get(url).text
    check_page(page, path=url)
    assert "This is an export of Gumroad" in page
    for reason in ("refunded", "disputed", "access was revoked", "a row of totals"):
        assert f"<td>{reason}" in page
    let_in(desk, url)
    assert holders() == 5


def test_only_those_who_are_to_hear_of_the_newest_edition_are_written_to(
    desk: FlaskClient, publication: Publication
) -> None:
    drafted_and_released(publication)
    before = len(send())
    let_in(desk, choose_file(desk, "email\nann@reader.example\n"))
    assert len(send()) == before
    let_in(desk, choose_file(desk, "email\nben@reader.example\n"), notify="yes")
    assert [letter.recipient for letter in send()[before:]] == ["ben@reader.example"]


def a_list(count: int) -> str:
    """So many rows."""
    return "email\n" + "".join(f"reader{number}@reader.example\n" for number in range(count))


@on_both
def test_who_stops_an_import_goes_on_where_it_stopped(
    desk: FlaskClient, publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = choose_file(desk, a_list(250))
    assert press(desk, url, {"act": "start"}).status_code == 303
    grant = imports.grant_rows

    def grant_and_be_stopped(*given: Any, **named: Any) -> Any:
        left = grant(*given, **named)
        found = db.session.scalars(sa.select(CustomerImport)).one()
        imports.stop(found)
        return left

    with monkeypatch.context() as patch:
        patch.setattr(imports, "grant_rows", grant_and_be_stopped)
        imports.bring_in(1)
    assert holders() == 101
    page = desk.get(url).text
    check_page(page, path=url)
    assert "<b>100 of 250</b> people done, 100 of them new." in page
    assert "Go on" in page
    done = let_in(desk, url)
    assert ("<b>250 of 250</b> people done" in done, holders()) == (True, 251)


@on_both
def test_what_a_worker_left_that_died_is_taken_up_by_the_next(
    app: Flask, desk: FlaskClient, publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = choose_file(desk, a_list(250))
    assert press(desk, url, {"act": "start"}).status_code == 303
    grant, pieces = imports.grant_rows, iter([True, False])

    def grant_once(*given: Any, **named: Any) -> Any:
        if not next(pieces):
            raise KeyboardInterrupt
        return grant(*given, **named)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(imports, "grant_rows", grant_once)
        imports.bring_in(1)
    db.session.remove()
    assert holders() == 101
    rung = list[tuple[str, int]]()
    monkeypatch.setattr(jobs, "ring", lambda name, *ids: rung.append((name, *ids)))
    imports.go_on()
    assert rung == []
    db.session.execute(
        sa.update(CustomerImport).values(changed_at=clock.now() - timedelta(hours=1))
    )
    imports.go_on()
    assert rung == [("bring_in", 1)]
    db.session.rollback()
    imports.bring_in(1)
    imports.bring_in(1)
    assert holders() == 251
    assert "<b>250 of 250</b> people done, 250 of them new." in desk.get(url).text


@on_postgresql
@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
def test_two_workers_at_once_count_each_row_once(
    app: Flask,
    desk: FlaskClient,
    publication: Publication,
    monkeypatch: pytest.MonkeyPatch,
    is_guarded: bool,
) -> None:
    press(desk, choose_file(desk, a_list(CHUNK + 5)), {"act": "start"})
    grant, came = imports.grant_rows, list[int]()

    def meet(*given: Any, **named: Any) -> Any:
        came.append(len(given[1]))
        until_waiting(lambda: len(came) > 1)
        return grant(*given, **named)

    monkeypatch.setattr(imports, "grant_rows", meet)
    if not is_guarded:
        monkeypatch.setattr(sa.Select, "with_for_update", lambda query, **_: query)
    faults = at_once(app, lambda: imports.bring_in(1), lambda: imports.bring_in(1))
    found = db.session.scalars(sa.select(CustomerImport)).one()
    is_right = (faults, found.done, found.added, came) == ([], CHUNK + 5, CHUNK + 5, [CHUNK, 5])
    assert is_right is is_guarded, (faults, found.done, found.added, came)


def test_a_worker_whose_time_is_over_lets_another_go_on(
    desk: FlaskClient, publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    press(desk, choose_file(desk, a_list(5)), {"act": "start"})
    rung = list[tuple[str, int]]()
    monkeypatch.setattr(jobs, "ring", lambda name, *ids: rung.append((name, *ids)))
    monkeypatch.setattr(imports, "_LONGEST_SECONDS", 0)
    imports.bring_in(1)
    assert (rung, holders()) == ([("bring_in", 1)], 1)


def test_what_goes_in_is_stopped_at_the_desk_and_not_chosen_again_meanwhile(
    desk: FlaskClient, publication: Publication
) -> None:
    with transaction():
        a_publication("other")
    url = choose_file(desk, a_list(5))
    assert press(desk, url, {"act": "start"}).status_code == 303
    for act in ("look", "start"):
        assert press(desk, url, {"act": act}).status_code == 409
    assert desk.get(url.replace("send-early-years", "other")).status_code == 404
    assert press(desk, url, {"act": "stop"}).status_code == 303
    imports.bring_in(1)
    assert holders() == 1
    db.session.rollback()
    acts = db.session.scalars(sa.select(AuditEntry.act).order_by(AuditEntry.id)).all()
    assert acts[-2:] == ["customers_imported", "import_stopped"]


def test_a_file_is_forgotten_after_30_days_and_its_count_stays(
    desk: FlaskClient, publication: Publication, frozen: Clock
) -> None:
    url = choose_file(desk, ROWS)
    let_in(desk, url)
    dropped = choose_file(desk, ROWS)
    frozen.advance(days=31)
    desk = signed_in(desk)
    imports.forget_files()
    page = desk.get(url).text
    check_page(page, path=url)
    assert "nobody" not in page
    assert "kept for 30 days and then forgotten" in page
    assert desk.get(f"{url}/left-out.csv").status_code == 409
    assert desk.get(dropped).status_code == 404
    assert db.session.scalar(sa.select(sa.func.count(ImportLine.id))) == 0
    assert "1 of 4 rows" in desk.get(f"{PUBLICATION}/import").text


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("", "Choose a CSV file."),
        ("email\n" + "x" * 2_000, "This file has more than 5 MB."),
        ("name\nAnn\n", "No column with e-mail addresses was found."),
    ],
)
def test_what_cannot_be_read_is_said_beside_the_field(
    desk: FlaskClient,
    publication: Publication,
    monkeypatch: pytest.MonkeyPatch,
    rows: str,
    sentence: str,
) -> None:
    monkeypatch.setattr(imports, "LARGEST_FILE", 1_000)
    data = {"file": (io.BytesIO(rows.encode()), "people.csv")} if rows else {}
    answer = press(desk, f"{PUBLICATION}/import", data, content_type="multipart/form-data")
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
    for said in (
        "Olga released edition 1 to 1 person",
        "Olga withdrew edition 1",
        "Olga recalled the letters that had not left",
    ):
        assert said in page
    assert "You took it off sale" in desk.get(PUBLICATION).text
