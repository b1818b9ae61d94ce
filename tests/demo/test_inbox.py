"""The demonstration's inbox: letters as HTML, text and source; nothing of it in production."""

import re
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store.app import create_app
from store.kit.database import db
from store.mail import worker
from tests.conftest import make_settings
from tests.mail.shops import a_shop, owe_to
from tests.pages import check_letter_html, check_page

ANNA = "anna@reader.example"


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    with a_shop(database_url, tmp_path, base_url="http://127.0.0.1:8000") as app:
        yield app


@pytest.fixture
def browser(shop: Flask) -> FlaskClient:
    return shop.test_client()


def page(browser: FlaskClient, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200
    check_page(answer.text, path=address)
    return answer.text


def subjects(html: str) -> list[str]:
    return re.findall(r'<a href="/demo/inbox/\d+">([^<]+)</a>', html)


def test_an_empty_inbox_says_so(browser: FlaskClient) -> None:
    assert "No letters yet" in page(browser, "/demo/inbox")


def test_the_inbox_shows_the_newest_letter_first(browser: FlaskClient) -> None:
    owe_to("first@reader.example", "second@reader.example")
    worker.send_due_letters()

    shown = subjects(page(browser, "/demo/inbox"))
    assert shown == ["To second@reader.example", "To first@reader.example"]


def test_one_address_sees_its_own_letters_whatever_their_case(browser: FlaskClient) -> None:
    owe_to("Anna@Reader.example", "ben@reader.example")
    worker.send_due_letters()

    shown = subjects(page(browser, f"/demo/inbox?to={ANNA.upper()}"))
    assert shown == ["To Anna@Reader.example"]
    assert "No letters to nobody@reader.example" in page(
        browser, "/demo/inbox?to=nobody@reader.example"
    )


def test_many_letters_come_a_page_at_a_time(browser: FlaskClient) -> None:
    owe_to(*(f"r{n:02}@reader.example" for n in range(30)))
    worker.send_due_letters()

    first = page(browser, "/demo/inbox")
    following = re.search(r'href="([^"]*)" rel="next">Older ones', first)
    assert following
    second = page(browser, following[1])
    assert (len(subjects(first)), len(subjects(second))) == (25, 5)
    assert len({*subjects(first), *subjects(second)}) == 30


def test_a_letter_is_shown_in_a_frame_as_text_and_as_source(browser: FlaskClient) -> None:
    owe_to(ANNA)
    worker.send_due_letters()

    shown = page(browser, "/demo/inbox/1")
    assert '<a href="/demo/inbox">Inbox of the demonstration</a>' in shown
    assert 'src="/demo/inbox/1/html"' in shown
    assert f"Good news for {ANNA}." in shown
    source = browser.get("/demo/inbox/1/source")
    assert source.content_type == "text/plain; charset=utf-8"
    assert message_from_bytes(source.data)["To"] == f"<{ANNA}>" or ANNA in source.text


def test_the_html_of_a_letter_is_shut_in(browser: FlaskClient) -> None:
    owe_to(ANNA)
    worker.send_due_letters()

    answer = browser.get("/demo/inbox/1/html")
    check_letter_html(answer.text.replace('<base target="_top">', ""))
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-popups ")
    assert "default-src 'none'" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert answer.headers["Cache-Control"] == "no-store"


def test_only_the_page_of_a_letter_may_show_a_frame(browser: FlaskClient) -> None:
    owe_to(ANNA)
    worker.send_due_letters()

    framed = browser.get("/demo/inbox/1").headers["Content-Security-Policy"]
    plain = browser.get("/demo/inbox").headers["Content-Security-Policy"]
    assert framed == f"{plain}; frame-src 'self'"


@pytest.mark.parametrize("tail", ["", "/html", "/source"])
def test_a_letter_that_is_not_there_is_a_page_not_found(browser: FlaskClient, tail: str) -> None:
    for number in (7, 10**15):
        assert browser.get(f"/demo/inbox/{number}{tail}").status_code == 404


def test_production_has_no_inbox(tmp_path: Path) -> None:
    app = create_app(
        make_settings(
            tmp_path,
            env="production",
            base_url="https://shop.example.org",
            mail_server="mail.example.org",
            mail_default_sender="shop@shop.example.org",
        )
    )
    with app.app_context():
        assert not [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/demo")]
        db.engine.dispose()
