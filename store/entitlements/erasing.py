"""What goes of a person, in one transaction: every name, address and free word in the rows that are
theirs (`personal`, `person`). Numbers, amounts, days and statuses stay, so that accounts and coverage
count what they counted."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from store.entitlements.links import Ended, ensure_links, order_link
from store.entitlements.models import CustomerMerge, Entitlement, Erasure, Link, SecondAddress
from store.entitlements.person import Person, person_of, rows_of
from store.entitlements.personal import NAMING, TABLES, Kind, columns_of
from store.entitlements.shared_addresses import (
    captured_elsewhere,
    end_as_second,
    forget_elsewhere,
    keys_of_others,
    letters_to_others,
    who_has_as_second,
)
from store.kit import clock
from store.kit.database import Base, db
from store.kit.mailboxes import ERASED, address_key
from store.mail import outbox
from store.mail.models import Delivery, DeliveryStatus, Repair, RepairEnd
from store.orders.models import Customer, Order

# Rows that are nothing without the person.
_WHOLE = {
    "second_addresses",
    "customer_notes",
    "notice_stops",
    "address_holds",
    "discount_members",
    "captured_letters",
    "import_lines",
}
# What was blanked already, and a record that nothing changes: it holds numbers and masked addresses.
_KEPT = {"customers", "audit_entries"}
# What a mail server said of a letter may quote its address; why one was left out is ours.
_QUOTING = (DeliveryStatus.FAILED, DeliveryStatus.BOUNCED)
# Since when a row is somebody's, for one who came back after they were erased.
_SINCE = {
    "orders": "placed_at",
    "entitlements": "granted_at",
    "links": "created_at",
    "deliveries": "created_at",
    "downloads": "started_at",
    "repairs": "opened_at",
    "customer_notes": "written_at",
    "second_addresses": "proved_at",
    "erasures": "asked_at",
}
# Rows of an address, of which newer ones are theirs, too.
_BY_ADDRESS = {"offers": "created_at", "captured_letters": "captured_at"}
# Rows that may be of somebody who has the address and was never this customer: anybody may type it in an
# order.
_OF_AN_ADDRESS = {"offers", "discount_members", "import_lines"}
_AT_ONCE = 500

_forget_files: Callable[[Collection[str]], None] | None = None


def register_files(forget: Callable[[Collection[str]], None]) -> None:
    """Say what takes addresses out of files that customers were brought in by; a room above knows."""
    global _forget_files  # noqa: PLW0603 - set once, while the shop is put together
    _forget_files = forget


def whole_person(customer_id: int) -> Person:
    """A customer with every address that was ever proved theirs, but for those that are another
    customer's by now."""
    found = person_of(customer_id)
    ids = found.ids
    former = db.session.scalars(
        sa.select(Link.new_email).where(
            Link.customer_id.in_(ids), Link.purpose == "undo", Link.new_email.is_not(None)
        )
    ).all()
    merges = db.session.scalars(sa.select(CustomerMerge).where(CustomerMerge.kept_id.in_(ids)))
    seconds = db.session.scalars(
        sa.select(SecondAddress.email).where(SecondAddress.customer_id.in_(ids))
    ).all()
    spelled = [*former, *seconds, *(str(one.before["email"]) for one in merges if one.before)]
    ordered = db.session.scalars(
        sa.select(Order.email).where(Order.customer_id.in_(ids)).distinct()
    ).all()
    keys = {address_key(one) for one in spelled if one} - keys_of_others(ids, spelled)
    ours = {*found.keys, *keys}
    spelled += [one for one in ordered if address_key(one) in ours]
    more = [one for one in spelled if one and address_key(one) in ours]
    spellings = dict.fromkeys([*found.spellings, *more, *keys])
    return replace(found, spellings=tuple(spellings), keys=tuple(sorted(ours)))


def erase_person(
    customer_id: int, at: datetime, *, is_asked: bool = True, is_again: bool = False
) -> tuple[int, ...]:
    """Take out of every table what says who a customer is or was. Called under the locks of their
    history, and of those whose second address is their first; `at` (UTC) is the moment of the erasure.
    Returns the numbers of the customers.

    Where nobody asked for it (`is_asked`), rows stay that are about an address and no customer. With
    `is_again` the database was put back as it was before: where somebody has ordered under this
    number since that moment, they are a customer of their own from now on, with what came since.
    """
    person, others = whole_person(customer_id), who_has_as_second(customer_id)
    for one in person.ids:
        outbox.look_again(one)
    came_back = is_again and _came_back(person, at)
    email, key, name = _known_as(customer_id)
    _blank_customers(person, at)
    if came_back:
        _part_from(person, at, _add_customer(email, key, name))
    chosen = {
        table: _ids_of(table, person, at if came_back else None)
        for table in TABLES
        if is_asked or table not in _OF_AN_ADDRESS
    }
    about = letters_to_others(chosen["orders"])
    chosen["deliveries"] += about
    for table in ("attempts", "returned_letters"):
        chosen[table] += _of_letters(table, about)
    chosen["captured_letters"] += captured_elsewhere(chosen["deliveries"])
    _end_rights(person)
    _end_letters(chosen["deliveries"])
    for table, ids in chosen.items():
        if table not in _KEPT:
            _blank(table, ids)
    if is_asked:
        end_as_second(others, email, at)
        forget_elsewhere(person)
        if _forget_files is not None:
            _forget_files(person.spellings)
    ended = sa.update(Erasure).where(Erasure.customer_id.in_(person.ids), Erasure.done_at.is_(None))
    db.session.execute(ended.where(Erasure.stopped_at.is_(None)).values(done_at=clock.now()))
    db.session.expire_all()
    return person.ids


def _known_as(customer_id: int) -> tuple[str, str, str]:
    found = db.session.get_one(Customer, customer_id)
    return found.email, found.email_key, found.name


def _came_back(person: Person, at: datetime) -> bool:
    ordered = sa.select(Order.id).where(Order.customer_id.in_(person.ids), Order.placed_at >= at)
    given = sa.select(Entitlement.id).where(
        Entitlement.customer_id.in_(person.ids), Entitlement.granted_at >= at
    )
    return any(db.session.scalars(one.limit(1)).first() is not None for one in (ordered, given))


def _add_customer(email: str, key: str, name: str) -> int:
    added = Customer(email=email, email_key=key, name=name, created_at=clock.now())
    db.session.add(added)
    db.session.flush()
    return added.id


def _part_from(person: Person, at: datetime, new_id: int) -> None:
    """What came to a number since it was erased goes to the customer who came back."""
    for table, since in _SINCE.items():
        row = Base.metadata.tables[table].columns
        newer = row.customer_id.in_(person.ids), row[since] >= at
        moved = sa.update(Base.metadata.tables[table]).where(*newer)
        db.session.execute(moved.values(customer_id=new_id))
    db.session.expire_all()
    # Of the links that were there before none is theirs.
    rights = sa.select(Entitlement.publication_id).where(Entitlement.customer_id == new_id)
    for publication_id in db.session.scalars(rights.distinct()).all():
        ensure_links(new_id, publication_id)
    for order_id in db.session.scalars(
        sa.select(Order.id).where(Order.customer_id == new_id)
    ).all():
        order_link(order_id, new_id)


def _blank_customers(person: Person, at: datetime) -> None:
    rows = sa.select(Customer).where(Customer.id.in_(person.ids))
    for customer in db.session.scalars(rows):
        customer.email, customer.email_key = ERASED, f"{ERASED}:{customer.id}"
        customer.name, customer.erased_at = "", at
    db.session.flush()


def _ids_of(table: str, person: Person, until: datetime | None) -> list[int]:
    """The rows of the person, without those that are not older than this."""
    row = Base.metadata.tables[table].columns
    which, since = [rows_of(table, person)], _BY_ADDRESS.get(table)
    if until is not None and since is not None:
        which.append(row[since] < until)
    return list(db.session.scalars(sa.select(row.id).where(*which)))


def _of_letters(table: str, letters: Collection[int]) -> Sequence[int]:
    row = Base.metadata.tables[table].columns
    return db.session.scalars(sa.select(row.id).where(row.delivery_id.in_(letters))).all()


def _end_rights(person: Person) -> None:
    """Every right and link ends, also those that ended before: nothing brings them back."""
    now = clock.now()
    rights = sa.update(Entitlement).where(Entitlement.customer_id.in_(person.ids))
    db.session.execute(
        rights.values(
            revoked_at=sa.func.coalesce(Entitlement.revoked_at, now),
            revoked_reason=ERASED,
            suspended_at=None,
            held_at=None,
        ).execution_options(synchronize_session=False)
    )
    links = sa.update(Link).where(Link.customer_id.in_(person.ids))
    db.session.execute(
        links.values(
            revoked_at=sa.func.coalesce(Link.revoked_at, now), revoked_reason=Ended.ERASED
        ).execution_options(synchronize_session=False)
    )
    repairs = Repair.customer_id.in_(person.ids), Repair.ended_at.is_(None)
    ended = sa.update(Repair).where(*repairs).execution_options(synchronize_session=False)
    db.session.execute(ended.values(ended_at=now, how=RepairEnd.GIVEN_UP, who="", word=""))


def _end_letters(ids: list[int]) -> None:
    """What waits is left out, each letter with this reason, so that every release still adds up."""
    for some in _pieces(ids):
        outbox.leave_out(ERASED, Delivery.id.in_(some))
        db.session.execute(
            sa.update(Delivery)
            .where(Delivery.id.in_(some), Delivery.kind == "find_my_copies")
            # A digest of the address stands there.
            .values(dedupe_key=sa.literal(f"{ERASED}:") + sa.cast(Delivery.id, sa.String(20)))
            .execution_options(synchronize_session=False)
        )


def _blank(table: str, ids: list[int]) -> None:
    rows = Base.metadata.tables[table]
    for some in _pieces(ids):
        which = rows.columns.id.in_(some)
        if table in _WHOLE:
            db.session.execute(sa.delete(rows).where(which))
            continue
        blanked = columns_of(table, *NAMING)
        if table == "orders":
            blanked.append(rows.columns.form_key)
        values = {column.name: _nothing(column) for column in blanked}
        if values:
            db.session.execute(sa.update(rows).where(which).values(values))


def _nothing(column: sa.Column[Any]) -> Any:
    """What stands in a column of which nothing is to be known."""
    row = column.table.columns
    if f"{column.table.name}.{column.name}" == "deliveries.reason":
        return sa.case((row.status.in_(_QUOTING), ERASED), else_=column)
    if column.name == "form_key":
        # Of a form that was sent for several addresses it holds a digest of each.
        return sa.literal(f"{ERASED}:") + sa.cast(row.id, sa.String(20))
    if column.name == "given_reason":
        return sa.case((column != "", ERASED), else_="")
    if TABLES[column.table.name].columns[column.name] is Kind.FOLLOWS and column.name.endswith(
        "_key"
    ):
        is_search = column.name == "search_key"
        return "" if is_search else sa.literal(f"{ERASED}:") + sa.cast(row.id, sa.String(20))
    return sa.null() if column.nullable else ""


def _pieces(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]
