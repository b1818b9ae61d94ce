"""A date moved at the desk: looked at, tried, pressed, and accounted for (journeys A14)."""

import re
from datetime import date

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import DateMove, Publication
from store.kit.database import db, transaction
from store.mail.models import CapturedLetter
from tests.admin.sign_in import press, signed_in
from tests.conftest import Clock
from tests.editions import drafted_and_released
from tests.factories import a_customer, a_publication, a_seller
from tests.letters import send
from tests.pages import check_page, page_at
from tests.purchases import buy, give_imported

PUBLICATION = "/admin/publications/send-early-years"
PAGE = f"{PUBLICATION}/date"
TYPED = {"new_on": "2027-05-14", "reason": "Two schools are still to read\ntheir chapters."}


@pytest.fixture
def shop(app: Flask, frozen: Clock) -> Clock:
    """Anna and Ben wait for a publication that is promised for 1 April 2027."""
    with transaction():
        a_seller()
        publication = a_publication(expected_on=date(2027, 4, 1))
        for name in ("Anna", "Ben"):
            buy(publication, f"{name.lower()}@reader.example", name)
    send()
    return frozen


@pytest.fixture
def desk(shop: Clock, client: FlaskClient) -> FlaskClient:
    return signed_in(client)


def _moves() -> int:
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(DateMove)) or 0


def test_from_the_publication_to_the_account_of_its_letters(desk: FlaskClient) -> None:
    assert f'href="{PAGE}"' in page_at(desk, PUBLICATION)
    page = page_at(desk, PAGE)
    assert "2 people wait for" in page
    assert "promised <b>on 1 April 2027</b>" in page

    looked = press(desk, PAGE, TYPED | {"act": "look"})
    assert looked.status_code == 200
    check_page(looked.text, path=PAGE)
    assert "<b>It comes on 14 May 2027: " in looked.text
    assert "as Anna gets it" in looked.text
    assert "their chapters.</textarea>" in looked.text
    assert "Should all take their money back, that is £25.00." in looked.text
    letter = desk.get(f"{PAGE}/letter?new_on=2027-05-14&reason=Late.&after=1")
    assert ("Dear Ben" in letter.text, "/orders/…/cancel" in letter.text) == (True, True)
    assert _moves() == 0

    tested = press(desk, PAGE, TYPED | {"act": "test"})
    assert "A test is on its way to owner@publisher.example." in tested.text
    assert [one.subject[:6] for one in send()[-1:]] == ["[TEST]"]

    moved = press(desk, PAGE, TYPED | {"act": "move", "people": "2"})
    assert (moved.status_code, moved.location) == (303, f"{PAGE}/1")
    assert "2</b>waiting" in page_at(desk, f"{PAGE}/1")
    send()
    told = page_at(desk, f"{PAGE}/1")
    assert ("2</b>handed over" in told, "anna@reader.example" in told) == (True, True)
    seen = page_at(desk, PUBLICATION)
    assert "instead of 1 April 2027, set by owner@publisher.example on 1 March 2027" in seen


def test_the_letter_to_who_came_from_a_list_shows_where_it_leads(desk: FlaskClient) -> None:
    with transaction():
        publication = db.session.scalars(sa.select(Publication)).one()
        give_imported(a_customer("ian@reader.example", "Ian"), publication, notify=False)
    letter = desk.get(f"{PAGE}/letter?new_on=2027-05-14&reason=Late.&after=2").text
    assert ("Dear Ian" in letter, {*re.findall(r"/[a-z]+/…", letter)}) == (True, {"/library/…"})


def test_what_cannot_be_told_comes_back_with_what_was_typed(desk: FlaskClient) -> None:
    for typed, at, words in (
        ({"new_on": ""}, "new_on", "Choose the new date."),
        ({"new_on": "2027-02-28"}, "new_on", "28 February 2027 has passed."),
        ({"new_on": "2027-04-01"}, "new_on", "That is the date already."),
        ({"reason": ""}, "reason", "Say why, in a sentence or two"),
        ({"people": "3"}, "people", "2 people wait now. Look again, then press again."),
    ):
        fields = TYPED | {"act": "move", "people": "2"} | typed
        answer = press(desk, PAGE, fields)
        assert answer.status_code == 422
        check_page(answer.text, path=PAGE)
        assert (f'href="#{at}"' in answer.text, words in answer.text) == (True, True)
        assert fields["reason"] in answer.text
    assert _moves() == 0


def test_the_form_of_a_publication_moves_no_date_that_somebody_was_promised(
    desk: FlaskClient,
) -> None:
    edit = f"{PUBLICATION}/edit"
    assert 'name="expected_on"' not in page_at(desk, edit)
    fields = {"title": "A guide", "price": "13.00", "currency": "GBP", "language": "en-GB",
              "vat_treatment": "zero_rated"}  # fmt: skip
    sneaked = press(desk, edit, fields | {"expected_on": "2027-06-01"})
    assert sneaked.status_code == 422
    assert "2 people were promised the date. Move it on its own page" in sneaked.text
    assert press(desk, edit, fields).status_code == 303
    assert "on 1 April 2027" in page_at(desk, PUBLICATION)
    assert _moves() == 0


def test_letters_about_a_date_are_paused_and_go_on(desk: FlaskClient) -> None:
    press(desk, PAGE, TYPED | {"act": "move", "people": "2"})
    before = len(send()) - 2
    press(desk, PAGE, TYPED | {"act": "move", "people": "2", "new_on": "2027-06-01"})
    told = f"{PAGE}/2"
    assert press(desk, f"{told}/pause", seen_on=told).status_code == 303
    assert len(send()) == before + 2
    assert "The letters wait for you" in page_at(desk, told)
    assert press(desk, f"{told}/resume", seen_on=told).status_code == 303
    assert len(send()) == before + 4
    assert press(desk, f"{told}/pause", seen_on=PUBLICATION + "/edit").status_code == 409
    assert press(desk, f"{told}/retry", seen_on=PUBLICATION + "/edit").status_code == 303
    assert db.session.scalar(sa.select(sa.func.count()).select_from(CapturedLetter)) == before + 4


def test_an_editor_moves_a_date_and_learns_no_address_by_it(
    shop: Clock, client: FlaskClient
) -> None:
    editor = signed_in(client, "editor")
    press(editor, PAGE, TYPED | {"act": "move", "people": "2"})
    pages = page_at(editor, PAGE) + page_at(editor, f"{PAGE}/1")
    assert ("@reader.example" in pages, "2</b>waiting" in pages) == (False, True)


def test_an_editor_sees_one_letter_about_a_date_and_not_one_after_the_other(
    shop: Clock, client: FlaskClient
) -> None:
    editor = signed_in(client, "editor")
    asked = "new_on=2027-05-14&reason=Late."
    seen = [page_at(editor, f"{PAGE}?{asked}"), page_at(editor, f"{PAGE}?{asked}&after=1")]
    seen += [editor.get(f"{PAGE}/letter?{asked}&after={number}").text for number in (0, 1)]
    assert ["Ben" in one for one in seen] == [False] * 4
    assert ["Dear Anna" in one for one in seen] == [True] * 4
    assert "somebody else" not in seen[0]


def test_home_asks_for_a_new_date_before_anything_else(desk: FlaskClient, shop: Clock) -> None:
    assert f'href="{PAGE}"' not in page_at(desk, "/admin/")
    shop.advance(days=25)
    signed_in(desk)
    assert "is promised for" in page_at(desk, "/admin/")
    shop.advance(days=7)
    signed_in(desk)
    home = page_at(desk, "/admin/")
    assert "was promised for" in home
    assert f'href="{PAGE}"' in home


def test_a_publication_that_is_out_has_no_date_to_move(desk: FlaskClient) -> None:
    with transaction() as session:
        publication = session.get_one(Publication, 1)
    drafted_and_released(publication)
    assert desk.get(PAGE).location == PUBLICATION
    assert f'href="{PAGE}"' not in page_at(desk, PUBLICATION)
