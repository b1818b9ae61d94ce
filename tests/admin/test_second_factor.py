"""Two-step sign-in is demanded of owners and editors in production, a week after they came."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.admin.sign_in import PASSWORD, press, sign_in, signed_in
from tests.admin.test_sign_in import _seconds_code
from tests.conftest import Clock
from tests.pages import check_page

NOTICE = "the desk opens to you only with it"


@pytest.fixture(autouse=True)
def production(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shop as it is in production; its doors stay those of the tests."""
    monkeypatch.setitem(app.extensions["colophon.settings"].__dict__, "env", "production")


@pytest.mark.parametrize("role", ["owner", "editor"])
def test_after_a_week_only_the_page_that_turns_it_on_opens(
    client: FlaskClient, frozen: Clock, role: str
) -> None:
    signed_in(client, role)
    page = client.get("/admin/").text
    check_page(page, path="/admin/")
    assert "From 8 March 2027, 10:00 GMT the desk opens to you only with it." in page
    frozen.advance(days=6, hours=23)
    sign_in(client, f"{role}@publisher.example")
    assert client.get("/admin/publications").status_code == 200
    frozen.advance(hours=1)
    for path in ("/admin/", "/admin/publications", "/admin/account", "/admin/account/password"):
        answer = client.get(path)
        assert (answer.status_code, answer.location) == (303, "/admin/account/two-step"), path
    page = client.get("/admin/account/two-step").text
    check_page(page, path="/admin/account/two-step")
    assert "You need this" in page
    assert NOTICE not in page
    with client.session_transaction("/admin/") as kept:
        secret = kept["new_secret"]
    shown = press(
        client, "/admin/account/two-step", {"code": _seconds_code(secret), "password": PASSWORD}
    )
    assert shown.status_code == 200
    page = client.get("/admin/publications")
    assert (page.status_code, NOTICE in page.text) == (200, False)


def test_nothing_is_changed_by_a_form_sent_past_the_page(
    client: FlaskClient, frozen: Clock
) -> None:
    signed_in(client)
    frozen.advance(days=8)
    sign_in(client, "owner@publisher.example")
    answer = press(client, "/admin/seller", {"email": "x"}, seen_on="/admin/account/two-step")
    assert (answer.status_code, answer.location) == (303, "/admin/account/two-step")
    answer = press(client, "/admin/sign-out", seen_on="/admin/account/two-step")
    assert answer.location == "/admin/sign-in"


def test_support_may_and_elsewhere_nobody_must(
    app: Flask, client: FlaskClient, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in(client, "support")
    frozen.advance(days=8)
    sign_in(client, "support@publisher.example")
    page = client.get("/admin/orders")
    assert (page.status_code, NOTICE in page.text) == (200, False)
    press(client, "/admin/sign-out", seen_on="/admin/orders")
    monkeypatch.setitem(app.extensions["colophon.settings"].__dict__, "env", "demo")
    signed_in(client)
    frozen.advance(days=8)
    sign_in(client, "owner@publisher.example")
    page = client.get("/admin/")
    assert (page.status_code, NOTICE in page.text) == (200, False)
