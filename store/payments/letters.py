"""Letters about money: where to transfer it, that it never came, and that it went back."""

from datetime import UTC, datetime
from typing import Any

from store.entitlements.links import order_url
from store.kit.database import db
from store.mail.letters import Letter, Skip, letter
from store.mail.mime import Mailbox
from store.mail.models import Delivery
from store.orders.models import Order, OrderStatus
from store.payments.fulfilment import GIVEN_BACK
from store.payments.gateways.registry import takes_payments_online
from store.payments.models import Checkout, Refund
from store.payments.money_back import CANCELLED_KEYS
from store.payments.sums import is_wholly_refunded, paid_amount
from store.payments.transfers import DETAILS, awaited_transfer, is_told_later


def _sample() -> dict[str, Any]:
    return {
        "reference": "K7QM-2XWP",
        "titles": ["Effective SEND Practice in the Early Years"],
        "amount": 1250,
        "paid": 1250,
        "currency": "GBP",
        "is_whole": True,
        "was_cancelled": True,
        "asked_at": datetime(2027, 3, 3, 9, 0, tzinfo=UTC),
        "order_url": "https://shop.example.org/orders/sample",
    }


@letter("order_refunded", sample=_sample)
def order_refunded(delivery: Delivery) -> Letter:
    """How much goes back for which order, and what remains of it."""
    refund = db.session.get_one(Refund, (delivery.facts or {})["refund_id"])
    order = db.session.get_one(Order, delivery.order_id)
    context = {
        "seller": order.seller,
        "reference": order.reference,
        "titles": [line.title for line in order.lines],
        "amount": refund.amount,
        "paid": paid_amount(order.id),
        "currency": refund.currency,
        "is_whole": is_wholly_refunded(order.id),
        "was_cancelled": refund.request_key.partition("~")[0] in CANCELLED_KEYS,
        "asked_at": refund.requested_at,
        "order_url": order_url(order.id),
    }
    return Letter(Mailbox(order.customer.email, order.name), context)


def _sample_transfer() -> dict[str, Any]:
    return {
        "reference": "K7QM-2XWP",
        "titles": ["Effective SEND Practice in the Early Years"],
        "amount": 1250,
        "due": 1250,
        "part": "",
        "currency": "GBP",
        "bank_details": ["Early Years Sample Press", "Sort code 00-00-00", "Account 00000000"],
        "pay_by": datetime(2027, 3, 31, 9, 0, tzinfo=UTC),
        "takes_cards": True,
        "order_url": "https://shop.example.org/orders/sample",
    }


@letter(DETAILS, sample=_sample_transfer)
def transfer_details(delivery: Delivery) -> Letter | Skip:
    """How much to transfer, to whom, under which reference; left out once nothing is awaited."""
    order = db.session.get_one(Order, delivery.order_id)
    transfer = awaited_transfer(order)
    if order.status is not OrderStatus.PENDING or transfer is None or not transfer.is_open:
        return Skip("no transfer is awaited")
    if is_told_later(delivery):
        return Skip("a later letter says it")
    context = {
        "seller": order.seller,
        "reference": order.reference,
        "titles": [line.title for line in order.lines],
        "amount": transfer.amount,
        "due": transfer.due,
        "part": transfer.part,
        "currency": transfer.currency,
        "bank_details": transfer.bank_details.splitlines(),
        "pay_by": transfer.pay_by,
        "takes_cards": takes_payments_online(),
        "order_url": order_url(order.id),
    }
    return Letter(Mailbox(order.customer.email, order.name), context)


def _sample_failure() -> dict[str, Any]:
    return {
        "reference": "K7QM-2XWP",
        "titles": ["Effective SEND Practice in the Early Years"],
        "amount": 1250,
        "currency": "GBP",
        "reason": "Your bank did not make the payment.",
        "was_given_back": False,
        "is_open": True,
        "order_url": "https://shop.example.org/orders/sample",
    }


@letter("payment_failed", sample=_sample_failure)
def payment_failed(delivery: Delivery) -> Letter | Skip:
    """That a slow payment did not arrive after all; left out once the order is paid."""
    order = db.session.get_one(Order, delivery.order_id)
    if order.status is OrderStatus.PAID:
        return Skip("paid since")
    checkout = db.session.get_one(Checkout, (delivery.facts or {})["checkout_id"])
    context = {
        "seller": order.seller,
        "reference": order.reference,
        "titles": [line.title for line in order.lines],
        "amount": checkout.amount,
        "currency": checkout.currency,
        "reason": checkout.failure,
        "was_given_back": checkout.failure == GIVEN_BACK,
        "is_open": order.status is OrderStatus.PENDING,
        "order_url": order_url(order.id),
    }
    return Letter(Mailbox(order.customer.email, order.name), context)
