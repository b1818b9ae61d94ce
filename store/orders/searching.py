"""Finding customers by what staff remember of them."""

from contextlib import suppress

import sqlalchemy as sa

from store.kit.paging import Page, paginate
from store.kit.text import search_key
from store.orders.customers import InvalidAddress, address_key, parse_address
from store.orders.models import Customer, Order
from store.orders.references import reference_in


def search_customers(text: str = "", page: int = 1) -> Page[Customer]:
    """Customers whose address, name or an order's reference holds `text`, newest first."""
    query = sa.select(Customer).where(Customer.merged_into_id.is_(None))
    query = query.order_by(Customer.id.desc())
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
