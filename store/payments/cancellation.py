"""Orders that are given up: the buyer's right to cancel, whether it holds at this moment, why not, and
cancelling itself; the copy that is wanted at once, which ends that right; and a gift that staff take
back.
"""

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus
from store.catalog.publications import lock_publication
from store.entitlements.access import IS_WAITING, editions_of_order, rights_of_order
from store.entitlements.granting import confirm_consent, revoke_order, start_supply
from store.entitlements.models import DISPUTE_LOST, GIFT_TAKEN_BACK
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.errors import InvalidFields, Refusal
from store.kit.formatting import format_day
from store.kit.status import record_change
from store.kit.text import clean_line, note_fault
from store.orders.consents import (
    HAS_WAIVER,
    agreed_at,
    give_waiver,
    has_waiver,
    last_day_to_cancel,
    supply_starts_at,
)
from store.orders.models import Order, OrderLine, OrderStatus
from store.orders.orders import cancel_pending, lock_order
from store.payments.checkout import end_for_order
from store.payments.models import Refund, RefundStatus
from store.payments.money_back import ask_back, asked_for, settle_order
from store.payments.refunds import carry_out
from store.payments.sums import MONEY, OrderMoney, money_of
from store.payments.transfers import is_partly_received

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


class NotCancellable(Refusal):
    """An order that is released, not paid, or refunded already."""

    heading = "This order cannot be cancelled here"
    sentence = (
        "This order can no longer be cancelled here: a pre-order can be cancelled until its first "
        "edition is released. Write to us if something is wrong with it."
    )


class NothingWaits(Refusal):
    """Consent to what has happened, or cannot happen any more."""

    heading = "There is nothing to ask for"
    sentence = "No copy of this order waits for its 14 days to be over."


class ConsentWhileHeld(NothingWaits):
    """Consent to an order that a person has to look at first."""

    heading = "This order is held"
    sentence = (
        "Somebody objected to its move. Until a person has looked at it, no copy of it can be "
        "opened, so there is nothing to ask for yet."
    )


class NotAGift(Refusal):
    """What was paid for goes back with its money."""

    heading = "This is no copy that was given"
    sentence = (
        "Only a copy that was given can be taken back. What was paid for ends with its refund."
    )


def can_cancel(order: Order, facts: "CancellationFacts | None" = None) -> bool:
    """Not paid yet, a pre-order that is not released, or a copy that waits for the 14 days."""
    if order.status is OrderStatus.PENDING:
        # Money of which part is here has to be sent back by a person.
        return not is_partly_received(order.id)
    facts = facts or facts_of(order)
    return order.held_at is None and (facts.is_preorder_still or facts.cools_off)


def may_cancel(order: Order) -> bool:
    """Whether a pre-order can be cancelled at this moment: paid, not refunded, and nothing was
    released since; an edition that was withdrawn before the order counts for nothing."""
    return order.held_at is None and facts_of(order).is_preorder_still


def cools_off(order: Order) -> bool:
    """Whether the 14 days to cancel run and no copy was handed over: a copy that waits for them
    cannot have been downloaded, and consent to have it at once ends the waiting."""
    return order.held_at is None and facts_of(order).cools_off


@dataclass(frozen=True)
class CancellationFacts:
    """What decides whether an order may be cancelled, held or not."""

    is_paid: bool
    money: OrderMoney
    is_released: bool  # something of it since it was placed, or before and still
    has_waiver: bool
    is_waiting: bool

    @property
    def can_be_given_back(self) -> bool:
        """Whether money of it is here and may be sent back."""
        return self.is_paid and self.money.refunded < self.money.paid and not self.money.is_at_bank

    @property
    def is_preorder_still(self) -> bool:
        """Whether it may be cancelled because nothing of it was released."""
        return self.can_be_given_back and not self.is_released

    @property
    def cools_off(self) -> bool:
        """Whether it may be cancelled because its copy waits for the 14 days."""
        return self.can_be_given_back and not self.has_waiver and self.is_waiting


_FACTS = sa.select(
    *MONEY,
    sa.exists(
        sa.select(Edition.id)
        .join(OrderLine, OrderLine.publication_id == Edition.publication_id)
        .join(Order, Order.id == OrderLine.order_id)
        .where(
            Order.id == sa.bindparam("order_id"),
            sa.or_(Edition.status == EditionStatus.RELEASED, Edition.released_at > Order.placed_at),
        )
    ),
    HAS_WAIVER,
    IS_WAITING,
)


def facts_of(order: Order) -> CancellationFacts:
    """The facts of this moment, by one statement."""
    row = db.session.execute(_FACTS, {"order_id": order.id, "now": clock.now()}).one()
    money = OrderMoney(*row[:4])
    return CancellationFacts(order.status is OrderStatus.PAID, money, *map(bool, row[4:]))


def cancel_as_customer(find: Callable[[], Order]) -> None:
    """Cancel whatever its own page may cancel: an order that is not paid yet, a pre-order, or one
    whose copy waits for the 14 days to be over. `find` gives the order while its link still opens.

    Opens its own transactions. Refuses (`NotCancellable`), and as `find` does.
    """
    with transaction():
        order = lock_order(find().id)
        order_id = order.id
        if order.status is OrderStatus.PENDING and is_partly_received(order_id):
            raise NotCancellable
        was_pending = cancel_pending(order, "customer")
    if was_pending:
        end_for_order(order_id)
        return
    try:
        cancel_preorder(order_id, "customer")
    except NotCancellable:
        cancel_within_14_days(order_id, "customer")


def cancel_preorder(order_id: int, who: str) -> list[Refund]:
    """Cancel a pre-order and give all its money back; pressed again it answers the same.

    The lock on each publication makes it come before a release or after it, never in the middle of one.
    Opens its own transactions. Refuses (`NotCancellable`).
    """
    return _cancel(order_id, who, "cancelled before release", _is_not_released)


def cancel_within_14_days(order_id: int, who: str) -> list[Refund]:
    """Cancel an order whose copy waits for the 14 days to be over, and give all its money back
    (regulation 29); pressed again it answers the same.

    Opens its own transactions. Refuses (`NotCancellable`) where immediate supply was agreed to, so
    that the copy was there to be downloaded, and where the days are over.
    """
    return _cancel(order_id, who, "cancelled within 14 days", cools_off)


def _cancel(order_id: int, who: str, why: str, may_now: Callable[[Order], bool]) -> list[Refund]:
    with transaction():
        order = lock_order(order_id)
        asked = asked_for(order_id, "cancel")
        standing = [refund for refund in asked if refund.status is not RefundStatus.FAILED]
        if not standing:
            if not may_now(order):
                raise NotCancellable
            # The right ends here, not when the money has arrived: a release in between leaves it out.
            standing = ask_back(order, None, who=who, why=why, key="cancel")
            settle_order(order)
        refund_ids = [refund.id for refund in standing]
    return carry_out(refund_ids)


def _is_not_released(order: Order) -> bool:
    """Asked under the lock on each publication, so that it holds until the commit."""
    for publication_id in sorted({line.publication_id for line in order.lines}):
        lock_publication(publication_id)
    return may_cancel(order)


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
    money = money_of(order.id)
    if money.refunded >= money.paid:
        return REFUNDED
    if money.is_at_bank:
        return AT_THE_BANK
    if rights and all(right.revoked_at for right in rights):
        return TAKEN_BACK
    return _reason_of_its_days(order)


def _reason_of_its_days(order: Order) -> str:
    is_agreed_now = has_waiver(order.id)
    free_from = supply_starts_at(agreed_at(order))
    do_days_run = not is_agreed_now and clock.now() < free_from
    last_day = format_day(last_day_to_cancel(order))
    # Held, and it could be cancelled if it were not.
    if order.held_at is not None and (facts_of(order).is_preorder_still or do_days_run):
        return HELD.format(until=f"by {last_day}" if do_days_run else BEFORE_RELEASE)
    if is_agreed_now:
        return ASKED_FOR_NOW
    has_come_out = order.lines[0].is_preorder and editions_of_order(order.id)
    came_out = "The publication you pre-ordered has come out. " if has_come_out else ""
    return (
        f"{came_out}Your 14 days to cancel ended on {last_day}. If something is wrong with your "
        "copy, write to us: we put it right."
    )


def supply_at_once(order: Order) -> None:
    """What waits for the 14 days may be had now, as its owner asks, who thereby gives up the right
    to cancel; confirmed by letter, without which consent does not count. Refuses (`NothingWaits`)."""
    refusal = why_nothing_waits(order)
    if refusal is not None:
        raise refusal
    give_waiver(order)
    start_supply(order)
    confirm_consent(order)


def why_nothing_waits(order: Order) -> NothingWaits | None:
    """The reason, for the buyer, why no consent is asked for; None where a copy waits for it."""
    if cools_off(order):
        return None
    return NothingWaits() if order.held_at is None else ConsentWhileHeld()


def take_back_gift(order_id: int, *, reason: str, who: str) -> Order:
    """End the right that a complimentary copy gave, at once and for good; a second press changes
    nothing. Refuses (`NotAGift`, `InvalidFields`)."""
    order = lock_order(order_id)
    if not order.given_reason or order.status is not OrderStatus.PAID:
        raise NotAGift
    reason = clean_line(reason)
    if not reason:
        raise InvalidFields({"reason": "Say why it is taken back: it stays with the order."})
    if fault := note_fault(reason, "The reason"):
        raise InvalidFields({"reason": fault})
    if revoke_order(order, GIFT_TAKEN_BACK):
        record_change(db.session(), "orders", order.id, "given", "taken back", who=who, why=reason)
    return order
