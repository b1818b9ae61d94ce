"""A domain that asks for patience: it is left alone by all workers, while letters to others go on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db, transaction
from store.mail import outbox, rests, worker
from store.mail.models import Batch, BatchStatus, Delivery, Rest
from tests.conftest import Clock, on_both, on_both_when_long
from tests.serving import until
from tests.statements import statements

from .scripted_server import Script, ScriptedServer, Talk
from .shops import a_batch, a_shop, attempts, deliveries, hang_up, owe_to
from .test_lines import a_hall

LATER = "451 4.7.1 Too many letters from you, come back later"
SLOW = [f"reader{number:02}@slow.example" for number in range(40)]
QUICK = [f"reader{number:02}@quick.example" for number in range(40)]
MIXED = [who for both in zip(SLOW, QUICK, strict=True) for who in both]
Serve = Callable[..., Any]


class Patience:
    """Asks for patience with letters to one domain, as long as it is told to."""

    def __init__(self) -> None:
        self.asks = True
        self.tried = 0

    def __call__(self, talk: Talk, verb: str, line: str) -> str | None:
        if verb != "RCPT" or "@slow.example" not in line:
            return None
        self.tried += 1
        return LATER if self.asks else None


@pytest.fixture
def serve(
    database_url: str, tmp_path: Path, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> Serve:
    monkeypatch.setattr(worker, "sleep", lambda seconds: frozen.advance(seconds=seconds))

    @contextmanager
    def opened(script: Script) -> Iterator[ScriptedServer]:
        with ScriptedServer(script) as sink, a_shop(database_url, tmp_path, sink.port):
            yield sink

    return opened


def standing(domain: str) -> Rest | None:
    db.session.remove()
    row = db.session.scalars(sa.select(Rest).where(Rest.domain == domain)).one_or_none()
    db.session.expunge_all()
    return row


def rest_over(domain: str = "slow.example") -> datetime:
    row = standing(domain)
    assert row is not None
    return row.until


def sent(people: list[str]) -> int:
    rows = deliveries()
    return sum(rows[who].status == "sent" for who in people)


def charged(people: list[str]) -> int:
    rows = deliveries()
    return sum(rows[who].tries > 0 for who in people)


@on_both_when_long
def test_it_rests_alone_and_others_go_on(serve: Serve, frozen: Clock) -> None:
    patience = Patience()
    with serve(patience):
        owe_to(*MIXED, batch_id=a_batch())
        worker.send_due_letters()

        assert (sent(QUICK), sent(SLOW)) == (40, 0)
        assert patience.tried == charged(SLOW) == 10
        assert rest_over() == clock.now() + timedelta(minutes=1)
        assert standing(rests.POST) is None
        assert standing("quick.example") is None
        waiting = {row.due_at for row in deliveries().values() if row.tries == 0}
        assert waiting == {rest_over()}


@on_both
def test_one_letter_finds_out_whether_a_rest_was_of_use(serve: Serve, frozen: Clock) -> None:
    patience = Patience()
    with serve(patience):
        owe_to(*SLOW)
        worker.send_due_letters()
        waits = []
        for _ in range(5):
            frozen.set(rest_over())
            hang_up()
            before, began = patience.tried, clock.now()
            worker.send_due_letters()
            assert patience.tried == before + 1
            waits.append(rest_over() - began)
        assert waits == [timedelta(minutes=m) for m in (5, 15, 30, 30, 30)]


@on_both_when_long
def test_the_first_letter_that_is_taken_lets_all_go(serve: Serve, frozen: Clock) -> None:
    patience = Patience()
    with serve(patience):
        owe_to(*SLOW)
        worker.send_due_letters()
        for _ in range(3):
            frozen.set(rest_over())
            worker.send_due_letters()
        over = rest_over()
        patience.asks = False
        frozen.set(over)
        worker.send_due_letters()
        assert standing("slow.example") is None
        worker.send_due_letters()
        # Those that were refused wait for their own time; the others not for the next rest.
        assert sent(SLOW) >= 30
        assert clock.now() < over + timedelta(minutes=1)
        frozen.advance(hours=1)
        worker.send_due_letters()
        assert sent(SLOW) == 40


@on_both_when_long
def test_who_does_not_exist_there_ends_a_rest_too(serve: Serve, frozen: Clock) -> None:
    patience = Patience()

    def script(talk: Talk, verb: str, line: str) -> str | None:
        said = patience(talk, verb, line)
        return (
            "550 5.1.1 No such user"
            if said is None and "@slow" in line and verb == "RCPT"
            else said
        )

    with serve(script):
        owe_to(*SLOW)
        worker.send_due_letters()
        patience.asks = False
        frozen.set(rest_over())
        worker.send_due_letters()
        assert standing("slow.example") is None


REFUSED = "554 5.7.1 Not accepted here"
FIRM = [f"reader{number:02}@firm.example" for number in range(15)]
# One reader in eleven, so that no release pauses for it.
WITH_FIRM = [
    who
    for number, theirs in enumerate(FIRM)
    for who in [*(f"r{number:02}.{n}@quick.example" for n in range(10)), theirs]
]


class Refuses:
    """Refuses all letters to one domain in words that name no reader, as long as it is told to."""

    def __init__(self, reply: str = REFUSED) -> None:
        self.reply, self.refuses, self.tried = reply, True, 0

    def __call__(self, talk: Talk, verb: str, line: str) -> str | None:
        if verb != "RCPT" or "@firm.example" not in line:
            return None
        self.tried += 1
        return self.reply if self.refuses else None


@on_both_when_long
def test_a_whole_domain_that_refuses_us_fails_nobody(serve: Serve, frozen: Clock) -> None:
    domain = Refuses()
    with serve(domain):
        batch_id = a_batch()
        owe_to(*WITH_FIRM, batch_id=batch_id)
        worker.send_due_letters()
        assert sent(WITH_FIRM) == 150
        assert domain.tried == 5  # the others wait for what the next one is told
        rows = deliveries()
        assert {(rows[who].status, rows[who].tries) for who in FIRM} == {("queued", 0)}
        # Staff hear of it once, and no domain is named: it may be one person's.
        told = [str(row.facts) for row in deliveries().values() if "domain:" in row.dedupe_key]
        assert len(told) == 1
        assert "refuse all letters" in told[0]
        assert "firm.example" not in told[0]
        assert db.session.get_one(Batch, batch_id).status == BatchStatus.RUNNING
        for _ in range(8):
            frozen.advance(minutes=31)
            worker.send_due_letters()
        assert domain.tried == 13  # one asks after each rest

        domain.refuses = False
        for _ in range(2):
            frozen.advance(hours=2)
            worker.send_due_letters()
        assert sent(WITH_FIRM) == 165
        assert charged(FIRM) == 15  # the try that was taken, and no other
        assert max(row.tries for row in deliveries().values()) == 1
        assert standing("firm.example") is None


@on_both_when_long
def test_a_domain_that_refuses_us_for_two_days_leaves_its_readers_to_a_person(
    serve: Serve, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rests, "MOST_RESTS", 6)  # not to sit through all of them
    domain = Refuses()
    with serve(domain):
        owe_to(*WITH_FIRM)
        for _ in range(25):
            worker.send_due_letters()
            frozen.advance(minutes=31)
        rows = deliveries()
        assert {rows[who].status for who in FIRM} == {"held"}
        assert {rows[who].reason for who in FIRM} == {
            f"its whole domain refuses our letters: {REFUSED}"
        }
        # Weeks later somebody has spoken with them: one is sent again, and the others follow.
        frozen.advance(days=20)
        with transaction() as session:
            rests.forget(session)
        domain.refuses = False
        number = deliveries()[FIRM[3]].id
        with transaction() as session:
            assert outbox.retry(session.get_one(Delivery, number), "Olga")
        for _ in range(2):
            worker.send_due_letters()
        assert sent(FIRM) == 15
        assert standing("firm.example") is None


@on_both_when_long
def test_of_a_domain_that_takes_others_a_refusal_is_the_readers(
    serve: Serve, frozen: Clock
) -> None:
    """Control: with one letter taken between, the same refusals fail their letters."""
    few = [who for who in WITH_FIRM if "firm" not in who or who in FIRM[:4]]
    with serve(Refuses()):
        owe_to(*few)
        worker.send_due_letters()
        rows = deliveries()
        assert {rows[who].status for who in FIRM[:4]} == {"failed"}
    unknown = Refuses("550 5.1.1 No such user")
    with serve(unknown):
        owe_to(*FIRM[4:])
        worker.send_due_letters()
        assert {deliveries()[who].status for who in FIRM[4:]} == {"failed"}


def test_a_greylisting_server_is_not_left_alone(serve: Serve, frozen: Clock) -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return "450 4.2.0 Greylisted, come back" if verb == "RCPT" and "@slow" in line else None

    with serve(script):
        owe_to(*SLOW)
        worker.send_due_letters()
        assert standing("slow.example") is None
        assert {len(attempts(who)) for who in SLOW} == {1}


def test_control_without_rests_every_letter_is_tried(
    serve: Serve, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rests, "strike", lambda *_: None)
    patience = Patience()
    with serve(patience):
        owe_to(*MIXED)
        worker.send_due_letters()
        assert patience.tried == 40


@on_both_when_long
def test_a_domain_silent_after_the_dot_holds_no_more_connections_than_it_has(
    database_url: str, tmp_path: Path, frozen: Clock
) -> None:
    def is_slow(who: str) -> bool:
        return who in SLOW

    with a_hall(database_url, tmp_path, is_slow, connections=4) as hall:
        # Two connections meet it before anybody can know.
        owe_to(*SLOW[:1], *QUICK[:20], *SLOW[1:2], *QUICK[20:], *SLOW[2:], batch_id=a_batch())
        for number in (1, 2):
            hall.start(1)
            until(lambda number=number: len(hall.thinker.awaited) == number, "it is awaited")
        for _ in range(4):
            frozen.advance(seconds=61)
            worker.sweep()
            worker.send_due_letters()
        assert len(hall.thinker.awaited) == 2
        assert (sent(QUICK), sent(SLOW)) == (40, 0)
        assert charged(SLOW) == 0

        hall.end()
        for _ in range(3):
            frozen.advance(minutes=2)
            worker.send_due_letters()
        assert sent(SLOW) == 40
        assert len(hall.taken()) == 80


@on_both_when_long
def test_a_silence_that_is_over_leaves_nothing_behind(
    database_url: str, tmp_path: Path, frozen: Clock
) -> None:
    with a_hall(database_url, tmp_path, lambda who: who == SLOW[0], connections=3) as hall:
        owe_to(*SLOW)
        hall.start(1)
        until(lambda: len(hall.thinker.awaited) == 1, "it is awaited")
        frozen.advance(seconds=61)
        worker.sweep()
        # One letter is one reader's: its domain goes on.
        assert standing("slow.example") is None
        worker.send_due_letters()
        assert sent(SLOW) == 39


@on_both_when_long
def test_in_fair_weather_rests_are_looked_at_once_a_claim(serve: Serve, frozen: Clock) -> None:
    with serve(lambda *_: None):
        owe_to(*MIXED, batch_id=a_batch())
        with statements() as told:
            assert worker.send_due_letters() == 80
        looks = [one for one in told if "rests" in one]
        assert 0 < len(looks) < 8  # 40, 20, 10, 5 and 5 letters are claimed
        assert {one.split()[0] for one in looks} == {"SELECT"}


def test_rests_of_long_ago_are_forgotten(serve: Serve, frozen: Clock) -> None:
    with serve(Patience()):
        owe_to(*SLOW)
        worker.send_due_letters()
        frozen.advance(hours=24 * 4)
        with transaction() as session:
            rests.forget(session)
        assert standing("slow.example") is None
