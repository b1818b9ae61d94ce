"""Two orders of one person for one title, both paid within a day: perhaps one purchase made twice."""

from datetime import timedelta

import sqlalchemy as sa

from store.entitlements.models import Entitlement
from store.kit.database import db
from store.orders.models import Order, OrderLine, OrderStatus

WITHIN = timedelta(days=1)


def earlier_twin(order: Order) -> Order | None:
    """The order that was paid at most a day before this one, by the same customer for the same
    title, and still gives its copy; None for a copy that was given, or cost nothing."""
    if not _is_bought(order) or order.paid_at is None:
        return None
    titles = [line.publication_id for line in order.lines]
    query = (
        sa.select(Order)
        .join(OrderLine, OrderLine.order_id == Order.id)
        .join(Entitlement, Entitlement.order_line_id == OrderLine.id)
        .where(
            Order.customer_id == order.customer_id,
            OrderLine.publication_id.in_(titles),
            Order.status == OrderStatus.PAID,
            Order.total_amount > 0,
            Entitlement.revoked_at.is_(None),
            Order.paid_at >= order.paid_at - WITHIN,
            sa.tuple_(Order.paid_at, Order.id) < sa.tuple_(order.paid_at, order.id),
        )
        .order_by(Order.paid_at.desc(), Order.id.desc())
    )
    return db.session.scalars(query.limit(1)).first()


def later_twins(orders: list[Order]) -> list[tuple[Order, Order]]:
    """Of the orders of one shelf each that still stands and was paid within a day of another that
    does: the later one and the earlier."""
    found = ((order, earlier_twin(order)) for order in orders if _stands(order))
    return [(order, twin) for order, twin in found if twin is not None]


def _is_bought(order: Order) -> bool:
    return order.total_amount > 0 and order.status is OrderStatus.PAID


def _stands(order: Order) -> bool:
    query = (
        sa.select(Entitlement.id)
        .join(OrderLine, Entitlement.order_line_id == OrderLine.id)
        .where(OrderLine.order_id == order.id, Entitlement.revoked_at.is_(None))
    )
    return db.session.scalars(query.limit(1)).first() is not None
