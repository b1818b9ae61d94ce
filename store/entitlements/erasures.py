"""An erasure from when it is asked for until it is carried out: told to every address of the person,
stopped by a press behind any of these letters, in the library, or by staff."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from store.entitlements import erasure_journal
from store.entitlements.erasure_journal import Asked
from store.entitlements.links import Ended, make_link, revoke_pending, undo_ends_at
from store.entitlements.merging import refuse_merged
from store.entitlements.models import Erasure, Link
from store.entitlements.on_file import second_of
from store.entitlements.parting import merges_of
from store.kit import clock
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.mailboxes import address_key
from store.kit.status import record_change
from store.mail import outbox
from store.orders.customers import lock_customers
from store.orders.models import Customer

TOLD = "erasure_told"
STOPPED = "erasure_stopped"
# How long every address of the person has to stop it.
DAYS = timedelta(days=7)
AFTER_RESTORE = "the journal, after a restore"


class ErasureWaits(Refusal):
    """A customer who is to be erased does not become one with another."""

    status = 409
    heading = "One of the two is to be erased"
    sentence = (
        "The erasure of one of the two waits for its day, and would reach both. Stop it first, or "
        "wait until it is done."
    )


class NothingToStop(Refusal):
    """No erasure waits: it was stopped already, or never asked for."""

    heading = "Nothing is being erased"
    sentence = "No erasure waits. The copies and all that belongs to them stay."


def ask_erasure(customer: Customer, who: str, *, is_at_once: bool = False) -> Erasure:
    """Have all that is known of a customer erased, seven days from now, or as soon as every address
    was told where they asked staff for it by letter (`is_at_once`). Every address of theirs gets a
    letter with a button that stops it. Asked again it stays as it is, or is brought forward.

    Refuses with `CustomerMerged`, `CustomerErased`.
    """
    customer = lock_customers([customer.id], for_address=True)[customer.id]
    refuse_merged(customer)
    now, waits = clock.now(), open_erasure(customer.id)
    if waits is not None:
        if is_at_once and now < waits.due_at:
            waits.due_at = now
            erasure_journal.add_erasure(customer.id, now, now)
        return waits
    asked = Erasure(
        customer_id=customer.id, asked_at=now, due_at=now if is_at_once else now + DAYS, who=who
    )
    db.session.add(asked)
    db.session.flush()
    erasure_journal.add_erasure(customer.id, asked.due_at, now)
    _tell(customer)
    why = "at once" if is_at_once else ""
    record_change(db.session(), "customers", customer.id, "kept", "to be erased", who=who, why=why)
    return asked


def _tell(customer: Customer) -> None:
    for address in mailboxes_of(customer):
        other = None if address == customer.email else address
        # Its page says what the letter does: who reads another address may have copies of their own.
        link = make_link("keep", customer.id, new_email=other)
        outbox.owe(
            TOLD,
            f"{TOLD}:{link.id}",
            customer_id=customer.id,
            link_id=link.id,
            address=other,
            priority=0,
        )


def stop_erasure(customer_id: int, who: str) -> None:
    """Let all stay as it is, and tell every address so. Refuses (`NothingToStop`)."""
    customer = lock_customers([customer_id], for_address=True)[customer_id]
    waits = open_erasure(customer_id)
    if waits is None:
        raise NothingToStop
    _end(waits, who)
    for number, address in enumerate(mailboxes_of(customer)):
        outbox.owe(
            STOPPED,
            f"{STOPPED}:{waits.id}:{number}",
            customer_id=customer_id,
            address=None if address == customer.email else address,
            priority=0,
        )


def end_asked_since(customer_id: int, moment: datetime, who: str) -> None:
    """An erasure that was asked for since then ends: what was done since is taken back. Called under
    the customer's lock."""
    waits = open_erasure(customer_id)
    if waits is not None and waits.asked_at >= moment:
        _end(waits, who)


def refuse_erasure(*customers: Customer) -> None:
    """Refuse (`ErasureWaits`) where one of them is to be erased. Called under their locks."""
    if any(open_erasure(customer.id) is not None for customer in customers):
        raise ErasureWaits


def open_erasure(customer_id: int) -> Erasure | None:
    """The erasure that waits for its day, or for what has to be settled first."""
    waits = (
        Erasure.customer_id == customer_id,
        Erasure.stopped_at.is_(None),
        Erasure.done_at.is_(None),
    )
    query = sa.select(Erasure).where(*waits).execution_options(populate_existing=True)
    return db.session.scalars(query).first()


def open_erasures() -> list[Erasure]:
    """Every erasure that waits, the oldest first."""
    waiting = Erasure.stopped_at.is_(None), Erasure.done_at.is_(None)
    return list(db.session.scalars(sa.select(Erasure).where(*waiting).order_by(Erasure.id)))


def mailboxes_of(customer: Customer) -> list[str]:
    """Every address that is the customer's or still may be: the first one, a second one, those
    that can take a change back, those of customers who can be parted from them."""
    second = second_of(customer.id)
    found = [customer.email, *([second.email] if second else [])]
    found += [link.new_email for link in standing_undos(customer.id) if link.new_email]
    found += [str(merge.before["email"]) for merge in merges_of(customer.id) if merge.before]
    seen = dict[str, str]()
    for one in found:
        seen.setdefault(address_key(one), one)
    return list(seen.values())


def standing_undos(customer_id: int) -> list[Link]:
    """The links by which a change of this customer's address can be taken back now."""
    which = (
        Link.customer_id == customer_id,
        Link.purpose == "undo",
        Link.order_id.is_(None),
        Link.revoked_at.is_(None),
    )
    found = db.session.scalars(sa.select(Link).where(*which).order_by(Link.id))
    return [link for link in found if undo_ends_at(link) >= clock.now()]


def stand_as_told(customer_id: int, told: Sequence[Asked]) -> bool:
    """Put an erasure of a database from a backup where the journal says it stood: what was stopped since is
    stopped, what was asked for since is asked for, with seven days from now. Rows that are newer than
    what is told stay; who is erased is left alone. Says whether anything changed."""
    customer = lock_customers([customer_id], for_address=True).get(customer_id)
    if customer is None or customer.merged_into_id is not None or customer.erased_at is not None:
        return False
    waits = before = open_erasure(customer_id)
    for one in told:
        if one.due_at is None and waits is not None and waits.asked_at <= one.at:
            _note_stopped(waits, one.at, AFTER_RESTORE)
            waits = None
    last = told[-1]
    if last.due_at is not None:
        waits = ask_erasure(customer, AFTER_RESTORE, is_at_once=last.due_at <= last.at)
    return waits is not before


def begin_again() -> None:
    """Of a database from a backup, with nothing that tells what was stopped since: every erasure that waits
    does so for seven days more, and every address is told once more."""
    for waits in open_erasures():
        customer = lock_customers([waits.customer_id], for_address=True)[waits.customer_id]
        waits.due_at = clock.now() + DAYS
        _tell(customer)
    db.session.flush()


def _end(waits: Erasure, who: str) -> None:
    now = clock.now()
    _note_stopped(waits, now, who)
    erasure_journal.add_erasure(waits.customer_id, None, now)


def _note_stopped(waits: Erasure, at: datetime, who: str) -> None:
    waits.stopped_at, waits.stopped_by = at, who
    db.session.flush()
    revoke_pending("keep", Ended.KEPT, customer_id=waits.customer_id)
    record_change(
        db.session(), "customers", waits.customer_id, "to be erased", "kept", who=who, why=""
    )
