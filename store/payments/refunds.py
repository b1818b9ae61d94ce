"""Refunds: asked for in one transaction, carried out at the gateway, written down."""

import logging
from datetime import timedelta

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db, end_read, transaction
from store.orders.orders import lock_order
from store.payments.gateways.base import GatewayRefund, GatewayRefused, GatewayUnreachable
from store.payments.gateways.registry import gateway_named
from store.payments.inbox import fulfil_checkout
from store.payments.models import Payment, Refund, RefundStatus
from store.payments.money_back import ask_back, give_up, record_refund, refund_key, settle_order

log = logging.getLogger(__name__)

AT_ONCE = 50
# Gateways forget idempotency keys after a day: later than this they are asked first.
KEY_IS_FRESH = timedelta(hours=12)


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
    return carry_out(refund_ids)


def carry_out(refund_ids: list[int]) -> list[Refund]:
    """Carry out refunds that were asked for and committed; returns the rows as they stand then."""
    for refund_id in refund_ids:
        send_refund(refund_id)
    end_read()
    rows = db.session.scalars(sa.select(Refund).where(Refund.id.in_(refund_ids)))
    return list(rows.all())


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


def send_refunds() -> None:
    """Carry out every refund that still waits, those asked about longest ago first: for the bell and
    the timetable."""
    query = (
        sa.select(Refund.id, Payment.checkout_id, Refund.requested_at)
        .join(Payment)
        .where(Refund.status == RefundStatus.REQUESTED)
        .order_by(sa.func.coalesce(Refund.asked_at, Refund.requested_at), Refund.id)
        .limit(AT_ONCE)
    )
    waiting = db.session.execute(query).all()
    if waiting:
        ids = [refund_id for refund_id, _, _ in waiting]
        with transaction() as session:
            # They count as asked about now: stuck ones keep no others waiting.
            session.execute(
                sa.update(Refund).where(Refund.id.in_(ids)).values(asked_at=clock.now())
            )
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
