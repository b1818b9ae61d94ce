"""Letters that do not leave, as the desk's first page and a monitor show it."""

import html
from datetime import timedelta

from flask import Flask
from flask.testing import FlaskClient

from store.kit.database import db, transaction
from store.mail import standstills
from store.mail.answers import About, Cause
from store.mail.models import Standstill
from tests.admin.sign_in import press, signed_in
from tests.conftest import Clock, on_both_when_long
from tests.factories import a_seller
from tests.pages import page_at

WORDS = "535 5.7.8 <anna@reader.example> Bad credentials"


def it_begins(about: About = About.US, cause: Cause = Cause.ACCOUNT, words: str = WORDS) -> str:
    """The form that says that somebody has seen it."""
    with transaction() as session:
        standstills.begin(session, about, cause, words)
        return f"/admin/letters/standstills/{session.query(Standstill).one().id}/seen"


def it_ends() -> None:
    with transaction() as session:
        standstills.end(session)


@on_both_when_long
def test_home_shows_it_until_somebody_has_seen_it(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    with transaction():
        a_seller()
    form = it_begins()
    desk = signed_in(client, "support")
    page = html.unescape(page_at(desk, "/admin/"))
    assert "Letters do not leave" in page
    assert str(Cause.ACCOUNT) in page
    assert WORDS in page

    answer = press(desk, form, seen_on="/admin/")
    assert (answer.status_code, answer.location) == (303, "/admin/")
    page = page_at(desk, "/admin/")
    assert "support@publisher.example has seen it." in " ".join(page.split())
    assert form not in page  # it stays on the page while it lasts, without a button

    frozen.advance(hours=1)
    it_ends()
    assert "Letters do not leave" not in page_at(desk, "/admin/")
    assert "Letters did not leave" not in page_at(desk, "/admin/")


def test_what_is_over_stands_there_until_it_is_seen(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    with transaction():
        a_seller()
    form = it_begins()
    frozen.advance(hours=1)
    it_ends()
    desk = signed_in(client)
    assert "Letters did not leave" in page_at(desk, "/admin/")
    press(desk, form, seen_on="/admin/")
    assert "Letters did not leave" not in page_at(desk, "/admin/")


def test_what_lasts_stands_above_what_is_over(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    with transaction():
        a_seller()
    it_begins()
    frozen.advance(hours=1)
    it_ends()
    with transaction() as session:
        standstills.begin(session, About.US, Cause.QUOTA, "454 Throttling failure")
    page = page_at(signed_in(client), "/admin/")
    assert page.index("Letters do not leave") < page.index("Letters did not leave")


def test_what_the_server_says_is_for_those_who_may_read_letters(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    with transaction():
        a_seller()
    form = it_begins()
    page = page_at(signed_in(client, "editor"), "/admin/")
    assert "Letters do not leave" in page
    assert "anna@reader.example" not in page
    assert form not in page


@on_both_when_long
def test_readyz_tells_it_in_our_words_and_stays_ready(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    assert client.get("/readyz").get_json()["no_letters_since"] is None
    it_begins(About.CONNECTION, Cause.LINE, "no answer in time")
    assert client.get("/readyz").get_json()["no_letters_since"] is None  # no news yet
    frozen.advance(seconds=timedelta(minutes=10).total_seconds())
    answer = client.get("/readyz")
    said = answer.get_json()
    assert (answer.status_code, said["status"]) == (200, "ready")
    assert said["no_letters_since"].startswith("2027-03-01T10:00:00")
    assert said["no_letters_because"] == str(Cause.LINE)
    it_begins()
    assert "anna@" not in client.get("/readyz").text
    it_ends()
    db.session.remove()
    assert client.get("/readyz").get_json()["no_letters_since"] is None
