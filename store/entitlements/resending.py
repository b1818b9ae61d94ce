"""Sending the letters of an order again because a person asked for it."""

from store.entitlements.granting import CONFIRMATION
from store.kit import clock
from store.mail import outbox
from store.orders.models import Order


def resend_confirmation(order: Order, who: str) -> None:
    """Owe one more confirmation with fresh links; within a minute the same press counts once."""
    minute = int(clock.now().timestamp() // 60)
    outbox.owe(
        CONFIRMATION,
        f"{CONFIRMATION}:{order.id}:again:{minute}",
        customer_id=order.customer_id,
        order_id=order.id,
        facts={"asked_by": who},
        priority=0,
    )
