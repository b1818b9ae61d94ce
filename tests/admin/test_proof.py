"""Guessing at the desk: what is being judged counts already, at the door and inside a session."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store.kit.database import db
from store.kit.limits import TooOften, asking_network, limiter, seconds_left
from store.staff import sign_in as door
from tests.admin.sign_in import PASSWORD, a_member, press, sign_in, signed_in, token_in
from tests.admin.test_sign_in import _with_two_step
from tests.conftest import on_both
from tests.pages import check_page

AT_ONCE = 24


def _counted_afterwards(whose: str, judge: Callable[[], bool]) -> bool:
    """As it was: looked up before, counted after the answer."""
    from limits import parse

    limit, names = parse("5 per minute"), ("proof", whose, asking_network())
    if not limiter.limiter.test(limit, *names):
        raise TooOften(seconds_left([(limit, names)]))
    is_right = judge()
    if not is_right:
        limiter.limiter.hit(limit, *names)
    return is_right


def _guess_at_once(
    app: Flask,
    make: Callable[[], FlaskClient],
    url: str,
    data: dict[str, str],
    judged: list[int],
) -> list[int]:
    """So many browsers send one form at the same moment; those judged wait for each other."""
    browsers = []
    for _ in range(AT_ONCE):
        browser = make()
        browsers.append((browser, token_in(browser.get(url).text)))
    db.session.remove()
    came = threading.Barrier(AT_ONCE)

    def send(browser: FlaskClient, token: str) -> int:
        came.wait(60)
        return browser.post(url, data={"csrf_token": token, **data}).status_code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = [pool.submit(send, *one) for one in browsers]
        answers = [one.result(60) for one in done]
    assert answers.count(422) == len(judged)
    assert answers.count(429) == AT_ONCE - len(judged)
    return answers


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each password or code that was looked at; each takes a while, as hashing does."""
    seen: list[int] = []
    pause = threading.Event()

    def watch(where: object, name: str) -> None:
        real = getattr(where, name)

        def looked_at(*given: object, **named: object) -> object:
            seen.append(1)
            pause.wait(0.2)
            return real(*given, **named)

        monkeypatch.setattr(where, name, looked_at)

    watch(door, "is_password_of")
    watch(door, "accept_code")
    return seen


@on_both
@pytest.mark.parametrize("counts_first", [True, pytest.param(False, marks=pytest.mark.long)])
def test_of_24_wrong_sign_ins_at_once_five_are_judged(
    app: Flask, judged: list[int], monkeypatch: pytest.MonkeyPatch, counts_first: bool
) -> None:
    a_member()
    if not counts_first:
        monkeypatch.setattr("store.staff.sign_in.proves", _counted_afterwards)
    wrong = {"email": "olga@publisher.example", "password": "not that one"}
    _guess_at_once(app, app.test_client, "/admin/sign-in", wrong, judged)
    assert (len(judged) == 5) is counts_first, len(judged)


@pytest.mark.long
@pytest.mark.parametrize("counts_first", [True, False])
def test_of_24_wrong_codes_at_once_five_are_judged(
    app: Flask, judged: list[int], monkeypatch: pytest.MonkeyPatch, counts_first: bool
) -> None:
    _with_two_step()
    if not counts_first:
        monkeypatch.setattr("store.staff.sign_in.proves", _counted_afterwards)
        # One code after the other is judged under the row's lock; that is no limit.
        monkeypatch.setattr("store.staff.sign_in.transaction", nullcontext)

    def past_the_password() -> FlaskClient:
        browser = app.test_client()
        assert sign_in(browser).location == "/admin/sign-in/code"
        return browser

    made = [past_the_password() for _ in range(AT_ONCE)]
    judged.clear()
    _guess_at_once(app, made.pop, "/admin/sign-in/code", {"code": "000000"}, judged)
    assert (len(judged) == 5) is counts_first, len(judged)


@pytest.mark.long
@pytest.mark.parametrize("counts_first", [True, False])
def test_of_24_wrong_passwords_inside_a_session_five_are_judged(
    app: Flask, judged: list[int], monkeypatch: pytest.MonkeyPatch, counts_first: bool
) -> None:
    signed_in(app.test_client())
    if not counts_first:
        monkeypatch.setattr(door, "proves", _counted_afterwards)

    def at_the_desk() -> FlaskClient:
        browser = app.test_client()
        sign_in(browser, "owner@publisher.example")
        return browser

    made = [at_the_desk() for _ in range(AT_ONCE)]
    judged.clear()
    guess = {"password": "not that one", "new_password": "four other plain words"}
    _guess_at_once(app, made.pop, "/admin/account/password", guess, judged)
    assert (len(judged) == 5) is counts_first, len(judged)


@on_both
def test_every_door_that_asks_for_the_password_again_has_one_limit(
    app: Flask, client: FlaskClient
) -> None:
    _with_two_step()
    signed_in(client)
    wrong = {"password": "not that one", "new_password": "four other plain words", "code": "1"}
    doors = ["/admin/account/password", "/admin/account/two-step"]
    answers = [press(client, doors[n % 2], wrong).status_code for n in range(6)]
    assert answers == [422] * 5 + [429]
    refused = press(client, doors[0], wrong, seen_on="/admin/account/password")
    check_page(refused.text, path=doors[0])
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    # From another network, too: it is one person's password.
    other = client.post(
        doors[0],
        data={"csrf_token": token_in(client.get(doors[0]).text), **wrong},
        environ_overrides={"REMOTE_ADDR": "203.0.113.9"},
    )
    assert other.status_code == 429


def test_a_line_of_ipv6_is_one_network_at_the_sign_in(app: Flask) -> None:
    a_member()
    codes_seen = []
    for number in range(21):
        browser = app.test_client()
        where = {"REMOTE_ADDR": f"2001:db8:1:2::{number + 1:x}"}
        page = browser.get("/admin/sign-in").text
        form = {"csrf_token": token_in(page), "email": f"a{number}@x.example", "password": "x"}
        answer = browser.post("/admin/sign-in", data=form, environ_overrides=where)
        codes_seen.append(answer.status_code)
    assert codes_seen == [422] * 20 + [429]


def test_a_code_typed_while_turning_it_on_counts(app: Flask, client: FlaskClient) -> None:
    signed_in(client)
    form = {"code": "000000", "password": PASSWORD}
    answers = [press(client, "/admin/account/two-step", form).status_code for _ in range(6)]
    assert answers == [422] * 5 + [429]
