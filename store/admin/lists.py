"""What several pages of the desk list."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from flask import request

from store.kit.database import db
from store.kit.paging import Page, paginate
from store.kit.status import StatusChange
from store.mail.models import Delivery
from store.orders.models import Customer

PAGE_SIZE = 25


def searched() -> str:
    """What is looked for: `?q=`, or `?email=` as other programs write it."""
    return (request.args.get("q") or request.args.get("email") or "").strip()


def letters_of(
    *, customer_id: int | None = None, order_id: int | None = None, page: int = 1
) -> Page[Delivery]:
    """The letters of one customer or one order, newest first."""
    query = sa.select(Delivery).order_by(Delivery.id.desc())
    if customer_id is not None:
        query = query.where(Delivery.customer_id == customer_id)
    if order_id is not None:
        query = query.where(Delivery.order_id == order_id)
    return paginate(query, page, PAGE_SIZE)


def people(rows: Iterable[Any]) -> dict[int, Customer]:
    """The customers whom rows with a `customer_id` name, by id."""
    ids = {row.customer_id for row in rows if row.customer_id is not None}
    query = sa.select(Customer).where(Customer.id.in_(ids))
    return {customer.id: customer for customer in db.session.scalars(query)}


def history(**ids: Any) -> list[StatusChange]:
    """What happened to rows, oldest first: `history(orders=[1], refunds=[2, 3])`."""
    wanted = [
        sa.and_(StatusChange.entity == entity, StatusChange.entity_id.in_(some))
        for entity, some in ids.items()
    ]
    query = sa.select(StatusChange).where(sa.or_(*wanted))
    return list(db.session.scalars(query.order_by(StatusChange.at, StatusChange.id)))
