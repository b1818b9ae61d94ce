"""Weather: what a mail server does to a list of readers, and what becomes of their letters.

A weather is a script with a memory: it notes whose answer was lost, so that the test can tell who
may be doubled. `Voyage` sends through it until every letter is settled, while the shop's clock is
pushed on as far as the next letter is due.
"""

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import message_from_bytes

from flask import Flask

from store import tasks
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.status import advance
from store.mail import outbox, worker
from store.mail.models import Batch, BatchStatus, Delivery, Rest
from store.mail.rests import POST
from tests.conftest import Clock

from .scripted_server import CUT, RESET, SILENCE, Kept, ScriptedServer, Talk
from .shops import deliveries

CONNECTIONS = 4
# So long the shop leaves a paused batch alone before somebody presses Resume.
_NOBODY_LOOKS_FOR = timedelta(hours=6)
_MOST_ROUNDS = 400
_ADDRESS = re.compile(r"<([^>]*)>")
_LINE_LOST = (CUT, RESET, SILENCE)

Answer = Callable[[Talk, str, str], str | None]


class Weather:
    """The first of its answers that has something to say is what the server says."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = answers
        self.lost: set[str] = set()  # whose answer to the whole letter never came
        self.kept: set[str] = set()  # of those, whose letter the server has
        self.lock = threading.Lock()

    def __call__(self, talk: Talk, verb: str, line: str) -> str | None:
        with self.lock:
            said = next((one for each in self.answers if (one := each(talk, verb, line))), None)
            if verb == "." and said in _LINE_LOST:
                self.lost.add(reader_of(talk))
                if isinstance(said, Kept):
                    self.kept.add(reader_of(talk))
        return said


def reader_of(talk: Talk, line: str = "") -> str:
    """To whom the letter under way goes, or the RCPT that this line is."""
    found = _ADDRESS.search(line or (talk.rcpt[0] if talk.rcpt else ""))
    return found[1] if found else ""


def each(number: int, verb: str, reply: str) -> Answer:
    """The reply to every so-many-th line with this verb, no matter who reads."""
    count = 0

    def answer(talk: Talk, said: str, line: str) -> str | None:
        nonlocal count
        count += said == verb
        return reply if said == verb and count % number == 0 else None

    return answer


def to(readers: Iterable[str], verb: str, reply: str, times: int = 1000) -> Answer:
    """The reply at RCPT or after the dot to letters for these readers, so many times each."""
    left = dict.fromkeys(readers, times)

    def answer(talk: Talk, said: str, line: str) -> str | None:
        who = reader_of(talk, line if said == "RCPT" else "") if said == verb else ""
        if left.get(who, 0) == 0:
            return None
        left[who] -= 1
        return reply

    return answer


def first(times: int, verb: str, reply: str) -> Answer:
    """The reply to the first so many lines with this verb."""
    count = 0

    def answer(talk: Talk, said: str, line: str) -> str | None:
        nonlocal count
        count += said == verb
        return reply if said == verb and count <= times else None

    return answer


def quota(letters: int, verb: str, reply: str) -> Answer:
    """So many letters on each of the shop's days are taken, then the reply until the next day."""
    taken: dict[str, int] = {}

    def answer(talk: Talk, said: str, line: str) -> str | None:
        day = f"{clock.now():%j}"
        if said == verb and taken.get(day, 0) >= letters:
            return reply
        if said == ".":
            taken[day] = taken.get(day, 0) + 1
        return None

    return answer


def until(hours: int, verb: str, reply: str, after: int = 0) -> Answer:
    """The reply for so many hours of the shop's, from the so-many-th line with this verb on."""
    ends, count = clock.now() + timedelta(hours=hours), 0

    def answer(talk: Talk, said: str, line: str) -> str | None:
        nonlocal count
        count += said == verb
        return reply if said == verb and count > after and clock.now() < ends else None

    return answer


def late(readers: Iterable[str], wait: Callable[[], object]) -> Answer:
    """The answer after the dot comes late to these."""
    slow = set(readers)

    def answer(talk: Talk, said: str, line: str) -> str | None:
        if said == "." and reader_of(talk) in slow:
            wait()
        return None

    return answer


@dataclass
class Voyage:
    """What became of the readers: each set holds addresses."""

    people: list[str]
    handed_over: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    charged: set[str] = field(default_factory=set)  # with more tries than the one that was taken
    doubled: set[str] = field(default_factory=set)
    marked: set[str] = field(default_factory=set)
    ids: dict[str, set[str]] = field(default_factory=dict)
    presses: int = 0  # of Resume
    hours: float = 0.0

    @property
    def missed(self) -> set[str]:
        """Who has no letter, and of whom the shop does not say so."""
        return set(self.people) - self.handed_over - self.failed

    def sail(self, app: Flask, sink: ScriptedServer, frozen: Clock) -> None:
        """Send with every connection, again and again, until nothing is left to be sent."""
        began = clock.now()
        for _ in range(_MOST_ROUNDS):
            self._send(app)
            tasks.tick()
            if not self._go_on(frozen):
                break
        self.hours = (clock.now() - began) / timedelta(hours=1)
        self._look(sink)

    def _send(self, app: Flask) -> None:
        def send() -> None:
            with app.app_context():
                worker.send_due_letters()

        threads = [threading.Thread(target=send) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _go_on(self, frozen: Clock) -> bool:
        """Push the clock on to where something may leave; False where nothing waits."""
        waiting = [row for row in deliveries().values() if row.status in ("queued", "sending")]
        if not waiting:
            return False
        paused = db.session.query(Batch).filter_by(status=BatchStatus.PAUSED).all()
        if paused:
            frozen.set(clock.now() + _NOBODY_LOOKS_FOR)
            self.presses += 1
            with transaction() as session:
                for batch in paused:
                    advance(session.get_one(Batch, batch.id), BatchStatus.RUNNING, who="Olga")
                    outbox.wake()
        else:
            soonest = max(min(row.due_at for row in waiting), self._rests_until())
            frozen.set(max(clock.now() + clock.MINUTE, soonest))
        return True

    def _rests_until(self) -> datetime:
        """Nothing leaves before, and each minute until then would be a pass of the timetable."""
        rest = db.session.query(Rest).filter_by(domain=POST).first()
        return rest.until if rest else clock.now()

    def _look(self, sink: ScriptedServer) -> None:
        rows: dict[str, Delivery] = {
            who: row for who, row in deliveries().items() if who in set(self.people)
        }
        copies: dict[str, list[str]] = {}
        for letter in sink.letters:
            found = message_from_bytes(letter.octets)["Message-ID"]
            copies.setdefault(reader_of(Talk(0, rcpt=list(letter.rcpt))), []).append(found)
        self.ids = {
            who: set(found) | {str(rows[who].message_id)}
            for who, found in copies.items()
            if who in rows
        }
        self.handed_over = {who for who in rows if who in copies and rows[who].status == "sent"}
        self.doubled = {who for who in rows if len(copies.get(who, [])) > 1}
        self.failed = {who for who, row in rows.items() if row.status == "failed"}
        self.charged = {who for who, row in rows.items() if row.tries > (row.status == "sent")}
        self.marked = {who for who, row in rows.items() if row.is_possibly_twice}
