"""What is not well with the machines: named at /readyz and on the desk's home, and told once."""

import logging
import time
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.kit import space
from store.kit.database import db, transaction
from store.mail import certificates, heartbeats
from store.mail.heartbeats import Heartbeat
from store.mail.models import Delivery
from store.staff import troubles
from store.staff.troubles import Part, Trouble
from tests.admin.sign_in import signed_in
from tests.conftest import Clock, on_both
from tests.pages import page_at
from tests.statements import statements

Usage = namedtuple("Usage", "total used free")


def unwell(client: FlaskClient, path: str = "/readyz") -> list[str]:
    return [one["part"] for one in client.get(path).get_json()["not_well"]]


def alerts() -> list[str]:
    db.session.rollback()
    rows = db.session.scalars(sa.select(Delivery).where(Delivery.kind == "staff_alert"))
    return [str((row.facts or {})["subject"]) for row in rows]


@contextmanager
def a_full_disk(monkeypatch: pytest.MonkeyPatch, share: float = 0.03) -> Iterator[None]:
    """The disk has so much left, as the system tells it."""
    with monkeypatch.context() as patch:
        usage = Usage(1000, 1000 - int(1000 * share), int(1000 * share))
        patch.setattr(space, "disk_usage", lambda _folder: usage)
        yield


@on_both
def test_a_worker_that_falls_silent_is_named_and_told_once_and_leads_nobody_away(
    app: Flask, client: FlaskClient, frozen: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    frozen.advance(seconds=30)
    heartbeats.note_pass()
    heartbeats.beat()
    troubles.look()
    assert unwell(client) == []
    frozen.advance(minutes=4)
    answer = client.get("/readyz")  # at once, whoever has looked
    assert (answer.status_code, answer.get_json()["status"]) == (200, "ready")
    (told,) = answer.get_json()["not_well"]
    assert told["part"] == "worker"
    assert told["since"].startswith("2027-03-01T10:00")
    assert told["words"] == "A worker has not been seen for three minutes."
    assert client.get("/readyz?strict").status_code == 503
    home = page_at(signed_in(app.test_client(), "support"), "/admin/")
    assert "Nothing has been looked after since 10:00: is the worker running?" in home
    assert "systemctl status colophon" in home
    for _ in range(3):  # each process of the shop, and each minute
        troubles.look()
        frozen.advance(minutes=1)
    assert alerts() == ["Nothing has been looked after since 10:00: is the worker running?"]
    assert caplog.text.count("is the worker running?") == 1
    heartbeats.note_pass()
    heartbeats.beat()
    assert unwell(client) == []
    troubles.look()
    assert "is the worker running?" not in page_at(signed_in(app.test_client()), "/admin/")
    frozen.advance(minutes=10)
    troubles.look()
    assert len(alerts()) == 2  # another time, another alert


def test_two_processes_that_notice_at_once_tell_once(app: Flask, frozen: Clock) -> None:
    heartbeats.beat()
    frozen.advance(minutes=4)
    found, judged = troubles._look_around()
    for _ in range(2):  # both looked before either wrote
        with transaction() as session:
            for one in found.values():
                troubles._begin(session, one, frozen.at)
    assert len(alerts()) == 1
    assert judged >= {(Part.DISK, heartbeats.host_name())}


def test_control_without_the_one_open_row_two_processes_tell_twice(
    app: Flask, frozen: Clock
) -> None:
    with transaction() as session:
        session.execute(sa.text("DROP INDEX uq_troubles_open_part_place"))
    heartbeats.beat()
    frozen.advance(minutes=4)
    found, _ = troubles._look_around()
    for _ in range(2):
        with transaction() as session:
            for one in found.values():
                troubles._begin(session, one, frozen.at)
    assert len(alerts()) == 2


def test_a_timetable_that_nobody_goes_through_is_another_matter(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    frozen.advance(seconds=30)
    heartbeats.note_pass()
    heartbeats.beat()
    app.extensions.pop("colophon.passed")
    for _ in range(4):
        frozen.advance(minutes=2)
        heartbeats.beat()
    assert unwell(client) == ["timetable"]
    home = page_at(signed_in(app.test_client()), "/admin/")
    assert "Nothing has been looked after since 10:00, though a worker is there." in home


def test_one_machine_of_two_that_falls_silent_is_named_without_its_name(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    now = frozen.at
    with transaction() as session:
        session.add(Heartbeat(host="second", pid=7, version="0", started_at=now, seen_at=now))
    frozen.advance(minutes=4)
    heartbeats.beat()
    answer = client.get("/readyz")
    assert unwell(client) == ["worker"]
    assert "second" not in answer.text
    home = page_at(signed_in(app.test_client()), "/admin/")
    assert "The worker of second has not been seen since 10:00. Others are at work." in home


@on_both
def test_a_disk_that_is_nearly_full_is_told_once_and_forgotten_with_space(
    app: Flask, client: FlaskClient, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_full_disk(monkeypatch):
        assert unwell(client) == ["disk"]
        for _ in range(2):
            troubles.look()
        host = heartbeats.host_name()
        assert alerts() == [f"The disk of {host} is nearly full: 3.0% of it is left"]
        assert host not in client.get("/readyz").text
    assert unwell(client) == []
    troubles.look()
    assert db.session.scalars(sa.select(Trouble.ended_at)).one() == frozen.at


def test_a_disk_at_the_edge_is_told_once(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for share in (0.049, 0.055, 0.049, 0.055, 0.049):
        with a_full_disk(monkeypatch, share):
            troubles.look()
    assert len(alerts()) == 1
    with a_full_disk(monkeypatch, 0.061):
        troubles.look()
    assert db.session.scalars(sa.select(Trouble.ended_at)).one() is not None


def test_what_another_machine_found_stands_until_it_is_seen_no_more(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    with transaction() as session:
        here = troubles.Found(Part.DISK, "second", frozen.at, "The disk of second is nearly full.")
        troubles._begin(session, here, frozen.at)
    troubles.look()  # another machine cannot judge it
    assert unwell(client) == ["disk"]
    frozen.advance(hours=3)
    troubles.look()
    assert unwell(client) == []


def test_storage_that_does_not_answer_is_told_and_is_a_503(
    app: Flask, client: FlaskClient, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_self: object) -> bool:
        raise OSError("no route")

    monkeypatch.setattr("store.kit.storage.Storage.answers", away)
    troubles.look()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert [one["part"] for one in answer.get_json()["not_well"]] == ["storage"]
    assert answer.get_json()["writing"] is True
    assert alerts() == ["The storage of files does not answer"]


def test_a_certificate_that_will_not_do_is_told_by_whoever_looked(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    looked = certificates.Looked(time.monotonic(), "it is not trusted: certificate has expired")
    app.extensions["colophon.certificate"] = looked
    troubles.look()
    del app.extensions["colophon.certificate"]
    troubles.look()  # a process that has not asked says nothing of it
    assert unwell(client) == ["certificate"]
    assert len(alerts()) == 1
    app.extensions["colophon.certificate"] = certificates.Looked(time.monotonic(), "")
    troubles.look()
    assert unwell(client) == []


def test_a_database_that_was_away_is_told_once_it_is_back(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> Any:
        raise sa.exc.OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(troubles, "_SHORT_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(heartbeats, "workers", away)
        for _ in range(2):
            troubles.look()
    said = [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]
    assert said[0] == "not well, database: it does not answer"
    frozen.advance(minutes=5)
    troubles.look()
    assert alerts() == ["The database did not answer from 1 March 2027, 10:00 GMT on"]


def test_a_shop_that_nobody_sells_in_yet_is_watched_all_the_same(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.extensions["colophon.settings"].__dict__, "alerts_to", [])
    with a_full_disk(monkeypatch):
        troubles.look()
    assert alerts() == []
    assert db.session.scalars(sa.select(Trouble.part)).all() == [Part.DISK]


def test_a_shop_without_any_worker_is_told_after_three_minutes(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    troubles.look()
    assert unwell(client) == []
    app.extensions["colophon.began"] -= timedelta(minutes=4).total_seconds()
    troubles.look()
    assert unwell(client) == ["worker"]
    assert alerts() == ["No worker has ever been seen: is it running?"]


def test_to_ask_again_while_all_is_well_writes_nothing(app: Flask, frozen: Clock) -> None:
    heartbeats.beat()
    troubles.look()
    with statements() as told:
        troubles.look()
    assert [one.split()[0] for one in told] == ["SELECT"] * 2


def test_owners_see_how_many_workers_are_at_work(app: Flask, frozen: Clock) -> None:
    frozen.advance(seconds=30)
    desk = signed_in(app.test_client())
    assert "none is at work" in page_at(desk, "/admin/settings")
    heartbeats.note_pass()
    heartbeats.beat()
    page = page_at(desk, "/admin/settings")
    assert "1 is at work" in page
    assert "looked after today, 10:00" in page
