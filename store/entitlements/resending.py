"""Sending the letters of an order again because a person asked for it."""

from store.entitlements.access import readable_editions
from store.entitlements.granting import CONFIRMATION
from store.kit import clock
from store.kit.errors import Refusal
from store.mail import outbox
from store.orders.models import Order, OrderStatus


class NotPaid(Refusal):
    """There is no confirmation of an order that nobody paid."""

    sentence = "This order is not paid, so there is no confirmation to send."


def resend_confirmation(order: Order, who: str) -> None:
    """Owe one more confirmation with fresh links; within a minute the same press counts once.

    It carries the newest edition that the customer may read now. Refuses `NotPaid`.
    """
    if order.status is not OrderStatus.PAID:
        raise NotPaid
    minute = int(clock.now().timestamp() // 60)
    readable = readable_editions(order.customer_id, order.lines[0].publication_id)
    outbox.owe(
        CONFIRMATION,
        f"{CONFIRMATION}:{order.id}:again:{minute}",
        customer_id=order.customer_id,
        order_id=order.id,
        edition_id=readable[0].id if readable else None,
        facts={"asked_by": who},
        priority=0,
    )
