"""What came in for an order and what went back, in minor units of its currency: every sum that the
desk, the receipt and the export show is made here.

Received is what a gateway confirmed and what staff saw arrive by bank, in part or in full. From it
go the refunds, from the moment they are asked for, and the disputes that were lost; each counts on
the day on which it happened. A copy that was given is no sale. What the gateway keeps for itself,
and money that it holds without our having taken it, is in none of our tables and in no sum.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from store.kit.database import db
from store.orders.models import Order, OrderStatus
from store.payments.gateways.base import MANUAL
from store.payments.models import Checkout, Dispute, Payment, Refund, RefundStatus, Transfer


@dataclass(frozen=True)
class Sums:
    """Sales, and the money of orders: minor units of one currency."""

    currency: str
    sales: int = 0
    received: int = 0
    returned: int = 0  # refunds, on their way or there
    lost: int = 0  # taken back by the buyers' banks

    @property
    def left(self) -> int:
        """What stays of what was received."""
        return self.received - self.returned - self.lost


def sums_of(order: Order) -> Sums:
    """The money of one order."""
    return sums_by_order([order]).get(order.id, Sums(order.currency))


def sums_by_order(orders: Collection[Order]) -> dict[int, Sums]:
    """The money of each of these orders, in one statement."""
    entries = _entries()
    ids = [order.id for order in orders]
    found: dict[int, dict[str, Any]] = {
        order.id: {
            "currency": order.currency,
            "sales": int(order.status is OrderStatus.PAID and not order.given_reason),
        }
        for order in orders
    }
    query = (
        sa.select(entries.c.order_id, entries.c.kind, sa.func.sum(entries.c.amount))
        .where(entries.c.order_id.in_(ids))
        .group_by(entries.c.order_id, entries.c.kind)
    )
    for order_id, kind, amount in db.session.execute(query):
        found[order_id][kind] = int(amount)
    return {order_id: Sums(**given) for order_id, given in found.items()}


def left_by_order(orders: Collection[Order]) -> dict[int, int]:
    """What is left of the money of each of these orders."""
    return {order_id: sums.left for order_id, sums in sums_by_order(orders).items()}


def payments_of(order_id: int) -> list[Payment]:
    """Every payment of an order, in the order of arrival; more than one means: paid twice."""
    query = sa.select(Payment).where(Payment.order_id == order_id).order_by(Payment.id)
    return list(db.session.scalars(query))


def refunds_of(order_id: int) -> list[Refund]:
    """Every refund of an order, in the order of asking."""
    query = sa.select(Refund).join(Payment).where(Payment.order_id == order_id)
    return list(db.session.scalars(query.order_by(Refund.id)))


def transfers_of(checkout_id: int) -> Sequence[Transfer]:
    """What has arrived by bank for a try, in the order in which it was recorded."""
    query = sa.select(Transfer).where(Transfer.checkout_id == checkout_id)
    return db.session.scalars(query.order_by(Transfer.id)).all()


def transfers_of_order(order_id: int) -> Sequence[Transfer]:
    """Every transfer that was recorded for an order, oldest first."""
    query = sa.select(Transfer).join(Checkout, Checkout.id == Transfer.checkout_id)
    return db.session.scalars(
        query.where(Checkout.order_id == order_id).order_by(Transfer.id)
    ).all()


def disputes_of(payment_id: int) -> Sequence[Dispute]:
    """The disputes of one payment, oldest first."""
    query = sa.select(Dispute).where(Dispute.payment_id == payment_id).order_by(Dispute.id)
    return db.session.scalars(query.execution_options(populate_existing=True)).all()


def disputes_of_order(order_id: int) -> Sequence[Dispute]:
    """Every dispute about an order, oldest first."""
    query = sa.select(Dispute).join(Payment).where(Payment.order_id == order_id)
    return db.session.scalars(query.order_by(Dispute.id)).all()


class OrderMoney(NamedTuple):
    """The payments of one order, in minor units of its currency."""

    paid: int
    refunded: int  # there, or on its way back
    confirmed: int  # of that, what the gateway says has gone
    is_at_bank: bool  # a dispute has taken a payment, for now or for good

    @property
    def is_all_back(self) -> bool:
        """Whether all that came in went back or is on its way back."""
        return 0 < self.paid <= self.refunded

    @property
    def is_confirmed_back(self) -> bool:
        """Whether all that came in has gone back, confirmed by the gateway."""
        return 0 < self.paid <= self.confirmed


_ORDER: sa.BindParameter[int] = sa.bindparam("order_id")


def _total(amount: Any, *which: Any) -> Any:
    total = sa.select(sa.func.coalesce(sa.func.sum(amount), 0)).select_from(Payment)
    if which:
        total = total.join(Refund, Refund.payment_id == Payment.id)
    return total.where(Payment.order_id == _ORDER, *which).scalar_subquery()


# The columns of `OrderMoney`, for the order of the parameter `order_id`.
MONEY: tuple[Any, ...] = (
    _total(Payment.amount),
    _total(Refund.amount, Refund.status.in_(RefundStatus.counted())),
    _total(Refund.amount, Refund.status == RefundStatus.SUCCEEDED),
    sa.exists(
        sa.select(Dispute.id)
        .join(Payment, Payment.id == Dispute.payment_id)
        .where(Payment.order_id == _ORDER, Dispute.forbids_refund)
    ),
)
_MONEY = sa.select(*MONEY)


def money_of(order_id: int) -> OrderMoney:
    """What came in for an order and what of it went back, by one statement."""
    return OrderMoney(*db.session.execute(_MONEY, {"order_id": order_id}).one())


def paid_amount(order_id: int) -> int:
    """All that came in."""
    return money_of(order_id).paid


def refunded_amount(order_id: int) -> int:
    """All that went back or is on its way back."""
    return money_of(order_id).refunded


def received_amount(checkout_id: int) -> int:
    """How much has arrived by bank for a try."""
    return db.session.scalar(sa.select(received_sum()).where(Checkout.id == checkout_id)) or 0


def received_sum() -> sa.ScalarSelect[int]:
    """The same for each row of `checkouts`, within a statement about them."""
    arrived = sa.select(sa.func.coalesce(sa.func.sum(Transfer.amount), 0))
    return arrived.where(Transfer.checkout_id == Checkout.id).scalar_subquery()


def is_wholly_refunded(order_id: int) -> bool:
    """Whether all that came in has gone back, confirmed by the gateway."""
    return money_of(order_id).is_confirmed_back


def is_given_back(payment: Payment) -> bool:
    """Whether all of one payment has gone back, confirmed by the gateway."""
    given_back = sum(
        refund.amount
        for refund in refunds_of(payment.order_id)
        if refund.payment_id == payment.id and refund.status is RefundStatus.SUCCEEDED
    )
    return 0 < payment.amount <= given_back


def left_of(payment: Payment) -> int:
    """What can still be given back of one payment."""
    counted = RefundStatus.counted()
    query = sa.select(sa.func.coalesce(sa.func.sum(Refund.amount), 0)).where(
        Refund.payment_id == payment.id, Refund.status.in_(counted)
    )
    return payment.amount - int(db.session.scalars(query).one())


def refundable(payment: Payment) -> int:
    """What can be given back of one payment now: nothing while its buyer's bank holds it."""
    return 0 if is_held_by_bank(payment.id) else left_of(payment)


def is_held_by_bank(payment_id: int) -> bool:
    """Whether a dispute has taken the payment, for now or for good."""
    return any(dispute.forbids_refund for dispute in disputes_of(payment_id))


@cache
def _entries() -> sa.Subquery:
    """Every movement of money: of which order, when, how much, and of what kind."""
    # What came by bank is counted as it arrived, so that its payment is not counted again.
    paid = _moved(Payment.order_id, Payment, Payment.received_at, "received").where(
        Payment.gateway != MANUAL
    )
    arrived = _moved(Checkout.order_id, Transfer, Transfer.recorded_at, "received").join(
        Checkout, Checkout.id == Transfer.checkout_id
    )
    returned = _moved(Payment.order_id, Refund, Refund.requested_at, "returned").join(Payment)
    lost = _moved(Payment.order_id, Dispute, Dispute.lost_at, "lost").join(Payment)
    return sa.union_all(
        paid,
        arrived,
        returned.where(Refund.status.in_(RefundStatus.counted())),
        lost.where(Dispute.lost_at.is_not(None)),
    ).subquery("movements")


def _moved(order_id: Any, table: Any, at: Any, kind: str) -> Any:
    return sa.select(
        order_id.label("order_id"),
        table.currency.label("currency"),
        table.amount.label("amount"),
        at.label("at"),
        sa.literal_column(f"'{kind}'").label("kind"),
    ).select_from(table)
