"""What comes back: a report of a letter is taken once, its delivery told, its address held.

A bounce unsubscribes nobody: letters to the address wait or are left out with that reason, and a
repair opens for a person. Which address a customer has now, and what a complaint stops, the rooms
above know.
"""

import hashlib
from datetime import datetime, timedelta

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db, insert_once, transaction
from store.kit.happenings import Happening, tell
from store.kit.mailboxes import address_key
from store.kit.status import advance
from store.kit.text import clean_line
from store.mail import models, outbox
from store.mail.holds import is_erased, put_hold, rules
from store.mail.models import (
    Attempt,
    Batch,
    Delivery,
    DeliveryStatus,
    Repair,
    ReturnedLetter,
)
from store.mail.outcomes import GIVEN_UP_AFTER, wait_after
from store.mail.subjects import CUSTOMER, lock_for_change

ReturnKind = models.ReturnKind

_OWN_KEY = 150  # longer keys are stood for by their digest
# Mail servers give a letter up within days (RFC 5321, 4.5.4.1); what says so later is none.
_LATEST = timedelta(days=30)
_AFTER_NEVER = [timedelta(hours=h) for h in (1, 6, 12, 24)]


def take(
    delivery_id: int,
    kind: ReturnKind,
    *,
    status: str = "",
    words: str = "",
    key: str,
) -> bool:
    """Take one report of a letter, inside the caller's transaction; False where `key` was taken
    before, no letter has the number, its reader is erased, or it comes too late to be a mail server's.

    `status` as RFC 3463 writes it, `words` the server's own. A report that comes before the
    letter's own outcome is written down waits for it. It is about the address that the letter went
    to last, whatever it names: who shows a letter's mark has had that letter, and may speak of no
    mailbox but its reader's.
    """
    delivery = db.session.get(Delivery, delivery_id)
    if delivery is None or is_erased(delivery.customer_id):
        return False
    address, tried_at = _last_try(delivery_id)
    is_late = tried_at is not None and tried_at < clock.now() - _LATEST
    if is_late and kind is not ReturnKind.COMPLAINT:
        return False
    taken = insert_once(
        ReturnedLetter,
        key=key if len(key) <= _OWN_KEY else hashlib.sha256(key.encode()).hexdigest(),
        delivery_id=delivery_id,
        kind=kind,
        code=status[:20],
        words=words[:1000],
        address=address,
        came_at=clock.now(),
    )
    if taken is not None:
        tell(Happening.LETTER_CAME_BACK, delivery=delivery_id, kind=str(kind))
        _settle(db.session.get_one(ReturnedLetter, taken))
    return taken is not None


def take_by_hand(delivery: Delivery, kind: ReturnKind, words: str) -> bool:
    """Take what a person has read in a mailbox of the shop of a letter that came back there, once
    for each time that it was handed over; False where it comes too late to be a mail server's."""
    # Not by its tries, which are counted from the start once it is sent again.
    tried = sa.select(sa.func.max(Attempt.id)).where(Attempt.delivery_id == delivery.id)
    key = f"by hand {delivery.id} attempt {db.session.scalar(tried)}"
    return take(delivery.id, kind, words=clean_line(words), key=key)


def settle_late() -> None:
    """Take up the reports that came before the outcome of their letter (timetable)."""
    waiting = sa.select(ReturnedLetter.id).where(ReturnedLetter.settled_at.is_(None))
    for returned_id in db.session.scalars(waiting.order_by(ReturnedLetter.id)).all():
        with transaction() as session:
            returned = session.get_one(ReturnedLetter, returned_id, with_for_update=True)
            if returned.settled_at is None:
                _settle(returned)


def _last_try(delivery_id: int) -> tuple[str, datetime | None]:
    """The address that a letter was tried at last, and when."""
    query = sa.select(Attempt.address, Attempt.started_at).where(Attempt.delivery_id == delivery_id)
    found = db.session.execute(query.order_by(Attempt.id.desc()).limit(1)).first()
    return (found.address, found.started_at) if found is not None else ("", None)


def _settle(returned: ReturnedLetter) -> None:
    # Customers before their letters, as everybody does who changes something of them.
    theirs = sa.select(Delivery.customer_id).where(Delivery.id == returned.delivery_id)
    customer_id = db.session.scalar(theirs)
    if customer_id is not None:
        lock_for_change(db.session.connection(), CUSTOMER, customer_id)
    delivery = db.session.get_one(
        Delivery, returned.delivery_id, with_for_update=True, populate_existing=True
    )
    if delivery.status is DeliveryStatus.SENDING:
        return
    returned.settled_at = clock.now()
    if returned.kind is ReturnKind.COMPLAINT:
        if _is_on_file(delivery, address_key(returned.address)):
            rules().complained(delivery)
        return
    is_last = address_key(_last_try(delivery.id)[0]) == address_key(returned.address)
    is_out = delivery.status is DeliveryStatus.SENT and is_last
    # Of one that is out no more, a soft report says nothing: it is tried again as it is.
    is_soft = returned.kind is ReturnKind.SOFT
    if is_soft and (not is_out or _try_again(delivery, returned)):
        return
    if is_out:
        _bounce(delivery, returned)
    if returned.address:
        _hold(delivery, returned)


def _is_on_file(delivery: Delivery, key: str) -> bool:
    """Whether the address of this key is still the letter's customer's, the first or the second."""
    if delivery.customer_id is None:
        return False
    second = rules().second_of(delivery.customer_id)
    return key in {rules().key_of(delivery.customer_id), address_key(second)}


def _bounce(delivery: Delivery, returned: ReturnedLetter) -> None:
    advance(delivery, DeliveryStatus.BOUNCED, why="it came back")
    delivery.reason = returned.words[:300]
    db.session.flush()


def _try_again(delivery: Delivery, returned: ReturnedLetter) -> bool:
    """As after a 4xx: later, in the same growing waits; False after the last, or where those tries
    have taken as long, as a server that tries by itself for days says so days later. One that has
    said never (full, its content, a policy) is asked a few times in those two days: each try is a
    letter that it has taken, and fifty would harm the sender's name."""
    tries = delivery.tries
    if returned.code.startswith("5."):
        wait = _AFTER_NEVER[tries - 1] if tries <= len(_AFTER_NEVER) else None
    else:
        wait = wait_after(tries)
    if wait is None or (tries > 1 and _tried_since(delivery) < clock.now() - GIVEN_UP_AFTER):
        return False
    _bounce(delivery, returned)
    advance(delivery, DeliveryStatus.QUEUED, why="it came back for now")
    delivery.reason, delivery.sent_at = "", None
    # What came back under the old name would be taken for a double under it.
    delivery.message_id = None
    delivery.due_at = clock.now() + wait
    db.session.flush()
    outbox.reopen_batches(Batch.id == delivery.batch_id, "a letter of it came back for now")
    return True


def _tried_since(delivery: Delivery) -> datetime:
    """When the first of the tries was made that count."""
    tries = sa.select(Attempt.started_at).where(Attempt.delivery_id == delivery.id)
    counted = tries.order_by(Attempt.id.desc()).limit(delivery.tries).subquery()
    found: datetime | None = db.session.scalar(sa.select(sa.func.min(counted.c.started_at)))
    return found or clock.now()


def _hold(delivery: Delivery, returned: ReturnedLetter) -> None:
    """Put the address on hold, and open a repair for its customer."""
    key = address_key(returned.address)
    put_hold(key, returned)
    customer_id = delivery.customer_id
    if customer_id is None:
        if delivery.kind == outbox.ALERT:
            _open_repair(delivery, key, returned)
        return
    outbox.look_again(customer_id)
    if delivery.address is not None:
        return  # an address that is not on file: it was to be proved, or was told of its end
    if rules().key_of(customer_id) == key:
        _open_repair(delivery, key, returned)
    elif delivery.status is DeliveryStatus.BOUNCED:
        # It had gone before the address changed.
        rules().send_missed(customer_id)


def _open_repair(delivery: Delivery, key: str, returned: ReturnedLetter) -> None:
    insert_once(
        Repair,
        delivery_id=delivery.id,
        customer_id=delivery.customer_id,
        address_key=key,
        kind=returned.kind,
        code=returned.code,
        words=returned.words,
        opened_at=returned.came_at,
        who="",
        word="",
    )
