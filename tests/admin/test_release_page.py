"""The page of an edition at the desk, before the press and after it: what was checked, who gets it,
the letter, and the part of it that is asked for again."""

import re
from html import unescape

import pytest
from flask.testing import FlaskClient

from store.catalog.models import Edition, EditionStatus, Publication
from store.distribution import people, releasing
from store.distribution.recipients import STOPPED
from store.kit.database import db, transaction
from store.kit.paging import BEGINNING
from tests.admin.sign_in import press, signed_in
from tests.conftest import Clock, on_both
from tests.distribution.reached import a_copy_came_before
from tests.editions import draft, release, reread
from tests.factories import a_customer, an_asset, an_edition
from tests.letters import send
from tests.news import stop_news
from tests.pages import check_page, page_at
from tests.purchases import buy, give_imported
from tests.statements import statements

PUBLICATION = "/admin/publications/send-early-years"
EDITION = f"{PUBLICATION}/editions/1"
FILE_LINKS = {
    "level": "warn",
    "code": "pdf-file-links",
    "sentence": "Links in this PDF point to files on the author's own machine (3). They will not "
    "work for buyers: change them to web addresses.",
}


def test_checks_are_ranked_and_each_is_said_once(
    desk: FlaskClient, publication: Publication
) -> None:
    link = {"level": "warn", "code": "epub-broken-link"}
    with transaction():
        buy(publication)
        edition = an_edition(publication, 1)
        an_asset(edition, "pdf", findings=[FILE_LINKS])
        found = [
            link | {"sentence": f"c{n}.xhtml, line 3: the link leads nowhere."} for n in (1, 2)
        ]
        kept = {"level": "pass", "code": "epub-title", "sentence": "Its title is set: SEND."}
        odd = {"level": "warn", "code": "epub-no-language", "sentence": "It has no language."}
        an_asset(edition, "epub", findings=[*found, odd, kept])

    page = page_at(desk, EDITION)

    assert "2 to mend · 1 to look at · 1 passed" in page
    assert page.count("on the author&#39;s own machine") == 1
    assert "1 more like this" in page
    assert "<b>EPUB: It has no language.</b>" in page


def test_what_is_to_mend_asks_for_a_tick_and_the_form_comes_back_open(
    desk: FlaskClient, publication: Publication
) -> None:
    with transaction():
        buy(publication)
        edition = an_edition(publication, 1)
        an_asset(edition, "pdf", findings=[FILE_LINKS])
    typed = {"people": "1", "when": "later", "at": "2027-04-01T09:00"}

    refused = press(desk, f"{EDITION}/release", typed, seen_on=EDITION)

    assert refused.status_code == 422
    check_page(refused.text, path=EDITION)
    assert re.search(r'<details name="act" open>\s*<summary class="button line">At', refused.text)
    assert '<a href="#unmended-later">Mend it, or tick' in refused.text
    assert 'value="2027-04-01T09:00"' in refused.text
    assert _status_of(edition) is EditionStatus.DRAFT
    ticked = typed | {"unmended": "yes", "when": "now"}
    assert press(desk, f"{EDITION}/release", ticked, seen_on=EDITION).status_code == 303
    assert _status_of(edition) is EditionStatus.SCHEDULED


def _status_of(edition: Edition) -> EditionStatus:
    db.session.rollback()
    return reread(edition).status


@on_both
def test_each_number_opens_its_people_by_key_with_the_same_statements(
    desk: FlaskClient, publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        drafted = draft(publication)
        for number in range(5):
            buyer = a_customer(f"reader{number}@reader.example", f"Reader_{number}")
            give_imported(buyer, publication, notify=False)
        stopped = buy(publication, "stop@reader.example")
        a_copy_came_before(stopped)
        stop_news(stopped.customer_id, publication.id)
    lists = f"{EDITION}/people"
    page = page_at(desk, EDITION)
    assert f'href="{lists}/gets?why=first_copy"><b>5</b>' in page
    assert f'href="{lists}/left_out?why=asked+us+to+stop"><b>1</b>' in page

    few = _statements_of(desk, f"{lists}/gets")
    monkeypatch.setattr(people.some_people, "__defaults__", ("", BEGINNING, 2))
    assert _statements_of(desk, f"{lists}/gets") == few
    seen, path = [], f"{lists}/gets"
    while path:
        page = page_at(desk, path)
        seen += _readers(page)
        following = re.search(r'href="([^"]+)" rel="next"', page)
        path = unescape(following[1]) if following else ""
    assert seen == [f"Reader_{number}" for number in range(5)]
    assert _readers(page_at(desk, f"{lists}/gets?q=reader_3")) == ["Reader_3"]
    left = desk.get(f"{lists}/left_out.csv?why={STOPPED}").data.decode("utf-8-sig")
    assert left.splitlines()[1].startswith("stop@reader.example,Anna Berg,Asked for no notices")

    release(drafted)
    few = _statements_of(desk, f"{lists}/waiting")
    assert _readers(page_at(desk, f"{lists}/waiting")) == ["Reader_0", "Reader_1"]
    monkeypatch.setattr(people.some_people, "__defaults__", ("", BEGINNING, 5))
    assert _statements_of(desk, f"{lists}/waiting") == few
    left_page = page_at(desk, f"{lists}/left_out").replace("<wbr>", "")
    assert "stop@reader.example" in left_page
    assert desk.get(f"{lists}/gets").status_code == 404


def _readers(page: str) -> list[str]:
    return re.findall(r">(Reader_\d)</a>", page)


def _statements_of(desk: FlaskClient, path: str) -> int:
    with statements() as told:
        assert desk.get(path).status_code == 200
    return len(told)


def test_the_letter_is_shown_with_the_values_of_who_was_chosen(
    desk: FlaskClient, publication: Publication
) -> None:
    with transaction():
        buy(publication)
        ben = buy(publication, "ben@reader.example", "Ben Oyelaran")
        draft(publication)

    page = page_at(desk, f"{EDITION}?customer={ben.customer_id}")

    assert "as Ben Oyelaran gets it" in page
    frame = re.search(r'<iframe class="letter" src="([^"]+)"', page)
    assert frame
    assert "Dear Ben Oyelaran," in desk.get(unescape(frame[1])).text


def test_an_editor_sees_numbers_and_no_names(client: FlaskClient, publication: Publication) -> None:
    with transaction():
        buy(publication)
        ben = buy(publication, "ben@reader.example", "Ben Oyelaran")
        draft(publication)
    editor = signed_in(client, "editor")

    page = page_at(editor, f"{EDITION}?customer={ben.customer_id}")

    assert "<b>2</b>get their first copy" in page
    assert "/people/" not in page
    assert "as Anna Berg gets it" in page  # the choice is not theirs
    assert editor.get(f"{EDITION}/people/gets").status_code == 403


def test_what_the_script_asks_for_again_is_small_and_counts_nobody_again(
    frozen: Clock, desk: FlaskClient, publication: Publication
) -> None:
    with transaction():
        buy(publication)
        draft(publication)
    press(desk, f"{EDITION}/release", {"people": "1", "when": "now"}, seen_on=EDITION)
    url = _part_of(page_at(desk, EDITION))
    with statements() as told:
        part = desk.get(url)
    assert "goes out in a moment" in part.text
    assert "to 1 person" in part.text
    assert not [one for one in told if "entitlements" in one]
    frozen.advance(minutes=11)
    releasing.release_due()

    part = desk.get(url)  # the page that was open before the moment came

    assert "is going out" in part.text
    assert len(part.data) <= 5000
    assert _part_of(part.text) == f"{EDITION}/part"
    send()
    done = desk.get(f"{EDITION}/part").text
    assert "The account is complete" in done
    assert "data-poll" not in done


def _part_of(page: str) -> str:
    found = re.search(r'data-from="([^"]+)"', page)
    assert found
    return unescape(found[1])


def test_a_recall_of_many_is_confirmed_by_the_number_that_was_shown(
    desk: FlaskClient, publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.distribution.rehearsal.TYPED_ABOVE", 1)
    with transaction():
        for name in ("anna", "ben"):
            buy(publication, f"{name}@reader.example")
        edition = draft(publication)
    release(edition)
    recall = f"{EDITION}/recall"
    assert 'name="shown" value="2"' in page_at(desk, recall)

    refused = press(desk, recall, {"shown": "2", "people": "3"})

    assert refused.status_code == 422
    check_page(refused.text, path=recall)
    assert "Type the number of letters that have not left" in refused.text
    assert 'value="3"' in refused.text
    assert press(desk, recall, {"shown": "2", "people": "2"}).status_code == 303
    assert "was recalled" in page_at(desk, EDITION)
