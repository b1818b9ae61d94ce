"""Who was promised a date: everybody with a pre-order that stands, and who has ordered one and pays
by a way that takes days.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased, joinedload

from store.catalog.models import DateMove, Edition, EditionStatus
from store.entitlements.models import HELD, REFUNDED, SUSPENDED, Entitlement
from store.kit.database import UtcDateTime, db
from store.orders.models import Order, OrderLine, OrderStatus
from store.payments.gateways.base import MANUAL
from store.payments.models import Checkout, CheckoutStatus, Payment
from store.payments.sums import refunded_amount

# How the promise was earned, the best of several first.
KINDS = (
    "paid by card",
    "paid by bank transfer",
    "ordered, the money being on its way",
    "given a copy, or had nothing to pay",
    "brought in from a list",
)
_CARD, _TRANSFER, _AWAITED, _FREE, _IMPORTED = range(len(KINDS))
# Why somebody who was promised a date is told nothing of it now.
_RANKS = {1: HELD, 2: SUSPENDED, 3: REFUNDED}
LEFT_OUT = tuple(_RANKS.values())
# The same for people.
WHY_LEFT_OUT = {
    HELD: "held, until a person decides whose the order is",
    SUSPENDED: "disputed with their bank",
    REFUNDED: "cancelled or refunded before",
}
_STEP = 10


def concerned(publication_id: int, since: DateMove | None = None) -> sa.Select[Any]:
    """One row per customer with an order of a publication that waits for its first edition:
    `customer_id`, `left_out` (a reason, or null where the promise stands), `kind` (an index of
    `KINDS`). With `since` only who may have been promised another date than that change's."""
    promises = sa.union_all(
        _rights(publication_id, since), _on_the_way(publication_id, since)
    ).subquery("promises")
    best = (
        sa.select(promises.c.customer_id, sa.func.min(promises.c.place).label("place"))
        .group_by(promises.c.customer_id)
        .subquery("best")
    )
    left_out = sa.case(
        *((best.c.place >= rank * _STEP, why) for rank, why in reversed(_RANKS.items())),
        else_=None,
    )
    return sa.select(
        best.c.customer_id, left_out.label("left_out"), (best.c.place % _STEP).label("kind")
    )


def _rights(publication_id: int, since: DateMove | None) -> sa.Select[*tuple[Any, ...]]:
    rank = sa.case(
        (Entitlement.revoked_at.is_not(None), 3),
        (Entitlement.suspended_at.is_not(None), 2),
        (Entitlement.held_at.is_not(None), 1),
        else_=0,
    )
    by_transfer = sa.exists().where(Payment.order_id == Order.id, Payment.gateway == MANUAL)
    kind = sa.case(
        (Order.id.is_(None), _IMPORTED),
        (Order.total_amount == 0, _FREE),
        (by_transfer, _TRANSFER),
        else_=_CARD,
    )
    promised_at = sa.func.coalesce(Order.placed_at, Entitlement.granted_at)
    query = (
        sa.select(Entitlement.customer_id, (rank * _STEP + kind).label("place"))
        .select_from(Entitlement)
        .outerjoin(OrderLine, OrderLine.id == Entitlement.order_line_id)
        .outerjoin(Order, Order.id == OrderLine.order_id)
        .where(
            Entitlement.publication_id == publication_id,
            Entitlement.from_edition_id.is_(None),
            ~_came_out(Entitlement.publication_id, promised_at),
        )
    )
    return query if since is None else query.where(_was_promised_another(since, promised_at))


def _on_the_way(publication_id: int, since: DateMove | None) -> sa.Select[*tuple[Any, ...]]:
    query = (
        sa.select(Order.customer_id, sa.literal(_AWAITED).label("place"))
        .join(OrderLine, OrderLine.order_id == Order.id)
        .where(
            OrderLine.publication_id == publication_id,
            Order.status == OrderStatus.PENDING,
            _is_paid_slowly(Order.id),
            ~_came_out(OrderLine.publication_id, Order.placed_at),
        )
    )
    return query if since is None else query.where(_was_promised_another(since, Order.placed_at))


def _is_paid_slowly(order_id: Any) -> sa.ColumnElement[bool]:
    """Whether a bank transfer is awaited, or the buyer has done their part and a bank takes days."""
    return sa.exists().where(
        Checkout.order_id == order_id,
        Checkout.status == CheckoutStatus.OPEN,
        sa.or_(Checkout.gateway == MANUAL, Checkout.processing_at.is_not(None)),
    )


def _came_out(publication_id: Any, promised_at: Any) -> sa.ColumnElement[bool]:
    """Whether what was promised is out, or was since: an edition that was withdrawn before the order
    counts for nothing."""
    edition = aliased(Edition)
    return (
        sa.exists()
        .where(
            edition.publication_id == publication_id,
            sa.or_(edition.status == EditionStatus.RELEASED, edition.released_at > promised_at),
        )
        .correlate_except(edition)
    )


def _was_promised_another(since: DateMove, promised_at: Any) -> sa.ColumnElement[bool]:
    """Whether an order was placed before the change, or beside it with a date of before."""
    moment = sa.literal(since.moved_at, UtcDateTime())
    return sa.or_(
        promised_at <= moment,
        sa.and_(OrderLine.id.is_not(None), OrderLine.expected_on.is_distinct_from(since.new_on)),
    )


@dataclass(frozen=True)
class Promise:
    """One order of a customer, or what they have from a list (no order), that waits for a date."""

    order: Order | None
    left_out: str | None

    @property
    def due_back(self) -> int:
        """What a cancellation would give back, in minor units of the order's currency."""
        if self.order is None or self.order.status is not OrderStatus.PAID:
            return 0
        return self.order.total_amount - refunded_amount(self.order.id)


def promises_to(customer_id: int, publication_id: int) -> list[Promise]:
    """What of a publication a customer waits for at this moment, the oldest order first."""
    promised_at = sa.func.coalesce(Order.placed_at, Entitlement.granted_at)
    rights = db.session.execute(
        sa.select(Entitlement, Order)
        .outerjoin(OrderLine, OrderLine.id == Entitlement.order_line_id)
        .outerjoin(Order, Order.id == OrderLine.order_id)
        .where(
            Entitlement.customer_id == customer_id,
            Entitlement.publication_id == publication_id,
            Entitlement.from_edition_id.is_(None),
            ~_came_out(Entitlement.publication_id, promised_at),
        )
        .order_by(Entitlement.id)
    ).all()
    return [Promise(order, _why_left_out(right)) for right, order in rights] + [
        Promise(order, None) for order in _awaited_of(customer_id, publication_id)
    ]


def _awaited_of(customer_id: int, publication_id: int) -> Sequence[Order]:
    query = (
        sa.select(Order)
        .join(OrderLine, OrderLine.order_id == Order.id)
        .where(
            Order.customer_id == customer_id,
            OrderLine.publication_id == publication_id,
            Order.status == OrderStatus.PENDING,
            _is_paid_slowly(Order.id),
            ~_came_out(OrderLine.publication_id, Order.placed_at),
        )
        .options(joinedload(Order.seller))
    )
    return db.session.scalars(query.order_by(Order.id)).all()


def _why_left_out(right: Entitlement) -> str | None:
    if right.revoked_at is not None:
        return REFUNDED
    if right.suspended_at is not None:
        return SUSPENDED
    return HELD if right.held_at is not None else None


def count_promised(publication_id: int) -> int:
    """How many people are promised a date, and are told if it moves."""
    rows = concerned(publication_id).subquery()
    query = sa.select(sa.func.count()).select_from(rows).where(rows.c.left_out.is_(None))
    return db.session.scalar(query) or 0
