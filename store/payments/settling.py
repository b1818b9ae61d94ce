"""What a buyer may read follows from how the order's money stands: asked anew after every change."""

import sqlalchemy as sa

from store.entitlements.granting import settle_access
from store.kit.database import db
from store.kit.status import StatusChange
from store.orders.models import Order, OrderStatus
from store.payments.models import Payment, RefundStatus
from store.payments.sums import disputes_of, payments_of, refunds_of

# What refunds are asked for by whose press ended the order itself.
CANCELLED_KEYS = frozenset({"cancel", "cancelled"})


def settle_order(order: Order) -> None:
    """Open, suspend or end the order's rights as its payments stand now; under its lock.

    One payment that is neither given back nor contested is enough, so that who paid twice keeps
    the copy for the other. An order that was cancelled stays closed, also while its refund fails
    and is tried again.
    """
    standings = [_standing(payment) for payment in payments_of(order.id)]
    is_gone = bool(standings) and all(one in {"refunded", "lost"} for one in standings)
    settle_access(
        order,
        is_refunded=is_gone and "lost" not in standings,
        is_lost=is_gone and "lost" in standings,
        is_suspended="disputed" in standings and "stands" not in standings,
        is_cancelled=is_cancelled(order.id),
    )


def is_cancelled(order_id: int) -> bool:
    """Whether the customer gave the order up: before it was paid, or with the money back."""
    keys = (refund.request_key.partition("~")[0] for refund in refunds_of(order_id))
    if any(key in CANCELLED_KEYS for key in keys):
        return True
    given_up = sa.select(StatusChange.id).where(
        StatusChange.entity == "orders",
        StatusChange.entity_id == order_id,
        StatusChange.to_status == OrderStatus.CANCELLED,
    )
    return db.session.scalars(given_up.limit(1)).first() is not None


def _standing(payment: Payment) -> str:
    disputes = disputes_of(payment.id)
    if any(dispute.lost_at for dispute in disputes):
        return "lost"
    given_back = sum(
        refund.amount
        for refund in refunds_of(payment.order_id)
        if refund.payment_id == payment.id and refund.status is RefundStatus.SUCCEEDED
    )
    if 0 < payment.amount <= given_back:
        return "refunded"
    return "disputed" if any(dispute.suspends_access for dispute in disputes) else "stands"
