"""Customers and orders found by parts of words, folded alike in the rows and in what is typed, and
looked up by their trigrams: on SQLite in FTS5 tables that triggers keep, on PostgreSQL in a GIN index of
the arrays that `search_grams()` makes."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from store.kit.database import db
from store.kit.text import search_key
from store.orders.models import Customer, Order

# What an index holds of each word, so that shorter ones are looked for in every row.
GRAM = 3
# What more rows than this hold is found soonest by a walk through the newest, which then ends early.
MANY = 2_000

Found = type[Customer] | type[Order]


def customers_with(query: sa.Select[Any], text: str) -> tuple[sa.Select[Any], Any]:
    """The query narrowed to customers whose address or name holds what was typed, and the column that
    they are listed by."""
    if _is_short(text):
        return query.where(holds(Customer, text)), Customer.id
    if not _is_sqlite():
        return query.where(_is_indexed(text, Customer)), Customer.id
    # By the table that is searched: it gives its rows from the newest, and ends with the page.
    found = _searched(Customer)
    return query.join(found, found.c.rowid == Customer.id).where(
        _matches(found, text)
    ), found.c.rowid


def orders_with(query: sa.Select[Any], text: str) -> sa.Select[Any]:
    """The query narrowed to orders whose buyer's name, organisation or own number, or whose customer's
    address or name, holds what was typed."""
    many_people, many_orders = (True, True) if _is_short(text) else _are_many(text)
    if not many_people and not many_orders:
        by_customer = sa.select(Order.id).where(Order.customer_id.in_(_ids(Customer, text)))
        return query.where(Order.id.in_(sa.union(_ids(Order, text), by_customer)))
    person = sa.select(Customer.id).where(Customer.id == Order.customer_id, holds(Customer, text))
    return query.where(
        sa.or_(
            holds(Order, text) if many_orders else Order.id.in_(_ids(Order, text)),
            person.exists() if many_people else Order.customer_id.in_(_ids(Customer, text)),
        )
    )


def _are_many(text: str) -> tuple[bool, bool]:
    """Whether more customers, and more orders, hold it than are worth a list of their own."""
    counts = [
        sa.select(sa.func.count())
        .select_from(_ids(model, text).limit(MANY + 1).subquery())
        .scalar_subquery()
        for model in (Customer, Order)
    ]
    people, orders = db.session.execute(sa.select(*counts)).one()
    return people > MANY, orders > MANY


def _spellings(text: str) -> list[list[str]]:
    """What must stand in a row: all the words of one of these lists, in any order. Short words are
    taken with what stands beside them."""
    line = search_key(text)
    words = line.split()
    if words and min(map(len, words)) >= GRAM:
        return [words]
    # `+` in the query part of an address bar arrives as a blank.
    return [[line], [line.replace(" ", "+")]] if "@" in line and " " in line else [[line]]


def _is_short(text: str) -> bool:
    return len(search_key(text)) < GRAM


def holds(model: Found, text: str) -> sa.ColumnElement[bool]:
    """Whether a row holds it, by a look at the row."""
    return sa.or_(
        *(
            sa.and_(*(model.search_key.contains(word, autoescape=True) for word in words))
            for words in _spellings(text)
        )
    )


def _ids(model: Found, text: str) -> sa.Select[Any]:
    """The ids of all rows that hold it."""
    if _is_sqlite():
        found = _searched(model)
        return sa.select(found.c.rowid).where(_matches(found, text))
    return sa.select(model.id).where(_is_indexed(text, model))


def _is_sqlite() -> bool:
    return db.engine.dialect.name == "sqlite"


def _searched(model: Found) -> sa.TableClause:
    return sa.table(f"search_{model.__tablename__}", sa.column("rowid", sa.Integer))


def _matches(found: sa.TableClause, text: str) -> sa.ColumnElement[bool]:
    """What FTS5 is asked: each word between quotation marks, so that no sign has a meaning."""
    asked = " OR ".join(
        "({})".format(" AND ".join(f'"{word.replace(chr(34), chr(34) * 2)}"' for word in words))
        for words in _spellings(text)
    )
    return sa.literal_column(found.name).op("MATCH", is_comparison=True)(sa.literal(asked))


def _is_indexed(text: str, model: Found) -> sa.ColumnElement[bool]:
    """What a GIN index is asked for: rows with all trigrams of the words, of which those are kept that
    hold the words."""
    grams = sa.func.search_grams(model.search_key, type_=ARRAY(sa.Text))
    has_grams = sa.or_(
        *(
            sa.and_(*(grams.op("@>", is_comparison=True)(sa.func.search_grams(w)) for w in words))
            for words in _spellings(text)
        )
    )
    return sa.and_(has_grams, holds(model, text))
