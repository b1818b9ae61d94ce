"""How an order stands, in the word of its tag: money, disputes and holds together."""

from collections.abc import Collection

import sqlalchemy as sa

from store.kit.database import db
from store.orders.models import Order, OrderStatus
from store.payments.models import Dispute, Payment
from store.payments.sums import Sums, sums_by_order

# A word and the kind of the tag.
State = tuple[str, str]

_UNPAID = {
    OrderStatus.PENDING: ("Waits for money", "warn"),
    OrderStatus.EXPIRED: ("Not paid in time", "off"),
    OrderStatus.CANCELLED: ("Given up", "off"),
}


def state_of(order: Order, money: Sums, *, is_disputed: bool) -> State:
    """The state of one order."""
    if order.held_at:
        return "Held", "warn"
    if is_disputed:
        return "Disputed", "bad"
    if order.status is not OrderStatus.PAID:
        return _UNPAID[order.status]
    if order.given_reason:
        return "Given", "off"
    if money.received and money.left <= 0:
        return ("Lost to the bank" if money.lost else "Refunded"), "off"
    return "Paid", ""


def states_of(orders: Collection[Order]) -> dict[int, State]:
    """The state of each of these orders, in two statements."""
    is_open = [moment.is_(None) for moment in (Dispute.won_at, Dispute.lost_at, Dispute.closed_at)]
    query = sa.select(Payment.order_id).join(Dispute, Dispute.payment_id == Payment.id)
    which = Payment.order_id.in_([order.id for order in orders])
    disputed = set(db.session.scalars(query.where(which, *is_open)))
    money = sums_by_order(orders)
    return {
        order.id: state_of(order, money[order.id], is_disputed=order.id in disputed)
        for order in orders
    }
