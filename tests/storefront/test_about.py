"""Who we are, what holds, and whether the shop is up."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store.kit.database import transaction
from tests.conftest import on_both
from tests.factories import a_seller
from tests.pages import check_page


@pytest.mark.parametrize("path", ["/terms", "/privacy", "/accessibility"])
def test_the_pages_about_us_say_who_we_are(app: Flask, client: FlaskClient, path: str) -> None:
    with transaction():
        a_seller()

    answer = client.get(path)

    assert answer.status_code == 200
    check_page(answer.text, path=path)
    assert "Early Years Sample Press, a trading name of" in answer.text
    assert "registered charity 000000" in answer.text
    assert "Set-Cookie" not in answer.headers


def test_a_page_that_is_not_there_says_so_in_our_words(client: FlaskClient) -> None:
    answer = client.get("/nothing-here")

    assert answer.status_code == 404
    check_page(answer.text, path="/nothing-here")
    assert "There is no page at this address." in answer.text


def test_the_shop_is_up(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "up"}


@on_both
def test_the_shop_is_ready_when_database_and_storage_answer(client: FlaskClient) -> None:
    assert client.get("/readyz").json == {"status": "ready", "database": True, "storage": True}


def test_a_request_for_another_host_is_refused(client: FlaskClient) -> None:
    assert client.get("/terms", headers={"Host": "evil.example"}).status_code == 400
