"""Letters made ready to leave: what is known of each, read for many at once, and its octets, written
for as many.

Nothing here writes. What was read may be of any age when the letter begins: who changes a right,
a stop, an address or a link takes the claim away in the same transaction (`outbox.look_again`), and a
letter whose claim is gone does not begin.
"""

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

import sqlalchemy as sa

from store.kit.database import db, end_repeated_read, is_listed
from store.kit.mailboxes import ERASED, AddressUnwritable, address_key
from store.mail.claims import Claim, Prepared, Unsent
from store.mail.cutting import cut_letter
from store.mail.holds import holds_of, is_erased, may_leave_all_the_same, other_way
from store.mail.letters import (
    Hold,
    Letter,
    SettingFault,
    Skip,
    facts_of,
    facts_of_many,
    octets_of,
    own_message_id,
    own_part,
    render_letter,
)
from store.mail.marks import handed_back, return_path
from store.mail.mime import EncodedText, LetterText, address_envelope
from store.mail.models import Attempt, Delivery, DeliveryStatus, deliveries
from store.mail.subjects import wait_for_changes

log = logging.getLogger(__name__)

MOST_AHEAD = 50

# How the reason of a letter begins that waits for a setting; it goes on once that is mended.
HELD_FOR_A_SETTING = "a setting of the shop is to be mended: "

# The database is out of reach: no fault of the letter, so it is not held for it.
_DATABASE_FAULTS = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError)


class Known(NamedTuple):
    """What was read of a letter ahead of its turn: its row, its facts and who sells; and the letter
    itself, where it could be written."""

    delivery: Delivery
    letter: Letter
    who: Any
    written: Prepared | None = None


# What no letter says; moments and statuses cost most of what it takes to read a row.
_OF_THE_QUEUE = {"status", "reason", "due_at", "claimed_at", "is_possibly_twice", "sent_at"}

# None: nothing was read of it that may be used.
Ahead = dict[Claim, Known | None]


def read_ahead(claims: Sequence[Claim]) -> Ahead:
    """What can be known of these letters ahead of their turn, in a few statements for all of them:
    of those that leave, and whose room can be asked so. The others are asked at their turn, so
    that none is left out or held by what has passed. Ends the read."""
    ahead: Ahead = dict.fromkeys(claims)
    try:
        rows = _claimed_rows(claims)
        found = facts_of_many(list(rows.values()))
        on_hold = holds_of([letter.to.address for letter in found.values()])
        who = own_part() if found else None
    except _DATABASE_FAULTS:
        raise
    except Exception:
        # Whose fault it is shows when each is asked by itself.
        log.debug("nothing can be read ahead", exc_info=True)
        return ahead
    finally:
        end_repeated_read()
    for claim in claims:
        letter = found.get(claim.delivery_id)
        if letter is not None and letter.to.address not in on_hold:
            known = Known(rows[claim.delivery_id], letter, who)
            ahead[claim] = known._replace(written=_written_ahead(claim, known))
    return ahead


def prepare(claim: Claim, known: Known | None = None) -> Prepared | Unsent | None:
    """Write a claimed letter, of which something is known or is now asked; None where the claim is
    no longer ours.

    Reads only. One letter that cannot be written is held and never stops the others.
    """
    if known is not None and known.written is not None:
        return known.written
    row = known.delivery if known else _claimed_rows([claim]).get(claim.delivery_id)
    if row is None:
        return None
    try:
        return _written(claim, row, known)
    except _DATABASE_FAULTS:
        raise
    except SettingFault as fault:
        return _held(claim, row, f"{HELD_FOR_A_SETTING}{fault}")
    except AddressUnwritable as refusal:
        return _held(claim, row, refusal.sentence)
    except Exception as fault:
        # Whatever a room's function or a template raises concerns this letter alone.
        log.exception("letter %s (%s) could not be written", claim.delivery_id, row.kind)
        return _held(claim, row, f"could not be written: {type(fault).__name__}")


def _written_ahead(claim: Claim, known: Known) -> Prepared | None:
    """The letter, one after the other with those read with it: between two waits for a server, where
    other code runs, each takes three times as long. None where it was tried before, so that it is
    asked for its name, and where it cannot be written, of which its own turn tells."""
    if known.delivery.message_id is not None:
        return None
    try:
        written = _written(claim, known.delivery, known)
    except Exception:  # noqa: BLE001 - whatever it is, it happens once more at its turn
        return None
    return written if isinstance(written, Prepared) else None


def _claimed_rows(claims: Sequence[Claim]) -> dict[int, Delivery]:
    """The plain values of those of these letters that are still ours: nothing here changes a
    delivery, and rows of a session cost more."""
    connection = db.session.connection()
    ids, ours = [claim.delivery_id for claim in claims], set(claims)
    wait_for_changes(connection, ids)
    rows = connection.execute(_chosen(connection.dialect.name), {"claimed": ids}).all()
    return {row.id: cast(Delivery, row) for row in rows if (row.id, row.claimed_by) in ours}


@lru_cache(maxsize=2)
def _chosen(_dialect: str) -> sa.Executable:
    told = (column for column in deliveries.c if column.name not in _OF_THE_QUEUE)
    return sa.select(*told).where(is_listed(deliveries.c.id, "claimed"))


def _written(claim: Claim, delivery: Delivery, known: Known | None) -> Prepared | Unsent:
    found = known.letter if known else _facts_of(delivery)
    if isinstance(found, Skip):
        return Unsent(claim, delivery.kind, DeliveryStatus.SKIPPED, found.reason)
    if isinstance(found, Hold):
        return Unsent(claim, delivery.kind, DeliveryStatus.HELD, found.reason)
    on_hold = None if known else holds_of([found.to.address]).get(found.to.address)
    if on_hold is not None and not may_leave_all_the_same(delivery):
        second = other_way(delivery)
        if second is None:
            status = DeliveryStatus.HELD if isinstance(on_hold, Hold) else DeliveryStatus.SKIPPED
            return Unsent(claim, delivery.kind, status, on_hold.reason)
        found, on_hold = found.to_second(second), None
    who = known.who if known else own_part()
    context = {"seller": who, "face": who.face} | found.context
    text: LetterText | EncodedText
    if found.own:
        text = cut_letter(delivery.kind, context, found.own)
    else:
        text = render_letter(delivery.kind, context)
    message_id = _message_id(delivery, found.to.address)
    return Prepared(
        claim=claim,
        kind=delivery.kind,
        batch_id=delivery.batch_id,
        message_id=message_id,
        address=found.to.address,
        subject=text.subject,
        envelope=address_envelope(return_path(message_id), found.to.address),
        octets=handed_back(message_id) + octets_of(found, text, message_id, who),
        is_on_hold=on_hold is not None,
    )


def _facts_of(delivery: Delivery) -> Letter | Skip | Hold:
    """The facts as they are now; a customer who is erased has none, and is written to no more."""
    try:
        found = facts_of(delivery)
    except _DATABASE_FAULTS:
        raise
    except Exception:
        if is_erased(delivery.customer_id):
            return Skip(ERASED)
        raise
    if isinstance(found, Letter):
        return Skip(ERASED) if found.to.address == ERASED else found
    return Skip(ERASED) if isinstance(found, Hold) and is_erased(delivery.customer_id) else found


def _message_id(delivery: Delivery, address: str) -> str:
    """The name that the letter was tried under before, where it goes to the same address: another
    reader's letter never bears a mark that this one has seen."""
    if delivery.message_id is None:
        return own_message_id(delivery.id)
    tried = sa.select(Attempt.address).where(Attempt.delivery_id == delivery.id)
    last = db.session.scalar(tried.order_by(Attempt.id.desc()).limit(1))
    is_same = last is not None and address_key(last) == address_key(address)
    return delivery.message_id if is_same else own_message_id(delivery.id)


def _held(claim: Claim, delivery: Delivery, reason: str) -> Unsent:
    return Unsent(claim, delivery.kind, DeliveryStatus.HELD, reason, alert=True)
