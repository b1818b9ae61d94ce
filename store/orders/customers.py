"""Customers: persons known by an e-mail address, one row for all its spellings."""

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db
from store.kit.text import search_key
from store.orders.addresses import (
    InvalidAddress,
    address_key,
    mask,
    parse_address,
    suggest_correction,
)
from store.orders.inserting import insert_once
from store.orders.models import Customer

__all__ = [
    "InvalidAddress",
    "address_key",
    "customer_by_address",
    "find_or_add_customer",
    "mask",
    "parse_address",
    "suggest_correction",
    "take_name",
]


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
    if not customer.name:
        take_name(customer, name)
    return customer


def take_name(customer: Customer, name: str) -> None:
    """Know a customer by this name; an empty one changes nothing."""
    if name and name != customer.name:
        customer.name, customer.name_key = name, search_key(name)
        db.session.flush()


def customer_by_address(text: str) -> Customer | None:
    """The customer of an address as typed or pasted; None for an unknown or unreadable one."""
    try:
        return _by_key(address_key(parse_address(text)))
    except InvalidAddress:
        return None


def _by_key(key: str) -> Customer | None:
    return db.session.scalar(sa.select(Customer).where(Customer.email_key == key))
