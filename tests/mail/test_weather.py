"""Two hundred readers through every weather: nobody is missed, only what was a reader's own is
charged, and doubled is only whose answer was lost, under one Message-ID and marked.

The table of all rows is printed at the end of `make test-long`.
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from store.mail import lines, worker
from store.mail.smtp import MailServer, Outcome, OutcomeKind, Reply
from tests.conftest import Clock, on_both_when_long
from tests.tables import Note

from .scripted_server import CUT, RESET, SILENCE, Kept, ScriptedServer, Talk
from .shops import a_batch, a_shop, owe_to, readers
from .weather import CONNECTIONS, Voyage, Weather, each, first, late, quota, to, until

READERS = 200
SEED = 12
PEOPLE = readers(READERS)
FEW, SOME, MANY = PEOPLE[::60], PEOPLE[::25], PEOPLE[::8]
ALL_OFFERS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 10000000")
# Where a row waits for a server that is silent, its time limits are a hundredth of ours.
SCALE = 100


@dataclass(frozen=True)
class Row:
    """One weather: made for each run, with whom it may cost a try and whom it refuses."""

    make: Callable[[], Weather]
    refused: frozenset[str] = frozenset()
    may_be_charged: frozenset[str] = frozenset()
    offers: tuple[str, ...] = ALL_OFFERS
    is_scaled: bool = False


def _of(*answers: Callable[[], object], **given: object) -> Row:
    return Row(lambda: Weather(*(make() for make in answers)), **given)  # type: ignore[arg-type]


def _readers_own(verb: str, reply: str, whom: list[str], times: int) -> Row:
    refused = frozenset(whom if times > 100 else [])
    return _of(
        lambda: to(whom, verb, reply, times), refused=refused, may_be_charged=frozenset(whom)
    )


def _without(*names: str) -> tuple[str, ...]:
    return tuple(each for each in ALL_OFFERS if each.split()[0] not in names)


def _helo_alone(talk: Talk, verb: str, line: str) -> str | None:
    return "502 5.5.2 What?" if verb == "EHLO" else None


LOST_LINE = frozenset(SOME)
ROWS: dict[str, Row] = {
    "calm": _of(),
    # One reader's own.
    "user unknown at RCPT": _readers_own("RCPT", "550 5.1.1 No such user", FEW, 1000),
    "letter refused after the data": _readers_own(".", "552 5.2.3 Too long for her", FEW, 1000),
    "mailbox full twice": _readers_own("RCPT", "452 4.2.2 Mailbox full", SOME, 2),
    "busy after the data": _readers_own(".", "450 4.2.1 Busy", SOME, 1),
    "greylisted, everybody": _readers_own("RCPT", "451 4.7.1 Greylisted", PEOPLE, 1),
    # Nobody's: the domain is left alone by all, so that few of its letters are tried in vain.
    "a domain asks for 3 h": _of(
        lambda: until(3, "RCPT", "451 4.7.1 Too many, come back later", after=50),
        may_be_charged=frozenset(PEOPLE),
    ),
    # The connection's.
    "421 at every 2nd greeting": _of(lambda: each(2, "CONNECT", "421 4.3.2 Too many")),
    "421 at every 10th MAIL": _of(lambda: each(10, "MAIL", "421 4.7.0 Too many letters")),
    "421 at every 10th RCPT": _of(lambda: each(10, "RCPT", "421 4.7.0 Too many letters")),
    "421 at every 10th DATA": _of(lambda: each(10, "DATA", "421 4.7.0 Too many letters")),
    "421 after every 10th dot": _of(lambda: each(10, ".", "421 4.3.2 Closing")),
    "reset at every 20th RCPT": _of(lambda: each(20, "RCPT", RESET)),
    "reset at every 20th DATA": _of(lambda: each(20, "DATA", RESET)),
    "cut at every 20th MAIL": _of(lambda: each(20, "MAIL", CUT)),
    "reset at every 20th MAIL": _of(lambda: each(20, "MAIL", RESET)),
    "silent at 3 MAILs": _of(lambda: first(3, "MAIL", SILENCE), is_scaled=True),
    # About us: the release pauses, and somebody presses Resume six hours later.
    "a quota of 60 a day": _of(lambda: quota(60, "RCPT", "550 5.4.5 Daily sending quota exceeded")),
    "a quota after the data": _of(lambda: quota(60, ".", "454 4.7.0 Daily quota exceeded")),
    "our sender refused for 3 h": _of(lambda: until(3, "MAIL", "550 5.7.1 Sender rejected")),
    "we are blocked for 3 h": _of(
        lambda: until(3, "RCPT", "554 5.7.1 Client host blocked using a list", after=50)
    ),
    "their domain will not have us for 3 h": _of(
        lambda: until(3, "RCPT", "554 5.7.1 Not accepted here", after=50)
    ),
    # The answer lost: the letter is there, or it is not, and nobody can know.
    "silent after the dot, kept": _of(
        lambda: to(FEW, ".", Kept(SILENCE), 1), may_be_charged=frozenset(FEW), is_scaled=True
    ),
    "silent after the dot, not kept": _of(
        lambda: to(FEW, ".", SILENCE, 1), may_be_charged=frozenset(FEW), is_scaled=True
    ),
    "reset after the dot, kept": _of(
        lambda: to(SOME, ".", Kept(RESET), 1), may_be_charged=LOST_LINE
    ),
    "reset after the dot, not kept": _of(lambda: to(SOME, ".", RESET, 1), may_be_charged=LOST_LINE),
    "cut after the dot, kept": _of(lambda: to(SOME, ".", Kept(CUT), 1), may_be_charged=LOST_LINE),
    "an answer after 90 s": _of(lambda: late(SOME, lambda: time.sleep(90 / SCALE)), is_scaled=True),
    # What the server offers.
    "no PIPELINING": _of(offers=_without("PIPELINING")),
    "no SIZE, no 8BITMIME": _of(offers=_without("SIZE", "8BITMIME")),
    "no EHLO": _of(lambda: _helo_alone),
    "no PIPELINING, and 421s": _of(
        lambda: each(7, "RCPT", "421 4.7.0 Too many letters"), offers=_without("PIPELINING")
    ),
}
# These wait for no clock and are over in a second. `make test-long` has all of them on both databases.
QUICK = (
    "user unknown at RCPT",
    "421 after every 10th dot",
    "a quota of 60 a day",
    "reset after the dot, kept",
)


def _scaled(server: MailServer) -> MailServer:
    names = ("connect_timeout", "reply_timeout", "final_timeout")
    return dataclasses.replace(server, **{one: getattr(server, one) / SCALE for one in names})


def _sail(
    row: Row, database_url: str, folder: Path, frozen: Clock, patch: pytest.MonkeyPatch
) -> tuple[Voyage, Weather]:
    patch.setattr(worker, "sleep", lambda seconds: frozen.advance(seconds=seconds))
    if row.is_scaled:
        usual = lines.mail_server
        patch.setattr(lines, "mail_server", lambda: _scaled(usual()))
    weather, voyage = row.make(), Voyage(PEOPLE)
    with (
        ScriptedServer(weather, offers=row.offers) as sink,
        a_shop(database_url, folder, sink.port, mail_connections=CONNECTIONS) as app,
    ):
        batch_id = a_batch()
        owe_to(*PEOPLE[20:], batch_id=batch_id)
        owe_to(*PEOPLE[:20], priority=0)
        voyage.sail(app, sink, frozen)
    return voyage, weather


def _check(row: Row, voyage: Voyage, weather: Weather) -> None:
    assert voyage.missed == set(), "missed"
    assert voyage.failed == row.refused, "refused"
    assert voyage.charged <= row.may_be_charged, "charged"
    assert voyage.doubled <= weather.kept, "doubled"
    assert voyage.marked == weather.lost, "marked"
    assert {who for who, ids in voyage.ids.items() if len(ids) > 1} == set(), "one Message-ID"


@pytest.mark.parametrize("name", QUICK)
@on_both_when_long
def test_readers_through_bad_weather(
    name: str, database_url: str, tmp_path: Path, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ROWS[name]
    _check(row, *_sail(row, database_url, tmp_path, frozen, monkeypatch))


def _outcomes_say(patch: pytest.MonkeyPatch, kind: OutcomeKind) -> None:
    """A line that is lost after the dot is taken for something that nobody can know."""
    real = Reply.outcome

    def outcome(self: Reply) -> Outcome:
        found = real(self)
        is_lost = found.kind is OutcomeKind.UNKNOWN
        return found._replace(kind=kind) if is_lost else found

    patch.setattr(Reply, "outcome", outcome)


@pytest.mark.parametrize(
    ("name", "kind", "what"),
    [
        ("reset after the dot, not kept", OutcomeKind.ACCEPTED, "missed"),
        ("reset after the dot, kept", OutcomeKind.DEFERRED, "marked"),
    ],
)
def test_control_a_lost_answer_taken_for_one_shows(
    name: str,
    kind: OutcomeKind,
    what: str,
    database_url: str,
    tmp_path: Path,
    frozen: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _outcomes_say(monkeypatch, kind)
    row = ROWS[name]
    voyage, weather = _sail(row, database_url, tmp_path, frozen, monkeypatch)
    with pytest.raises(AssertionError, match=what):
        _check(row, voyage, weather)


@pytest.mark.long
@pytest.mark.parametrize("name", ROWS)
@on_both_when_long
def test_readers_through_every_weather(
    name: str,
    database_url: str,
    tmp_path: Path,
    frozen: Clock,
    monkeypatch: pytest.MonkeyPatch,
    note: Note,
) -> None:
    row = ROWS[name]
    voyage, weather = _sail(row, database_url, tmp_path, frozen, monkeypatch)
    note(
        f"Weather: {READERS} readers, {CONNECTIONS} connections",
        {
            "weather": name,
            "database": database_url.partition(":")[0].partition("+")[0],
            "handed over": len(voyage.handed_over),
            "refused": len(voyage.failed),
            "missed": len(voyage.missed),
            "charged": len(voyage.charged),
            "answer lost": len(weather.lost),
            "doubled": len(voyage.doubled),
            "marked": len(voyage.marked),
            "resumed": voyage.presses,
            "hours": f"{voyage.hours:.1f}",
        },
    )
    _check(row, voyage, weather)
