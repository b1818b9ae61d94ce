"""Rows of bank transfers: what is awaited, what has come, what goes back. Nothing is fulfilled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload

from store.catalog.models import Seller
from store.catalog.sellers import SellerUnknown, current_seller
from store.kit import clock
from store.kit.database import db
from store.kit.money import format_money
from store.mail.models import Delivery, DeliveryStatus
from store.mail.outbox import SOMEBODY_WAITS, owe
from store.orders.models import Order
from store.payments.gateways import manual
from store.payments.gateways.manual import received_amount
from store.payments.models import Checkout, CheckoutStatus, Payment, Transfer, TransferBack

DETAILS = "transfer_details"
TIME_TO_TRANSFER = timedelta(days=30)
AT_ONCE = 200
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class AwaitedTransfer:
    """A bank transfer as it stands, for whoever reads about it; amounts in minor units."""

    checkout_id: int
    amount: int
    received: int
    currency: str
    bank_details: str
    pay_by: datetime
    is_open: bool

    @property
    def due(self) -> int:
        """What is still to come."""
        return self.amount - self.received

    @property
    def part(self) -> str:
        """`£5.00 of £12.50 has arrived`; empty while nothing has."""
        if not 0 < self.received < self.amount:
            return ""
        received = format_money(self.received, self.currency)
        return f"{received} of {format_money(self.amount, self.currency)} has arrived"


def takes_transfers() -> bool:
    """Whether the seller has said where money can be transferred to."""
    try:
        return bool(current_seller().bank_details)
    except SellerUnknown:
        return False


def awaited_transfer(order: Order) -> AwaitedTransfer | None:
    """The newest try to pay an order by bank transfer, whatever became of it; None for none."""
    checkout = newest_checkout(order.id)
    if checkout is None:
        return None
    return AwaitedTransfer(
        checkout_id=checkout.id,
        amount=checkout.amount,
        received=received_amount(checkout.id),
        currency=checkout.currency,
        bank_details=_bank_details(order.seller),
        pay_by=checkout.expires_at,
        is_open=checkout.status is CheckoutStatus.OPEN,
    )


def newest_checkout(order_id: int) -> Checkout | None:
    """The newest try to pay an order by bank transfer."""
    query = sa.select(Checkout).filter_by(order_id=order_id, gateway=manual.NAME)
    return db.session.scalars(query.order_by(Checkout.id.desc()).limit(1)).first()


def has_part(checkout: Checkout) -> bool:
    """Whether money has arrived for a try that is not paid in full."""
    return checkout.gateway == manual.NAME and received_amount(checkout.id) > 0


def is_partly_received(order_id: int) -> bool:
    """Whether part of an order's price has come by bank, so that only the rest, or a person, can
    end it."""
    arrived = sa.select(Transfer.id).where(Transfer.checkout_id == Checkout.id)
    found = sa.select(Checkout.id).where(
        Checkout.order_id == order_id,
        Checkout.gateway == manual.NAME,
        Checkout.status != CheckoutStatus.COMPLETED,
        sa.exists(arrived),
    )
    return db.session.scalars(found.limit(1)).first() is not None


def received_for(order_id: int) -> Sequence[Transfer]:
    """Every transfer that was recorded for an order, oldest first."""
    query = sa.select(Transfer).join(Checkout, Checkout.id == Transfer.checkout_id)
    return db.session.scalars(
        query.where(Checkout.order_id == order_id).order_by(Transfer.id)
    ).all()


def awaited_orders() -> Sequence[tuple[Order, AwaitedTransfer]]:
    """Orders that wait for a transfer, the one that ends first on top."""
    checkouts = db.session.scalars(
        sa.select(Checkout)
        .where(Checkout.gateway == manual.NAME, Checkout.status == CheckoutStatus.OPEN)
        .options(
            joinedload(Checkout.order).joinedload(Order.customer),
            joinedload(Checkout.order).joinedload(Order.seller),
            joinedload(Checkout.order).selectinload(Order.lines),
        )
        .order_by(Checkout.expires_at)
        .limit(AT_ONCE)
    ).all()
    found = ((checkout.order, awaited_transfer(checkout.order)) for checkout in checkouts)
    return [(order, transfer) for order, transfer in found if transfer is not None]


def unsent_backs(order_id: int | None = None) -> Sequence[tuple[TransferBack, Order]]:
    """Money that a person still has to send back, of one order or of all, oldest first."""
    query = (
        sa.select(TransferBack, Order)
        .join(Payment, Payment.gateway_payment_id == TransferBack.payment_id)
        .join(Order, Order.id == Payment.order_id)
        .where(Payment.gateway == manual.NAME, TransferBack.sent_at.is_(None))
        .options(selectinload(Order.lines))
        .order_by(TransferBack.id)
    )
    if order_id is not None:
        query = query.where(Order.id == order_id)
    return [(row[0], row[1]) for row in db.session.execute(query)]


def owe_details(checkout: Checkout) -> None:
    """Owe the letter that says where to transfer the money: once per try, and at most once an hour
    for a customer. Whoever orders in somebody's name mails them no more than that; further orders
    say it on their own pages. Another try of the same order corrects what the letter said."""
    customer_id, order_id = checkout.order.customer_id, checkout.order_id
    theirs = sa.select(Delivery).filter_by(kind=DETAILS, customer_id=customer_id)
    told = db.session.scalars(theirs.order_by(Delivery.id.desc())).all()
    went = [one for one in told if one.status is not DeliveryStatus.SKIPPED]
    last = went[0] if went and went[0].due_at > clock.now() - HOUR else None
    # One that waits to leave finds its facts when it does.
    if last is not None and (last.order_id != order_id or last.status is DeliveryStatus.QUEUED):
        return
    if any((one.facts or {}).get("checkout_id") == checkout.id for one in told):
        return
    owe(
        DETAILS,
        # Two orders that are placed at once follow the same letter, so that one of them owes.
        f"{DETAILS}:{customer_id}:{told[0].id if told else 0}",
        customer_id=customer_id,
        order_id=order_id,
        facts={"checkout_id": checkout.id},
        due_at=last.due_at + HOUR if last else None,
        priority=SOMEBODY_WAITS,
    )


def is_told_later(delivery: Delivery) -> bool:
    """Whether a newer letter says where to transfer the money for the same order."""
    newer = sa.select(Delivery.id).where(
        Delivery.kind == DETAILS,
        Delivery.order_id == delivery.order_id,
        Delivery.id > delivery.id,
        Delivery.status != DeliveryStatus.SKIPPED,
    )
    return db.session.scalars(newer.limit(1)).first() is not None


def _bank_details(seen: Seller) -> str:
    # An account that has moved since the order: the money must go to the one of today.
    return current_seller().bank_details or seen.bank_details
