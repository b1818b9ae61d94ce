"""Signing in and out, through the forms."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store.app import create_app
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.errors import InvalidFields
from store.staff import credentials
from store.staff.credentials import authenticator, new_secret
from store.staff.people import add_staff, owner_addresses, staff_by_address
from tests.admin.sign_in import PASSWORD, a_member, press, sign_in, signed_in, token_in
from tests.conftest import SECRET, Clock, make_settings, on_both_when_long
from tests.pages import check_page


def _seconds_code(secret: str) -> str:
    return authenticator(secret).at(clock.now())


@on_both_when_long
def test_the_right_password_opens_the_desk(client: FlaskClient) -> None:
    a_member()
    answer = sign_in(client)
    assert (answer.status_code, answer.location) == (303, "/admin/")
    page = client.get("/admin/")
    assert page.status_code == 200
    check_page(page.text, path="/admin/")


def test_a_person_who_asked_for_a_page_first_comes_to_it_after_signing_in(
    client: FlaskClient,
) -> None:
    a_member()
    asked = client.get("/admin/account?x=1")
    assert asked.status_code == 303
    assert urlsplit(asked.location).path == "/admin/sign-in"
    page = client.get(asked.location)
    check_page(page.text, path="/admin/sign-in")
    wanted = re.search(r'name="next" value="([^"]+)"', page.text)
    assert wanted
    assert sign_in(client, next=wanted[1]).location == "/admin/account?x=1"


@pytest.mark.parametrize(
    "next",
    ["https://evil.example/", "//evil.example/admin/", "/admin//evil", "/", "/admin/../x", "/admin/..",
     "/admin\\evil", "/adminx", "javascript:alert(1)", "/admin/\r\nX: y"],
)  # fmt: skip
def test_signing_in_leads_nowhere_but_to_the_desk(client: FlaskClient, next: str) -> None:
    a_member()
    assert sign_in(client, next=next).location == "/admin/"


@pytest.mark.parametrize(
    ("email", "password", "sentence"),
    [
        ("olga@publisher.example", "wrong", "The e-mail address or the password is not right."),
        ("nobody@publisher.example", PASSWORD, "The e-mail address or the password is not right."),
        ("olga@publisher.example", "", "Enter your password."),
        ("", PASSWORD, "Enter your e-mail address."),
    ],
)
def test_a_wrong_sign_in_says_the_same_for_known_and_unknown(
    client: FlaskClient, email: str, password: str, sentence: str
) -> None:
    a_member()
    answer = press(client, "/admin/sign-in", {"email": email, "password": password})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert password not in answer.text or not password or password == "wrong"
    check_page(answer.text, path="/admin/sign-in")
    assert client.get("/admin/").status_code == 303


def test_the_address_is_taken_in_any_case_and_with_blanks(client: FlaskClient) -> None:
    a_member()
    assert sign_in(client, " Olga@Publisher.EXAMPLE ").status_code == 303


def test_somebody_who_left_cannot_sign_in_and_is_out_at_once(client: FlaskClient) -> None:
    a_member()
    sign_in(client)
    with transaction():
        person = staff_by_address("olga@publisher.example")
        assert person
        person.active = False
    assert client.get("/admin/").status_code == 303
    client.delete_cookie("desk")
    assert sign_in(client).status_code == 422


def test_the_sixth_failure_in_a_minute_waits_but_nobody_is_locked_out(
    app: Flask, client: FlaskClient
) -> None:
    a_member()
    for _ in range(5):
        answer = press(
            client, "/admin/sign-in", {"email": "olga@publisher.example", "password": "x"}
        )
        assert answer.status_code == 422
    answer = sign_in(client)
    assert answer.status_code == 429
    assert re.search(r"Wait \d+ seconds?, then try again\.", answer.text)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    check_page(answer.text, path="/admin/sign-in")
    elsewhere = app.test_client()
    page = elsewhere.get("/admin/sign-in").text
    answer = elsewhere.post(
        "/admin/sign-in",
        data={
            "csrf_token": token_in(page),
            "email": "olga@publisher.example",
            "password": PASSWORD,
        },
        environ_overrides={"REMOTE_ADDR": "203.0.113.9"},
    )
    assert answer.status_code == 303


def test_right_sign_ins_are_not_counted(client: FlaskClient) -> None:
    a_member()
    for _ in range(7):
        assert sign_in(client).status_code == 303
        press(client, "/admin/sign-out", seen_on="/admin/")


def test_signing_out_kills_a_copied_cookie(app: Flask, client: FlaskClient) -> None:
    signed_in(client)
    cookie = client.get_cookie("desk")
    assert cookie
    thief = app.test_client()
    thief.set_cookie("desk", cookie.value)
    assert thief.get("/admin/").status_code == 200
    answer = press(client, "/admin/sign-out", seen_on="/admin/")
    assert (answer.status_code, answer.location) == (303, "/admin/sign-in")
    assert client.get("/admin/").status_code == 303
    assert thief.get("/admin/").status_code == 303


def test_a_copied_cookie_would_live_on_if_signing_out_did_not_rotate(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.staff.sign_in.end_sessions", lambda _person: None)
    signed_in(client)
    cookie = client.get_cookie("desk")
    assert cookie
    thief = app.test_client()
    thief.set_cookie("desk", cookie.value)
    press(client, "/admin/sign-out", seen_on="/admin/")
    assert thief.get("/admin/").status_code == 200, "the control shows nothing"


def test_two_hours_without_a_press_end_the_session(client: FlaskClient, frozen: Clock) -> None:
    signed_in(client)
    frozen.advance(minutes=119)
    assert client.get("/admin/").status_code == 200
    frozen.advance(minutes=119)
    assert client.get("/admin/").status_code == 200
    frozen.advance(minutes=121)
    assert client.get("/admin/").status_code == 303


def test_a_page_that_refreshes_itself_does_not_keep_the_session(
    client: FlaskClient, frozen: Clock
) -> None:
    signed_in(client)
    for _ in range(4):
        frozen.advance(minutes=30)
        client.get("/admin/", headers={"Sec-Fetch-Dest": "empty"})
    frozen.advance(minutes=1)
    assert client.get("/admin/").status_code == 303


def test_twelve_hours_end_the_session_in_any_case(client: FlaskClient, frozen: Clock) -> None:
    signed_in(client)
    for _ in range(12):
        frozen.advance(minutes=60)
        assert client.get("/admin/").status_code == 200
    frozen.advance(minutes=1)
    assert client.get("/admin/").status_code == 303


def test_a_form_without_the_token_changes_nothing(client: FlaskClient) -> None:
    signed_in(client)
    answer = client.post("/admin/sign-out")
    assert answer.status_code == 400
    assert "This form is too old" in answer.text
    check_page(answer.text, path="/admin/sign-out")
    assert client.get("/admin/").status_code == 200


def test_signing_in_makes_the_token_of_before_worthless(client: FlaskClient) -> None:
    a_member()
    old = token_in(client.get("/admin/sign-in").text)
    sign_in(client)
    assert client.post("/admin/sign-out", data={"csrf_token": old}).status_code == 400


def test_over_https_the_cookie_is_bound_to_the_host(sqlite_template: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'colophon.db'}"
    (tmp_path / "colophon.db").write_bytes(sqlite_template.read_bytes())
    app = create_app(make_settings(tmp_path, database_url=url, base_url="https://shop.example"))
    with app.app_context():
        answer = app.test_client().get("/admin/sign-in", base_url="https://shop.example")
        cookie = answer.headers["Set-Cookie"]
        db.session.remove()
        db.engine.dispose()
    name, *parts = cookie.split("; ")
    assert name.startswith("__Host-desk=")
    assert {part.lower() for part in parts} == {"secure", "httponly", "path=/", "samesite=lax"}


def test_no_page_but_the_desk_sets_a_cookie_or_varies_by_one(
    app: Flask, client: FlaskClient
) -> None:
    signed_in(client)
    paths = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or set()) and not rule.arguments
        and not rule.rule.startswith("/admin")
    ]  # fmt: skip
    assert "/privacy" in paths
    for path in [*paths, "/no-such-page"]:
        answer = client.get(path)
        assert "Set-Cookie" not in answer.headers, path
        assert "cookie" not in answer.headers.get("Vary", "").lower(), path


def test_two_step_sign_in_from_turning_on_to_the_last_recovery_code(client: FlaskClient) -> None:
    signed_in(client)
    page = client.get("/admin/account/two-step")
    check_page(page.text, path="/admin/account/two-step")
    with client.session_transaction("/admin/") as kept:
        secret = kept["new_secret"]
    wrong = press(client, "/admin/account/two-step", {"code": "000000", "password": PASSWORD})
    assert wrong.status_code == 422
    check_page(wrong.text, path="/admin/account/two-step")
    data = {"code": _seconds_code(secret), "password": PASSWORD}
    shown = press(client, "/admin/account/two-step", data)
    check_page(shown.text, path="/admin/account/two-step")
    recovery = re.findall(r"<code>([0-9a-f-]{14})</code>", shown.text)
    assert len(recovery) == 8
    check_page(client.get("/admin/account").text, path="/admin/account")
    press(client, "/admin/sign-out", seen_on="/admin/")

    answer = sign_in(client, "owner@publisher.example")
    assert answer.location == "/admin/sign-in/code"
    assert client.get("/admin/").status_code == 303, "the password alone opened the desk"
    check_page(client.get("/admin/sign-in/code").text, path="/admin/sign-in/code")
    replayed = press(client, "/admin/sign-in/code", {"code": data["code"]})
    assert replayed.status_code == 422, "the code that turned it on was taken twice"
    answer = press(client, "/admin/sign-in/code", {"code": recovery[0].upper().replace("-", " ")})
    assert (answer.status_code, answer.location) == (303, "/admin/")
    press(client, "/admin/sign-out", seen_on="/admin/")

    sign_in(client, "owner@publisher.example")
    again = press(client, "/admin/sign-in/code", {"code": recovery[0]})
    assert again.status_code == 422, "a recovery code was taken twice"
    check_page(again.text, path="/admin/sign-in/code")
    assert press(client, "/admin/sign-in/code", {"code": recovery[1]}).status_code == 303
    assert "6 left" in client.get("/admin/account").text

    page = client.get("/admin/account/recovery-codes")
    check_page(page.text, path="/admin/account/recovery-codes")
    given = {"password": PASSWORD}
    fresh = press(client, "/admin/account/recovery-codes", given | {"code": recovery[2]})
    made = re.findall(r"<code>([0-9a-f-]{14})</code>", fresh.text)
    assert len(made) == 8
    off = press(client, "/admin/account/two-step/off", given | {"code": made[0]})
    assert off.status_code == 303
    press(client, "/admin/sign-out", seen_on="/admin/")
    assert sign_in(client, "owner@publisher.example").location == "/admin/"


def _with_two_step() -> str:
    a_member()
    with transaction():
        person = staff_by_address("olga@publisher.example")
        assert person
        person.totp_secret = new_secret()
        return person.totp_secret


@pytest.mark.parametrize("keeps_the_step", [True, False])
def test_a_code_opens_once_because_its_time_step_is_kept(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, keeps_the_step: bool
) -> None:
    if not keeps_the_step:
        judge = credentials.matching_step
        monkeypatch.setattr(
            credentials, "matching_step", lambda app, code, **_: judge(app, code, after=None)
        )
    code = _seconds_code(_with_two_step())
    for is_first in (True, False):
        sign_in(client)
        answer = press(client, "/admin/sign-in/code", {"code": code})
        opens = is_first or not keeps_the_step
        assert answer.status_code == (303 if opens else 422)
        if opens:
            press(client, "/admin/sign-out", seen_on="/admin/")


@pytest.mark.parametrize("keeps_the_old_key", [True, False])
def test_codes_outlive_a_change_of_the_key_while_the_old_one_is_kept(
    app: Flask, database_url: str, tmp_path: Path, keeps_the_old_key: bool
) -> None:
    secret = _with_two_step()
    code = _seconds_code(secret)
    given = {"secret_key_fallbacks": SECRET} if keeps_the_old_key else {}
    later = create_app(
        make_settings(tmp_path, database_url=database_url, secret_key="n" * 40, **given)
    )
    later.test_client_class = app.test_client_class
    client = later.test_client()
    with later.app_context():
        assert sign_in(client).location == "/admin/sign-in/code"
        answer = press(client, "/admin/sign-in/code", {"code": code})
        db.session.remove()
        db.engine.dispose()
    assert answer.status_code == (303 if keeps_the_old_key else 422)


def test_between_password_and_code_ten_minutes_may_pass(client: FlaskClient, frozen: Clock) -> None:
    _with_two_step()
    sign_in(client)
    frozen.advance(minutes=9)
    assert client.get("/admin/sign-in/code").status_code == 200
    frozen.advance(minutes=2)
    assert client.get("/admin/sign-in/code").location == "/admin/sign-in"


def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(
    app: Flask, client: FlaskClient
) -> None:
    signed_in(client)
    other = app.test_client()
    sign_in(other, "owner@publisher.example")
    bad = {"password": PASSWORD, "new_password": "short"}
    answer = press(client, "/admin/account/password", bad)
    assert answer.status_code == 422
    check_page(answer.text, path="/admin/account/password")
    good = {"password": PASSWORD, "new_password": "four other plain words"}
    assert press(client, "/admin/account/password", good).status_code == 303
    page = client.get("/admin/account")
    assert "Your password is changed." in page.text
    assert other.get("/admin/").status_code == 303


def test_an_api_token_of_the_extension_opens_nothing(client: FlaskClient) -> None:
    a_member()
    person = staff_by_address("olga@publisher.example")
    assert person
    token = person.get_id()
    assert client.get("/admin/", headers={"Authentication-Token": token}).status_code == 303
    assert client.get(f"/admin/?auth_token={token}").status_code == 303


def test_nothing_of_the_extension_is_an_address_or_a_command(app: Flask) -> None:
    endpoints = {rule.endpoint.partition(".")[0] for rule in app.url_map.iter_rules()}
    assert "security" not in endpoints
    assert {"users", "roles"}.isdisjoint(app.cli.commands)


def test_nobody_is_remembered_beyond_the_session(client: FlaskClient) -> None:
    signed_in(client)
    assert client.get_cookie("remember_token") is None
    with client.session_transaction("/admin/") as kept:
        assert not kept.permanent


def test_alerts_go_to_owners_who_are_active(app: Flask) -> None:
    for email, role in (("a@x.example", "owner"), ("b@x.example", "support")):
        a_member(email, role)
    a_member("c@x.example")
    with transaction():
        left = staff_by_address("c@x.example")
        assert left
        left.active = False
    assert owner_addresses() == ["a@x.example"]


def test_adding_somebody_again_is_the_way_back_in(app: Flask, client: FlaskClient) -> None:
    signed_in(client)
    with transaction():
        add_staff("other@publisher.example", "owner", PASSWORD)
        add_staff("OWNER@publisher.example", "support", "a wholly new password")
    assert client.get("/admin/").status_code == 303
    answer = press(
        client,
        "/admin/sign-in",
        {"email": "owner@publisher.example", "password": "a wholly new password"},
    )
    assert answer.status_code == 303
    person = staff_by_address("owner@publisher.example")
    assert person
    assert person.role == "support"


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [
        ("no address", PASSWORD, "email"),
        ("a@x.example", "eleven char", "password"),
        ("longname@x.example", "my LONGNAME and more", "password"),
    ],
)
def test_what_cannot_be_an_account_is_refused(
    app: Flask, email: str, password: str, field: str
) -> None:
    with pytest.raises(InvalidFields) as refused, transaction():
        add_staff(email, "owner", password)
    assert list(refused.value.faults) == [field]


def test_staff_are_added_from_the_command_line(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from store.cli import main

    monkeypatch.setenv("STORE_ENV", "testing")
    monkeypatch.setenv("STORE_SECRET_KEY", "k" * 40)
    monkeypatch.setenv("STORE_DATABASE_URL", database_url)
    monkeypatch.setenv("STORE_DATA_DIR", str(tmp_path))
    command = ["staff", "add", "Olga@Publisher.example", "--role", "owner", "--password-stdin"]
    done = CliRunner().invoke(main, command, input=f"{PASSWORD}\n")
    assert (done.exit_code, done.output) == (
        0,
        "olga@publisher.example may sign in at /admin/ as owner.\n",
    )
    short = CliRunner().invoke(main, command, input="short\n")
    assert short.exit_code == 1
    assert "12 to 200 characters" in short.output
    assert CliRunner().invoke(main, [*command[:4], "boss"]).exit_code == 2
