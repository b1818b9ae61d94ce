"""One press on a paid order's page mails the library link to the address on file; what became of
that letter is read from its row, so that opening the page again tells the newest."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, make_response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from store.entitlements.fresh_links import BY_ORDER_PAGE, asked_at, asked_from_order, send_copies_to
from store.entitlements.links import open_link, order_behind
from store.kit import clock
from store.kit.config import config
from store.kit.database import transaction
from store.kit.errors import Refusal
from store.kit.formatting import format_moment, format_time
from store.kit.limits import limiter
from store.kit.refusal_pages import private_page, refusal_page
from store.kit.web import same_site
from store.mail.models import Delivery, DeliveryStatus
from store.orders.customers import mask
from store.orders.models import Order, OrderStatus

bp = Blueprint("library_link", __name__)

# What the page still says of a letter that was asked for so long ago.
_TOLD_FOR = timedelta(hours=24)


class NotPaidYet(Refusal):
    """There is no library for an order that nobody paid."""

    heading = "This order is not paid"
    sentence = "We mail the link to your copies once the order is paid."


@dataclass(frozen=True)
class LinkLetter:
    """What became of the letter that was asked for on this page; `may_ask` again now or not."""

    sentence: str
    is_trouble: bool
    may_ask: bool


@bp.post("/orders/<token>/library-link")
@limiter.limit("30 per hour")
def mail(token: str) -> BaseResponse:
    """Owe the letter with all links to the address on file, once in ten minutes."""
    same_site(request)
    with transaction():
        order = order_behind(open_link(token, "order"))
        if order.status is not OrderStatus.PAID:
            way_out = url_for("order_page.show", token=token), "Go to the order"
            return refusal_page(NotPaidYet(), way_out)
        send_copies_to(order.customer, f"order:{order.id}", by=BY_ORDER_PAGE, order_id=order.id)
    page = url_for("order_page.show", token=token, _anchor="library-link")
    return private_page(make_response(redirect(page, 303)))


def letter_asked_for(order: Order) -> LinkLetter | None:
    """What the page of `order` says of the newest letter asked for on it; None for none lately."""
    delivery = asked_from_order(order.id)
    if delivery is None or delivery.created_at < clock.now() - _TOLD_FOR:
        return None
    asked = asked_at(delivery)
    is_trouble = delivery.status in {DeliveryStatus.FAILED, DeliveryStatus.HELD}
    may_ask = clock.now() >= asked.again_at
    sentence = f"Asked for {_when(asked.at)}. {_in_words(delivery, order)}"
    if not is_trouble and not may_ask:
        sentence += f" Look there, or ask again after {format_time(asked.again_at)}."
    return LinkLetter(sentence, is_trouble, may_ask)


def _in_words(delivery: Delivery, order: Order) -> str:
    """In the same words, and with no other time, where the letter was left out as one that was
    asked for at another door had gone: who holds an order link is told nothing of that door."""
    masked = mask(order.customer.email)
    if delivery.status in {DeliveryStatus.SENT, DeliveryStatus.SKIPPED}:
        return f"The letter has gone to {masked}."
    if delivery.status is DeliveryStatus.FAILED:
        words = _masked(delivery.reason, order.customer.email)
        return f"We could not deliver it to {masked}: {words}"
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
