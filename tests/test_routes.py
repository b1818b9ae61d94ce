"""The addresses of the shop: which there are, that each works, and what none of them does."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from store.kit.database import db
from store.kit.formatting import format_span
from store.kit.limits import DatabaseStorage, DoorLimiter
from tests.pages import check_page
from tests.rows import every_table
from tests.snapshots import snapshot
from tests.stocked import Stocked, stock

PLAN = (Path(__file__).parent.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
PUBLIC_GETS = [
    "/",
    "/.well-known/security.txt",
    "/accessibility",
    "/address/<token>",
    "/cancellation-form",
    "/covers/<digest>/<int:width>.<kind>",
    "/demo/inbox",
    "/demo/inbox/<int:letter_id>",
    "/demo/inbox/<int:letter_id>/html",
    "/demo/inbox/<int:letter_id>/source",
    "/demo/pay/<token>",
    "/download/<token>/<asset>",
    "/download/<token>/<asset>/<filename>",
    "/face/<name>",
    "/find-my-copies",
    "/healthz",
    "/keep/<token>",
    "/library/<token>",
    "/library/<token>/address",
    "/library/<token>/data",
    "/library/<token>/end-links",
    "/library/<token>/erase",
    "/library/<token>/second-address",
    "/library/<token>/second-address/remove",
    "/metrics",
    "/move/<token>",
    "/offer/<token>",
    "/orders/<token>",
    "/orders/<token>/billing",
    "/orders/<token>/cancel",
    "/orders/<token>/consent",
    "/orders/<token>/move",
    "/orders/<token>/receipt",
    "/privacy",
    "/publications/<slug>",
    "/publications/<slug>/cover.png",
    "/publications/<slug>/editions",
    "/publications/<slug>/editions.atom",
    "/publications/<slug>/members",
    "/publications/<slug>/order",
    "/publications/<slug>/sample",
    "/publications/<slug>/sample/<filename>",
    "/readyz",
    "/refuse/<token>",
    "/robots.txt",
    "/second-address/<token>",
    "/static/<name>",
    "/stop/<token>",
    "/terms",
    "/terms/<version>",
    "/undo/<token>",
    "/your-data/<token>",
    "/your-data/<token>/copy.json",
]
# What `store check --url` asks with a word of its own, and nobody else.
FOR_CHECK = {"/seen", "/seen/file"}
NO_PAGES = {"/demo/inbox/<int:letter_id>/html"}
# What each form sends; the refusal comes before anything is read, so that less would do.
PUBLIC_POSTS = {
    "/address/<token>": {"sure": "yes"},
    "/demo/pay/<token>": {"decision": "pay"},
    "/demo/pay/<token>/news": {},
    "/find-my-copies": {"who": "anna@reader.example"},
    "/find-my-copies/renew": {},
    "/library/<token>/address": {"email": "other@reader.example"},
    "/library/<token>/data": {},
    "/keep/<token>": {"sure": "yes"},
    "/library/<token>/end-links": {"sure": "yes"},
    "/library/<token>/erase": {"sure": "yes"},
    "/library/<token>/erase/stop": {"sure": "yes"},
    "/library/<token>/news": {"publication": "1", "news": "nothing"},
    "/library/<token>/second-address": {"email": "other@reader.example", "sure": "yes"},
    "/library/<token>/second-address/remove": {"sure": "yes"},
    "/orders/<token>/billing": {"organisation": "Elm Nursery"},
    "/orders/<token>/cancel": {"sure": "yes"},
    "/orders/<token>/consent": {"wants_now": "yes"},
    "/orders/<token>/library-link": {},
    "/orders/<token>/pay": {},
    "/move/<token>": {"sure": "yes"},
    "/orders/<token>/move": {"email": "other@reader.example"},
    "/offer/<token>": {"name": "Anna Berg"},
    "/publications/<slug>/members": {"email": "anna@reader.example"},
    "/publications/<slug>/order": {"email": "x@reader.example"},
    "/refuse/<token>": {"sure": "yes"},
    "/second-address/<token>": {"sure": "yes"},
    "/stop/<token>": {"notices": "stop"},
    "/undo/<token>": {"sure": "yes"},
}
# What a form of several steps sends with the press that is counted.
PAST_THE_FORM = {
    "/library/<token>/second-address": {"sure": "yes"},
    "/offer/<token>": {"step": "place", "sure": "yes"},
    "/publications/<slug>/order": {"step": "place"},
}
# The forms that answer 429 after too many presses, and those that do for a count of letters or
# payments alone.
BEYOND = {
    "any": {
        "/demo/pay/<token>",
        "/demo/pay/<token>/news",
        "/find-my-copies",
        "/find-my-copies/renew",
        "/library/<token>/address",
        "/library/<token>/data",
        "/library/<token>/erase",
        "/library/<token>/erase/stop",
        "/library/<token>/second-address",
        "/offer/<token>",
        "/orders/<token>/billing",
        "/orders/<token>/library-link",
        "/orders/<token>/move",
        "/orders/<token>/pay",
        "/publications/<slug>/members",
        "/publications/<slug>/order",
    },
    "count": {
        "/library/<token>/address",
        "/library/<token>/data",
        "/library/<token>/second-address",
        "/offer/<token>",
        "/orders/<token>/move",
        "/publications/<slug>/members",
        "/publications/<slug>/order",
    },
}
# Machines speak here, and prove whose they are.
MACHINES = {"/webhooks/demo", "/webhooks/mail/<provider>", "/webhooks/stripe"}
ELSEWHERE: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


def _rules(app: Flask, method: str) -> list[Rule]:
    return [
        rule
        for rule in app.url_map.iter_rules()
        if method in (rule.methods or ()) and not rule.rule.startswith("/admin")
    ]


@pytest.fixture
def shop(app: Flask) -> Stocked:
    """A shop in which every public address leads somewhere."""
    return stock(app)


def test_the_map_of_addresses_and_who_may_come_is_as_it_was(app: Flask) -> None:
    lines = sorted(
        f"{rule.rule}  {' '.join(sorted((rule.methods or set()) - {'HEAD', 'OPTIONS'}))}"
        f"  {rule.endpoint}{_who_may_come(app, rule)}\n"
        for rule in app.url_map.iter_rules()
    )
    snapshot("urls.txt", "".join(lines))


def _who_may_come(app: Flask, rule: Rule) -> str:
    """The roles that a door of the desk opens to, said apart from the door itself."""
    roles = getattr(app.view_functions[rule.endpoint], "opens_to", ())
    return f"  {', '.join(sorted(roles))}" if roles else ""


def test_addresses_are_those_of_the_plan(app: Flask) -> None:
    block = PLAN.split("**Addresses**:")[1]
    planned = {found.replace("…", "") for found in re.findall(r"`(/[^`]*)`", block)}
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    stems = tuple(one.rstrip("/") for one in planned if one != "/")
    assert planned - rules == set()
    # Further steps of a planned address, and what a browser or a robot fetches by itself.
    assert {one for one in rules if not one.startswith(stems)} == {
        "/",
        "/robots.txt",
        "/static/<name>",
    }


def test_these_are_all_the_public_addresses(app: Flask) -> None:
    assert sorted({rule.rule for rule in _rules(app, "GET")} - FOR_CHECK) == PUBLIC_GETS
    assert {rule.rule for rule in _rules(app, "POST")} == PUBLIC_POSTS.keys() | MACHINES


def test_every_public_page_opens_without_a_fault_or_a_cookie(
    shop: Stocked, client: FlaskClient
) -> None:
    for rule in PUBLIC_GETS:
        path = shop.path(rule)
        answer = client.get(path)
        assert (answer.status_code, answer.headers.getlist("Set-Cookie")) == (200, []), path
        if answer.mimetype == "text/html" and rule not in NO_PAGES:
            check_page(answer.get_data(as_text=True), path=path)


def test_looking_at_every_public_page_changes_only_the_downloads(
    shop: Stocked, client: FlaskClient
) -> None:
    before = _rows()
    for rule in PUBLIC_GETS:
        client.get(shop.path(rule))
        client.head(shop.path(rule))
    after = _rows()
    assert {name for name in before if before[name] != after[name]} == {"downloads"}
    assert len(after["downloads"]) == len(before["downloads"]) + 1


def _rows() -> dict[str, list[tuple[object, ...]]]:
    db.session.rollback()
    return {
        table.name: sorted((tuple(row) for row in db.session.execute(sa.select(table))), key=repr)
        for table in every_table()
        if table.name != "rate_counts"
    }


def test_a_form_sent_from_elsewhere_is_refused_and_changes_nothing(
    shop: Stocked, client: FlaskClient
) -> None:
    before = _rows()
    for where in ELSEWHERE:
        answers = {}
        for rule, fields in PUBLIC_POSTS.items():
            answer = client.post(shop.path(rule), data=fields, headers=where)
            answers[rule] = answer.status_code, answer.headers.getlist("Set-Cookie")
            check_page(answer.get_data(as_text=True), path=rule)
        assert answers == dict.fromkeys(PUBLIC_POSTS, (403, [])), where
    assert _rows() == before


def test_the_same_forms_sent_from_our_pages_are_taken(shop: Stocked, client: FlaskClient) -> None:
    old_browser: dict[str, str] = {}
    for where in (
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://127.0.0.1:8000"},
        old_browser,
    ):
        for rule in ("/stop/<token>", "/orders/<token>/billing", "/find-my-copies"):
            path, fields = shop.path(rule), PUBLIC_POSTS[rule]
            answer = client.post(path, data=fields, headers=where, base_url="http://127.0.0.1:8000")
            assert answer.status_code in {200, 303}, (rule, where)
            assert answer.headers.getlist("Set-Cookie") == []


@pytest.mark.parametrize("limit", ["any", "count"])
def test_every_door_beyond_its_limit_says_when_to_come_back(
    shop: Stocked, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    _use_up(monkeypatch, limit)
    refused = set()
    for rule, fields in PUBLIC_POSTS.items():
        # Without the box, so that no form ends the link of the next.
        pressed = fields | {"sure": ""} | PAST_THE_FORM.get(rule, {})
        answer = client.post(shop.path(rule), data=pressed)
        if answer.status_code == 429:
            refused.add(rule)
            seconds = int(answer.headers["Retry-After"])
            assert (seconds > 50, format_span(seconds) in answer.text) == (True, True), rule
    assert refused == BEYOND[limit]


def _use_up(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """As after ten thousand presses; for `count` without the limits that stand at the doors."""
    incr = DatabaseStorage.incr

    def count(self: DatabaseStorage, key: str, expiry: int, amount: int = 1) -> int:
        return incr(self, key, expiry, amount * 10_000)

    monkeypatch.setattr(DatabaseStorage, "incr", count)
    if limit == "count":
        monkeypatch.setattr(DoorLimiter, "_check_request_limit", lambda *_given, **_named: None)


def test_the_mail_program_may_stop_notices_from_anywhere(
    shop: Stocked, client: FlaskClient
) -> None:
    one_click = {"List-Unsubscribe": "One-Click"}
    answer = client.post(shop.path("/stop/<token>"), data=one_click, headers=ELSEWHERE[0])
    assert answer.status_code == 200
    assert answer.headers.getlist("Set-Cookie") == []


def test_an_unsigned_message_of_a_gateway_is_refused(shop: Stocked, client: FlaskClient) -> None:
    before = _rows()
    assert client.post("/webhooks/demo", json={"id": "evt_1"}).status_code == 400
    assert _rows() == before


def test_every_other_kind_of_request_is_refused(shop: Stocked, client: FlaskClient) -> None:
    for rule in PUBLIC_GETS:
        for method in ("PUT", "DELETE", "PATCH", "TRACE"):
            answer = client.open(shop.path(rule), method=method)
            assert (answer.status_code, "GET" in answer.headers["Allow"]) == (405, True), rule
