"""The letter that says that money went back."""

from datetime import UTC, datetime
from typing import Any

from store.entitlements.links import order_url
from store.kit.database import db
from store.mail.letters import Letter, letter
from store.mail.message import Mailbox
from store.mail.models import Delivery
from store.orders.models import Order
from store.payments.models import Refund
from store.payments.sums import is_wholly_refunded, paid_amount


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
        "was_cancelled": refund.request_key == "cancel",
        "asked_at": refund.requested_at,
        "order_url": order_url(order.id),
    }
    return Letter(Mailbox(order.customer.email, order.customer.name), context)
