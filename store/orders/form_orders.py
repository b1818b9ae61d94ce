"""The orders of one form: another address makes another order, under a key that follows from it."""

import hashlib
from collections.abc import Sequence

import sqlalchemy as sa

from store.kit.database import db
from store.orders.customers import address_key
from store.orders.locks import locking
from store.orders.models import Order

# What a form carries: the key it was opened with, or that of an order which followed from it.
FORM_KEY = r"[\w-]{22}(?:\.[0-9a-f]{16})?"


def is_of_form(form_key: str) -> sa.ColumnElement[bool]:
    """Whether an order came from this form, for whatever address."""
    base = _base(form_key)
    return sa.or_(Order.form_key == base, Order.form_key.startswith(f"{base}.", autoescape=True))


def orders_of_form(form_key: str, *, is_locked: bool = False) -> Sequence[Order]:
    """Every order of a form as it stands now, the first one first; locked in that order, so that
    none is paid between judging and writing it."""
    query = sa.select(Order).where(is_of_form(form_key)).order_by(Order.id)
    query = locking(query) if is_locked else query.execution_options(populate_existing=True)
    return db.session.scalars(query).all()


def first_key(form_key: str) -> str:
    """The key of the form's first order, at whose row presses of the form wait for each other."""
    return _base(form_key)


def is_for(order: Order, email: str) -> bool:
    """Whether an order is for this address, however it is spelt."""
    return order.customer.email_key == address_key(email)


def next_key(form_key: str, email: str, known: Sequence[Order]) -> str:
    """The key of a form's next order for an address: the same for two presses at once."""
    if not known:
        return _base(form_key)
    count = sum(is_for(order, email) for order in known)
    mark = hashlib.sha256(f"{address_key(email)} {count}".encode()).hexdigest()[:16]
    return f"{_base(form_key)}.{mark}"


def _base(form_key: str) -> str:
    return form_key.partition(".")[0]
