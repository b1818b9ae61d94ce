"""A copy that was given, taken back again: by a person, for a reason."""

from store.entitlements.granting import revoke_order
from store.entitlements.models import GIFT_TAKEN_BACK
from store.kit.database import db
from store.kit.errors import InvalidFields, Refusal
from store.kit.status import record_change
from store.kit.text import clean_line
from store.orders.gifts import LONGEST_REASON
from store.orders.models import Order, OrderStatus
from store.orders.orders import lock_order


class NotAGift(Refusal):
    """What was paid for goes back with its money."""

    heading = "This is no copy that was given"
    sentence = (
        "Only a copy that was given can be taken back. What was paid for ends with its refund."
    )


def take_back_gift(order_id: int, *, reason: str, who: str) -> Order:
    """End the right that a complimentary copy gave, at once and for good; a second press changes
    nothing. Refuses (`NotAGift`, `InvalidFields`)."""
    order = lock_order(order_id)
    if not order.given_reason or order.status is not OrderStatus.PAID:
        raise NotAGift
    reason = clean_line(reason)
    if not reason:
        raise InvalidFields({"reason": "Say why it is taken back: it stays with the order."})
    if len(reason) > LONGEST_REASON:
        most = f"The reason can have at most {LONGEST_REASON} characters."
        raise InvalidFields({"reason": most})
    if revoke_order(order, GIFT_TAKEN_BACK):
        record_change(db.session(), "orders", order.id, "given", "taken back", who=who, why=reason)
    return order
