"""Customers: persons known by an e-mail address, one row for all its spellings."""

from collections.abc import Iterable

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db, insert_once
from store.kit.text import search_key
from store.orders.addresses import (
    InvalidAddress,
    address_key,
    mask,
    parse_address,
    suggest_correction,
)
from store.orders.models import Customer

__all__ = [
    "InvalidAddress",
    "address_key",
    "customer_by_address",
    "find_or_add_customer",
    "lock_customers",
    "mask",
    "parse_address",
    "rename",
    "suggest_correction",
    "take_name",
]


def find_or_add_customer(email: str, name: str = "") -> Customer:
    """The customer of a parsed address, added where there is none; safe when two ask at once.

    The address stays as it was first typed, and so does the name: anybody may type an address, so
    who is known already is not named by it (`take_name` and `rename` are for who may).
    """
    key = address_key(email)
    values = {"name": name, "name_key": search_key(name), "created_at": clock.now()}
    for _ in range(5):
        insert_once(Customer, email=email, email_key=key, **values)
        customer = _by_key(key, is_kept=True)
        if customer is not None:
            break
        # The address was just given up, or its customer brought together with another.
    else:
        raise RuntimeError("a customer that was just added is not there")
    return customer


def take_name(customer: Customer, name: str) -> None:
    """Know a customer by this name; an empty one changes nothing."""
    if name:
        rename(customer, name)


def rename(customer: Customer, name: str) -> None:
    """Know a customer by this name from now on; with an empty one, by none."""
    if name != customer.name:
        customer.name, customer.name_key = name, search_key(name)
        db.session.flush()


def customer_by_address(text: str) -> Customer | None:
    """The customer of an address as typed or pasted; None for an unknown or unreadable one."""
    try:
        return _by_key(address_key(parse_address(text)))
    except InvalidAddress:
        return None


def lock_customers(
    customer_ids: Iterable[int], *, for_address: bool = False
) -> dict[int, Customer]:
    """The rows of customers, locked one after the other in a fixed order; before an address
    changes so that whoever writes for it is waited for."""
    query = (
        sa.select(Customer)
        .where(Customer.id.in_(sorted(set(customer_ids))))
        .order_by(Customer.id)
        .with_for_update(key_share=not for_address)
        .execution_options(populate_existing=True)
    )
    return {customer.id: customer for customer in db.session.scalars(query)}


def _by_key(key: str, *, is_kept: bool = False) -> Customer | None:
    query = sa.select(Customer).where(Customer.email_key == key)
    if is_kept:
        # Whoever changes the address waits until what is being written for it stands.
        query = query.with_for_update(read=True, key_share=True)
        query = query.execution_options(populate_existing=True)
    return db.session.scalar(query)
