"""Addresses from which letters came back: what they are, and which letters leave all the same."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from store.kit import clock
from store.kit.database import db, insert_into, is_listed
from store.kit.mailboxes import ERASED, address_key
from store.mail import outbox
from store.mail.letters import Hold, Skip
from store.mail.models import AddressHold, Delivery, ReturnedLetter, ReturnKind


@dataclass(frozen=True)
class Rules:
    """What the rooms above know of a customer: the key of the address on file, the second address
    or "", what to send where a letter went to an address that is theirs no longer, and what ends
    with a complaint."""

    key_of: Callable[[int], str]
    second_of: Callable[[int], str]
    send_missed: Callable[[int], object]
    complained: Callable[[Delivery], None]


_rules: Rules | None = None


def register_rules(rules: Rules) -> None:
    """Say what is known of customers; called once, while the shop is put together."""
    global _rules  # noqa: PLW0603 - set once
    _rules = rules


def rules() -> Rules:
    """What was registered."""
    if _rules is None:
        raise RuntimeError("nobody has said what is known of customers")
    return _rules


_holds = cast(sa.Table, AddressHold.__table__)


@lru_cache(maxsize=2)
def _found(_dialect: str) -> sa.Executable:
    """Run for every letter, so built once."""
    columns = _holds.c.address_key, _holds.c.given_up_at
    return sa.select(*columns).where(is_listed(_holds.c.address_key, "keys"))


def holds_of(addresses: Collection[str]) -> dict[str, Hold | Skip]:
    """Which of these addresses take no letters, with what becomes of one: in one statement."""
    keys = {address: address_key(address) for address in addresses}
    asked = {"keys": list(set(keys.values()))}
    connection = db.session.connection()
    found = {row[0]: row[1] for row in connection.execute(_found(connection.dialect.name), asked)}
    return {
        address: Hold(outbox.ON_HOLD) if found[key] is None else Skip(outbox.GIVEN_UP)
        for address, key in keys.items()
        if key in found
    }


def may_leave_all_the_same(delivery: Delivery) -> bool:
    """What somebody waits for is tried once, even to an address on hold."""
    return delivery.priority == outbox.SOMEBODY_WAITS and delivery.tries == 0


def other_way(delivery: Delivery) -> str | None:
    """Where news goes that the address on file takes no more: the second address, if there is one
    on file that takes letters. Other letters may be meant for the first mailbox alone."""
    if delivery.occasion is None or delivery.customer_id is None or delivery.address is not None:
        return None
    second = rules().second_of(delivery.customer_id)
    return second if second and not holds_of([second]) else None


def is_erased(customer_id: int | None) -> bool:
    """Whether nothing is known any more of whom a letter is for, so that none is written."""
    return customer_id is not None and rules().key_of(customer_id) == f"{ERASED}:{customer_id}"


def note_accepted(session: Session, address: str) -> None:
    """A letter was taken at an address on hold: a soft hold ends with the next minute's pass."""
    session.connection().execute(
        sa.update(_holds)
        .where(_holds.c.address_key == address_key(address), _holds.c.kind == ReturnKind.SOFT)
        .values(accepted_at=clock.now())
    )


def note_proved(key: str) -> None:
    """Somebody pressed what stood in a letter to the address of this key: any hold of it ends with
    the next minute's pass."""
    proved = sa.update(_holds).where(_holds.c.address_key == key)
    db.session.execute(proved.values(accepted_at=clock.now()))


def put_hold(key: str, returned: ReturnedLetter) -> None:
    """No further letters to the address of this key. Of one that is known to be gone nothing is
    new."""
    values = {"kind": returned.kind, "came_at": returned.came_at, "words": returned.words}
    statement = insert_into(AddressHold).values(address_key=key, **values)
    statement = statement.on_conflict_do_update(
        index_elements=["address_key"],
        set_=values | {"accepted_at": None},
        where=_holds.c.kind == ReturnKind.SOFT,
    )
    db.session.execute(statement)


def give_up(key: str) -> None:
    """Leave letters to the address of this key out from now on, until its customer has another."""
    given_up = sa.update(_holds).where(_holds.c.address_key == key)
    db.session.execute(given_up.values(given_up_at=clock.now(), accepted_at=None))


def free(key: str) -> bool:
    """Let letters leave again to the address of this key; says whether none did. Who calls it
    sends what was missed."""
    freed = sa.delete(_holds).where(_holds.c.address_key == key).returning(_holds.c.id)
    return db.session.execute(freed).first() is not None
