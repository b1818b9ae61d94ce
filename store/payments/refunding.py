"""Giving money back: asked for in one transaction, carried out at the gateway, written down."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus
from store.catalog.publications import lock_publication
from store.entitlements.access import is_waiting
from store.kit import clock
from store.kit.database import db, end_read, transaction
from store.kit.errors import Refusal
from store.orders.consents import has_waiver
from store.orders.models import Order, OrderLine, OrderStatus
from store.orders.orders import lock_order
from store.payments.gateways.base import GatewayRefund, GatewayRefused, GatewayUnreachable
from store.payments.gateways.registry import gateway_named
from store.payments.inbox import fulfil_checkout
from store.payments.models import Payment, Refund, RefundStatus
from store.payments.money_back import (
    MoreThanPaid,
    NothingToRefund,
    PaymentDisputed,
    ask_back,
    asked_for,
    give_up,
    record_refund,
    refund_key,
    settle_order,
)
from store.payments.sums import (
    is_held_by_bank,
    is_wholly_refunded,
    paid_amount,
    payments_of,
    refunded_amount,
    refunds_of,
)

__all__ = [
    "MoreThanPaid",
    "NothingToRefund",
    "PaymentDisputed",
    "is_wholly_refunded",
    "paid_amount",
    "payments_of",
    "refunded_amount",
    "refunds_of",
]

log = logging.getLogger(__name__)

AT_ONCE = 50
# Gateways forget idempotency keys after a day: later than this they are asked first.
KEY_IS_FRESH = timedelta(hours=12)


class NotCancellable(Refusal):
    """An order that is released, not paid, or refunded already."""

    heading = "This order cannot be cancelled here"
    sentence = (
        "This order can no longer be cancelled here: a pre-order can be cancelled until its first "
        "edition is released. Write to us if something is wrong with it."
    )


def refund_order(
    order_id: int,
    *,
    amount: int | None = None,
    who: str,
    why: str,
    key: str,
    payment_id: int | None = None,
) -> list[Refund]:
    """Give back `amount` minor units of an order or of one of its payments, or all that is left of
    it; once per `key`.

    Opens its own transactions, so the door calls it outside one. Returns the rows as they stand
    then: `requested` means that the gateway did not answer yet and is asked again by itself.
    Refuses (`NothingToRefund`, `MoreThanPaid`, `PaymentDisputed`).
    """
    with transaction():
        order = lock_order(order_id)
        asked = ask_back(order, amount, who=who, why=why, key=key, payment_id=payment_id)
        refund_ids = [refund.id for refund in asked]
    return _carry_out(refund_ids)


def cancel_preorder(order_id: int, who: str) -> list[Refund]:
    """Cancel a pre-order and give all its money back; pressed again it answers the same.

    The lock on each publication makes it come before a release or after it, never amid one.
    Opens its own transactions. Refuses (`NotCancellable`).
    """
    return _cancel_once(order_id, who, _cancel)


def cancel_within_14_days(order_id: int, who: str) -> list[Refund]:
    """Cancel an order whose copy waits for the 14 days to be over, and give all its money back
    (regulation 29); pressed again it answers the same.

    Opens its own transactions. Refuses (`NotCancellable`) where immediate supply was agreed to, so
    that the copy was there to be downloaded, and where the days are over.
    """
    return _cancel_once(order_id, who, _withdraw)


def cools_off(order: Order) -> bool:
    """Whether the 14 days to cancel run and no copy was handed over: a copy that waits for them
    cannot have been downloaded, and consent to have it at once ends the waiting."""
    return (
        order.held_at is None
        and _can_be_given_back(order)
        and not has_waiver(order.id)
        and is_waiting(order.id)
    )


def may_cancel(order: Order) -> bool:
    """Whether a pre-order can be cancelled at this moment: paid, not refunded, and nothing was
    released since; an edition that was withdrawn before the order counts for nothing."""
    return order.held_at is None and is_preorder_still(order)


def is_preorder_still(order: Order) -> bool:
    """Whether a paid order may be cancelled because nothing of it was released, held or not."""
    if not _can_be_given_back(order):
        return False
    released = (
        sa.select(Edition.id)
        .join(OrderLine, OrderLine.publication_id == Edition.publication_id)
        .where(
            OrderLine.order_id == order.id,
            sa.or_(Edition.status == EditionStatus.RELEASED, Edition.released_at > order.placed_at),
        )
    )
    return db.session.scalars(released.limit(1)).first() is None


def send_refunds() -> None:
    """Carry out every refund that still waits: for the bell and the timetable."""
    waiting = waiting_refunds(AT_ONCE)
    end_read()
    for refund_id, checkout_id, requested_at in waiting:
        try:
            if checkout_id is not None and clock.now() - requested_at > KEY_IS_FRESH:
                fulfil_checkout(checkout_id)
            send_refund(refund_id)
        except Exception:
            # One that fails must not keep the others waiting; it is tried again.
            log.exception("refund %s failed", refund_id)
        finally:
            end_read()


def send_refund(refund_id: int) -> None:
    """Carry out one refund at its gateway and write the answer down. Safe many times and at once;
    a gateway that does not answer leaves it for the timetable."""
    refund = db.session.get(Refund, refund_id)
    if refund is None or refund.status is not RefundStatus.REQUESTED:
        end_read()
        return
    payment, amount, key = refund.payment, refund.amount, refund_key(refund)
    name, payment_id, checkout_id = payment.gateway, payment.gateway_payment_id, payment.checkout_id
    is_under_way = refund.gateway_refund_id is not None
    end_read()
    try:
        if is_under_way and checkout_id is not None:
            fulfil_checkout(checkout_id)
            return
        seen = gateway_named(name).refund(payment_id, amount, key)
    except GatewayUnreachable:
        log.warning("the gateway does not answer about refund %s", refund_id)
    except GatewayRefused as refused:
        _write_down(refund_id, str(refused))
    else:
        _write_down(refund_id, seen)


def waiting_refunds(limit: int) -> list[tuple[int, int | None, datetime]]:
    """Refunds that have not arrived yet, those asked about longest ago first: id, checkout, when
    asked for. They count as asked about now; opens its own transaction where there are any."""
    query = (
        sa.select(Refund.id, Payment.checkout_id, Refund.requested_at)
        .join(Payment)
        .where(Refund.status == RefundStatus.REQUESTED)
        .order_by(sa.func.coalesce(Refund.asked_at, Refund.requested_at), Refund.id)
        .limit(limit)
    )
    found = [(row[0], row[1], row[2]) for row in db.session.execute(query)]
    if found:
        ids = [refund_id for refund_id, _, _ in found]
        with transaction() as session:
            session.execute(
                sa.update(Refund).where(Refund.id.in_(ids)).values(asked_at=clock.now())
            )
    return found


def _can_be_given_back(order: Order) -> bool:
    payments = payments_of(order.id)
    return (
        order.status is OrderStatus.PAID
        and refunded_amount(order.id) < paid_amount(order.id)
        and not any(is_held_by_bank(payment.id) for payment in payments)
    )


def _cancel_once(
    order_id: int, who: str, cancel: Callable[[Order, str], list[Refund]]
) -> list[Refund]:
    with transaction():
        order = lock_order(order_id)
        asked = asked_for(order_id, "cancel")
        standing = [refund for refund in asked if refund.status is not RefundStatus.FAILED]
        refund_ids = [refund.id for refund in standing or cancel(order, who)]
    return _carry_out(refund_ids)


def _withdraw(order: Order, who: str) -> list[Refund]:
    if not cools_off(order):
        raise NotCancellable
    asked = ask_back(order, None, who=who, why="cancelled within 14 days", key="cancel")
    settle_order(order)
    return asked


def _cancel(order: Order, who: str) -> list[Refund]:
    for publication_id in sorted({line.publication_id for line in order.lines}):
        lock_publication(publication_id)
    if not may_cancel(order):
        raise NotCancellable
    # The right ends here, not when the money has arrived: a release in between leaves it out.
    asked = ask_back(order, None, who=who, why="cancelled before release", key="cancel")
    settle_order(order)
    return asked


def _carry_out(refund_ids: list[int]) -> list[Refund]:
    for refund_id in refund_ids:
        send_refund(refund_id)
    end_read()
    rows = db.session.scalars(sa.select(Refund).where(Refund.id.in_(refund_ids)))
    return list(rows.all())


def _write_down(refund_id: int, answer: GatewayRefund | str) -> None:
    with transaction() as session:
        payment = session.scalars(
            sa.select(Payment).join(Refund).where(Refund.id == refund_id)
        ).one()
        order = lock_order(payment.order_id)
        if isinstance(answer, GatewayRefund):
            record_refund(order, payment, answer, who=f"gateway:{payment.gateway}")
        else:
            refund = session.get_one(Refund, refund_id, populate_existing=True)
            give_up(order, refund, answer, who=f"gateway:{payment.gateway}")
        settle_order(order)
