"""Letters on their way: real conversations, every answer of a server, nothing held while waiting."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from store.kit import clock
from store.kit.database import db, transaction
from store.mail import letters, worker
from store.mail.letters import Kind, Letter
from store.mail.mime import Mailbox
from store.mail.models import Batch, BatchStatus, Delivery, Pace
from store.mail.outcomes import wait_after
from tests.conftest import Clock, on_both, on_both_when_long

from .scripted_server import CUT, Script, ScriptedServer, Talk
from .shops import (
    a_batch,
    a_shop,
    attempts,
    deliveries,
    delivery,
    owe_to,
    readers,
    statuses,
)

ANNA, BEN = "anna@reader.example", "ben@reader.example"


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch, frozen: Clock) -> list[float]:
    """How long a worker would have slept; the clock moves on instead."""
    taken: list[float] = []

    def nap(seconds: float) -> None:
        taken.append(seconds)
        frozen.advance(seconds=seconds)

    monkeypatch.setattr(worker, "sleep", nap)
    return taken


Served = Callable[..., Any]


@pytest.fixture
def serve(database_url: str, tmp_path: Path, frozen: Clock, naps: list[float]) -> Iterator[Served]:
    """Opens a shop and the scripted server that takes its letters."""

    @contextmanager
    def opened(script: Script | None = None, **given: Any) -> Iterator[ScriptedServer]:
        offers = {"offers": given.pop("offers")} if "offers" in given else {}
        sink = ScriptedServer(script, **offers) if script else ScriptedServer(**offers)
        with sink, a_shop(database_url, tmp_path, sink.port, **given):
            yield sink

    return opened


def answers(**by_verb: Callable[[Talk, str], str | None]) -> Script:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        name = {".": "dot"}.get(verb, verb)
        return by_verb[name](talk, line) if name in by_verb else None

    return script


def recipients(sink: ScriptedServer) -> list[str]:
    return [one.rcpt[0].removeprefix("RCPT TO:<").rstrip(">") for one in sink.letters]


def message_ids(sink: ScriptedServer, address: str) -> set[str]:
    found = [one for one, to in zip(sink.letters, recipients(sink), strict=True) if to == address]
    return {message_from_bytes(one.octets)["Message-ID"] for one in found}


@on_both
def test_letters_leave_over_one_kept_connection_and_each_is_recorded(serve: Served) -> None:
    with serve() as sink:
        owe_to(*readers(30))

        assert worker.send_due_letters() == 30
        assert worker.send_due_letters() == 0
        owe_to(ANNA)
        worker.send_due_letters()

        assert len(sink.talks) == 1
        assert recipients(sink) == [*readers(30), ANNA]
        [attempt] = attempts(ANNA)
        assert (attempt.outcome, attempt.address) == ("accepted", ANNA)
        assert attempt.reply == "250 2.0.0 Ok: queued"
        assert message_ids(sink, ANNA) == {delivery(ANNA).message_id}
        assert {row.claimed_by for row in deliveries().values()} == {None}


@on_both
def test_refused_readers_stop_nobody(serve: Served, frozen: Clock) -> None:
    people, busy = readers(20), []

    def rcpt(talk: Talk, line: str) -> str | None:
        if people[2] in line:
            return "550 5.1.1 No such user"
        if people[6] in line:
            return "553 5.1.3 Bad mailbox"
        if people[14] in line and len(busy) < 3:
            busy.append(line)
            return "450 4.2.1 Busy"
        return None

    def dot(talk: Talk, letter: str) -> str | None:
        return "554 5.7.1 Not wanted here" if f"To: {people[10]}\r\n" in letter else None

    with serve(answers(RCPT=rcpt, dot=dot)) as sink:
        batch_id = a_batch()
        owe_to(*people, batch_id=batch_id)
        worker.send_due_letters()
        assert statuses() == {"sent": 16, "failed": 3, "queued": 1}
        for minutes in (1, 5, 15):
            frozen.advance(minutes=minutes)
            worker.send_due_letters()

        failed = {to: row.reason for to, row in deliveries().items() if row.status == "failed"}
        assert failed == {
            people[2]: "550 5.1.1 No such user",
            people[6]: "553 5.1.3 Bad mailbox",
            people[10]: "554 5.7.1 Not wanted here",
        }
        assert Counter(recipients(sink)) == Counter(p for p in people if p not in failed)
        batch = db.session.get_one(Batch, batch_id)
        assert (batch.status, batch.finished_at) == (BatchStatus.FINISHED, clock.now())


@on_both_when_long
def test_a_server_that_ends_connections_charges_nobody_a_try(serve: Served) -> None:
    people = readers(141)

    def mail(talk: Talk, line: str) -> str | None:
        return "421 4.7.0 too many messages in this connection" if talk.accepted == 10 else None

    def connect(talk: Talk, line: str) -> str | None:
        return "421 4.7.0 too many connections" if talk.number == 3 else None

    with serve(answers(MAIL=mail, CONNECT=connect)) as sink:
        owe_to(*people)
        assert worker.send_due_letters() == 141

        assert recipients(sink) == people
        assert {row.tries for row in deliveries().values()} == {1}
        assert {row.is_possibly_twice for row in deliveries().values()} == {False}


def test_while_the_server_takes_nothing_letters_wait_uncharged(
    serve: Served, naps: list[float]
) -> None:
    is_down = True

    def connect(talk: Talk, line: str) -> str | None:
        return "421 4.3.2 closed for repair" if is_down else None

    with serve(answers(CONNECT=connect)) as sink:
        owe_to(ANNA)
        assert worker.send_due_letters() == 0
        row = delivery(ANNA)
        assert (row.status, row.tries, row.claimed_by) == ("queued", 0, None)
        assert attempts(ANNA) == []
        assert naps == list(worker.BRIEF_WAITS)

        is_down = False
        assert worker.send_due_letters() == 1
        assert recipients(sink) == [ANNA]


def test_temporary_refusals_are_tried_for_two_days_and_then_given_up(
    serve: Served, frozen: Clock
) -> None:
    with serve(answers(RCPT=lambda talk, line: "451 4.7.1 Greylisted, come back")) as sink:
        owe_to(ANNA)
        began, tried_at = clock.now(), []
        while delivery(ANNA).status != "failed":
            tried_at.append(clock.now() - began)
            worker.send_due_letters()
            frozen.set(max(delivery(ANNA).due_at, clock.now()))

        minutes = [wait.total_seconds() / 60 for wait in tried_at]
        assert minutes[:7] == [0, 1, 6, 21, 81, 141, 201]
        assert timedelta(hours=47) < tried_at[-1] <= timedelta(hours=48)
        assert delivery(ANNA).reason == "451 4.7.1 Greylisted, come back"
        assert sink.letters == []


def test_waits_grow_to_an_hour() -> None:
    waits = [wait_after(tries) for tries in range(1, 8)]
    assert waits == [timedelta(minutes=m) for m in (1, 5, 15, 60, 60, 60, 60)]
    assert wait_after(200) is None


@on_both
def test_a_line_cut_after_the_dot_is_possibly_twice_under_the_same_message_id(
    serve: Served, frozen: Clock
) -> None:
    cuts: list[str] = []

    def dot(talk: Talk, letter: str) -> str | None:
        if ANNA in letter and not cuts:
            cuts.append(letter)
            return CUT
        return None

    with serve(answers(dot=dot)) as sink:
        owe_to(ANNA, BEN)
        worker.send_due_letters()
        assert statuses() == {"queued": 1, "sent": 1}
        frozen.advance(minutes=1)
        worker.send_due_letters()

        anna, ben = delivery(ANNA), delivery(BEN)
        assert (anna.status, anna.is_possibly_twice) == ("sent", True)
        assert (ben.status, ben.is_possibly_twice) == ("sent", False)
        assert message_from_bytes(cuts[0].encode())["Message-ID"] == anna.message_id
        assert message_ids(sink, ANNA) == {anna.message_id}
        assert [one.outcome for one in attempts(ANNA)] == ["unknown", "accepted"]


@on_both
def test_a_letter_tried_at_another_address_before_has_another_message_id(
    serve: Served, frozen: Clock
) -> None:
    """Who was handed the first knows its mark, and could report the second as returned."""
    later = iter(["451 4.3.0 Later"])
    with serve(answers(dot=lambda *_: next(later, None))) as sink:
        owe_to(ANNA)
        worker.send_due_letters()
        before = delivery(ANNA).message_id
        with transaction() as session:
            session.execute(sa.update(Delivery).values(address=BEN))
        frozen.advance(minutes=1)
        worker.send_due_letters()

        assert [one.address for one in attempts(BEN)] == [ANNA, BEN]
        assert before is not None
        assert message_ids(sink, BEN) == {delivery(BEN).message_id} != {before}


UMLAUTS = ("a@reader.example", "müller@reader.example", "anna@münchen.example", "b@reader.example")


def test_without_smtputf8_one_umlaut_is_held_and_staff_hear_of_it(
    serve: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = {"title": "Hello", "text": "Hello."}
    facts = lambda delivery: Letter(Mailbox(delivery.address), context)  # noqa: E731
    monkeypatch.setitem(letters._kinds, "hello", Kind("hello", facts, None))
    monkeypatch.setattr("store.mail.preparing.render_letter", _as_an_alert)
    with serve(offers=("PIPELINING", "8BITMIME")) as sink:
        owe_hello(*UMLAUTS)
        worker.send_due_letters()

        expected = ["a@reader.example", "anna@xn--mnchen-3ya.example", "b@reader.example"]
        assert recipients(sink) == [*expected, "desk@publisher.example"]
        held = delivery("müller@reader.example")
        assert (held.status, held.reason) == ("held", "the mail server offers no SMTPUTF8")


def test_with_smtputf8_the_umlaut_gets_its_letter(serve: Served) -> None:
    with serve() as sink:
        owe_to(*UMLAUTS)
        worker.send_due_letters()

        assert len(sink.letters) == 4
        assert statuses() == {"sent": 4}
        assert "SMTPUTF8" in sink.letters[1].mail


def _as_an_alert(kind: str, context: dict[str, Any]) -> Any:
    from store.mail.letters import render_letter

    return render_letter("staff_alert", context)


def owe_hello(*addresses: str) -> None:
    from store.mail import outbox

    facts = {"subject": "Hello", "text": "Hello."}
    with transaction():
        for address in addresses:
            outbox.owe("hello", f"hello:{address}", address=address, facts=facts)


def test_a_long_way_to_stop_stays_whole_in_its_header(
    serve: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"https://shop.example.org/stop/{'s' * 120}"
    notes = "x" * 5000 + "\n.\n..two\nFrom the board\n\ttab\ntrailing \nend"
    letter = Letter(Mailbox(ANNA), {"title": "New", "text": notes}, "notices.shop.example.org", url)
    monkeypatch.setitem(letters._kinds, "staff_alert", Kind("staff_alert", lambda _: letter, None))
    with serve() as sink:
        owe_to(ANNA)
        worker.send_due_letters()

        octets = sink.letters[0].octets
        message = message_from_bytes(octets, policy=policy.default)
        text = message.get_body(("plain",))
        assert text is not None
        assert f"List-Unsubscribe: <{url}>\r\n".encode() in octets
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert message["List-Id"] == "<notices.shop.example.org>"
        assert max(len(line) for line in octets.split(b"\r\n")) <= 998
        assert notes in text.get_content().replace("\r\n", "\n")


# Nothing of ours is held while a server is awaited.


def open_transactions() -> Callable[[], int]:
    """Says how many there are of those that begin from now on."""
    begun: list[int] = [0]

    def count(by: int) -> Callable[[object], None]:
        def change(_connection: object) -> None:
            begun[0] += by

        return change

    for event, by in (("begin", 1), ("commit", -1), ("rollback", -1)):
        sa.event.listen(db.engine, event, count(by))
    return lambda: begun[0]


@on_both
def test_no_transaction_is_open_while_the_server_is_awaited(
    serve: Served, database_url: str
) -> None:
    waits: list[float] = []
    open_ones: list[int] = []

    def dot(talk: Talk, letter: str) -> str | None:
        open_ones.append(how_many())
        began = time.monotonic()
        with transaction() as session:
            session.execute(sa.update(Pace).values(next_at=clock.now()))
        waits.append(time.monotonic() - began)
        return None

    app: Flask

    def in_shop(talk: Talk, letter: str) -> str | None:
        with app.app_context():
            return dot(talk, letter)

    with serve(answers(dot=in_shop)) as sink:
        from flask import current_app

        app = current_app._get_current_object()  # type: ignore[attr-defined]
        owe_to(*readers(5))
        db.session.remove()
        how_many = open_transactions()
        worker.send_due_letters()

        assert len(sink.letters) == 5
        assert open_ones == [0] * 5
        assert max(waits) < 30


def test_control_a_read_left_open_is_seen_as_open(
    serve: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ones: list[int] = []

    def leave_open() -> None:
        db.session.rollback()
        db.session.execute(sa.text("SELECT 1"))

    monkeypatch.setattr(worker, "end_repeated_read", leave_open)

    def in_shop(talk: Talk, letter: str) -> str | None:
        with app.app_context():
            open_ones.append(how_many())
        return None

    with serve(answers(dot=in_shop)):
        from flask import current_app

        app = current_app._get_current_object()  # type: ignore[attr-defined]
        owe_to(ANNA)
        db.session.remove()
        how_many = open_transactions()
        worker.send_due_letters()
        db.session.remove()

    assert open_ones == [1]


def test_other_connections_go_on_while_a_server_thinks(
    serve: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    thinking, others_done = threading.Event(), threading.Event()

    def dot(talk: Talk, letter: str) -> str | None:
        if readers(1)[0] in letter:
            thinking.set()
            assert others_done.wait(60)
        return None

    with serve(answers(dot=dot), mail_connections=2) as sink:
        from flask import current_app

        app = current_app._get_current_object()  # type: ignore[attr-defined]
        owe_to(*readers(20))

        def send() -> None:
            with app.app_context():
                worker.send_due_letters()

        slow = threading.Thread(target=send)
        slow.start()
        assert thinking.wait(60)
        deadline = time.monotonic() + 60
        while len(sink.letters) < 10 and time.monotonic() < deadline:
            worker.send_due_letters()
        others_done.set()
        slow.join()
        worker.send_due_letters()

        assert Counter(recipients(sink)) == Counter(readers(20))


def test_no_more_connections_work_than_the_settings_say(serve: Served) -> None:
    with serve(mail_connections=2) as sink:
        owe_to(*readers(40))
        from flask import current_app

        app = current_app._get_current_object()  # type: ignore[attr-defined]

        def send() -> None:
            with app.app_context():
                worker.send_due_letters()

        threads = [threading.Thread(target=send) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(sink.talks) <= 2
        assert sorted(recipients(sink)) == readers(40)


def test_the_pace_is_shared_and_kept_with_nothing_in_hand(
    serve: Served, naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    nap = worker.sleep

    def look_then_nap(seconds: float) -> None:
        seen.append(statuses().get("sending", 0))
        nap(seconds)

    monkeypatch.setattr(worker, "sleep", look_then_nap)
    with serve(mail_rate=2) as sink:
        owe_to(*readers(5))
        began = clock.now()
        worker.send_due_letters()

        assert len(sink.letters) == 5
        assert clock.now() - began == timedelta(seconds=2)
        assert naps == [0, 0.5, 0.5, 0.5, 0.5]
        assert seen == [0] * 5


def test_a_job_that_may_last_no_longer_rings_for_the_rest(serve: Served) -> None:
    with serve():
        owe_to(*readers(3))
        from flask import current_app

        rung: list[str] = []
        current_app.extensions["colophon.jobs"]["send_letters"] = lambda: rung.append("bell")

        assert worker.send_due_letters(seconds=0) == 0
        assert rung == ["bell"]
        assert statuses() == {"queued": 3}


# The brake; test_brake.py has how much it takes.


@pytest.mark.parametrize(
    ("reply", "is_paused"),
    [
        ("454 Throttling failure: Maximum sending rate exceeded.", True),
        ("454 Throttling failure: Daily message quota exceeded.", True),
        (
            "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
            True,
        ),
        ("452 4.2.2 The recipient's inbox is over quota", False),
        ("450 4.2.1 Busy", False),
    ],
)
def test_a_server_that_speaks_of_us_pauses_the_batch(
    serve: Served, reply: str, *, is_paused: bool
) -> None:
    with serve(answers(dot=lambda talk, letter: reply if ANNA in letter else None)):
        batch_id = a_batch()
        owe_to(ANNA, *readers(9), batch_id=batch_id)
        worker.send_due_letters()

        assert (db.session.get_one(Batch, batch_id).status == BatchStatus.PAUSED) is is_paused
        queued = {to for to, row in deliveries().items() if row.status == "queued"}
        assert queued >= (set(readers(9)) if is_paused else set())


def test_a_database_that_fails_holds_no_letter(
    serve: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(delivery: Delivery) -> Letter:
        raise sa.exc.OperationalError("SELECT", {}, Exception("gone"))

    with serve():
        owe_to(*readers(3))
        with monkeypatch.context() as patch:
            patch.setitem(letters._kinds, "staff_alert", Kind("staff_alert", fails, None))
            with pytest.raises(sa.exc.OperationalError):
                worker.send_due_letters()

        assert {(row.status, row.claimed_by) for row in deliveries().values()} == {("queued", None)}
        assert worker.send_due_letters() == 3
