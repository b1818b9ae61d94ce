"""What became of a letter, written down: status, attempt, the next try, a batch's brake."""

import logging
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from store.kit import clock, limits
from store.kit.database import after_commit, db, transaction
from store.kit.logs import mask_secrets
from store.kit.status import advance
from store.mail import brake, outbox, put_back, rests, standstills
from store.mail.answers import About, Cause, Step
from store.mail.captured import capture
from store.mail.claims import Claim, Prepared, Unsent, bring_forward, settle_unsent
from store.mail.holds import note_accepted
from store.mail.models import (
    Attempt,
    Batch,
    BatchStatus,
    Delivery,
    DeliveryStatus,
    attempts,
    deliveries,
    has_open_letters,
)
from store.mail.smtp import Outcome, OutcomeKind

log = logging.getLogger(__name__)

_FIRST_WAITS = [timedelta(minutes=m) for m in (1, 5, 15, 60)]
_HOUR = timedelta(hours=1)
# What is said before RCPT is no letter's.
_BEFORE_THE_READER = {None, Step.CONNECT, Step.RSET, Step.MAIL}
# After so many connections that ended at the same letter, two days of them, a person looks at it.
_MOST_ENDED = 55
GIVEN_UP_AFTER = timedelta(hours=48)

# Run for every letter, so built once: building a statement costs more than running it.
_ENDED = (
    sa.update(attempts)
    .where(attempts.c.id == sa.bindparam("attempt"))
    .values(
        ended_at=sa.bindparam("moment"),
        outcome=sa.bindparam("ended_as"),
        reply=sa.bindparam("said"),
    )
)
_SENT = (
    sa.update(deliveries)
    .where(
        deliveries.c.id == sa.bindparam("ours"),
        deliveries.c.status == DeliveryStatus.SENDING,
        deliveries.c.claimed_by == sa.bindparam("worker"),
    )
    .values(
        status=DeliveryStatus.SENT,
        sent_at=sa.bindparam("moment"),
        tries=deliveries.c.tries + 1,
        claimed_by=None,
        claimed_at=None,
    )
)


class Tried(NamedTuple):
    """One letter with its attempt and what the server made of it."""

    letter: Prepared
    attempt_id: int
    outcome: Outcome
    is_captured: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether nothing is to be written down but that the server took it: for the ledger."""
        is_more = self.is_captured or self.letter.is_on_hold
        return self.outcome.kind is OutcomeKind.ACCEPTED and not is_more


def wait_after(tries: int) -> timedelta | None:
    """How long to wait after so many counted tries; None when it is given up: 1, 5, 15, 60
    minutes, then hourly to 48 hours."""
    waits = [*_FIRST_WAITS, *([_HOUR] * tries)][:tries]
    return waits[-1] if sum(waits, timedelta()) <= GIVEN_UP_AFTER else None


def record_unsent(session: Session, unsent: Unsent) -> None:
    """Leave a letter out, or hold it; staff hear once a day and kind of what cannot be written."""
    if settle_unsent(session, unsent.claim, unsent.status, unsent.reason) and unsent.alert:
        _alert_held(unsent.kind, unsent.reason)


def record(session: Session, tried: Tried) -> None:
    """Write an outcome down: the attempt always, the delivery while it is still ours."""
    letter, outcome = tried.letter, tried.outcome
    rested = _rested_for_refusals(session, tried)
    if rested:
        outcome = outcome._replace(kind=OutcomeKind.DEFERRED)
    ended = {
        "attempt": tried.attempt_id,
        "moment": clock.now(),
        "ended_as": str(outcome.kind),
        "said": outcome.reply[:1000],
    }
    session.connection().execute(_ENDED, ended)
    if not _move_on(session, letter.claim, outcome, rested):
        return
    if tried.is_captured:
        capture(session, letter)
    _note_weather(session, tried)
    if letter.is_on_hold and outcome.kind is OutcomeKind.ACCEPTED:
        note_accepted(session, letter.address)
    if outcome.kind is OutcomeKind.UNSENDABLE:
        _alert_held(letter.kind, outcome.reply)
    if letter.batch_id is not None and outcome.kind is not OutcomeKind.ACCEPTED:
        _brake(session, letter.batch_id, outcome)


def _rested_for_refusals(session: Session, tried: Tried) -> int:
    """How often its domain rests because of refusals such as this one, which do not speak of their
    readers, while it takes nothing: then they are about us, and fail nobody. Those before it are
    put back. 0: it may be the reader's own."""
    outcome, address = tried.outcome, tried.letter.address
    if outcome.kind is not OutcomeKind.REFUSED or outcome.cause is not Cause.UNWANTED:
        return 0
    domain = rests.domain_of(address)
    times = rests.refuse(session, domain)
    if times == 1:
        put_back.of_domain(session, domain)
        _tell_staff(
            "The mailboxes of one domain refuse all letters",
            "Several letters to readers of one domain were refused, none was taken, and the mail"
            " server does not say that their addresses are wrong. They wait, and one asks again"
            f" from time to time; after two days they are held.\n\nThe newest is letter"
            f" {tried.letter.claim.delivery_id}: its page shows the server’s words. Who runs the"
            " shop may have to speak with that domain.",
            f"domain:{limits.mark(domain)[:12]}:{clock.now():%Y-%m-%d}",
        )
    return times


def _move_on(session: Session, claim: Claim, outcome: Outcome, rested: int) -> bool:
    """Give the delivery what follows; says whether it was still ours."""
    if outcome.kind is OutcomeKind.ACCEPTED:
        ours = {"ours": claim.delivery_id, "worker": claim.worker, "moment": clock.now()}
        return session.connection().execute(_SENT, ours).rowcount > 0
    still_ours = (
        Delivery.id == claim.delivery_id,
        Delivery.status == DeliveryStatus.SENDING,
        Delivery.claimed_by == claim.worker,
    )
    tries = session.scalar(sa.select(Delivery.tries).where(*still_ours))
    if tries is None:
        return False
    if rested:
        values = _what_follows_the_domains(outcome, rested)
    elif outcome.charged or outcome.kind is OutcomeKind.UNSENDABLE:
        values = _what_follows(outcome, tries)
    else:
        values = _what_follows_uncharged(session, claim, outcome)
    values |= {"claimed_by": None, "claimed_at": None}
    session.execute(sa.update(deliveries).where(*still_ours).values(values))
    return True


def _what_follows(outcome: Outcome, tries: int) -> dict[str, Any]:
    """The delivery's new values, where the letter was not taken and that is counted."""
    if outcome.kind is OutcomeKind.UNSENDABLE:
        return {"status": DeliveryStatus.HELD, "reason": outcome.reply[:300]}
    is_refused = outcome.kind is OutcomeKind.REFUSED
    values: dict[str, Any] = {"tries": tries + 1}
    if outcome.kind is OutcomeKind.UNKNOWN:
        values["is_possibly_twice"] = True
    wait = None if is_refused else wait_after(tries + 1)
    if wait is None:
        return values | {"status": DeliveryStatus.FAILED, "reason": outcome.reply[:300]}
    return values | {"status": DeliveryStatus.QUEUED, "due_at": clock.now() + wait}


def _what_follows_the_domains(outcome: Outcome, rested: int) -> dict[str, Any]:
    """The letter waits for its domain, uncharged; after two days of rests a person looks at it."""
    if rested > rests.MOST_RESTS:
        reason = f"{put_back.BY_ITS_DOMAIN}: {outcome.reply}"
        return {"status": DeliveryStatus.HELD, "reason": reason[:300]}
    return {"status": DeliveryStatus.QUEUED, "due_at": clock.now() + _HOUR}


def _what_follows_uncharged(session: Session, claim: Claim, outcome: Outcome) -> dict[str, Any]:
    """The letter is queued as if it had not been tried. What came after its reader was named may
    have to do with it all the same: it lets others go first, each time longer."""
    if outcome.step in _BEFORE_THE_READER:
        return {"status": DeliveryStatus.QUEUED}
    query = sa.select(sa.func.count()).where(Attempt.delivery_id == claim.delivery_id)
    attempts_made = session.scalar(query) or 0
    if outcome.about is About.CONNECTION and attempts_made > _MOST_ENDED:
        reason = f"{attempts_made} connections ended at this letter: {outcome.reply}"
        return {"status": DeliveryStatus.HELD, "reason": reason[:300]}
    wait = _FIRST_WAITS[min(max(attempts_made, 1), len(_FIRST_WAITS)) - 1]
    return {"status": DeliveryStatus.QUEUED, "due_at": clock.now() + wait}


def _note_weather(session: Session, tried: Tried) -> None:
    """What an answer says beside its letter: of us, or of the domain it went to."""
    outcome = tried.outcome
    if outcome.about is About.US:
        rests.mark_post(session)
        standstills.begin(session, outcome.about, outcome.cause, outcome.reply)
        return
    asks_for_patience = outcome.kind is OutcomeKind.UNKNOWN or outcome.cause is Cause.LATER
    if asks_for_patience and outcome.step not in _BEFORE_THE_READER:
        rests.strike(session, rests.domain_of(tried.letter.address))


def stand_still(session: Session, about: About, cause: Cause | None, words: str) -> None:
    """No letter leaves for now. Where the server refuses us it is left alone, each time longer; a
    server that cannot be reached is asked again each minute."""
    if about is About.US:
        rests.rest_post(session)
    else:
        rests.mark_post(session)
    standstills.begin(session, about, cause, words)


def is_fair(outcome: Outcome) -> bool:
    """Whether the server deals with us: it took the letter, or says what is the reader's matter."""
    is_readers = outcome.about is About.READER and outcome.cause not in (None, Cause.UNWANTED)
    return outcome.kind is OutcomeKind.ACCEPTED or is_readers


def clear_up(session: Session, domain: str) -> None:
    """A letter to this domain was taken after all: what was put off for it is due now."""
    bring_forward(session, rests.end(session, domain))
    put_back.held_for(session, domain)
    outbox.wake()
    standstills.end(session)


def _alert_held(kind: str, reason: str) -> None:
    if kind == "staff_alert":
        return  # an alert about alerts would reach nobody either
    _tell_staff(
        "A letter is held",
        f"A letter of the kind “{kind}” is held: {reason}\n\nOther letters go on. Once the cause"
        " is mended, retry it from the list of letters.",
        f"held:{kind}:{clock.now():%Y-%m-%d}",
    )


def _tell_staff(subject: str, text: str, dedupe_key: str) -> None:
    """In a transaction of its own: an alert that cannot be owed undoes no outcome."""

    def tell() -> None:
        try:
            with transaction():
                outbox.alert_staff(subject, text, dedupe_key)
        except Exception:
            log.exception("staff could not be told: %s", subject)

    after_commit(tell)


def _brake(session: Session, batch_id: int, outcome: Outcome) -> None:
    """Pause the batch where its letters are refused too often, or where the server speaks of
    quota or of blocking us; staff hear of it."""
    doubtful: list[int] = []
    if outcome.about is About.US:
        # Stands on pages of those who see no reader, and for as long as the release.
        why = f"the mail server says: {mask_secrets(outcome.reply)}"
    elif outcome.kind is OutcomeKind.REFUSED:
        answers = brake.answers_of(session, batch_id)
        why, doubtful = answers.why_to_stop(), answers.doubtful
    else:
        return
    batch = session.get_one(Batch, batch_id)
    if not why or batch.status not in (BatchStatus.RUNNING, BatchStatus.PAUSED):
        return
    put_back.once(session, doubtful)  # those too that were under way when it paused
    if batch.status is BatchStatus.PAUSED:
        return
    has_more = session.scalar(sa.select(Batch.id).where(Batch.id == batch_id, has_open_letters()))
    if has_more and advance(batch, BatchStatus.PAUSED, why=why):
        batch.pause_reason = why
        # What a server says may name an address, so it is not repeated here.
        _tell_staff(
            "A batch of letters is paused",
            f"Batch {batch_id} was paused by itself: letters were refused too often, or the mail"
            " server spoke of quota or blocking.\n\nThe page of the release shows the reason."
            " Resume it once the cause is mended.",
            f"brake:{batch_id}:{clock.now():%Y-%m-%dT%H:%M}",
        )


def finish_batches() -> int:
    """Finish every running batch of which nothing is queued or under way; returns how many. Opens
    a transaction only where there is one: all open letters are read, and while SQLite writes
    nobody else does. The caller ends the read."""
    running = sa.select(Batch).where(Batch.status == BatchStatus.RUNNING)
    done = running.where(~has_open_letters())
    has_done = all(db.session.scalars(query.limit(1)).first() for query in (running, done))
    if not has_done:
        return 0
    with transaction() as session:
        batches = session.scalars(done).all()
        finished = [batch for batch in batches if advance(batch, BatchStatus.FINISHED)]
        for batch in finished:
            batch.finished_at = clock.now()
        return len(finished)


def reopen_batches() -> None:
    """Let finished batches run on of which a letter was queued again while they finished."""
    outbox.reopen_batches(has_open_letters(), "letters of it wait")
