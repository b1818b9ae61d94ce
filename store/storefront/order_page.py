"""The order's own page: how it stands, and everything that its owner may do about it."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, Response, render_template, request, url_for

from store.entitlements.confirmation import confirm_consent
from store.entitlements.fresh_links import BY_ORDER_PAGE, asked_at, asked_from_order, send_copies_to
from store.entitlements.granting import start_supply
from store.entitlements.links import open_link, order_behind
from store.kit import clock
from store.kit.config import config
from store.kit.database import transaction
from store.kit.errors import Refusal
from store.kit.formatting import format_moment, format_time
from store.kit.forms import sent, sure_page
from store.kit.limits import limiter
from store.kit.web import private_page, refusal_page, same_site, see_other
from store.mail.models import Delivery, DeliveryStatus
from store.orders.consents import CONSENT_WORDINGS, CURRENT_WORDING, give_waiver
from store.orders.customers import mask
from store.orders.models import Order, OrderStatus
from store.orders.orders import cancel_pending, lock_order
from store.payments.cancellation import (
    NotCancellable,
    can_cancel,
    cancel_preorder,
    cancel_within_14_days,
    cools_off,
    why_not_cancellable,
)
from store.payments.charge import Charge, charge_of
from store.payments.checkout import PartlyReceived, end_for_order, last_try
from store.payments.gateways.registry import takes_payments_online
from store.payments.inbox import fulfil_order
from store.payments.transfers import is_partly_received
from store.storefront.library import show_copies
from store.storefront.order_view import heading, view_order, what_happens_next, what_was_ordered

bp = Blueprint("order_page", __name__)

UNSURE = "Tick the box if you are sure, or keep your order."
UNTICKED = "Tick the box if you want your copy straight away, or go back to your order."
# What the page still says of a letter that was asked for so long ago.
_TOLD_FOR = timedelta(hours=24)


class NothingWaits(Refusal):
    """Consent to what has happened, or cannot happen any more."""

    heading = "There is nothing to ask for"
    sentence = "No copy of this order waits for its 14 days to be over."


class ConsentWhileHeld(NothingWaits):
    """Consent to an order that a person has to look at first."""

    heading = "This order is held"
    sentence = (
        "Somebody objected to its move. Until a person has looked at it, no copy of it can be "
        "opened, so there is nothing to ask for yet."
    )


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


@bp.get("/orders/<token>")
def show(token: str) -> Response:
    """The order as it stands; one that waits for its payment is asked about at the gateway."""
    order, charge = _asked(token)
    view = view_order(order)
    page = render_template(
        "storefront/order.html",
        view=view,
        heading=heading(view, charge),
        rows=what_was_ordered(view),
        copies=show_copies(view.editions, open_link(token, "order")),
        order=order,
        timeline=what_happens_next(view),
        charge=charge,
        last_try=last_try(order.id),
        link_letter=_letter_asked_for(order),
        takes_cards=takes_payments_online(),
        token=token,
    )
    return private_page(page)


def _asked(token: str) -> tuple[Order, Charge]:
    """The order, and whether its buyer has been charged: asked at the gateway, because they come
    back from paying before its news arrives."""
    order, is_heard = _order(token), False
    if request.method != "HEAD" and order.status is not OrderStatus.PAID:
        reference = request.args.get("session_id", "")
        is_named = re.fullmatch(r"\w{1,120}", reference, re.ASCII) is not None
        is_heard = fulfil_order(order.id, reference if is_named else "")
        order = _order(token)
    return order, charge_of(order, is_heard=is_heard)


@bp.post("/orders/<token>/pay")
@limiter.limit("60 per hour")
def pay(token: str) -> Response:
    """On to the payment of an order that was left unpaid: by way of the review, which shows
    today's price and whether it is still sold."""
    same_site(request)
    order = _order(token)
    if order.status is OrderStatus.PENDING and is_partly_received(order.id):
        return refusal_page(PartlyReceived(), _to_order(token))
    slug = order.lines[0].publication.slug
    return see_other(f"/publications/{slug}/order?resume={token}")


@bp.get("/orders/<token>/cancel")
def ask_cancel(token: str) -> Response:
    """What cancelling means, and the button; nothing changes yet."""
    return _cancel_page(token)


@bp.post("/orders/<token>/cancel")
def cancel(token: str) -> Response:
    """Cancel, give the money back, and show the order as it stands then."""
    same_site(request)
    if not sent().is_ticked():
        return _cancel_page(token)
    with transaction():
        order = lock_order(_order(token).id)
        if order.status is OrderStatus.PENDING and is_partly_received(order.id):
            return _not_cancellable(order, token)
        was_pending = cancel_pending(order, "customer")
        order_id = order.id
    try:
        if was_pending:
            end_for_order(order_id)
        else:
            _give_back(order_id)
    except NotCancellable:
        return _not_cancellable(_order(token), token)
    return _back(token)


def _give_back(order_id: int) -> None:
    try:
        cancel_preorder(order_id, "customer")
    except NotCancellable:
        cancel_within_14_days(order_id, "customer")


def _cancel_page(token: str) -> Response:
    order, charge = _asked(token)
    if not can_cancel(order):
        return _not_cancellable(order, token)
    return sure_page(
        "storefront/order_cancel.html",
        UNSURE,
        view=view_order(order),
        charge=charge,
        token=token,
    )


def _not_cancellable(order: Order, token: str) -> Response:
    return refusal_page(why_not_cancellable(order), _to_order(token))


@bp.get("/orders/<token>/consent")
def ask_consent(token: str) -> Response:
    """The consent box, for who wants the copy sooner after all."""
    return _consent_page(token)


@bp.post("/orders/<token>/consent")
def consent(token: str) -> Response:
    """Note the consent, let what waited go, and confirm both by letter."""
    same_site(request)
    if not sent().is_ticked("wants_now"):
        return _consent_page(token)
    with transaction():
        order = lock_order(_order(token).id)
        if not cools_off(order):
            return refusal_page(_nothing_waits(order), _to_order(token))
        give_waiver(order)
        start_supply(order)
        # Consent counts once a letter has confirmed it.
        confirm_consent(order)
    return _back(token)


def _consent_page(token: str) -> Response:
    order = _order(token)
    if not cools_off(order):
        return refusal_page(_nothing_waits(order), _to_order(token))
    return sure_page(
        "storefront/order_consent.html",
        UNTICKED,
        box="wants_now",
        view=view_order(order),
        wording=CONSENT_WORDINGS[CURRENT_WORDING],
        token=token,
    )


@bp.post("/orders/<token>/library-link")
@limiter.limit("30 per hour")
def mail_library_link(token: str) -> Response:
    """Owe the letter with all links to the address on file, once in ten minutes."""
    same_site(request)
    with transaction():
        order = _order(token)
        if order.status is not OrderStatus.PAID:
            return refusal_page(NotPaidYet(), _to_order(token))
        send_copies_to(order.customer, f"order:{order.id}", by=BY_ORDER_PAGE, order_id=order.id)
    page = url_for("order_page.show", token=token, _anchor="library-link")
    return see_other(page)


def _letter_asked_for(order: Order) -> LinkLetter | None:
    """What the page of `order` says of the newest letter asked for on it; None for none lately."""
    delivery = asked_from_order(order.id)
    if delivery is None or delivery.created_at < clock.now() - _TOLD_FOR:
        return None
    asked = asked_at(delivery)
    is_trouble = delivery.status in {DeliveryStatus.FAILED, DeliveryStatus.HELD}
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


def _nothing_waits(order: Order) -> NothingWaits:
    return NothingWaits() if order.held_at is None else ConsentWhileHeld()


def _order(token: str) -> Order:
    return order_behind(open_link(token, "order"))


def _to_order(token: str) -> tuple[str, str]:
    return url_for("order_page.show", token=token), "Go to the order"


def _back(token: str) -> Response:
    return see_other(url_for("order_page.show", token=token))
