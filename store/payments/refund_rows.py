"""Rows of money on its way back: asked for by us, or found at the gateway. No gateway is asked."""

from datetime import datetime

import sqlalchemy as sa

from store.entitlements.links import order_link
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.errors import Refusal
from store.kit.jobs import ring
from store.kit.money import format_money
from store.kit.status import advance
from store.mail.outbox import SOMEBODY_WAITS, alert_staff, owe
from store.orders.models import Order
from store.payments.gateways.base import GatewayRefund, RefundStanding
from store.payments.models import Payment, Refund, RefundStatus
from store.payments.sums import is_held_by_bank, payments_of, refundable, refunds_of

# A longer key of a form or a gateway is cut: the column keeps 60 characters.
_KEY_LENGTH = 60


class NothingToRefund(Refusal):
    """All that was paid has gone back already, or nothing was paid."""

    heading = "Nothing to refund"
    sentence = "There is nothing left to refund on this order."


class MoreThanPaid(Refusal):
    """A refund that would give back more than is left."""

    status = 422
    heading = "More than was paid"


class PaymentDisputed(Refusal):
    """A payment that the buyer's bank holds: the gateway gives none of it back."""

    heading = "This payment is disputed"
    sentence = (
        "The customer’s bank has taken this payment back and decides about it, so it cannot be "
        "refunded. If you agree with the customer, do not contest the dispute: the money is theirs "
        "then."
    )


def ask_back(
    order: Order,
    amount: int | None,
    *,
    who: str,
    why: str,
    key: str,
    payment_id: int | None = None,
) -> list[Refund]:
    """Ask for money back, under the order's lock: `amount` minor units, None for all that is left,
    of one payment or of all together.

    The same key asks once and returns the same rows. Rings the bell that carries them out.
    Refuses (`NothingToRefund`, `MoreThanPaid`, `PaymentDisputed`).
    """
    key = key[:_KEY_LENGTH]
    known = asked_for(order.id, key)
    standing = [refund for refund in known if refund.status is not RefundStatus.FAILED]
    if standing:
        return standing
    if known:
        # The gateway refused it: a person who presses again asks for another one.
        key = f"{key}~{len(known)}"
    left = _left(order, payment_id)
    wanted = sum(left.values()) if amount is None else amount
    _check(wanted, sum(left.values()), order.currency)
    asked = []
    for payment_id, available in left.items():
        part = min(wanted, available)
        wanted -= part
        if part:
            asked.append(_add(payment_id, part, order.currency, who=who, why=why, key=key))
    ring("send_refunds")
    return asked


def asked_for(order_id: int, key: str) -> list[Refund]:
    """The refunds of an order that were asked for by one key, tries that failed among them."""
    found = refunds_of(order_id)
    return [refund for refund in found if refund.request_key.partition("~")[0] == key]


def record_refund(order: Order, payment: Payment, seen: GatewayRefund, *, who: str) -> None:
    """Write down how a refund stands at the gateway, under the order's lock."""
    refund = _row_of(payment, seen) or _add(
        payment.id, seen.amount, seen.currency, who=who, why="", key=f"gateway:{seen.refund_id}"
    )
    if refund.gateway_refund_id is None:
        refund.gateway_refund_id = seen.refund_id
        db.session.flush()
    if seen.standing is RefundStanding.SUCCEEDED:
        _succeed(order, refund, who)
    elif seen.standing is RefundStanding.FAILED:
        give_up(order, refund, seen.reason, who=who)


def give_up(order: Order, refund: Refund, reason: str, *, who: str) -> None:
    """A refund that will not arrive: staff are told, and it may be asked for anew."""
    if refund.status is RefundStatus.FAILED:
        return
    if not advance(refund, RefundStatus.FAILED, who=who, why=reason):
        return
    refund.failure = reason[:300]
    money = format_money(refund.amount, refund.currency)
    alert_staff(
        f"A refund for order {order.reference} failed",
        f"{money} could not be given back: {reason or 'the gateway gave no reason'}.\n\n"
        "The customer may still be waiting for it. Look at the order.",
        f"refund_failed:{refund.id}",
    )


def refund_key(refund: Refund) -> str:
    """Our name for a refund at the gateway: asked twice under it, money goes back once."""
    return f"refund-{refund.id}"


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


def _left(order: Order, payment_id: int | None) -> dict[int, int]:
    """What can be given back, by payment."""
    chosen = [one for one in payments_of(order.id) if payment_id in (None, one.id)]
    left = {payment.id: refundable(payment) for payment in chosen}
    if not any(left.values()) and any(is_held_by_bank(payment.id) for payment in chosen):
        raise PaymentDisputed
    return left


def _check(wanted: int, left: int, currency: str) -> None:
    if left < 1:
        raise NothingToRefund
    if not 1 <= wanted <= left:
        raise MoreThanPaid(f"At most {format_money(left, currency)} can be refunded.")


def _add(payment_id: int, amount: int, currency: str, *, who: str, why: str, key: str) -> Refund:
    refund = Refund(
        payment_id=payment_id,
        request_key=key[:_KEY_LENGTH],
        status=RefundStatus.REQUESTED,
        amount=amount,
        currency=currency,
        who=who,
        why=why,
        requested_at=clock.now(),
    )
    db.session.add(refund)
    db.session.flush()
    return refund


def _row_of(payment: Payment, seen: GatewayRefund) -> Refund | None:
    rows = db.session.scalars(sa.select(Refund).where(Refund.payment_id == payment.id)).all()
    by_name = (row for row in rows if row.gateway_refund_id == seen.refund_id)
    by_key = (row for row in rows if row.gateway_refund_id is None and refund_key(row) == seen.key)
    return next(by_name, None) or next(by_key, None)


def _succeed(order: Order, refund: Refund, who: str) -> None:
    if refund.status is not RefundStatus.REQUESTED:
        return
    if not advance(refund, RefundStatus.SUCCEEDED, who=who):
        return
    order_link(order.id, order.customer_id)  # the letter leads there
    owe(
        "order_refunded",
        f"order_refunded:{refund.id}",
        customer_id=order.customer_id,
        order_id=order.id,
        facts={"refund_id": refund.id},
        priority=SOMEBODY_WAITS,
    )
