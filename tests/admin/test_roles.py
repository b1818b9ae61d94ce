"""Every door of the desk, visited as nobody and as each role; a door without a word is found."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store.orders.customers import customer_by_address
from store.staff.guard import ANYBODY, EDITORS, OWNERS, STAFF, SUPPORT
from tests.admin.sign_in import PASSWORD, a_member, signed_in
from tests.editions import a_shop, draft
from tests.purchases import ANNA, a_paid_order
from tests.rows import count_rows

ROLES = ("owner", "editor", "support")


def doors(app: Flask) -> list[tuple[str, str, frozenset[str]]]:
    """Method, an address with plausible values, and who may come, of every door of the desk."""
    found = []
    for rule in app.url_map.iter_rules():
        if rule.rule != "/admin" and not rule.rule.startswith("/admin/"):
            continue
        values = dict.fromkeys(rule.arguments, "1")
        with app.test_request_context():
            url = rule.build(values, append_unknown=False)
        assert url, rule.rule
        view = app.view_functions[rule.endpoint]
        roles = getattr(view, "opens_to", frozenset())
        found += [(method, url[1], roles) for method in (rule.methods or set()) & {"GET", "POST"}]
    return found


def test_every_door_says_who_may_come(app: Flask) -> None:
    for method, url, roles in doors(app):
        assert roles in (ANYBODY, STAFF, EDITORS, SUPPORT, OWNERS), f"{method} {url}"


def test_only_signing_in_is_open_to_anybody(app: Flask) -> None:
    open_doors = {url for _, url, roles in doors(app) if roles == ANYBODY}
    assert open_doors == {"/admin/join/1", "/admin/sign-in", "/admin/sign-in/code"}


def test_nobody_comes_in_unasked(app: Flask, client: FlaskClient) -> None:
    for method, url, roles in doors(app):
        answer = client.open(url, method=method)
        if roles != ANYBODY:
            assert answer.status_code == 303, f"{method} {url}"
            assert answer.location.partition("?")[0] == "/admin/sign-in", f"{method} {url}"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_its_doors_and_no_others(app: Flask, client: FlaskClient, role: str) -> None:
    signed_in(client, role)
    for method, url, roles in doors(app):
        if url == "/admin/sign-out":
            continue
        answer = client.open(url, method=method)
        if roles == ANYBODY or role in roles:
            # Values are made up: nothing there yet, or a form without a token, but the door opened.
            assert answer.status_code in {200, 301, 303, 400, 404, 409, 410}, (
                f"{method} {url} {answer.status}"
            )
        else:
            assert answer.status_code == 403, f"{method} {url}"
            assert "Your role does not open this page" in answer.text


def test_a_door_that_says_nothing_opens_to_nobody(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/admin/forgotten", "forgotten", lambda: "open")
    signed_in(client, "owner")
    assert client.get("/admin/forgotten").status_code == 403


def test_a_page_of_the_desk_is_kept_by_no_cache(app: Flask, client: FlaskClient) -> None:
    signed_in(client, "owner")
    answer = client.get("/admin/")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Robots-Tag"] == "noindex"


def test_a_head_shows_what_a_get_does_and_never_sends_the_form(
    app: Flask, client: FlaskClient
) -> None:
    publication = a_shop(editions=2)
    draft(publication, 3)
    order = a_paid_order(publication)
    customer = customer_by_address(ANNA)
    assert customer is not None
    values = {
        "slug": publication.slug,
        "reference": order.reference,
        "customer_id": customer.id,
        "number": 3,
    }
    a_member("eve@publisher.example")
    signed_in(client)
    forms = [
        rule.build({name: values.get(name, 1) for name in rule.arguments}, append_unknown=False)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/admin/") and {"GET", "POST"} <= (rule.methods or set())
    ]
    typed = {"email": "eve@publisher.example", "password": PASSWORD, "notes": "New.", "sure": "yes"}
    before = count_rows()

    for address in [found[1] for found in forms if found]:
        for browser in (client, app.test_client()):
            seen = browser.get(address)
            headed = browser.head(address, data=typed)
            assert (headed.status_code, headed.location) == (seen.status_code, seen.location), (
                address
            )
            assert browser.head("/admin/").status_code == browser.get("/admin/").status_code

    assert len(forms) > 20
    assert count_rows() == before
