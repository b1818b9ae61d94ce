"""Sending the letters of an order again because a person asked for it."""

import sqlalchemy as sa

from store.catalog.models import Edition
from store.entitlements.access import editions_of_order
from store.entitlements.received import CONFIRMATION, NOTICE, confirmation_key
from store.kit import clock
from store.kit.errors import Refusal
from store.mail import outbox
from store.mail.models import Delivery, Occasion
from store.orders.models import Order, OrderStatus

CONFIRMED = "came with the order’s confirmation"


class NotPaid(Refusal):
    """There is no confirmation of an order that nobody paid."""

    sentence = "This order is not paid, so there is no confirmation to send."


def resend_confirmation(order: Order, who: str) -> None:
    """Owe one more confirmation with fresh links; within a minute the same press counts once.

    It carries the newest edition that the order opens now. Refuses `NotPaid`.
    """
    if order.status is not OrderStatus.PAID:
        raise NotPaid
    minute = int(clock.now().timestamp() // 60)
    _owe_again(order, f"again:{minute}", who)


def confirm_consent(order: Order) -> None:
    """Owe the confirmation that repeats the consent to immediate supply (regulation 16(3)), once
    for the order. It carries the edition, so that no notice of it leaves beside it."""
    is_new, edition_id = _owe_again(order, "consent", "customer")
    if is_new and edition_id is not None:
        outbox.leave_out(
            CONFIRMED,
            Delivery.customer_id == order.customer_id,
            Delivery.kind == NOTICE,
            Delivery.occasion == Occasion.ASKED,
            Delivery.edition_id.in_(
                sa.select(Edition.id).where(Edition.publication_id == order.lines[0].publication_id)
            ),
        )


def _owe_again(order: Order, why: str, who: str) -> tuple[bool, int | None]:
    readable = editions_of_order(order.id)
    edition_id = readable[0].id if readable else None
    is_new = outbox.owe(
        CONFIRMATION,
        confirmation_key(order.id, why),
        customer_id=order.customer_id,
        order_id=order.id,
        edition_id=edition_id,
        facts={"asked_by": who},
        priority=0,
    )
    return is_new, edition_id
