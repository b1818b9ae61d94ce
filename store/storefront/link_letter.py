"""What became of the letter with the library link that was asked for on an order's page."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from store.entitlements import fresh_links
from store.kit import clock
from store.kit.config import config
from store.kit.formatting import format_moment, format_time
from store.mail.models import Delivery, DeliveryStatus
from store.orders.customers import mask
from store.orders.models import Order

# What the page still says of a letter that was asked for so long ago.
_TOLD_FOR = timedelta(hours=24)


@dataclass(frozen=True)
class LinkLetter:
    """What became of the letter that was asked for on this page; `may_ask` again now or not."""

    sentence: str
    is_trouble: bool
    may_ask: bool


_TROUBLE = {DeliveryStatus.FAILED, DeliveryStatus.BOUNCED, DeliveryStatus.HELD}


def letter_asked_for(order: Order) -> LinkLetter | None:
    """What the page of `order` says of the newest letter asked for on it; None for none lately."""
    delivery = fresh_links.asked_from_order(order.id)
    if delivery is None or delivery.created_at < clock.now() - _TOLD_FOR:
        return None
    asked = fresh_links.asked_at(delivery)
    is_trouble = delivery.status in _TROUBLE
    may_ask = clock.now() >= asked.again_at
    sentence = f"Asked for {_when(asked.at)}. {_letter_in_words(delivery, order)}"
    if not is_trouble and not may_ask:
        sentence += f" Look there, or ask again after {format_time(asked.again_at)}."
    return LinkLetter(sentence, is_trouble, may_ask)


def _letter_in_words(delivery: Delivery, order: Order) -> str:
    """In the same words, and with no other time, where the letter was left out as one that was
    asked for at another door had gone: who holds an order link is told nothing of that door."""
    masked = mask(order.customer.email)
    if delivery.status in {DeliveryStatus.SENT, DeliveryStatus.SKIPPED}:
        return f"The letter has gone to {masked}."
    if delivery.status is DeliveryStatus.FAILED:
        words = _masked(delivery.reason, order.customer.email)
        return f"We could not deliver it to {masked}: {words}"
    if delivery.status is DeliveryStatus.BOUNCED:
        # A server that the letter was passed on to may have named another mailbox of theirs.
        return f"It came back from {masked}."
    if delivery.status is DeliveryStatus.HELD:
        return f"We could not deliver it to {masked} yet: a person here looks at it."
    if delivery.due_at > clock.now():
        again = _when(delivery.due_at)
        return f"We could not deliver it to {masked} yet, and try again {again}."
    return f"The letter to {masked} is on its way."


def _when(moment: datetime) -> str:
    zone = config().zone
    is_today = moment.astimezone(zone).date() == clock.today(zone)
    return f"at {format_time(moment)}" if is_today else f"on {format_moment(moment)}"


def _masked(words: str, email: str) -> str:
    """What the mail server said, without the address: who holds an order link may not know it."""
    local = email.rpartition("@")[0]
    words = re.sub(r"<?[^\s<>]+@[^\s<>]+>?", mask(email), words)
    alone = rf"(?<!\w){re.escape(local)}(?!\w)"
    return re.sub(alone, f"{local[:1]}•••", words, flags=re.IGNORECASE)
