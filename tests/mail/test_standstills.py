"""What a mail server says of us, and a post that stands still: nobody is charged or lost, all
workers rest together, and staff hear of it though no letter leaves."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from store.kit import clock
from store.kit.database import db, transaction
from store.mail import rests, standstills, worker
from store.mail.answers import About, Cause
from store.mail.models import Batch, BatchStatus, Delivery, Rest, Standstill
from tests.conftest import Clock, on_both, on_both_when_long

from . import weather
from .scripted_server import Script, ScriptedServer, Talk
from .shops import (
    a_batch,
    a_shop,
    attempts,
    deliveries,
    delivery,
    hang_up,
    owe_to,
    readers,
    statuses,
)

ANNA = "anna@reader.example"
QUOTA = "550 5.4.5 Daily user sending limit exceeded"
MINUTE = timedelta(minutes=1)
Served = Callable[..., Any]


class Server:
    """Takes letters, or says at one step of each what it is told to say."""

    def __init__(self) -> None:
        self.verb, self.words, self.left = "", "", 0

    def says(self, verb: str, words: str, times: int = 10_000) -> None:
        self.verb, self.words, self.left = verb, words, times

    def __call__(self, talk: Talk, verb: str, line: str) -> str | None:
        if verb != self.verb or not self.left:
            return None
        self.left -= 1
        return self.words


@pytest.fixture
def serve(
    database_url: str, tmp_path: Path, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> Served:
    """Opens a shop and the server that takes its letters; naps move the clock."""
    monkeypatch.setattr(worker, "sleep", lambda seconds: frozen.advance(seconds=seconds))

    @contextmanager
    def opened(script: Script | None = None, **given: Any) -> Iterator[ScriptedServer]:
        offers = {"offers": given.pop("offers")} if "offers" in given else {}
        sink = ScriptedServer(script or (lambda *_: None), **offers)
        with sink, a_shop(database_url, tmp_path, sink.port, **given):
            yield sink

    return opened


def the_standstill() -> Standstill | None:
    db.session.remove()
    row = db.session.scalars(sa.select(Standstill)).one_or_none()
    db.session.expunge_all()
    return row


def rest_of(domain: str) -> Rest | None:
    db.session.remove()
    row = db.session.scalars(sa.select(Rest).where(Rest.domain == domain)).one_or_none()
    db.session.expunge_all()  # as it was then
    return row


def alerts() -> list[Delivery]:
    db.session.remove()
    theirs = Delivery.dedupe_key.startswith("staff_alert:standstill")
    return list(db.session.scalars(sa.select(Delivery).where(theirs).order_by(Delivery.id)))


def text_of(alert: Delivery) -> str:
    return str((alert.facts or {})["text"])


# About us


@on_both_when_long
@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("MAIL", "550 5.7.1 Sender refused"),
        ("RCPT", QUOTA),
        ("RCPT", "554 5.7.1 Relay access denied"),
        (".", "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org"),
        (".", "454 Throttling failure: Daily message quota exceeded"),
    ],
)
def test_what_is_about_us_fails_nobody_and_all_are_sent_once_it_is_over(
    serve: Served, frozen: Clock, verb: str, words: str
) -> None:
    server = Server()
    with serve(server) as sink:
        batch_id = a_batch()
        owe_to(*readers(12), batch_id=batch_id)
        owe_to(ANNA, priority=0)
        server.says(verb, words)
        for _ in range(6):  # hours without a person
            worker.send_due_letters()
            frozen.advance(hours=1)
        assert (set(statuses()), sink.letters) == ({"queued"}, [])
        assert {row.tries for row in deliveries().values()} == {0}

        server.says("", "")
        with transaction() as session:
            session.execute(sa.update(Batch).values(status=BatchStatus.RUNNING))
        for _ in range(3):
            worker.send_due_letters()
            frozen.advance(hours=1)
        assert set(statuses()) == {"sent"}
        assert {delivery(who).tries for who in [ANNA, *readers(12)]} == {1}


@on_both
@pytest.mark.parametrize("named", ["", f"<{ANNA}>: "])
def test_the_batch_pauses_with_the_servers_words_and_nobodys_address(
    serve: Served, named: str
) -> None:
    """An editor sees them, who sees no reader."""
    server, said = Server(), QUOTA.replace("Daily", f"{named}Daily")
    with serve(server):
        batch_id = a_batch()
        owe_to(*readers(50), batch_id=batch_id)
        server.says("RCPT", said)
        worker.send_due_letters()

        batch = db.session.get_one(Batch, batch_id)
        assert batch.status == BatchStatus.PAUSED
        shown = said.replace(ANNA, "[address]")
        assert batch.pause_reason == f"the mail server says: {shown}"
        assert sum(len(attempts(who)) for who in readers(50)) == 1


def test_single_letters_wait_longer_each_time_and_all_workers_rest(
    serve: Served, frozen: Clock
) -> None:
    server = Server()
    with serve(server) as sink:
        owe_to(*readers(30))
        server.says("RCPT", QUOTA)
        worker.send_due_letters()
        tried = {who for who in readers(30) if attempts(who)}
        assert len(tried) == 3  # one after another, with brief waits
        rest = rest_of(rests.POST)
        assert rest is not None
        assert rest.until == clock.now() + MINUTE

        talks = len(sink.talks)
        hang_up()
        worker.send_due_letters()  # another worker, too: the row is what all look at
        assert len(sink.talks) == talks

        waits = []
        for _ in range(6):
            began = rest.until
            frozen.set(began)
            worker.send_due_letters()
            rest = rest_of(rests.POST)
            assert rest is not None
            waits.append(rest.until - began)
        assert waits == [timedelta(minutes=m) for m in (5, 15, 30, 30, 30, 30)]


def test_a_letter_that_the_server_takes_ends_the_rest(serve: Served, frozen: Clock) -> None:
    server = Server()
    with serve(server):
        owe_to(*readers(5))
        server.says("RCPT", QUOTA)
        worker.send_due_letters()
        server.says("", "")
        frozen.advance(minutes=1)
        worker.send_due_letters()

        assert rest_of(rests.POST) is None
        assert the_standstill() is None  # a minute is no news
        frozen.advance(minutes=1)
        worker.send_due_letters()
        assert statuses() == {"sent": 5}


def test_a_long_standstill_ends_with_the_letter_that_is_taken(serve: Served, frozen: Clock) -> None:
    server = Server()
    with serve(server):
        owe_to(*readers(5))
        server.says("RCPT", QUOTA)
        worker.send_due_letters()
        server.says("", "")
        frozen.advance(minutes=20)
        worker.send_due_letters()
        standing = the_standstill()
        assert standing is not None
        assert standing.ended_at == clock.now()


def test_one_letter_that_is_refused_as_if_it_were_us_holds_back_no_other(
    serve: Served, frozen: Clock
) -> None:
    poison = readers(1)[0]
    with serve(weather.to([poison], "RCPT", QUOTA)):
        owe_to(*readers(20))
        worker.send_due_letters()
        assert statuses() == {"sent": 19, "queued": 1}
        waits = []
        for _ in range(5):
            waits.append(delivery(poison).due_at - clock.now())
            frozen.set(delivery(poison).due_at)
            worker.send_due_letters()
        assert [round(wait / MINUTE) for wait in waits] == [1, 5, 15, 60, 60]
        assert delivery(poison).tries == 0


@on_both_when_long
def test_421_after_the_dot_lets_others_go_first_and_charges_nobody(
    serve: Served, frozen: Clock
) -> None:
    with serve(weather.to([readers(1)[0]], ".", "421 4.3.2 Closing", 2)) as sink:
        owe_to(*readers(10))
        worker.send_due_letters()
        assert statuses() == {"sent": 9, "queued": 1}
        for _ in range(2):
            frozen.advance(minutes=5)
            worker.send_due_letters()
        assert statuses() == {"sent": 10}
        assert {row.tries for row in deliveries().values()} == {1}
        assert len(sink.letters) == 10
        assert {row.is_possibly_twice for row in deliveries().values()} == {False}


def test_a_letter_at_which_every_connection_ends_is_held_for_a_person(
    serve: Served, frozen: Clock
) -> None:
    with serve(weather.to([ANNA], ".", "421 4.3.2 Closing")):
        owe_to(ANNA)
        while delivery(ANNA).status == "queued":
            frozen.set(max(clock.now(), delivery(ANNA).due_at))
            worker.send_due_letters()
        row = delivery(ANNA)
        assert (row.status, row.tries) == ("held", 0)
        assert row.reason == "56 connections ended at this letter: 421 4.3.2 Closing"


# Sign-in


@on_both_when_long
def test_a_wrong_password_sends_nothing_charges_nobody_and_is_not_tried_all_the_time(
    serve: Served, frozen: Clock
) -> None:
    server = Server()
    server.says("AUTH", "535 5.7.8 Bad credentials")
    account = {"mail_username": "shop", "mail_password": "wrong"}
    with serve(server, offers=("AUTH PLAIN",), **account) as sink:
        batch_id = a_batch()
        owe_to(*readers(200), batch_id=batch_id)
        for _ in range(60):
            worker.send_due_letters()
            frozen.advance(minutes=1)
        assert statuses() == {"queued": 200}
        assert sum(len(attempts(who)) for who in readers(200)) == 0
        assert len(sink.talks) < 20
        standing = the_standstill()
        assert standing is not None
        assert (standing.about, standing.words) == ("us", "535 5.7.8 Bad credentials")

        server.says("", "")
        frozen.advance(hours=1)
        assert worker.send_due_letters() == 200


# Staff hear of it


def a_standstill(about: About = About.CONNECTION, words: str = "no answer in time") -> None:
    with transaction() as session:
        standstills.begin(session, about, Cause.LINE, words)


def end_it() -> None:
    with transaction() as session:
        standstills.end(session)


def test_a_server_that_is_started_anew_is_no_news(app: Flask, frozen: Clock) -> None:
    a_standstill()
    frozen.advance(minutes=9)
    assert (standstills.now_standing(), standstills.unseen()) == (None, [])
    end_it()
    assert the_standstill() is None


def test_what_is_about_us_is_news_at_once_and_stays_so(app: Flask, frozen: Clock) -> None:
    a_standstill()
    a_standstill(About.US, "535 Wrong")
    a_standstill(words="no answer in time")
    found = standstills.now_standing()
    assert found is not None
    assert (found.about, found.words) == ("us", "535 Wrong")
    frozen.advance(minutes=10)
    end_it()
    assert standstills.now_standing() is None
    assert [row.words for row in standstills.unseen()] == ["535 Wrong"]


@on_both_when_long
def test_the_log_says_it_each_hour_and_a_letter_each_day_until_somebody_has_seen_it(
    serve: Served, frozen: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(alerts_to=["ops@publisher.example"]):
        a_standstill(words=f"450 <{ANNA}> no")
        for _ in range(6 * 3):
            frozen.advance(minutes=10)
            standstills.tell()
        said = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
        assert len(said) == 3
        assert all("no letters leave since" in one and ANNA not in one for one in said)
        assert alerts() == []

        end_it()
        for _ in range(12 * 4):
            frozen.advance(hours=1)
            standstills.tell()
        assert len(alerts()) == 2
        first, second = alerts()
        assert "the mail server was out of reach" in text_of(first)
        assert ANNA not in text_of(first)
        assert {first.address, second.address} == {"ops@publisher.example"}

        [row] = standstills.unseen()
        with transaction():
            standstills.see(row.id, "Olga")
        assert standstills.unseen() == []
        frozen.advance(days=2)
        standstills.tell()
        assert len(alerts()) == 2
        frozen.advance(days=31)
        standstills.tell()
        assert the_standstill() is None


def test_who_has_seen_it_has_the_server_asked_at_once(serve: Served, frozen: Clock) -> None:
    server = Server()
    with serve(server) as sink:
        owe_to(*readers(5))
        server.says("RCPT", QUOTA)
        worker.send_due_letters()
        server.says("", "")
        assert worker.send_due_letters() == 0
        standing = the_standstill()
        assert standing is not None
        with transaction():
            standstills.see(standing.id, "Olga")
        assert worker.send_due_letters() == 2  # those that were not refused
        assert len(sink.letters) == 2


def test_unknown_numbers_are_refused(app: Flask) -> None:
    for number in (7, 2**40):
        with pytest.raises(standstills.StandstillUnknown):
            standstills.see(number, "Olga")
