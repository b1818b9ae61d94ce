"""What came in for an order and what went back, in minor units of its currency."""

from collections.abc import Collection

import sqlalchemy as sa

from store.kit.database import db
from store.orders.models import Order
from store.payments.disputes import disputes_of, forbids_refund
from store.payments.models import Payment, Refund, RefundStatus


def lock_order(order_id: int) -> Order:
    """The order's row, locked: the money of one order moves one step at a time.

    Weaker than FOR UPDATE, so that a release may meanwhile write letters that name the order.
    """
    return db.session.scalars(
        sa.select(Order)
        .where(Order.id == order_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).one()


def payments_of(order_id: int) -> list[Payment]:
    """Every payment of an order, in the order of arrival; more than one means: paid twice."""
    query = sa.select(Payment).where(Payment.order_id == order_id).order_by(Payment.id)
    return list(db.session.scalars(query))


def refunds_of(order_id: int) -> list[Refund]:
    """Every refund of an order, in the order of asking."""
    query = sa.select(Refund).join(Payment).where(Payment.order_id == order_id)
    return list(db.session.scalars(query.order_by(Refund.id)))


def paid_amount(order_id: int) -> int:
    """All that came in."""
    return sum(payment.amount for payment in payments_of(order_id))


def refunded_amount(order_id: int) -> int:
    """All that went back or is on its way back."""
    return _sum(order_id, RefundStatus.counted())


def is_wholly_refunded(order_id: int) -> bool:
    """Whether all that came in has gone back, confirmed by the gateway."""
    paid = paid_amount(order_id)
    return 0 < paid <= _sum(order_id, {RefundStatus.SUCCEEDED})


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
    return any(forbids_refund(dispute) for dispute in disputes_of(payment_id))


def _sum(order_id: int, statuses: Collection[RefundStatus]) -> int:
    return sum(refund.amount for refund in refunds_of(order_id) if refund.status in statuses)
