"""Whether an order can be cancelled by its buyer at this moment, and if not, why not."""

from store.entitlements.access import editions_of_order, rights_of_order
from store.entitlements.models import DISPUTE_LOST
from store.kit import clock
from store.kit.formatting import format_day
from store.orders.consents import agreed_at, has_waiver, last_day_to_cancel, supply_starts_at
from store.orders.models import Order, OrderStatus
from store.payments.models import RefundStatus
from store.payments.money_back import asked_for
from store.payments.refunding import (
    NotCancellable,
    cools_off,
    is_preorder_still,
    may_cancel,
)
from store.payments.sums import is_held_by_bank, paid_amount, payments_of, refunded_amount
from store.payments.transfer_rows import is_partly_received

PART_IS_HERE = (
    "Part of the money for this order has arrived, so it cannot be given up by a press. "
    "Write to us, and we send it back."
)
GIVEN_UP = "You gave this order up before it was paid. There is nothing left to cancel."
NOT_PAID_IN_TIME = "This order was not paid in time and is closed. There is nothing to cancel."
CANCELLED = "You have cancelled this order already. Its page says how your money comes back."
REFUNDED = "This order was refunded already. There is nothing left to give back."
TAKEN_BACK = "We have taken this order back already. There is nothing left to cancel."
LOST = "Your bank has given you the money back already. There is nothing left to cancel."
AT_THE_BANK = (
    "Your bank is looking into the payment. Until it has decided, nobody can give the money back."
)
FREE = "There was nothing to pay for this order, so there is nothing to give back."
HELD = (
    "This order is held, because somebody objected to its move. Write to us {until} if you want to "
    "cancel: your right to cancel is kept."
)
BEFORE_RELEASE = "before its first edition is published"
ASKED_FOR_NOW = (
    "You asked for your copy straight away. Your right to cancel ended when the copy was ready. "
    "If something is wrong with it, write to us: we put it right."
)


def can_cancel(order: Order) -> bool:
    """Not paid yet, a pre-order that is not released, or a copy that waits for the 14 days."""
    if order.status is OrderStatus.PENDING:
        # Money of which part is here has to be sent back by a person.
        return not is_partly_received(order.id)
    return may_cancel(order) or cools_off(order)


def why_not_cancellable(order: Order) -> NotCancellable:
    """The reason, in a sentence for the buyer, of an order that cannot be cancelled."""
    return NotCancellable(_reason(order))


def _reason(order: Order) -> str:
    if order.status is OrderStatus.PENDING:
        return PART_IS_HERE
    if order.status is not OrderStatus.PAID:
        return GIVEN_UP if order.status is OrderStatus.CANCELLED else NOT_PAID_IN_TIME
    asked = asked_for(order.id, "cancel")
    if any(refund.status is not RefundStatus.FAILED for refund in asked):
        return CANCELLED
    if order.total_amount == 0:
        return FREE
    rights = rights_of_order(order.id)
    if any(right.revoked_reason == DISPUTE_LOST for right in rights):
        return LOST
    if refunded_amount(order.id) >= paid_amount(order.id):
        return REFUNDED
    if any(is_held_by_bank(payment.id) for payment in payments_of(order.id)):
        return AT_THE_BANK
    if rights and all(right.revoked_at for right in rights):
        return TAKEN_BACK
    return _reason_of_its_days(order)


def _reason_of_its_days(order: Order) -> str:
    if order.held_at is not None and _is_kept(order):
        return HELD.format(until=_until_when(order))
    if has_waiver(order.id):
        return ASKED_FOR_NOW
    return _days_are_over(order)


def _is_kept(order: Order) -> bool:
    """Whether a held order could be cancelled if it were not held."""
    return is_preorder_still(order) or _days_run(order)


def _days_run(order: Order) -> bool:
    return not has_waiver(order.id) and clock.now() < supply_starts_at(agreed_at(order))


def _until_when(order: Order) -> str:
    return f"by {format_day(last_day_to_cancel(order))}" if _days_run(order) else BEFORE_RELEASE


def _days_are_over(order: Order) -> str:
    was_out = "" if not order.lines[0].is_preorder else _it_came_out(order)
    day = format_day(last_day_to_cancel(order))
    return (
        f"{was_out}Your 14 days to cancel ended on {day}. If something is wrong with your copy, "
        "write to us: we put it right."
    )


def _it_came_out(order: Order) -> str:
    if not editions_of_order(order.id):
        return ""
    return "The publication you pre-ordered has come out. "
