"""The copy of somebody's data: what the map `personal` gives of the rows that are theirs.

Read in pieces of a few hundred rows, so that no history is too long. What may be somebody else's is
withheld, and the row says so: who placed an order that was neither paid nor given, as anybody may
have typed the address; who paid for one that is held; and a letter that went elsewhere.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa

from store.catalog.sellers import current_seller
from store.entitlements.on_file import second_of
from store.entitlements.person import Person, person_of, rows_of
from store.entitlements.personal import GIVEN, TABLES, Kind, columns_of
from store.kit import clock
from store.kit.database import Base, db, end_read
from store.kit.formatting import format_day, format_moment
from store.kit.mailboxes import address_key
from store.kit.money import format_money

AT_ONCE = 500
# Rows of each table that the page shows; the file has all.
SHOWN = 25
_ADDRESSES = ("address", "new_email", "recipient")
NOT_PROVED = (
    "Somebody typed your address and did not pay. We do not know that it was you, so who it was "
    "is left out."
)
IS_HELD = "It is not settled whose this order is, so who ordered and paid is left out."
ELSEWHERE = "It went to an address that is not proved to be yours, so that is left out."
# Columns whose values are words of ours, and no sentences.
_CODES = {"act", "entity", "from_status", "kind", "method", "occasion", "outcome", "purpose"}
_LABELS = {
    "accepted_at": "taken again",
    "billing_address": "address on the receipt",
    "card_country": "country of the card",
    "card_last4": "last digits of the card",
    "came_at": "came to this address",
    "discount_label": "name of the discount",
    "discount_amount": "discount",
    "email": "e-mail address",
    "given_reason": "why it was given",
    "is_inquiry": "a question only",
    "is_possibly_twice": "perhaps sent twice",
    "network": "network address",
    "new_email": "e-mail address",
    "on_file_at": "works from",
    "price_amount": "price",
    "purchase_order_number": "order number of your own",
    "total_amount": "total",
    "updates_months": "months of new editions",
    "user_agent": "browser",
    "vat_amount": "VAT",
    "who": "by",
}


@dataclass(frozen=True)
class Part:
    """Rows of one table for people: its name, the newest rows as label and value, whether there are
    more."""

    title: str
    rows: list[list[tuple[str, str]]]
    has_more: bool


def parts_of(customer_id: int) -> list[Part]:
    """What the page shows: the newest of each kind; nothing of what there is nothing of."""
    reader = _Reader(person_of(customer_id))
    found = []
    for table in TABLES:
        rows = reader.newest(table, SHOWN + 1)
        if rows:
            shown = [_in_words(row) for row in rows[:SHOWN]]
            found.append(Part(TABLES[table].title, shown, len(rows) > SHOWN))
    return found


def copy_of(customer_id: int) -> Iterator[str]:
    """The whole copy as JSON, piece by piece. Refuses `CustomerUnknown` at the first piece."""
    reader = _Reader(person_of(customer_id))
    head = {
        "what": f"Everything that {current_seller().trading_name} holds about you",
        "made_at": clock.now().isoformat(),
        "left_out": _left_out(),
    }
    yield json.dumps(head, ensure_ascii=False, indent=1)[:-2] + ',\n "data": {'
    for place, table in enumerate(TABLES):
        title = json.dumps(TABLES[table].title)
        yield f'{"," if place else ""}\n  "{table}": {{"title": {title}, "rows": ['
        mark = ""
        for row in reader.all_of(table):
            yield f"{mark}\n   {json.dumps(row, ensure_ascii=False, default=_plain)}"
            mark = ","
        yield "\n  ]}"
    yield "\n }\n}\n"


def _left_out() -> dict[str, dict[str, str]]:
    return {
        table: {name: kind.value for name, kind in held.columns.items() if kind not in GIVEN}
        for table, held in TABLES.items()
    }


class _Reader:
    """Reads the rows of one person."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._known = _known(person)

    def newest(self, table: str, most: int) -> list[dict[str, Any]]:
        found = self._read(_query(table, self._person, is_newest=True).limit(most), table)
        return [row for _, row in found]

    def all_of(self, table: str) -> Iterator[dict[str, Any]]:
        """Oldest first. Nothing is held open while somebody reads slowly."""
        last = 0
        query = _query(table, self._person).limit(AT_ONCE)
        while True:
            found = self._read(query.where(_place(table) > last), table)
            end_read()
            yield from (row for _, row in found)
            if len(found) < AT_ONCE:
                return
            last = found[-1][0]

    def _read(self, query: sa.Select[Any], table: str) -> Sequence[tuple[int, dict[str, Any]]]:
        names = [column.name for column in columns_of(table, Kind.NAMES)]
        return [
            (row["row_id"], self._given(dict(row), names))
            for row in db.session.execute(query).mappings()
        ]

    def _given(self, row: dict[str, Any], names: list[str]) -> dict[str, Any]:
        """A row without what is ours alone, and without what may be somebody else's."""
        del row["row_id"]
        why, currency = row.pop("withheld"), row.pop("in_currency", None)
        if any(row.get(name) and address_key(row[name]) not in self._known for name in _ADDRESSES):
            why = why or ELSEWHERE
        if why:
            row |= dict.fromkeys(names) | {"left_out": why}
        for name in row:
            if name.endswith("amount") and row[name] is not None:
                row[name] = format_money(row[name], row.get("currency") or currency or "GBP")
        return row


def _known(person: Person) -> set[str]:
    """The addresses that may be shown: those on file, one that is proved and waits, those that were
    on file before, and those of orders that are theirs."""
    links, orders = Base.metadata.tables["links"].c, Base.metadata.tables["orders"].c
    before = sa.select(links.new_email).where(
        links.customer_id.in_(person.ids), links.purpose == "undo", links.new_email.is_not(None)
    )
    ordered = sa.select(orders.email).where(
        orders.customer_id.in_(person.ids), orders.paid_at.is_not(None), orders.held_at.is_(None)
    )
    second = second_of(person.ids[0])
    shown = [*db.session.scalars(before.union(ordered)), *([second.email] if second else [])]
    return {*person.keys, *map(address_key, shown)}


def _place(table: str) -> sa.ColumnElement[int]:
    # Not the bare key: a database would rather walk all rows in its order than look theirs up.
    return Base.metadata.tables[table].c.id + 0


def _query(table: str, person: Person, *, is_newest: bool = False) -> sa.Select[Any]:
    rows = Base.metadata.tables[table]
    named = [found for column in rows.columns if (found := _named_by(column)) is not None]
    query = sa.select(
        rows.c.id.label("row_id"),
        _withheld(table).label("withheld"),
        *named,
        *columns_of(table, *GIVEN),
    ).where(rows_of(table, person))
    if table == "customers":
        query = query.where(rows.c.email != "")  # of who became one with another nothing is left
    if "entity_id" in rows.c:
        is_order = rows.c.entity == "orders"
        order = sa.case((is_order, _of_order(rows.c.entity_id, "reference")), else_=sa.null())
        query = query.add_columns(order.label("order"))
    if table == "order_lines":
        query = query.add_columns(_of_order(rows.c.order_id, "currency").label("in_currency"))
    return query.order_by(_place(table).desc() if is_newest else _place(table))


def _of_order(order_id: Any, name: str) -> sa.ScalarSelect[Any]:
    orders = Base.metadata.tables["orders"].c
    return sa.select(orders[name]).where(orders.id == order_id).scalar_subquery()


def _withheld(table: str) -> sa.ColumnElement[Any]:
    """Why the names of a row are withheld, or null."""
    rows = Base.metadata.tables[table].c
    if table in {"payments", "downloads"}:
        held_at = _of_order(rows.order_id, "held_at")
        return sa.case((held_at.is_not(None), IS_HELD), else_=sa.null())
    if table != "orders":
        return sa.null()
    offers = Base.metadata.tables["offers"].c
    is_offered = sa.exists().where(offers.order_id == rows.id)
    is_theirs = sa.or_(rows.paid_at.is_not(None), rows.given_reason != "", is_offered)
    return sa.case((rows.held_at.is_not(None), IS_HELD), (~is_theirs, NOT_PROVED), else_=sa.null())


def _named_by(column: sa.Column[Any]) -> sa.Label[Any] | None:
    """What a key of another table is called by people."""
    if column.table.name == "deliveries" and column.name == "id":
        return column.label("letter")
    target = next((key.column.table.name for key in column.foreign_keys), "")
    tables = Base.metadata.tables
    titles, editions = tables["publications"].c, tables["editions"].c
    edition = titles.title + ", edition " + sa.cast(editions.number, sa.String)
    if target == "publications":
        return _words(titles.title, titles.id == column, "publication")
    if target == "editions":
        is_it = sa.and_(editions.id == column, titles.id == editions.publication_id)
        return _words(edition, is_it, "edition")
    if target == "assets":
        assets = tables["assets"].c
        is_its = sa.and_(editions.id == assets.edition_id, titles.id == editions.publication_id)
        is_it = sa.and_(assets.id == column, is_its)
        return _words(edition + ", " + sa.func.upper(assets.format), is_it, "file")
    if target == "orders":
        return _of_order(column, "reference").label("order")
    if target in {"payments", "checkouts"} and column.table.name != "payments":
        between = tables[target].c
        order_id = sa.select(between.order_id).where(between.id == column).scalar_subquery()
        return _of_order(order_id, "reference").label("order")
    if target == "discounts":
        names = tables["discounts"].c
        return _words(names.name, names.id == column, "discount")
    return column.label("letter") if target == "deliveries" else None


def _words(words: Any, which: Any, label: str) -> sa.Label[Any]:
    return sa.select(words).where(which).scalar_subquery().label(label)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


def _in_words(row: dict[str, Any]) -> list[tuple[str, str]]:
    """A row for people: what is empty says nothing."""
    found = ((_label(name), _text(name, value)) for name, value in row.items())
    return [(label, text) for label, text in found if text]


def _label(name: str) -> str:
    words = name.removesuffix("_at").removeprefix("is_").replace("_", " ")
    words = _LABELS.get(name, words)
    return words[:1].upper() + words[1:]


def _text(name: str, value: Any) -> str:
    if isinstance(value, datetime):
        return format_moment(value)
    if isinstance(value, date):
        return format_day(value)
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')}: {text}" for name, text in value.items())
    text = "" if value is None else str(value)
    return text.replace("_", " ") if name in _CODES else text
