"""Customers: persons known by an e-mail address, one row for all its spellings."""

from contextlib import suppress

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db
from store.kit.paging import Page, paginate
from store.kit.text import clean_line, search_key
from store.orders.addresses import (
    InvalidAddress,
    address_key,
    mask,
    parse_address,
    suggest_correction,
)
from store.orders.inserting import insert_once
from store.orders.models import Customer, Order

__all__ = [
    "InvalidAddress",
    "address_key",
    "customer_by_address",
    "find_or_add_customer",
    "mask",
    "matches_person",
    "parse_address",
    "reference_in",
    "search_customers",
    "suggest_correction",
]

# No 0 or O, 1, I or L: a reference is read aloud and copied by hand.
REFERENCE_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


def find_or_add_customer(email: str, name: str = "") -> Customer:
    """The customer of a parsed address, added where there is none; safe when two ask at once.

    The address stays as it was first typed; a name is taken where none is known yet.
    """
    key = address_key(email)
    insert_once(
        Customer,
        email=email,
        email_key=key,
        name=name,
        name_key=search_key(name),
        created_at=clock.now(),
    )
    customer = _by_key(key)
    if customer is None:
        raise RuntimeError("a customer that was just added is not there")
    if name and not customer.name:
        customer.name, customer.name_key = name, search_key(name)
        db.session.flush()
    return customer


def customer_by_address(text: str) -> Customer | None:
    """The customer of an address as typed or pasted; None for an unknown or unreadable one."""
    try:
        return _by_key(address_key(parse_address(text)))
    except InvalidAddress:
        return None


def search_customers(text: str = "", page: int = 1) -> Page[Customer]:
    """Customers whose address, name or an order's reference holds `text`, newest first."""
    query = sa.select(Customer).order_by(Customer.id.desc())
    if text.strip():
        found = matches_person(text)
        reference = reference_in(text)
        if reference:
            owners = sa.select(Order.customer_id).where(Order.reference == reference)
            found = sa.or_(found, Customer.id.in_(owners))
        query = query.where(found)
    return paginate(query, page)


def matches_person(text: str) -> sa.ColumnElement[bool]:
    """Whether a customer's address or name holds `text`, in any case and composition."""
    spellings = {search_key(text)}
    if "@" in text and " " in text.strip():
        # `+` in the query part of an address bar arrives as a blank.
        spellings.add(search_key(text).replace(" ", "+"))
    wanted = [Customer.email_key.contains(one, autoescape=True) for one in sorted(spellings)]
    with suppress(InvalidAddress):
        wanted.append(Customer.email_key == address_key(parse_address(text)))
    return sa.or_(Customer.name_key.contains(search_key(text), autoescape=True), *wanted)


def reference_in(text: str) -> str | None:
    """An order's reference as stored (`ABCD-EFGH`), whatever case, blanks and hyphens it came
    with; None where `text` is none."""
    letters = "".join(one for one in clean_line(text).upper() if one.isalnum())
    if len(letters) != 8 or set(letters) - set(REFERENCE_LETTERS):
        return None
    return f"{letters[:4]}-{letters[4:]}"


def _by_key(key: str) -> Customer | None:
    return db.session.scalar(sa.select(Customer).where(Customer.email_key == key))
