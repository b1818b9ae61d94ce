"""What real processes of the shop write to their log: linked by ids, in both forms, and no secret."""

import json
import re
import shutil
import sqlite3
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.app import create_app
from store.demo.visitor import Page, Visitor
from store.kit import jobs
from store.kit.database import db, transaction
from store.kit.jobs import ring
from store.kit.status import advance
from store.mail.models import Batch, BatchStatus
from tests.admin.sign_in import a_member, sign_in
from tests.conftest import Clock, make_settings
from tests.editions import a_shop, drafted_and_released
from tests.logged import facts, objects, told
from tests.mail.scripted_server import ScriptedServer
from tests.purchases import a_paid_order
from tests.serving import answers, below, free_port, gone, serving, until

ANNA, BEN = "anna@reader.example", "ben@reader.example"
NAME = "Annabella Bergström"
TOKEN = re.compile(r"/([\w-]{30,}\.[\w-]+\.[\w-]+)")
Lines = list[dict[str, Any]]


def _buys(visitor: Visitor, address: str) -> Page:
    """Somebody orders and pays; the order's page."""
    form = visitor.open("/publications/send-early-years/order")
    review = visitor.press(form, "Continue", email=address, name=NAME)
    ticked = dict.fromkeys(review.tree.xpath("//input[@type='checkbox']/@name"), "yes")
    pay_page = visitor.press(review, "Order and pay £12.50 by card", **ticked)
    return visitor.press(pay_page, "Pay £12.50")


@pytest.fixture
def data_dir(sqlite_template: Path, tmp_path: Path) -> Path:
    """A data folder with a publication on sale."""
    shutil.copy(sqlite_template, tmp_path / "colophon.db")
    with create_app(make_settings(tmp_path)).app_context():
        a_shop()
        db.session.remove()
        db.engine.dispose()
    return tmp_path


def _read(form: str, said: str) -> Lines:
    """The lines of a log of either form, as facts with the words beside them."""
    lines = said.splitlines()
    if form == "json":
        return [json.loads(line) for line in lines]
    # A traceback alone takes more than its line.
    lines = [one for one in lines if re.match(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z [A-Z]+ ", one)]
    return [facts(one) | {"logger": one.split()[2].rstrip(":"), "text": one} for one in lines]


def _one(lines: Lines, event: str, **given: Any) -> dict[str, Any]:
    """The first line of this event with these facts."""
    for line in lines:
        if line.get("event") == event and all(
            str(line.get(name)) == str(value) for name, value in given.items()
        ):
            return line
    raise AssertionError((event, given, lines))


@pytest.mark.parametrize("form", [pytest.param("text", marks=pytest.mark.long), "json"])
def test_an_order_its_letter_and_a_dead_mail_server_are_told_with_ids_that_link_them_and_no_secret(
    data_dir: Path, form: str
) -> None:
    port, server = free_port(), ScriptedServer(offers=("AUTH PLAIN",))
    given = {
        "STORE_MAIL_SERVER": "127.0.0.1",
        "STORE_MAIL_USERNAME": "shop",
        "STORE_MAIL_PASSWORD": "password-of-the-relay",
        "STORE_LOG_LEVEL": "info",
        "STORE_LOG_FORMAT": form,
    }
    with (
        ExitStack() as post,
        serving(data_dir, port, STORE_MAIL_PORT=str(server.port), **given) as shop,
    ):
        family = below(shop)
        post.enter_context(server)
        visitor = Visitor(f"http://127.0.0.1:{port}")
        order_page = _buys(visitor, ANNA)
        until(lambda: server.letters, "the letter has left")
        letter = server.letters[0].octets.decode().replace("=\r\n", "")
        library = re.search(r"https?://\S+/library/[\w.=-]+", letter)
        assert library
        assert visitor.open(library[0]).status == 200
        assert answers(port) == 200
        assert answers(port, f"/find-my-copies?who={ANNA}") == 200
        post.close()
        _buys(visitor, BEN)
        until(lambda: _stands(data_dir), "no letters leave any more")
        with sqlite3.connect(data_dir / "colophon.db") as database:
            database.execute("ALTER TABLE links RENAME TO gone")
        fault = visitor.open(library[0])
        shop.terminate()
        said, _ = shop.communicate(timeout=60)
        until(lambda: gone(family), "all have ended")

    lines = _read(form, said)
    placed = _one(lines, "order.placed")
    paid = _one(lines, "order.paid", order_id=placed["order_id"], by="gateway")
    owed = _one(lines, "letter.owed", order_id=placed["order_id"], kind="order_confirmation")
    sent = _one(lines, "letter.sent", delivery=owed["delivery"])
    job = _one(lines, "job.done", job_id=sent["job_id"], job="send_letters")
    assert (paid["outcome"], sent["outcome"]) == ("paid", "accepted")
    assert int(job["ms"]) >= 0
    pressed = _one(lines, "page.answered", request=placed["request"])
    assert (pressed["method"], str(pressed["status"])) == ("POST", "303")
    assert pressed["rule"] == "/publications/<slug>/order"
    assert _one(lines, "page.answered", rule="/library/<token>")["status"]
    _one(lines, "mail.stands")
    for name in ("web.started", "worker.started", "worker.ended", "web.ended"):
        _one(lines, name)
    assert any(line["logger"].startswith("gunicorn") for line in lines)
    assert "/healthz" not in said

    number = re.search(r"give this number: ([0-9a-f]{12})\.", fault.text)
    assert (fault.status, bool(number)) == (500, True)
    failed = _one(lines, "page.failed", request=number and number[1])
    assert failed["rule"] == "/library/<token>"
    if form == "json":
        assert "no such table" in failed["traceback"]

    tokens = set(TOKEN.findall(order_page.url + letter + library[0]))
    assert len(tokens) >= 2
    secrets = [ANNA, BEN, NAME, "password-of-the-relay", "who=", *tokens]
    secrets += [token.split(".")[0] for token in tokens]
    assert [one for one in secrets if one in said] == []


def _stands(data_dir: Path) -> bool:
    with sqlite3.connect(data_dir / "colophon.db") as database:
        return bool(database.execute("SELECT count(*) FROM standstills").fetchone()[0])


def _events(lines: list[str]) -> list[dict[str, str]]:
    return [facts(line) for line in lines if "event=" in line]


def test_who_comes_to_the_desk_and_who_is_refused_is_told_by_number(client: FlaskClient) -> None:
    a_member("owner@publisher.example")
    with told("text") as lines:
        sign_in(client, "owner@publisher.example", password="not the password at all")
        sign_in(client, "owner@publisher.example")
    found = [one for one in _events(lines()) if one["event"].startswith("sign_in")]
    assert [(one["event"], one.get("kind"), one.get("staff")) for one in found] == [
        ("sign_in.refused", "password", None),
        ("sign_in.done", None, "1"),
    ]
    assert "@" not in "".join(lines())


def test_a_release_and_its_brake_are_told(frozen: Clock, app: Flask) -> None:
    publication = a_shop()
    a_paid_order(publication, ANNA)
    with told("text") as lines:
        edition = drafted_and_released(publication, 2)
        with transaction() as session:
            batch = session.scalars(sa.select(Batch).filter_by(subject_id=edition.id)).one()
            assert advance(batch, BatchStatus.PAUSED, who="olga@publisher.example")
    found = _events(lines())
    assert [(one["event"], one.get("edition"), one.get("by")) for one in found] == [
        ("release.scheduled", str(edition.id), "Olga"),
        ("release.done", str(edition.id), "timetable"),
        ("letters.owed", None, None),
        ("batch.paused", None, "staff"),
    ]
    assert "@" not in "".join(lines())


def test_a_job_that_fails_is_told_with_its_traceback_and_ends_no_worker(app: Flask) -> None:
    def breaks() -> None:
        raise ZeroDivisionError

    jobs.register(app, breaks)
    ring("breaks")
    huey = app.extensions["colophon.huey"]
    with told("json") as lines:
        huey.execute(huey.dequeue())
    (said,) = objects("\n".join(lines()))
    assert (said["event"], said["job"], said["level"]) == ("job.failed", "breaks", "error")
    assert said["traceback"].endswith("ZeroDivisionError")
