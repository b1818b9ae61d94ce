"""Letters that left between a backup and its restore, as a mail server's log says. Which do not leave
again is said by an answer to the letter alone; all others do, marked, so that nobody is missed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db, transaction
from store.mail.letters import own_message_id
from store.mail.marks import numbers_behind
from store.mail.models import Attempt, Delivery, DeliveryStatus, deliveries
from store.mail.relay_logs import Named
from store.mail.restores import NothingHeld, holding
from store.orders.models import Customer

_AT_ONCE = 200
_SAID = "the mail server’s log, read after a restore"


@dataclass
class LeftBefore:
    """How many letters do not leave again, leave again with the mark, and are in no row here."""

    taken: int = 0
    twice: int = 0
    unknown: int = 0


def note_left(named: Named) -> LeftBefore:
    """Write down what a log says of letters that wait. Refuses (`NothingHeld`) where no restore holds
    them. Safe many times; opens its own transactions."""
    done = LeftBefore()
    for marks, is_taken in ((sorted(named.taken), True), (sorted(named.doubtful), False)):
        for some in _pieces(marks):
            with transaction():
                restore = holding()
                if restore is None:
                    raise NothingHeld
                for mark in some:
                    _note(mark, named, done, is_taken=is_taken, below=restore.numbers_from)
    return done


def _note(mark: str, named: Named, done: LeftBefore, *, is_taken: bool, below: int) -> None:
    letter = _letter_of(mark, below)
    if letter is None:
        done.unknown += 1
        return
    if letter.status is not DeliveryStatus.QUEUED:
        return
    # Who gets it twice can tell by its Message-ID, as when a worker dies.
    message_id = named.message_ids.get(mark) or _message_id(mark)
    here = sa.update(deliveries).where(deliveries.c.id == letter.id)
    if is_taken or letter.message_id != message_id:
        _write_try(letter, named.addresses.get(mark, ""), is_taken=is_taken)
    if is_taken:
        # As a worker would have written it down.
        begun = {"status": DeliveryStatus.SENDING, "message_id": message_id}
        left = {"status": DeliveryStatus.SENT, "sent_at": clock.now(), "is_possibly_twice": False}
        db.session.execute(here.values(**begun))
        db.session.execute(here.values(**left, tries=deliveries.c.tries + 1))
        done.taken += 1
    else:
        db.session.execute(here.values(message_id=message_id, is_possibly_twice=True))
        done.twice += 1
    db.session.expire(letter)


def _letter_of(mark: str, below: int) -> Delivery | None:
    """The row of the backup. The newest key first: another would read another number."""
    for number in numbers_behind(mark):
        if number < below:
            found = sa.select(Delivery).where(Delivery.id == number).with_for_update()
            if (letter := db.session.scalars(found).first()) is not None:
                return letter
    return None


def _write_try(letter: Delivery, told: str, *, is_taken: bool) -> None:
    customer = db.session.get(Customer, letter.customer_id) if letter.customer_id else None
    address = told or letter.address or (customer.email if customer else "")
    now = clock.now()
    tried = Attempt(delivery_id=letter.id, worker="", address=address, started_at=now, ended_at=now)
    tried.outcome, tried.reply = "accepted" if is_taken else "unknown", _SAID
    db.session.add(tried)
    db.session.flush()


def _message_id(mark: str) -> str:
    domain = own_message_id(0).partition("@")[2]
    return f"<{mark}@{domain}"


def _pieces(marks: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(marks), _AT_ONCE):
        yield marks[start : start + _AT_ONCE]
