"""Whose rows are whose: a customer, and which rows of each table of the map `personal` are about them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from store.entitlements.on_file import is_on_file, second_of
from store.kit.database import Base, db
from store.orders.customers import customer_by_id
from store.orders.models import Customer

# Letters to who works here, though the address be a customer’s too.
_OF_STAFF = ("staff_alert", "staff_invitation")


@dataclass(frozen=True)
class Person:
    """A customer, with those who became one with them, and the addresses that are proved theirs: as
    they were spelled, and by the spelling that customers are known by."""

    ids: tuple[int, ...]
    spellings: tuple[str, ...]
    keys: tuple[str, ...]


def person_of(customer_id: int) -> Person:
    """A customer who was not brought together with another, and all who became one with them. A
    second address counts once it is on file, unless it is another customer's first, who may have a price by it
    or have asked for one; and no earlier one does: it may be somebody else’s by now.
    Refuses `CustomerUnknown`."""
    customer = customer_by_id(customer_id)
    ids = [customer.id]
    for one in ids:
        ids.extend(db.session.scalars(sa.select(Customer.id).where(Customer.merged_into_id == one)))
    second = second_of(customer.id)
    spelled = [customer.email, customer.email_key]
    keys = [customer.email_key]
    if second is not None and is_on_file(second) and not _is_anothers(second.email_key, ids):
        spelled += [second.email, second.email_key]
        keys.append(second.email_key)
    return Person(tuple(ids), tuple(dict.fromkeys(spelled)), tuple(keys))


def _is_anothers(key: str, ids: list[int]) -> bool:
    query = sa.select(Customer.id).where(Customer.email_key == key, Customer.id.not_in(ids))
    return db.session.scalar(query) is not None


def rows_of(table: str, person: Person) -> sa.ColumnElement[bool]:
    """Which rows of a table of this map are about a person: theirs, and nobody else's."""
    return _WHOSE[table](Base.metadata.tables[table].columns, person)


def _the(table: str) -> Any:
    return Base.metadata.tables[table].columns


def _customer(row: Any, person: Person) -> sa.ColumnElement[bool]:
    return row.customer_id.in_(person.ids)  # type: ignore[no-any-return]


def _of(column: str, table: str, key: str = "id") -> Callable[..., sa.ColumnElement[bool]]:
    """Rows that name, in `column`, a row of `table` that is the person's."""

    def which(row: Any, person: Person) -> sa.ColumnElement[bool]:
        theirs = sa.select(_the(table)[key]).where(rows_of(table, person))
        return row[column].in_(theirs)  # type: ignore[no-any-return]

    return which


def _keyed(row: Any, person: Person) -> sa.ColumnElement[bool]:
    column = row.get("email_key", row.get("address_key"))
    return column.in_(person.keys)  # type: ignore[no-any-return]


def _moves(row: Any, person: Person) -> sa.ColumnElement[bool]:
    return sa.or_(row.from_customer_id.in_(person.ids), row.to_customer_id.in_(person.ids))


def _letters(row: Any, person: Person) -> sa.ColumnElement[bool]:
    nobodys = sa.and_(row.customer_id.is_(None), row.kind.not_in(_OF_STAFF))
    return sa.or_(
        row.customer_id.in_(person.ids), sa.and_(row.address.in_(person.spellings), nobodys)
    )


def _back_by_bank(row: Any, person: Person) -> sa.ColumnElement[bool]:
    paid = _the("payments")
    theirs = sa.select(paid.gateway_payment_id).where(
        paid.gateway == "manual", rows_of("payments", person)
    )
    return row.payment_id.in_(theirs)  # type: ignore[no-any-return]


def _named(row: Any, person: Person) -> sa.ColumnElement[bool]:
    """Rows that name a table in `entity`, and the row of it."""
    return sa.or_(*_things(row, person))


def _things(row: Any, person: Person) -> Iterator[sa.ColumnElement[bool]]:
    yield sa.and_(row.entity == "customers", row.entity_id.in_(person.ids))
    for table in ("orders", "checkouts", "refunds", "disputes", "deliveries", "repairs"):
        theirs = sa.select(_the(table).id).where(rows_of(table, person))
        yield sa.and_(row.entity == table, row.entity_id.in_(theirs))


_WHOSE: dict[str, Callable[[Any, Person], sa.ColumnElement[bool]]] = {
    **dict.fromkeys(
        (
            "second_addresses",
            "orders",
            "entitlements",
            "notice_stops",
            "links",
            "downloads",
            "repairs",
            "customer_notes",
            "erasures",
        ),
        _customer,
    ),
    **dict.fromkeys(("address_holds", "offers", "discount_members"), _keyed),
    **dict.fromkeys(
        ("order_lines", "consents", "checkouts", "payments"), _of("order_id", "orders")
    ),
    **dict.fromkeys(("refunds", "disputes"), _of("payment_id", "payments")),
    **dict.fromkeys(("attempts", "returned_letters"), _of("delivery_id", "deliveries")),
    **dict.fromkeys(("status_changes", "audit_entries"), _named),
    "customers": lambda row, person: row.id.in_(person.ids),
    "customer_merges": lambda row, person: row.kept_id.in_(person.ids),
    "order_moves": _moves,
    "transfers": _of("checkout_id", "checkouts"),
    "transfers_back": _back_by_bank,
    "deliveries": _letters,
    "captured_letters": lambda row, person: row.recipient.in_(person.spellings),
    "import_lines": lambda row, person: sa.func.lower(row.value).in_(person.keys),
}
