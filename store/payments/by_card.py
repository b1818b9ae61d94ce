"""Orders found by the card that paid them."""

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload

from store.kit.paging import Page, Place, paginate
from store.orders.models import Order
from store.payments.models import Payment


def orders_by_card(last4: str, place: Place, size: int) -> Page[Order]:
    """Orders that a card with these last four digits paid, newest first, as the gateway told them."""
    paid = sa.select(Payment.order_id).where(
        # Written out, so that the partial index serves whatever the digits are.
        Payment.card_last4 == last4,
        sa.text("payments.card_last4 <> ''"),
    )
    query = (
        sa.select(Order)
        .where(Order.id.in_(paid))
        .options(joinedload(Order.customer), selectinload(Order.lines))
    )
    return paginate(query, place, Order.id.desc(), size=size)
