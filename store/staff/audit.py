"""The record of acts: what staff did at the desk and operators in a terminal, written in the
transaction of the act itself. The database refuses to change or delete a line (triggers).

A line holds ids, numbers and masked addresses. Names are looked up when it is read, so that
nothing has to be rewritten where a person is erased. Doors call `record` in the transaction of the
act; around a rule that opens its own stands `kit.database.alongside`.
"""

import os
import pwd
import re
import socket
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, cast

import sqlalchemy as sa
from flask import has_request_context

from store.kit import clock
from store.kit.database import Base, db
from store.kit.formatting import format_day, format_moment
from store.kit.limits import asking_network
from store.orders.customers import mask_addresses
from store.staff import sessions
from store.staff.acts import Act
from store.staff.models import AuditEntry, StaffMember

LONGEST_VALUE = 200
# Eight digits or more in a row: an account, a card, a telephone number.
_LONG_NUMBER = re.compile(r"\d(?: ?\d){7,}")

Facts = Mapping[str, Any]
Thing = Base | tuple[type[Base], int]


def record(
    act: Act,
    thing: Thing | None = None,
    *,
    before: Facts | None = None,
    after: Facts | None = None,
    by: StaffMember | None = None,
) -> bool:
    """Keep that `act` was done to `thing` (a row, or its class and id) by who sits at the desk, or
    `by` where they are just coming in, or who types in a terminal. Called inside the transaction
    that does it.

    Of `before` and `after` what is the same in both is left out; where nothing is left nothing was
    done, and False comes back. Addresses are masked, long numbers cut to their last three digits.
    """
    old, new = _different(before, after)
    if before is not None and after is not None and not (old or new):
        return False
    session = db.session()
    session.flush()
    entity, entity_id = _named(thing)
    session.add(
        AuditEntry(
            at=clock.now(),
            act=act.value,
            entity=entity,
            entity_id=entity_id,
            before=old,
            after=new,
            **_actor(by),
        )
    )
    session.flush()
    return True


def record_once(act: Act, thing: Base, *, after: Facts | None = None) -> bool:
    """The same, where two presses may have done one thing: its line is written once. Called under
    the lock that makes it one."""
    entity, entity_id = _named(thing)
    known = sa.select(AuditEntry.id).filter_by(act=act.value, entity=entity, entity_id=entity_id)
    if db.session.scalars(known.limit(1)).first() is None:
        record(act, thing, after=after)
    return True


def facts_of(row: Base, names: tuple[str, ...]) -> dict[str, Any]:
    """The columns of a row as the record keeps them."""
    return {name: _plain(getattr(row, name)) for name in names}


def _named(thing: Thing | None) -> tuple[str, int | None]:
    if thing is None:
        return "", None
    if isinstance(thing, tuple):
        return str(thing[0].__tablename__), thing[1]
    return str(thing.__tablename__), cast(Any, thing).id


def _actor(by: StaffMember | None) -> dict[str, Any]:
    if has_request_context():
        person = by or sessions.person_at_desk()
        if person is None:
            raise RuntimeError("an act without anybody who did it")
        return {"staff_id": person.id, "operator": "", "place": asking_network()}
    return {"staff_id": None, "operator": operator(), "place": socket.gethostname()[:100]}


def operator() -> str:
    """Who types in a terminal, as the operating system knows them."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name[:100]
    except KeyError:  # a container without a name for its user
        return f"user {os.getuid()}"


def _different(
    before: Facts | None, after: Facts | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    if before is not None and after is not None:
        same = {name for name in before if name in after and before[name] == after[name]}
        before = {name: value for name, value in before.items() if name not in same}
        after = {name: value for name, value in after.items() if name not in same}
    return _kept(before), _kept(after)


def _kept(facts: Facts | None) -> dict[str, Any] | None:
    return {name: _discreet(_plain(value)) for name, value in facts.items()} if facts else None


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{format_moment(value)} ({value.astimezone(UTC):%Y-%m-%d %H:%M} UTC)"
    if isinstance(value, date):
        return format_day(value)
    return value if value is None or isinstance(value, bool | int) else str(value)


def _discreet(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # Cut before it is searched: notes of an edition may be long, and a search for addresses in one
    # long word asks each letter about all behind it.
    text = mask_addresses(value[: 2 * LONGEST_VALUE])
    text = _LONG_NUMBER.sub(lambda found: f"…{found[0].replace(' ', '')[-3:]}", text)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
