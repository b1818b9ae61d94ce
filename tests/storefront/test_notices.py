"""Stopping news of editions in one press, by mail program or by button (journey B8, case mail-12)."""

import re
from email.message import EmailMessage

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from store.entitlements.models import NoticeStop
from store.kit.database import db, transaction
from store.mail import outbox
from tests.conftest import Clock, on_both_when_long
from tests.editions import a_shop
from tests.letters import sent, text_of
from tests.links import anna, path_to
from tests.news import is_stopped
from tests.pages import check_page
from tests.purchases import ANNA, a_paid_order
from tests.rows import count_rows

pytestmark = pytest.mark.usefixtures("frozen")


@pytest.fixture
def path(client: FlaskClient) -> str:
    a_paid_order(a_shop())
    return path_to("stop", anna().id)


def stopped() -> bool:
    db.session.rollback()
    return is_stopped(anna().id, 1)


def press(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    return client.post(path, data=fields, headers={"Sec-Fetch-Site": "same-origin"})


@on_both_when_long
def test_the_one_press_of_a_mail_program_works_at_once_and_again(
    client: FlaskClient, path: str
) -> None:
    for _ in range(2):
        answer = client.post(
            path,
            data="List-Unsubscribe=One-Click",
            content_type="application/x-www-form-urlencoded",
            headers={"User-Agent": "Mail program", "Sec-Fetch-Site": "cross-site"},
        )
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
        assert stopped()
    assert db.session.scalar(sa.select(sa.func.count(NoticeStop.id))) == 1


def test_the_one_press_may_come_as_multipart(client: FlaskClient, path: str) -> None:
    body = '--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
    answer = client.post(path, data=body, content_type="multipart/form-data; boundary=b")
    assert answer.status_code == 200
    assert stopped()


def test_opening_the_link_changes_nothing(client: FlaskClient, path: str) -> None:
    before = count_rows()
    answer, headed = client.get(path), client.head(path)
    assert count_rows() == before
    assert answer.status_code == headed.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    check_page(answer.text, path=path)
    assert "receipts, links that you ask for" in answer.text


@pytest.mark.parametrize(
    "body", ["", "List-Unsubscribe=", "List-Unsubscribe=Two-Clicks", "notices=", "notices=delete"]
)
def test_a_post_that_asks_for_nothing_changes_nothing(
    client: FlaskClient, path: str, body: str
) -> None:
    before = count_rows()
    answer = client.post(path, data=body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 400
    check_page(answer.text, path=path)
    assert count_rows() == before


def test_the_button_stops_and_the_same_page_undoes_it(client: FlaskClient, path: str) -> None:
    answer = press(client, path, notices="stop")
    assert answer.status_code == 200
    check_page(answer.text, path=path)
    assert "News of new editions is stopped" in answer.text
    assert "Write to me again" in answer.text
    assert stopped()
    answer = press(client, path, notices="resume")
    check_page(answer.text, path=path)
    assert "You get news of new editions again" in answer.text
    assert not stopped()
    assert press(client, path, notices="resume").status_code == 200
    assert not stopped()


def test_the_button_of_somebody_elses_page_is_refused(client: FlaskClient, path: str) -> None:
    answer = client.post(path, data={"notices": "stop"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert not stopped()


def test_years_later_the_link_still_stops(client: FlaskClient, path: str, frozen: Clock) -> None:
    frozen.advance(days=3650)
    assert client.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert stopped()


def test_an_unknown_link_is_a_page_that_helps(client: FlaskClient, path: str) -> None:
    answer = client.post("/stop/nonsense", data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 404
    assert 'href="/find-my-copies"' in answer.text


def test_receipts_and_links_still_come_after_a_stop(client: FlaskClient, path: str) -> None:
    client.post(path, data={"List-Unsubscribe": "One-Click"})
    client.post("/find-my-copies", data={"who": "anna@reader.example"})
    with transaction():
        outbox.alert_staff("Nothing", "Nothing", "none")
    kinds = [letter["Subject"].split(" ")[0:2] for letter in sent() if "anna" in letter["To"]]
    assert kinds == [["Your", "order"], ["No", "more"], ["Here", "are"]]


def letters_of_stops() -> list[EmailMessage]:
    return [one for one in sent() if one["Subject"].startswith("No more news")]


@on_both_when_long
def test_a_letter_to_the_address_on_file_says_that_news_is_stopped_and_undoes_it(
    client: FlaskClient, path: str
) -> None:
    client.post(path, data={"List-Unsubscribe": "One-Click"})
    (letter,) = letters_of_stops()
    assert letter["To"] == f"Anna Berg <{ANNA}>"
    text = " ".join(text_of(letter).split())
    title = "Effective SEND Practice in the Early Years"
    assert letter["Subject"] == f"No more news: {title}"
    assert f"We no longer write to you when there is a new edition of “{title}”." in text
    assert "What you bought and have not got yet still comes" in text
    (undo,) = re.findall(r"http://127\.0\.0\.1:8000(/stop/\S+)", text)
    page = client.get(undo).text
    check_page(page, path=undo)
    assert "Write to me again" in page
    assert stopped()
    press(client, undo, notices="resume")
    assert not stopped()


def test_one_letter_a_day_however_often_it_is_stopped_and_undone(
    client: FlaskClient, path: str, frozen: Clock
) -> None:
    press(client, path, notices="resume")
    for _ in range(3):
        press(client, path, notices="stop")
        press(client, path, notices="stop")
        sent()
        press(client, path, notices="resume")
    assert len(letters_of_stops()) == 1
    frozen.advance(days=1)
    press(client, path, notices="stop")
    assert len(letters_of_stops()) == 2


def test_a_stop_that_was_undone_before_the_letter_left_needs_none_and_the_next_has_its_own(
    client: FlaskClient, path: str
) -> None:
    press(client, path, notices="stop")
    press(client, path, notices="resume")
    assert letters_of_stops() == []
    press(client, path, notices="stop")
    assert len(letters_of_stops()) == 1


def test_the_page_says_what_still_comes(client: FlaskClient, path: str) -> None:
    for page in (client.get(path), press(client, path, notices="stop"), client.get(path)):
        assert "What still comes: what you bought and have not got yet" in page.text
