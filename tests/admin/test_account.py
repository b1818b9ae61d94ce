"""One's own account: the password alone gives no code, what is done is told, and a new app waits."""

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store.cli import main
from store.commands import base
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.staff.credentials import accept_code, new_recovery_codes, new_secret, turn_on_two_step
from store.staff.people import staff_by_address
from tests.admin.sign_in import PASSWORD, a_member, press, signed_in
from tests.admin.test_sign_in import _seconds_code
from tests.conftest import Clock, on_both_when_long
from tests.editions import a_shop
from tests.links import anna
from tests.pages import check_page
from tests.purchases import ANNA, a_paid_order
from tests.storefront.forms import text_of

ME = "support@publisher.example"
OLGA = "olga@publisher.example"
DOORS = ["/admin/account/recovery-codes", "/admin/account/two-step/off"]


def told() -> list[tuple[str, str]]:
    """The alerts that are owed: to whom, with which subject."""
    db.session.rollback()
    found = db.session.scalars(sa.select(Delivery).filter_by(kind="staff_alert"))
    return sorted((str(one.address), str((one.facts or {})["subject"])) for one in found)


def with_app(email: str) -> list[str]:
    """Connect an app now; the recovery codes."""
    with transaction():
        person = staff_by_address(email)
        assert person is not None
        return turn_on_two_step(person, new_secret())


@on_both_when_long
@pytest.mark.parametrize("door", DOORS)
def test_the_password_alone_neither_makes_codes_nor_turns_the_second_factor_off(
    client: FlaskClient, frozen: Clock, door: str
) -> None:
    a_member(OLGA)
    desk = signed_in(client, "support")
    recovery = with_app(ME)
    page = desk.get(door).text
    check_page(page, path=door)
    assert "ask an owner of the shop to reset your second step" in text_of(page)
    for code, words in (("", "Enter the code."), ("000000", "That code is not right")):
        refused = press(desk, door, {"password": PASSWORD, "code": code})
        assert refused.status_code == 422
        assert words in text_of(refused.text)
        check_page(refused.text, path=door)
    wrong = press(desk, door, {"password": "not it", "code": recovery[0]})
    assert wrong.status_code == 422
    assert told() == []
    with transaction():
        person = staff_by_address(ME)
        assert person is not None
        assert person.has_two_step
        assert accept_code(person, recovery[1]), "the codes from before still count"

    done = press(desk, door, {"password": PASSWORD, "code": recovery[0]})
    assert done.status_code in {200, 303}, "a wrong password uses no code up"
    words = {DOORS[0]: "made new recovery codes", DOORS[1]: "turned off two-step sign-in"}[door]
    assert told() == [(OLGA, f"{ME} {words}"), (ME, f"{ME} {words}")]


@on_both_when_long
def test_a_new_app_is_told_of_and_corrects_no_address_for_a_day(
    client: FlaskClient, frozen: Clock
) -> None:
    a_paid_order(a_shop())
    a_member(OLGA)
    desk, path = signed_in(client, "support"), f"/admin/customers/{anna().id}/address"
    desk.get("/admin/account/two-step")
    with desk.session_transaction("/admin/") as kept:
        secret = kept["new_secret"]
    on = press(
        desk, "/admin/account/two-step", {"code": _seconds_code(secret), "password": PASSWORD}
    )
    assert on.status_code == 200
    words = f"{ME} turned on two-step sign-in"
    assert told() == [(OLGA, words), (ME, words)]
    with transaction():
        person = staff_by_address(ME)
        assert person is not None
        recovery = new_recovery_codes(person)

    frozen.advance(hours=23, minutes=59)
    desk = signed_in_again(client)
    page = desk.get(path).text
    check_page(page, path=path)
    when = "2 March 2027, 10:00 GMT"
    assert f"Its codes are taken here from {when} on." in text_of(page)
    assert f"from {when} on its codes correct customers’ addresses" in text_of(
        desk.get("/admin/account").text
    )
    early = press(desk, path, {"email": "anna.berg@reader.example", "code": recovery[0]})
    assert early.status_code == 422
    assert f"Codes are taken here from {when} on." in text_of(early.text)
    assert 'value="anna.berg@reader.example"' in early.text
    check_page(early.text, path=path)
    assert current_email() == ANNA

    frozen.advance(minutes=1)
    late = press(desk, path, {"email": "anna.berg@reader.example", "code": recovery[0]})
    assert late.status_code == 303
    assert current_email() == "anna.berg@reader.example"


def signed_in_again(client: FlaskClient) -> FlaskClient:
    """A day later the session has ended; past the code by a recovery code of its own."""
    with transaction():
        person = staff_by_address(ME)
        assert person is not None
        since, kept = person.two_step_at, list(person.recovery_codes or [])
        secret, person.totp_secret = person.totp_secret, None
    answer = press(client, "/admin/sign-in", {"email": ME, "password": PASSWORD})
    assert answer.status_code == 303
    with transaction():
        person = staff_by_address(ME)
        assert person is not None
        person.totp_secret = secret
        assert (person.two_step_at, person.recovery_codes) == (since, kept)
    return client


def current_email() -> str:
    db.session.rollback()
    return db.session.scalars(sa.text("SELECT email FROM customers")).one()


def test_a_new_password_is_told_to_its_owner_and_the_owners(
    client: FlaskClient, frozen: Clock
) -> None:
    a_member(OLGA)
    desk = signed_in(client, "support")
    form = {"password": PASSWORD, "new_password": "four other plain words"}
    assert press(desk, "/admin/account/password", form).status_code == 303
    words = f"{ME} changed the password"
    assert told() == [(OLGA, words), (ME, words)]


def test_an_owner_is_told_once_of_what_they_did(client: FlaskClient, frozen: Clock) -> None:
    desk = signed_in(client)
    form = {"password": PASSWORD, "new_password": "four other plain words"}
    assert press(desk, "/admin/account/password", form).status_code == 303
    assert [address for address, _ in told()] == ["owner@publisher.example"]


def test_the_command_that_lets_somebody_in_again_is_told_of(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "the_shop", lambda: app)
    words = ["staff", "add", ME, "--role", "support", "--password-stdin"]
    run = CliRunner()
    assert run.invoke(main, words, input=f"{PASSWORD}\n").exit_code == 0
    assert told() == []
    frozen.advance(days=1)
    assert run.invoke(main, words, input=f"{PASSWORD}\n").exit_code == 0
    assert [subject for address, subject in told() if address == ME] == [
        f"{ME} was given a new password at the command line, and two-step sign-in is off"
    ]
