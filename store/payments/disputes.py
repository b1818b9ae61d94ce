"""Payments that a buyer's bank contests: rows of what the gateway says, found and told to staff.

A dispute has times and no status. It runs until it is won, lost or, as a mere question of the bank
(an inquiry), closed; only a running dispute that is no inquiry lets access rest.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from store.kit.config import config
from store.kit.database import db
from store.kit.errors import NotFound
from store.kit.formatting import format_moment
from store.kit.money import format_money
from store.kit.paging import Page, paginate
from store.mail.outbox import alert_staff
from store.orders.models import Order
from store.payments.gateways.base import DisputeOutcome, GatewayDispute
from store.payments.models import FRAUD_WARNING, Dispute, GatewayEvent, Payment

ENDINGS = {
    DisputeOutcome.WON: "The bank decided for us. The copies are the customer's again.",
    DisputeOutcome.LOST: "The bank decided for the customer: the money is gone, and so is access.",
    DisputeOutcome.CLOSED: "The bank's question is closed. Nothing was taken and nothing changes.",
}


class DisputeUnknown(NotFound):
    """No dispute has this number."""

    sentence = "There is no dispute at this address."


def record_dispute(
    order: Order, payment: Payment, seen: GatewayDispute, *, asked_at: datetime
) -> None:
    """Write down how a dispute stands, under the order's lock; staff are told what is new.

    The present state wins over whatever was written before, so that one which was lost and is won
    later is won. `asked_at` (UTC) is when the gateway was asked, and what an outcome's time says: an
    answer that was asked for before the one on record says nothing new.
    """
    dispute = _row_of(payment, seen) or _add(payment, seen)
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
    if seen.outcome is not None:
        _say_ended(order, dispute, seen.outcome)
    else:
        _say_opened(order, dispute, is_raised=was_inquiry and not dispute.is_inquiry)


def fraud_warnings(order_id: int) -> Sequence[GatewayEvent]:
    """Early warnings of a card's bank about an order's payments: a dispute may follow."""
    query = (
        sa.select(GatewayEvent)
        .join(Payment, Payment.gateway_payment_id == GatewayEvent.subject)
        .where(Payment.order_id == order_id, GatewayEvent.kind == FRAUD_WARNING)
    )
    return db.session.scalars(query.order_by(GatewayEvent.id)).all()


def dispute_by_id(dispute_id: int) -> Dispute:
    """One dispute with its payment and order. Refuses (`DisputeUnknown`)."""
    query = sa.select(Dispute).where(Dispute.id == dispute_id)
    found = db.session.scalars(
        query.options(joinedload(Dispute.payment).joinedload(Payment.order))
    ).first()
    if found is None:
        raise DisputeUnknown
    return found


def list_disputes(page: int = 1) -> Page[Dispute]:
    """Every dispute with its order: those that run first, then the newest."""
    ended = sa.func.coalesce(Dispute.won_at, Dispute.lost_at, Dispute.closed_at)
    query = (
        sa.select(Dispute)
        .options(joinedload(Dispute.payment).joinedload(Payment.order))
        .order_by(ended.is_not(None), Dispute.id.desc())
    )
    return paginate(query, page)


def desk_address(dispute: Dispute) -> str:
    """Where staff look at it."""
    return f"{config().base_url}/admin/disputes/{dispute.id}"


def _row_of(payment: Payment, seen: GatewayDispute) -> Dispute | None:
    query = sa.select(Dispute).filter_by(
        gateway=payment.gateway, gateway_dispute_id=seen.dispute_id
    )
    return db.session.scalars(query.execution_options(populate_existing=True)).first()


def _add(payment: Payment, seen: GatewayDispute) -> Dispute:
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
            f"The customer's bank contests {money} ({dispute.reason_in_words}) and has taken it "
            "back for now. The copies rest until it is decided."
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


def _say_ended(order: Order, dispute: Dispute, outcome: DisputeOutcome) -> None:
    alert_staff(
        f"The dispute about order {order.reference} is {outcome.value}",
        f"{ENDINGS[outcome]}\n\n{desk_address(dispute)}",
        f"dispute_{outcome.value}:{dispute.id}",
    )
