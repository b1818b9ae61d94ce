"""Money that comes back: the rows of refunds and disputes, and the access that follows from them.

Refunds are asked for by us, or found at the gateway; disputes are what the gateway says, each step
told to staff. A dispute has times and no status: it runs until it is won, lost or, as a mere question
of the bank (an inquiry), closed; only a running dispute that is no inquiry lets access rest. After
every change `settle_order` looks at how the order's money stands. No gateway is asked here.
"""

from datetime import datetime

import sqlalchemy as sa

from store.entitlements.granting import settle_access
from store.entitlements.links import order_link
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.formatting import format_moment
from store.kit.happenings import Happening, sort_of, tell
from store.kit.jobs import ring
from store.kit.money import format_money
from store.kit.status import StatusChange, advance
from store.mail.outbox import SOMEBODY_WAITS, alert_staff, owe
from store.orders.models import Order, OrderStatus
from store.payments.gateways.base import (
    DisputeOutcome,
    GatewayDispute,
    GatewayRefund,
    RefundStanding,
)
from store.payments.models import Dispute, Payment, Refund, RefundStatus
from store.payments.sums import (
    disputes_of,
    is_given_back,
    is_held_by_bank,
    payments_of,
    refundable,
    refunds_of,
)

# A longer key of a form or a gateway is cut: the column keeps 60 characters.
_KEY_LENGTH = 60
# What refunds are asked for by whose press ended the order itself.
CANCELLED_KEYS = frozenset({"cancel", "cancelled"})
ENDINGS = {
    DisputeOutcome.WON: "The bank decided for us. The copies are the customer's again.",
    DisputeOutcome.LOST: "The bank decided for the customer: the money is gone, and so is access.",
    DisputeOutcome.CLOSED: "The bank's question is closed. Nothing was taken and nothing changes.",
}


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
    chosen = [one for one in payments_of(order.id) if payment_id in (None, one.id)]
    left = {payment.id: refundable(payment) for payment in chosen}
    if not any(left.values()) and any(is_held_by_bank(payment.id) for payment in chosen):
        raise PaymentDisputed
    wanted = sum(left.values()) if amount is None else amount
    _check_refund(wanted, sum(left.values()), order.currency)
    asked = []
    for payment_id, available in left.items():
        part = min(wanted, available)
        wanted -= part
        if part:
            asked.append(_add_refund(payment_id, part, order.currency, who=who, why=why, key=key))
    ring("send_refunds")
    return asked


def asked_for(order_id: int, key: str) -> list[Refund]:
    """The refunds of an order that were asked for by one key, tries that failed among them."""
    found = refunds_of(order_id)
    return [refund for refund in found if refund.request_key.partition("~")[0] == key]


def record_refund(order: Order, payment: Payment, seen: GatewayRefund, *, who: str) -> None:
    """Write down how a refund stands at the gateway, under the order's lock."""
    refund = _refund_row(payment, seen) or _add_refund(
        payment.id, seen.amount, seen.currency, who=who, why="", key=f"gateway:{seen.refund_id}"
    )
    if refund.gateway_refund_id is None:
        refund.gateway_refund_id = seen.refund_id
        db.session.flush()
    if seen.standing is RefundStanding.FAILED:
        give_up(order, refund, seen.reason, who=who)
        return
    if seen.standing is RefundStanding.PENDING or refund.status is not RefundStatus.REQUESTED:
        return
    if not advance(refund, RefundStatus.SUCCEEDED, who=who) or order.customer.erased_at is not None:
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


def give_up(order: Order, refund: Refund, reason: str, *, who: str) -> None:
    """A refund that will not arrive: staff are told, and it may be asked for again."""
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


def _check_refund(wanted: int, left: int, currency: str) -> None:
    if left < 1:
        raise NothingToRefund
    if not 1 <= wanted <= left:
        raise MoreThanPaid(f"At most {format_money(left, currency)} can be refunded.")


def _refund_row(payment: Payment, seen: GatewayRefund) -> Refund | None:
    rows = db.session.scalars(sa.select(Refund).where(Refund.payment_id == payment.id)).all()
    by_name = (row for row in rows if row.gateway_refund_id == seen.refund_id)
    by_key = (row for row in rows if row.gateway_refund_id is None and refund_key(row) == seen.key)
    return next(by_name, None) or next(by_key, None)


def _add_refund(
    payment_id: int, amount: int, currency: str, *, who: str, why: str, key: str
) -> Refund:
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
    tell(Happening.REFUND_ASKED, refund=refund.id, by=sort_of(who))
    return refund


def record_dispute(
    order: Order, payment: Payment, seen: GatewayDispute, *, asked_at: datetime
) -> None:
    """Write down how a dispute stands, under the order's lock; staff are told what is new.

    The present state wins over whatever was written before, so that one which was lost and is won
    later is won. `asked_at` (UTC) is when the gateway was asked, and what an outcome's time says: an
    answer that was asked for before the one on record says nothing new.
    """
    dispute = _dispute_row(payment, seen)
    if _is_outdated(dispute, asked_at):
        return
    was_inquiry, dispute.is_inquiry = dispute.is_inquiry, dispute.is_inquiry and seen.is_inquiry
    dispute.reason, dispute.amount, dispute.due_at = seen.reason[:60], seen.amount, seen.due_at
    dispute.won_at = _since(dispute.won_at, asked_at, seen.outcome is DisputeOutcome.WON)
    dispute.lost_at = _since(dispute.lost_at, asked_at, seen.outcome is DisputeOutcome.LOST)
    dispute.closed_at = _since(dispute.closed_at, asked_at, seen.outcome is DisputeOutcome.CLOSED)
    if seen.is_submitted and dispute.submitted_at is None:
        dispute.submitted_at, dispute.submitted_by = asked_at, f"gateway:{payment.gateway}"
    db.session.flush()
    outcome = seen.outcome.value if seen.outcome else "open"
    tell(Happening.DISPUTE_CHANGED, dispute=dispute.id, order=order.reference, outcome=outcome)
    if seen.outcome is None:
        _say_opened(order, dispute, is_raised=was_inquiry and not dispute.is_inquiry)
        return
    alert_staff(
        f"The dispute about order {order.reference} is {seen.outcome.value}",
        f"{ENDINGS[seen.outcome]}\n\n{desk_address(dispute)}",
        f"dispute_{seen.outcome.value}:{dispute.id}",
    )


def _dispute_row(payment: Payment, seen: GatewayDispute) -> Dispute:
    query = sa.select(Dispute).filter_by(
        gateway=payment.gateway, gateway_dispute_id=seen.dispute_id
    )
    known = db.session.scalars(query.execution_options(populate_existing=True)).first()
    if known is not None:
        return known
    dispute = Dispute(
        payment_id=payment.id,
        gateway=payment.gateway,
        gateway_dispute_id=seen.dispute_id,
        reason=seen.reason[:60],
        amount=seen.amount,
        currency=seen.currency,
        is_inquiry=seen.is_inquiry,
        opened_at=seen.opened_at,
        due_at=seen.due_at,
    )
    db.session.add(dispute)
    db.session.flush()
    return dispute


def _is_outdated(dispute: Dispute, asked_at: datetime) -> bool:
    decided = [one for one in (dispute.won_at, dispute.lost_at, dispute.closed_at) if one]
    return any(asked_at < moment for moment in decided)


def _since(known: datetime | None, asked_at: datetime, is_so: bool) -> datetime | None:
    return (known or asked_at) if is_so else None


def _say_opened(order: Order, dispute: Dispute, *, is_raised: bool) -> None:
    money = format_money(dispute.amount, dispute.currency)
    what = "inquiry" if dispute.is_inquiry else "dispute"
    if dispute.is_inquiry:
        told = (
            f"The customer's bank asks about {money} ({dispute.reason_in_words}). Nothing was "
            "taken, and the customer keeps the copies. An answer or a refund may end it here."
        )
    else:
        told = (
            f"The customer's bank contests {money} ({dispute.reason_in_words}) and holds it "
            "until that is decided. The copies rest until then."
            + (" The bank asked about this payment before." if is_raised else "")
        )
    due = f" The bank takes it until {format_moment(dispute.due_at)}." if dispute.due_at else ""
    alert_staff(
        f"A payment of order {order.reference} is "
        + ("questioned" if dispute.is_inquiry else "disputed"),
        f"{told}\n\nWhat speaks for us is gathered. Read it, change it, submit it once: "
        f"{desk_address(dispute)}.{due}",
        f"{what}:{dispute.id}",
    )


def desk_address(dispute: Dispute) -> str:
    """The address of its page at the desk."""
    return f"{config().base_url}/admin/disputes/{dispute.id}"


def settle_order(order: Order) -> None:
    """Open, suspend or end the order's rights as its payments stand now; under its lock.

    One payment that is neither given back nor contested is enough, so that a buyer who paid twice keeps
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
    if is_given_back(payment):
        return "refunded"
    return "disputed" if any(dispute.suspends_access for dispute in disputes) else "stands"
