"""Sends what is due: claim, facts, words, one commit, the server, its answer, the next letter.

The order keeps the promise: whatever instant a process dies at, one letter per open connection
may be doubtful, and none is lost.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, LifoQueue
from typing import Protocol, cast

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from store.kit import clock
from store.kit.config import config
from store.kit.database import db, end_read, transaction
from store.kit.jobs import ring
from store.mail import claims, outbox, recording
from store.mail.claims import Claim, take_slot
from store.mail.mime import Envelope
from store.mail.models import Delivery, DeliveryStatus
from store.mail.preparing import (
    HELD_FOR_A_SETTING,
    Prepared,
    SettingFault,
    Unsent,
    own_part,
    prepare,
)
from store.mail.recording import Tried
from store.mail.smtp import (
    Connection,
    Outcome,
    OutcomeKind,
    ServerUnavailable,
    mail_server,
)

log = logging.getLogger(__name__)

# While the server takes nothing, a worker asks again after these seconds, then leaves it to the
# timetable. Tests replace `sleep`.
BRIEF_WAITS = (1.0, 5.0)
sleep: Callable[[float], None] = time.sleep


class Line(Protocol):
    """A kept connection to whatever takes letters."""

    def ready(self) -> None: ...
    def send(self, envelope: Envelope, octets: bytes) -> Outcome: ...
    def close(self) -> None: ...


class CapturingLine:
    """Takes every letter; what it takes is stored with the outcome."""

    def ready(self) -> None:
        """Always ready."""

    def send(self, envelope: Envelope, octets: bytes) -> Outcome:  # noqa: ARG002 - as a server's
        """Accepted."""
        return Outcome(OutcomeKind.ACCEPTED, "captured: no mail server is set")

    def close(self) -> None:
        """Nothing to close."""


def send_due_letters(seconds: float | None = None) -> int:
    """Send every letter that is due, over one of this process's kept connections, until none is
    left or the server takes no more; returns how many were handed over.

    With `seconds` it begins no letter after them and rings the bell for the rest, so that a
    worker can end. At once 0 where all `STORE_MAIL_CONNECTIONS` of this process are at work:
    they look again before they end, so that nothing owed meanwhile is overlooked.
    """
    sent = 0
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        try:
            line = _lines().get_nowait()
        except Empty:
            return sent
        drain = Drain(line, until)
        try:
            drain.run()
        finally:
            end_read()
            _lines().put(line)
        sent += drain.sent
        if drain.was_stopped or not _anything_due():
            return sent
        if drain.is_late():
            ring("send_letters")
            return sent


def _anything_due() -> bool:
    try:
        return claims.anything_due(db.session())
    finally:
        end_read()


def wake_when_due() -> None:
    """Ring the bell when a letter is due (timetable): the queue of bells may have been emptied."""
    if _anything_due():
        outbox.wake()


def sweep() -> None:
    """Free the claims of the dead and finish the batches of which nothing is left (timetable)."""
    with transaction() as session:
        freed = claims.free_dead_claims(session)
        recording.finish_batches(session)
    if freed:
        log.warning("%s letters of workers that ended were queued again", freed)


def release_mended() -> None:
    """Send what was held for a setting of the shop, once a letter can bear it (timetable)."""
    held = sa.select(Delivery.id).where(
        Delivery.status == DeliveryStatus.HELD,
        Delivery.reason.startswith(HELD_FOR_A_SETTING, autoescape=True),
    )
    try:
        if db.session.scalars(held.limit(1)).first() is None:
            return
        own_part()
    except SettingFault as fault:
        log.warning("letters are held: %s", fault)
        return
    finally:
        end_read()
    with transaction():
        outbox.release_waiting_for(HELD_FOR_A_SETTING)


def hang_up() -> None:
    """Close this process's idle connections."""
    lines = _lines()
    idle = [lines.get_nowait() for _ in range(lines.qsize())]
    for line in idle:
        line.close()
        lines.put(line)


def _lines() -> "LifoQueue[Line]":
    """This process's connections, idle ones inside; more never work at once."""
    extensions = current_app.extensions
    if "colophon.mail_lines" not in extensions:
        lines: LifoQueue[Line] = LifoQueue()
        for _ in range(config().mail_connections):
            lines.put(_new_line())
        extensions.setdefault("colophon.mail_lines", lines)
    return cast("LifoQueue[Line]", extensions["colophon.mail_lines"])


def _new_line() -> Line:
    return Connection(mail_server()) if config().mail_server else CapturingLine()


class Drain:
    """One pass through the outbox with one connection.

    `in_hand` is the answer that is not yet written down: it is committed with the next letter's
    start, and before anything that may take long.
    """

    def __init__(self, line: Line, until: float | None = None) -> None:
        self.line = line
        self.until = until
        self.worker = claims.worker_name()
        self.claims: deque[Claim] = deque()
        self.in_hand: Tried | None = None
        self.sent = 0
        self.was_stopped = False
        self._has_slot = False
        self._waits = iter(BRIEF_WAITS)

    def run(self) -> None:
        """Send until nothing is due, the time is over, or the server takes no more."""
        try:
            while not self.was_stopped and not self.is_late() and self._has_claims():
                self._take_next()
        finally:
            self._end()

    def is_late(self) -> bool:
        """Whether the time given is over."""
        return self.until is not None and time.monotonic() >= self.until

    def _has_claims(self) -> bool:
        if self.claims:
            return True
        self._write_down()
        if not self._reach_server():
            return False
        with transaction() as session:
            self.claims.extend(claims.claim(session, self.worker))
        return bool(self.claims)

    def _reach_server(self) -> bool:
        """Connects before anything is claimed, so that an outage charges no letter a try."""
        end_read()
        while not self.was_stopped:
            try:
                self.line.ready()
            except ServerUnavailable as fault:
                log.warning("no letters leave: %s", fault.reply)
                self._wait_briefly()
            else:
                return True
        return False

    def _take_next(self) -> None:
        claim = self.claims.popleft()
        try:
            # First the wait, then the facts: a letter says what holds when it leaves.
            self._wait_for_pace()
            prepared = prepare(claim)
            if isinstance(prepared, Unsent):
                self._write_down(prepared)
            elif prepared is not None:
                self._send(prepared)
            else:
                end_read()
        except BaseException:
            self.claims.appendleft(claim)  # given back at the end, where it is not under way
            raise

    def _wait_for_pace(self) -> None:
        """Take the next moment of the pace; one that no letter used serves the one after it."""
        rate = config().mail_rate
        if not rate or self._has_slot:
            return
        with transaction() as session:
            self._record_in_hand(session)
            slot = take_slot(session, rate)
        self.in_hand = None
        self._has_slot = True
        sleep(max(0.0, (slot - clock.now()).total_seconds()))

    def _send(self, letter: Prepared) -> None:
        with transaction() as session:
            self._record_in_hand(session)
            attempt_id = claims.begin_sending(
                session, letter.claim, letter.message_id, letter.address
            )
        self.in_hand = None
        if attempt_id is None:
            return
        self._has_slot = False
        end_read()  # nothing of ours is open while the server is awaited
        outcome = self.line.send(letter.envelope, letter.octets)
        self.in_hand = Tried(letter, attempt_id, outcome, isinstance(self.line, CapturingLine))
        if outcome.kind is OutcomeKind.ACCEPTED:
            self.sent += 1
            self._waits = iter(BRIEF_WAITS)
        elif not outcome.charged:
            self._write_down(gives_back=True)
            self._wait_briefly()

    def _wait_briefly(self) -> None:
        """Let the server have a rest; after the last wait this worker stops."""
        wait = next(self._waits, None)
        if wait is None:
            self.was_stopped = True
        else:
            sleep(wait)

    def _write_down(self, unsent: Unsent | None = None, *, gives_back: bool = False) -> None:
        if self.in_hand is None and unsent is None and not gives_back:
            return
        with transaction() as session:
            self._record_in_hand(session)
            if unsent:
                recording.record_unsent(session, unsent)
            if gives_back:
                claims.release(session, list(self.claims))
        self.in_hand = None
        if gives_back:
            self.claims.clear()

    def _end(self) -> None:
        self._write_down(gives_back=True)
        with transaction() as session:
            recording.finish_batches(session)

    def _record_in_hand(self, session: Session) -> None:
        if self.in_hand is not None:
            recording.record(session, self.in_hand)
