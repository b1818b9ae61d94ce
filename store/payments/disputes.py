"""Disputes, found and listed."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from store.kit.database import db
from store.kit.errors import NotFound
from store.kit.paging import Page, paginate
from store.payments.models import FRAUD_WARNING, Dispute, GatewayEvent, Payment


class DisputeUnknown(NotFound):
    """No dispute has this number."""

    sentence = "There is no dispute at this address."


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
