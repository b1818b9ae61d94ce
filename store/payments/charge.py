"""Whether the buyer of an order has been charged, as far as it is known, in the shop's one wording.

“Not charged” is said where every gateway that may have taken money has just said so, or where no
try to pay was ever begun; while one is silent, that it is asked, and until when its answer comes. A
page has three seconds for other people's servers in all, and no retry (`kit.patience`); the timetable
has more.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db
from store.kit.formatting import format_moment
from store.orders.models import Order, OrderStatus
from store.orders.orders import orders_of_form
from store.payments.fulfilment import GIVEN_BACK, LATEST
from store.payments.gateways.base import OUR_OWN
from store.payments.models import Checkout, CheckoutStatus
from store.payments.transfers import is_partly_received

NOT_CHARGED = "You have not been charged."
NOT_BEGUN = "No payment has been begun."


class Charged(StrEnum):
    """How an order's money stands, for a buyer who asks whether they have paid."""

    PAID = "paid"
    UNDER_WAY = "under way"
    ASKING = "asking"
    GIVEN_BACK = "given back"
    NOT_BEGUN = "not begun"
    NOT_CHARGED = "not charged"


@dataclass(frozen=True)
class Charge:
    """The judgement and its sentence."""

    state: Charged
    sentence: str

    @property
    def is_asking(self) -> bool:
        """Whether the gateway is silent, so that nobody knows yet."""
        return self.state is Charged.ASKING


@dataclass(frozen=True)
class LastTry:
    """What became of an order's last try to pay, for the review page."""

    status: CheckoutStatus
    sentence: str


def charge_of(order: Order, *, is_heard: bool) -> Charge:
    """Whether an order's buyer has been charged. `is_heard` says that each gateway of an open try
    has just answered, and what it said is applied (`inbox.fulfil_order`)."""
    if order.status is OrderStatus.PAID:
        return Charge(Charged.PAID, "This order is paid.")
    if under_way := _under_way(order):
        return Charge(Charged.UNDER_WAY, under_way)
    tries = tries_of(order.id)
    silent = [one for one in tries if may_be_paid(one)]
    if silent and not is_heard:
        return Charge(Charged.ASKING, _asking(order, max(one.expires_at for one in silent)))
    if tries and tries[-1].failure == GIVEN_BACK:
        return Charge(Charged.GIVEN_BACK, GIVEN_BACK)
    if tries and tries[-1].gateway_reference is None:
        return Charge(Charged.NOT_BEGUN, NOT_BEGUN)
    return Charge(Charged.NOT_CHARGED, NOT_CHARGED)


def charge_of_form(form_key: str, *, is_heard: bool) -> Charge:
    """The same for all orders of one form together: the first one of which more is to be said."""
    charges = [charge_of(order, is_heard=is_heard) for order in orders_of_form(form_key)]
    ranks = list(Charged)
    nothing = Charge(Charged.NOT_CHARGED, NOT_CHARGED)
    return min([*charges, nothing], key=lambda charge: ranks.index(charge.state))


def is_money_under_way(order: Order) -> bool:
    """Whether money of an order that is not paid has arrived or is on its way: part of a transfer,
    a payment that a bank is making, one that does not fit. Read from our own rows."""
    return order.status is not OrderStatus.PAID and _under_way(order) != ""


def last_try(order_id: int) -> LastTry | None:
    """How the order's last try to pay ended; None before any, and while one is open. Whether the
    buyer has been charged is another question (`charge_of`)."""
    query = sa.select(Checkout).where(Checkout.order_id == order_id)
    checkout = db.session.scalars(query.order_by(Checkout.id.desc()).limit(1)).first()
    if checkout is None or checkout.status is CheckoutStatus.OPEN:
        return None
    if checkout.status is CheckoutStatus.COMPLETED:
        return LastTry(checkout.status, "This order is paid.")
    return LastTry(checkout.status, checkout.failure)


def is_bank_at_work(order: Order) -> bool:
    """Whether the buyer has paid by a way that takes days, and the money is on its way."""
    under_way = sa.select(Checkout.id).where(
        Checkout.order_id == order.id,
        Checkout.status == CheckoutStatus.OPEN,
        Checkout.processing_at.is_not(None),
    )
    is_pending = order.status is OrderStatus.PENDING
    return is_pending and db.session.scalars(under_way).first() is not None


def _under_way(order: Order) -> str:
    tries = tries_of(order.id)
    if any(one.held_at is not None for one in tries):
        return (
            "A payment has arrived that does not fit this order. We are looking into it and write "
            "to you. Please do not pay again."
        )
    if is_partly_received(order.id):
        return "Part of the money for this order has arrived by bank transfer."
    if any(one.status is CheckoutStatus.OPEN and one.processing_at for one in tries):
        if order.status is OrderStatus.CANCELLED:
            return (
                "Your bank was already making the payment. When it arrives, we send all of it back."
            )
        return "Your bank is making the payment, which takes some working days."
    return ""


def _asking(order: Order, ends_at: datetime) -> str:
    sentence = (
        "The payment service does not answer, so we do not know yet whether you have paid. We keep "
        "asking, and you need not pay again. "
    )
    known_by = ends_at + LATEST
    if known_by <= clock.now():
        return (
            sentence + f"We ask every hour. Write to us if you wait for news of {order.reference}."
        )
    by = f"by {format_moment(known_by)} at the latest"
    if order.status is OrderStatus.CANCELLED:
        return sentence + f"If you have paid, all of it goes back, and we write to you {by}."
    return sentence + f"If you have paid, your confirmation is mailed to you {by}."


def may_be_paid(one: Checkout) -> bool:
    """Whether a buyer was ever led to pay a try that has not ended."""
    is_open = one.status is CheckoutStatus.OPEN and one.gateway_reference is not None
    return is_open and one.gateway not in OUR_OWN


def tries_of(order_id: int) -> list[Checkout]:
    """Every try to pay an order, oldest first."""
    query = sa.select(Checkout).where(Checkout.order_id == order_id).order_by(Checkout.id)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))
