"""What waits for money by bank, and what a person has to send back by it, a page at a time."""

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload

from store.catalog.sellers import current_seller
from store.kit.database import db
from store.kit.paging import BEGINNING, OLDEST_FIRST, SHORT_PAGE, Page, Place, paginate
from store.orders.models import Order
from store.payments.gateways.base import MANUAL
from store.payments.models import Checkout, Payment, Transfer, TransferBack
from store.payments.transfers import AwaitedTransfer, as_awaited

_SOONEST_FIRST = ("Sooner ones", "Later ones")


def awaited_orders(place: Place = BEGINNING) -> Page[tuple[Order, AwaitedTransfer]]:
    """Orders that wait for a transfer, the one that ends first on top."""
    query = (
        sa.select(Checkout)
        # Both of them written out: a parameter would keep the partial index from serving.
        .where(sa.text("checkouts.status = 'open' AND checkouts.gateway = 'manual'"))
        .options(
            joinedload(Checkout.order).joinedload(Order.customer),
            joinedload(Checkout.order).joinedload(Order.seller),
            joinedload(Checkout.order).selectinload(Order.lines),
        )
    )
    order = Checkout.expires_at, Checkout.id
    page = paginate(query, place, *order, size=SHORT_PAGE, words=_SOONEST_FIRST)
    arrived = _arrived([one.id for one in page.rows])
    details = current_seller().bank_details if page.rows else ""
    rows = [
        (
            one.order,
            as_awaited(one, arrived.get(one.id, 0), details or one.order.seller.bank_details),
        )
        for one in page.rows
    ]
    return replace(page, rows=rows)


def _arrived(checkout_ids: list[int]) -> dict[int, int]:
    query = sa.select(Transfer.checkout_id, sa.func.sum(Transfer.amount))
    query = query.where(Transfer.checkout_id.in_(checkout_ids)).group_by(Transfer.checkout_id)
    return {row[0]: int(row[1]) for row in db.session.execute(query)}


def unsent_backs(
    place: Place = BEGINNING, *, order_id: int | None = None
) -> Page[tuple[TransferBack, Order]]:
    """Money that a person still has to send back, of one order or of all, oldest first."""
    query = (
        sa.select(TransferBack, Order)
        .join(Payment, Payment.gateway_payment_id == TransferBack.payment_id)
        .join(Order, Order.id == Payment.order_id)
        .where(Payment.gateway == MANUAL, TransferBack.sent_at.is_(None))
        .options(selectinload(Order.lines))
    )
    if order_id is not None:
        query = query.where(Order.id == order_id)
    return paginate(query, place, TransferBack.id, size=SHORT_PAGE, words=OLDEST_FIRST)
