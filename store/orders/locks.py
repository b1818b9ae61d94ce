"""The lock of an order's row: what happens to one order happens one step after the other."""

from typing import Any, TypeVar

import sqlalchemy as sa

from store.kit.database import db
from store.orders.models import Order

_Query = TypeVar("_Query", bound=sa.Select[*tuple[Any, ...]])


def locking(query: _Query) -> _Query:
    """The query with its orders locked and read again as they stand then.

    Weaker than FOR UPDATE, so that a letter or a link that names the order can be written meanwhile.
    """
    query = query.with_for_update(of=Order, key_share=True)
    return query.execution_options(populate_existing=True)


def lock_order(order_id: int) -> Order:
    """The order, locked until the transaction ends."""
    return db.session.scalars(locking(sa.select(Order).where(Order.id == order_id))).one()
