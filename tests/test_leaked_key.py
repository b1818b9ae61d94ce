"""A leaked key, as the guide says what to do: its commands in its order, the settings changed between them
as its sentences say. No customer is locked out, every owner keeps a way in, and the old key opens nothing."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from flask import Flask
from flask.testing import FlaskClient

from store.app import create_app
from store.cli import main
from store.kit import clock
from store.kit.database import db, transaction
from store.staff.credentials import authenticator, new_secret, turn_on_two_step
from store.staff.models import AuditEntry, StaffMember
from tests.admin.sign_in import PASSWORD, a_member, press, sign_in
from tests.conftest import SECRET, Reader, make_settings, on_both_when_long
from tests.editions import a_shop
from tests.links import anna, path_to
from tests.purchases import a_paid_order
from tests.typed import shops_are_closed

GUIDE = Path(__file__).parent.parent / "docs" / "operators-guide.md"
NEW = "the new key that openssl made 0123456789abcdef"
OWNERS = ("anna@example.org", "olga@example.org")


def _commands() -> list[str]:
    """What the chapter has typed, in its order."""
    chapter = GUIDE.read_text().split("### A leaked key\n")[1].split("\n##")[0]
    blocks = re.findall(r"^ *```\n(.*?)^ *```$", chapter, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


class Machine:
    """The settings of the shop, and commands that are typed with them."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder, self.url = folder, database_url
        self.started: list[Flask] = []
        self.settings = {"STORE_ENV": "testing", "STORE_SECRET_KEY": SECRET}
        self.settings |= {"STORE_DATA_DIR": str(folder), "STORE_DATABASE_URL": database_url}

    def types(self, command: str, said: str = "") -> Result:
        """One command of ours."""
        words = command.removeprefix("store ").split()
        with shops_are_closed():
            return CliRunner().invoke(main, words, env=self.settings, input=said)

    def browser(self) -> FlaskClient:
        """At the shop as it is started with these settings."""
        keys = {"secret_key": self.settings["STORE_SECRET_KEY"]}
        shop = create_app(make_settings(self.folder, database_url=self.url, **keys))
        shop.test_client_class = Reader
        self.started.append(shop)
        return shop.test_client()

    def stop(self) -> None:
        """The shops that were started."""
        for shop in self.started:
            with shop.app_context():
                db.session.remove()
                db.engine.dispose()


@pytest.fixture
def machine(app: Flask, tmp_path: Path, database_url: str) -> Iterator[Machine]:
    url = "" if database_url.startswith("sqlite") else database_url
    machine = Machine(tmp_path, url)
    machine.url = database_url
    yield machine
    machine.stop()


def _owners_with_apps() -> dict[str, Any]:
    """What each owner's app shows, whatever key the shop has."""
    apps = {}
    for address in OWNERS:
        a_member(address)
        with transaction() as session:
            person = session.scalars(sa.select(StaffMember).filter_by(email=address)).one()
            secret = new_secret()
            codes = turn_on_two_step(person, secret)
            apps[address] = (authenticator(secret), codes[0])
    db.session.remove()
    return apps


def _signs_in(browser: FlaskClient, address: str, code: str) -> bool:
    assert sign_in(browser, address).location == "/admin/sign-in/code"
    return press(browser, "/admin/sign-in/code", {"code": code}).status_code == 303


@on_both_when_long
def test_a_leaked_key_is_dropped_as_the_guide_says(app: Flask, machine: Machine) -> None:
    a_paid_order(a_shop())
    link, apps = path_to("library", anna().id), _owners_with_apps()
    before = machine.browser()
    assert before.get(link).status_code == 200
    assert _signs_in(before, OWNERS[0], apps[OWNERS[0]][0].at(clock.now()))
    cookie = before.get_cookie("desk")
    assert cookie is not None

    stop, make, renew, check, start, listed, add = _commands()
    assert (stop, make, start) == (
        "systemctl stop colophon",
        "openssl rand -hex 32",
        "systemctl start colophon",
    )
    machine.settings |= {"STORE_SECRET_KEY": NEW, "STORE_SECRET_KEY_FALLBACKS": SECRET}
    done = machine.types(renew)
    assert (done.exit_code, done.output) == (
        0,
        "2 second steps are encrypted by the present key.\n",
    )
    del machine.settings["STORE_SECRET_KEY_FALLBACKS"]
    done = machine.types(check)
    assert done.exit_code == 0, done.output
    assert "ok     second steps: 2 are kept under the present key" in done.output

    # Every link leads to the button, which mails a fresh one; nobody is at the desk any more.
    browser = machine.browser()
    dead = browser.get(link)
    assert (dead.status_code, "/find-my-copies/renew" in dead.text) == (410, True)
    browser.set_cookie("desk", cookie.value)
    assert browser.get("/admin/").location.startswith("/admin/sign-in")

    # Each owner has password and app, and a recovery code.
    # A code is good once: this is the next one, which the app shows in a moment.
    next_step = clock.now() + timedelta(seconds=30)
    for address in OWNERS:
        app_of, recovery = apps[address]
        assert _signs_in(machine.browser(), address, app_of.at(next_step))
        assert _signs_in(machine.browser(), address, recovery)

    # Where the database was read, too: another password, and another second step.
    for address in OWNERS:
        assert address in machine.types(listed).output
        typed = "four other plain words\n" * 2
        done = machine.types(add.replace("anna@example.org", address), typed)
        assert done.exit_code == 0, done.output
    late = machine.browser()
    assert sign_in(late, OWNERS[0]).status_code == 422
    assert sign_in(late, OWNERS[0], password="four other plain words").location == "/admin/"
    assert [line.act for line in db.session.scalars(sa.select(AuditEntry))].count(
        "key_renewed"
    ) == 1


def test_who_drops_a_key_too_early_is_told_and_owners_get_in_all_the_same(
    app: Flask, machine: Machine
) -> None:
    a_shop()
    _owners_with_apps()
    machine.settings["STORE_SECRET_KEY"] = NEW
    done = machine.types("store check")
    assert done.exit_code == 1
    assert "fault  second steps: 2 of 2 are kept under a key that is known no" in done.output
    done = machine.types("store key renew")
    assert done.exit_code == 1
    assert (
        "2 second steps are kept under a key that is known no more: anna@example.org" in done.stderr
    )

    done = machine.types(_commands()[-1], f"{PASSWORD}\n" * 2)
    assert done.exit_code == 0, done.output
    assert sign_in(machine.browser(), OWNERS[0]).location == "/admin/"


def test_an_earlier_key_that_is_still_needed_is_a_note(app: Flask, machine: Machine) -> None:
    a_shop()
    _owners_with_apps()
    machine.settings |= {"STORE_SECRET_KEY": NEW, "STORE_SECRET_KEY_FALLBACKS": SECRET}
    done = machine.types("store check")
    assert done.exit_code == 0
    assert (
        "note   second steps: 2 are kept under an earlier key: run `store key renew`" in done.output
    )
    assert machine.types("store key renew").exit_code == 0
    assert "note   second steps" not in machine.types("store check").output
