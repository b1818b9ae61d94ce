"""Sends what is due: claim, facts, words, one commit, the server, its answer, the next letter.

The order keeps the promise: whatever instant a process dies at, one letter per open connection
may be doubtful, and none is lost.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from queue import Empty

import sqlalchemy as sa
from sqlalchemy.orm import Session

from store.kit import measures
from store.kit.config import config
from store.kit.database import db, end_repeated_read, transaction
from store.kit.happenings import Facts, Happening, tell_now
from store.kit.jobs import ring
from store.kit.logs import within
from store.mail import claims, outbox, outcomes, rests
from store.mail.answers import About, Cause
from store.mail.captured import CapturingLine
from store.mail.claims import Claim, Prepared
from store.mail.ledger import Taken, ledger
from store.mail.letters import SettingFault, own_part
from store.mail.lines import Place, idle_places
from store.mail.models import PRIORITIES, Delivery, DeliveryStatus, stands_at
from store.mail.outcomes import Tried
from store.mail.preparing import (
    HELD_FOR_A_SETTING,
    MOST_AHEAD,
    Ahead,
    Known,
    prepare,
    read_ahead,
)
from store.mail.smtp import Outcome, OutcomeKind, ServerUnavailable

log = logging.getLogger(__name__)

# While the server takes nothing, a worker asks again after these seconds, then leaves it to the
# timetable. Tests replace `sleep`.
BRIEF_WAITS = (1.0, 5.0)
sleep: Callable[[float], None] = time.sleep


def send_due_letters(seconds: float | None = None) -> int:
    """Send every letter that is due, over one of this process's kept connections, until none is
    left or the server takes no more; returns how many were handed over.

    With `seconds` it begins no letter after them and rings the bell for the rest, so that a
    worker can end. At once 0 where all `STORE_MAIL_CONNECTIONS` of this process are at work and
    nobody waits for a letter: they look again before they end, so that nothing owed meanwhile is
    overlooked.
    """
    sent = 0
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        try:
            place = idle_places().get_nowait()
        except Empty:
            return sent
        if place.is_kept_free and not _anything_due(place.carries):
            idle_places().put(place)  # without a connection that nobody needs
            return sent
        drain = Drain(place, until)
        try:
            drain.run()
        finally:
            end_repeated_read()
            if place.is_kept_free:
                place.line.close()
            idle_places().put(place)
        sent += drain.sent
        if drain.was_stopped or not _anything_due(place.carries):
            return sent
        if drain.is_late():
            ring("send_letters")
            return sent


class Drain:
    """One pass through the outbox with one connection. Letter by letter:

    1. connect, then claim the next few letters that are due (`_has_claims`);
    2. wait for the pace, ask for the facts, of those that follow too, write the octets
       (`_take_next`, `preparing`);
    3. in one commit record the outcome before, ask whether the letter may still leave, and move
       it to `sending`; hand it to the server; keep the answer in hand (`_send`).

    `in_hand` is the answer that is not yet written down: it is committed with the next letter's
    start, and before anything that may take long.
    """

    def __init__(self, place: Place, until: float | None = None) -> None:
        self.line, self.carries = place.line, place.carries
        self.until = until
        self.claims: deque[Claim] = deque()
        self.in_hand: Tried | None = None
        self.sent = 0
        self.was_stopped = False
        self.weather: rests.Weather | None = None
        self._ledger = ledger()
        self._ahead: Ahead = {}
        self._has_slot = False
        self._put_off: list[tuple[Claim, datetime]] = []
        self._waits = iter(BRIEF_WAITS)

    def run(self) -> None:
        """Send until nothing is due, the time is over, or the server takes no more."""
        try:
            with self._ledger.at_hand():
                while not self.was_stopped and not self.is_late() and self._has_claims():
                    self._take_next()
        finally:
            self._give_back()
            outcomes.finish_batches()

    def is_late(self) -> bool:
        """Whether the time given is over."""
        return self.until is not None and time.monotonic() >= self.until

    def _has_claims(self) -> bool:
        """Connects before anything is claimed, so that an outage charges no letter a try."""
        if self.claims:
            return True
        has_just_answered = self.in_hand is not None and self.in_hand.is_plain
        if not has_just_answered:
            self._write_down()
        self.weather = None
        while not self.was_stopped:
            if self._rests_until(rests.POST):
                self.was_stopped = True
                break
            end_repeated_read()
            try:
                if not has_just_answered:
                    self.line.ready()
            except ServerUnavailable as fault:
                log.warning("no letters leave: %s", fault.reply)
                self._wait_briefly(fault.judgement.about, fault.judgement.cause, fault.reply)
                continue
            self._claim()
            return bool(self.claims)
        return False

    def _claim(self) -> None:
        if self._put_off:
            self._give_back()
        taken = self._plainly_taken()
        self.claims.extend(self._ledger.claim(taken, claims.new_name(), self.carries))
        self.in_hand = None

    def _take_next(self) -> None:
        claim, rate = self.claims.popleft(), config().mail_rate
        try:
            # A moment of the pace that no letter used serves the one after it.
            if rate and not self._has_slot:
                with self._commit() as session:
                    wait = claims.take_slot(session, rate)
                self._has_slot = True
                sleep(wait)
            with within(delivery=claim.delivery_id):
                self._deal_with(claim)
        except BaseException:
            self.claims.appendleft(claim)  # given back at the end, where it is not under way
            raise

    def _deal_with(self, claim: Claim) -> None:
        prepared = prepare(claim, self._known(claim))
        if isinstance(prepared, Prepared):
            if self._may_leave(prepared):
                self._send(prepared)
        elif prepared is not None:
            with self._commit() as session:
                outcomes.record_unsent(session, prepared)
        else:
            end_repeated_read()

    def _known(self, claim: Claim) -> Known | None:
        """What was read of it ahead, together with those that come after it."""
        if claim not in self._ahead and self.claims:
            self._ahead = read_ahead([claim, *islice(self.claims, MOST_AHEAD - 1)])
        return self._ahead.pop(claim, None)

    def _send(self, letter: Prepared) -> None:
        end_repeated_read()  # nothing of ours is open while the server is awaited
        taken = self._plainly_taken()
        attempt_id = self._ledger.begin(taken, letter.claim, letter.message_id, letter.address)
        self.in_hand = None
        if attempt_id is None:
            return
        self._has_slot = False
        begun = time.monotonic()
        outcome = self.line.send(letter.envelope, letter.octets)
        _tell(letter, outcome, begun)
        measures.took(measures.SENDS, outcome.kind, time.monotonic() - begun)
        self.in_hand = Tried(letter, attempt_id, outcome, isinstance(self.line, CapturingLine))
        if outcome.kind is OutcomeKind.ACCEPTED:
            self.sent += 1
        if outcomes.is_fair(outcome):
            self._waits = iter(BRIEF_WAITS)
            self._clear_up(rests.domain_of(letter.address))
        if outcome.kind is OutcomeKind.ACCEPTED:
            return
        self._write_down()
        self.weather = None  # this answer may have changed it
        if not outcome.charged:
            self._give_back()
            self._wait_briefly(outcome.about, outcome.cause, outcome.reply)

    def _plainly_taken(self) -> Taken | None:
        """What is in hand, for the ledger; what is more than taken is written down before."""
        tried = self.in_hand
        if tried is None or not tried.is_plain:
            self._write_down()
            return None
        return Taken(tried.letter.claim, tried.attempt_id, tried.outcome.reply)

    def _write_down(self) -> None:
        if self.in_hand is not None:
            with self._commit():
                pass

    @contextmanager
    def _commit(self) -> Iterator[Session]:
        """One commit that also writes down what is in hand."""
        with transaction() as session:
            if self.in_hand is not None:
                outcomes.record(session, self.in_hand)
            yield session
        self.in_hand = None

    def _give_back(self) -> None:
        with self._commit() as session:
            claims.release(session, list(self.claims))
            claims.put_off(session, self._put_off)
        self.claims.clear()
        self._put_off.clear()

    def _may_leave(self, letter: Prepared) -> bool:
        """Whether it may try: where neither the post nor its domain rests. Where a rest is over, one
        letter finds out whether it was of use; all others wait until that is known."""
        for domain in (rests.POST, rests.domain_of(letter.address)):
            until = self._rests_until(domain)
            if self.weather is not None and self.weather.has_rested(domain):
                with self._commit() as session:
                    until = rests.ask(session, domain)
            if until is None:
                continue
            if domain == rests.POST:
                self.claims.appendleft(letter.claim)
                self.was_stopped = True
            else:
                self._put_off.append((letter.claim, until))
            return False
        return True

    def _rests_until(self, domain: str) -> datetime | None:
        """As it stood at the last claim, and after each answer of ours that may have changed it."""
        if self.weather is None:
            self.weather = rests.weather(db.session())
        return self.weather.rests_until(domain)

    def _clear_up(self, domain: str) -> None:
        """The weather is fair: what rested there, and the post, rests no longer."""
        if self.weather is not None and self.weather.is_foul(domain):
            with self._commit() as session:
                outcomes.clear_up(session, domain)
                self.weather = None

    def _wait_briefly(self, about: About, cause: Cause | None, words: str) -> None:
        """Let the server have a rest; after the last wait this worker stops, and where the server
        refuses us all workers leave it alone for a while."""
        wait = next(self._waits, None)
        if wait is None:
            self.was_stopped = True
            with transaction() as session:
                outcomes.stand_still(session, about, cause, words)
        else:
            sleep(wait)


def _tell(letter: Prepared, outcome: Outcome, begun: float) -> None:
    is_sent = outcome.kind is OutcomeKind.ACCEPTED
    facts: Facts = {
        "kind": letter.kind,
        "outcome": str(outcome.kind),
        "ms": round(1000 * (time.monotonic() - begun)),
    }
    if not is_sent:
        # The words themselves may quote the address.
        facts |= {"cause": str(outcome.cause or "none"), "code": outcome.reply[:3]}
    tell_now(Happening.LETTER_SENT if is_sent else Happening.LETTER_NOT_SENT, **facts)


def _anything_due(priorities: tuple[int, ...] = PRIORITIES) -> bool:
    try:
        return claims.anything_due(db.session(), priorities)
    finally:
        end_repeated_read()


def wake_when_due() -> None:
    """Ring the bell when a letter is due (timetable): the queue of bells may have been emptied."""
    if _anything_due():
        outbox.wake()


def sweep() -> None:
    """Free the claims of the dead, and those of which no letter was begun for long, and finish the
    batches of which nothing is left (timetable)."""
    with transaction() as session:
        freed = claims.free_dead_claims(session)
        rests.rest_where_silent(session)
        if claims.free_waiting_claims(session):
            outbox.wake()
        outcomes.reopen_batches()
    outcomes.finish_batches()
    if freed:
        log.warning("%s letters of workers that ended were queued again", freed)


def release_mended() -> None:
    """Send what was held for a setting of the shop, once a letter can bear it (timetable)."""
    held = sa.select(Delivery.id).where(
        stands_at(DeliveryStatus.HELD),
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
        end_repeated_read()
    with transaction():
        outbox.release_waiting_for(HELD_FOR_A_SETTING)
