"""What nobody types and robots send: refused with 400 or 404 on every door, never a fault."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from store.app import place
from store.kit import clock
from store.kit.limits import limiter
from store.payments.gateways import demo, signatures
from store.payments.gateways.base import BadSignature
from tests.admin.conftest import Browser
from tests.admin.sign_in import signed_in, token_in
from tests.conftest import SECRET, on_both, on_both_when_long
from tests.stocked import Stocked, stock

# As they stand in an address: NUL, no UTF-8, half of a surrogate pair, too long, too large.
IN_ADDRESSES = ["%00", "a%00b", "%FF", "%C3%28", "%ED%A0%80", "x" * 3000, "9" * 30, "-1", "%0A"]
IN_FIELDS = {
    "NUL": b"a%00b",
    "no UTF-8": b"%FF%C3%28",
    "surrogate": b"%ED%A0%80",
    "long": b"x" * 9000,
    "large": b"9" * 400,
    "minus": b"-1",
    "control": b"%01%7F%C2%85%E2%80%AE",
    "empty": b"",
}
NAME_IN_TEMPLATE = re.compile(
    r'name="([a-z_]+)"|_(?:field|area|date)\("([a-z_]+)"|choice\("([a-z_]+)"'
)
NAME_IN_DOOR = re.compile(r'(?:form|args|values)(?:\.get\(|\[)"([a-z_]+)"')


def _field_names() -> list[str]:
    found = set()
    for folder, pattern, ending in (
        (place("templates"), NAME_IN_TEMPLATE, "*.html"),
        (Path(demo.__file__).parents[2], NAME_IN_DOOR, "*.py"),
    ):
        for path in folder.rglob(ending):
            for names in pattern.findall(path.read_text(encoding="utf-8")):
                found |= {names} if isinstance(names, str) else set(names)
    return sorted(found - {"", "csrf_token"})


FIELDS = _field_names()


def _addresses(app: Flask, shop: Stocked, method: str) -> Iterator[tuple[Rule, str]]:
    """Every address of the shop with each bad value in the place of each of its parts."""
    for rule in app.url_map.iter_rules():
        if method not in (rule.methods or ()):
            continue
        for name in rule.arguments:
            for bad in IN_ADDRESSES:
                path = re.sub(rf"<(?:\w+:)?{name}>", bad, rule.rule)
                yield rule, shop.path(path)
        if not rule.arguments:
            yield rule, rule.rule


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Each request in a context of its own, as on a server."""
    app.test_client_class = Browser
    return app.test_client()


@pytest.fixture
def shop(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Stocked:
    found = stock(app)
    monkeypatch.setattr(limiter, "enabled", False)
    app.config["PROPAGATE_EXCEPTIONS"] = False  # a fault is a page, as on a server
    return found


def _desk_path(shop: Stocked, rule: str) -> str:
    path = rule.replace("<slug>", "send-early-years").replace("<format>", "pdf")
    return re.sub(r"<int:\w+>", "1", path).replace("<reference>", "K7QM-2XWP")


@on_both_when_long
def test_no_address_makes_a_fault(
    app: Flask, client: FlaskClient, shop: Stocked, caplog: pytest.LogCaptureFixture
) -> None:
    signed_in(client)
    faults = {}
    for rule, path in _addresses(app, shop, "GET"):
        answer = client.get(path)
        if "%00" in path and answer.status_code not in {400, 404}:
            faults[path] = answer.status_code
        if rule.arguments and answer.status_code >= 500:
            faults[path] = answer.status_code
    assert faults == {}
    assert not [one for one in caplog.records if one.exc_info]


@pytest.mark.long
@on_both
def test_no_value_behind_a_question_mark_makes_a_fault(
    app: Flask, client: FlaskClient, shop: Stocked, caplog: pytest.LogCaptureFixture
) -> None:
    signed_in(client)
    faults = {}
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()):
            continue
        path = shop.path(rule.rule)
        path = _desk_path(shop, path) if path.startswith("/admin") else path
        for bad in IN_ADDRESSES:
            query = "&".join(f"{name}={bad}" for name in FIELDS)
            status = client.get(f"{path}?{query}").status_code
            if status >= 500 or ("%00" in bad and status not in {400, 404}):
                faults[f"{path}?…{bad[:20]}"] = status
    assert faults == {}
    assert not [one for one in caplog.records if one.exc_info]


@pytest.mark.long
@on_both
def test_no_field_makes_a_fault(
    app: Flask, client: FlaskClient, shop: Stocked, caplog: pytest.LogCaptureFixture
) -> None:
    signed_in(client)
    token = token_in(client.get("/admin/account/password").text).encode()
    faults = {}
    for rule in app.url_map.iter_rules():
        if "POST" not in (rule.methods or ()) or rule.endpoint == "sign_in.sign_out":
            continue
        path, is_desk = shop.path(rule.rule), rule.rule.startswith("/admin")
        path = _desk_path(shop, path) if is_desk else path
        for kind, bad in IN_FIELDS.items():
            bodies = _bodies(bad)
            for body in bodies if rule.endpoint == "order.step" else bodies[:1]:
                answer = _post(client, path, b"csrf_token=%s&%s" % (token, body))
                is_taken = kind == "NUL" and answer.status_code not in {400, 404}
                if answer.status_code >= 500 or is_taken:
                    faults[f"{kind} {path} {body[:40]!r}"] = answer.status_code
    assert faults == {}
    assert not [one for one in caplog.records if one.exc_info]


def _bodies(bad: bytes) -> list[bytes]:
    """All fields bad; and a good order form with one bad field at a time."""
    good = {
        "email": b"anna@reader.example",
        "step": b"place",
        "seen_amount": b"1250",
        "seen_currency": b"GBP",
        "name": b"Anna",
        "organisation": b"Elm",
        "code": b"",
        "form_key": b"k" * 22,
        "country": b"GB",
    }
    bodies = [b"&".join(b"%s=%s" % (name.encode(), bad) for name in FIELDS)[:60_000]]
    for name in good:
        fields = good | {name: bad}
        bodies.append(b"&".join(b"%s=%s" % (key.encode(), text) for key, text in fields.items()))
    return bodies


def _post(client: FlaskClient, path: str, body: bytes) -> TestResponse:
    kind = "application/x-www-form-urlencoded"
    return client.post(path, data=body, content_type=kind)


@on_both
def test_no_header_makes_a_fault_and_nul_in_one_is_refused(
    app: Flask, client: FlaskClient, shop: Stocked
) -> None:
    order = {
        "step": "place",
        "email": "anna@reader.example",
        "seen_amount": "1250",
        "seen_currency": "GBP",
    }
    path = "/publications/send-early-years/order"
    for name in ("HTTP_USER_AGENT", "HTTP_ACCEPT", "HTTP_REFERER", "HTTP_ORIGIN", "HTTP_RANGE"):
        for value in ("a\0b", "\xff\xfe", "x" * 8000, "bytes=9" * 900):
            expected = {400} if "\0" in value else range(200, 500)
            for answer in (
                client.get(shop.download, environ_overrides={name: value}),
                client.post(path, data=order, environ_overrides={name: value}),
            ):
                assert answer.status_code in expected, (name, value[:9])


def test_each_refusal_is_one_line_without_what_was_sent(
    app: Flask, client: FlaskClient, shop: Stocked, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        client.get(f"/library/{quote(shop.library)}?page=a%00b")
        client.post("/find-my-copies", data={"who": "anna\0@reader.example"})
    assert [one.getMessage() for one in caplog.records] == [
        "a request to /library/<token> that cannot be read was refused",
        "a request to /find-my-copies that cannot be read was refused",
    ]


@on_both
def test_signed_messages_that_no_database_takes_are_refused(
    app: Flask, client: FlaskClient, shop: Stocked, caplog: pytest.LogCaptureFixture
) -> None:
    deep = b'{"id":' * 9_000 + b"1" + b"}" * 9_000
    good = {"id": "evt_1", "kind": "checkout.paid", "subject": "x"}
    bodies = [
        deep,
        b"[" * 60_000,
        b"\xff\xfe",
        b'{"id": "\xed\xa0\x80"}',
        json.dumps(good | {"id": "evt\0"}).encode(),
        json.dumps(good | {"more": {"deep": ["\ud800"]}}).encode(),
        json.dumps(good | {"\0": 1}).encode(),
        json.dumps(_nested(100)).encode(),
        b"null",
        b"[]",
        b"",
    ]
    for body in bodies:
        caplog.clear()
        at = int(clock.now().timestamp())
        headers = {demo.HEADER: signatures.signature(body, demo._event_key(SECRET), at)}
        assert client.post("/webhooks/demo", data=body, headers=headers).status_code == 400
        assert [one.exc_info for one in caplog.records] == [None], body[:30]


def _nested(depth: int) -> object:
    inner: object = 1
    for _ in range(depth):
        inner = {"in": inner}
    return inner


def test_what_a_gateway_says_is_read_to_a_depth_that_no_message_has() -> None:
    assert signatures.read_json(json.dumps(_nested(signatures.DEEPEST - 1)).encode())
    with pytest.raises(BadSignature):
        signatures.read_json(json.dumps(_nested(signatures.DEEPEST)).encode())


@on_both
def test_a_spreadsheet_of_odd_octets_is_refused_in_words_or_read(
    app: Flask, client: FlaskClient, shop: Stocked
) -> None:
    signed_in(client)
    path = "/admin/publications/send-early-years/import"
    for data in (
        b"email,name\na@x.example,An\0na\n",
        b"em\0ail\na@x.example\n",
        b"\0" * 5000,
        b"email\n\xff\xfe\n",
        b'email\n"' + b"x" * 200_000,
        b"email," + b"," * 50_000 + b"\n",
        b"\xff\xfe" + "email\nb@x.example\n".encode("utf-16-le"),
    ):
        form = {
            "csrf_token": token_in(client.get(path).text),
        }
        form["file"] = (io.BytesIO(data), "a.csv")
        answer = client.post(path, data=form)
        if answer.status_code == 303:
            answer = client.get(answer.location)
        assert answer.status_code in {200, 422}, data[:20]
