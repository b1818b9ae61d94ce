"""Customers and orders, found by what staff remember of them."""

from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload

from store.kit.paging import Page, paginate
from store.kit.text import clean_line, search_key
from store.orders.customers import InvalidAddress, address_key, parse_address
from store.orders.models import Customer, Order, OrderStatus
from store.orders.orders import reference_in


def search_customers(text: str = "", page: int = 1) -> Page[Customer]:
    """Customers whose address, name or an order's reference holds `text`, newest first."""
    query = sa.select(Customer).where(Customer.merged_into_id.is_(None))
    query = query.order_by(Customer.id.desc())
    if text.strip():
        found = _matches_person(text)
        reference = reference_in(text)
        if reference:
            owners = sa.select(Order.customer_id).where(Order.reference == reference)
            found = sa.or_(found, Customer.id.in_(owners))
        query = query.where(found)
    return paginate(query, page)


def list_orders(
    page: int = 1, status: OrderStatus | None = None, text: str = "", *, is_held: bool = False
) -> Page[Order]:
    """Orders with customer and lines, newest first; `text` is looked for in reference, address,
    name and organisation; `is_held` asks for those alone that wait for a person to decide
    whose they are. The number of statements does not grow with the list."""
    query = (
        sa.select(Order)
        .options(joinedload(Order.customer), selectinload(Order.lines))
        .order_by(Order.id.desc())
    )
    if status is not None:
        query = query.where(Order.status == status)
    if is_held:
        query = query.where(Order.held_at.is_not(None))
    if text.strip():
        line = clean_line(text)
        query = query.join(Customer).where(
            sa.or_(
                Order.reference == reference_in(text),
                Order.name.icontains(line, autoescape=True),
                Order.organisation.icontains(line, autoescape=True),
                _matches_person(text),
            )
        )
    return paginate(query, page)


def _matches_person(text: str) -> sa.ColumnElement[bool]:
    """Whether a customer's address or name holds `text`, in any case and composition."""
    spellings = {search_key(text)}
    if "@" in text and " " in text.strip():
        # `+` in the query part of an address bar arrives as a blank.
        spellings.add(search_key(text).replace(" ", "+"))
    wanted = [Customer.email_key.contains(one, autoescape=True) for one in sorted(spellings)]
    with suppress(InvalidAddress):
        wanted.append(Customer.email_key == address_key(parse_address(text)))
    return sa.or_(Customer.name_key.contains(search_key(text), autoescape=True), *wanted)
