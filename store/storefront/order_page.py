"""The order's own page: how it stands, and everything that its owner may do about it."""

import re

from flask import Blueprint, Response, render_template, request, url_for

from store.entitlements import fresh_links
from store.entitlements.held_links import held_order
from store.entitlements.links import open_order
from store.entitlements.models import Link
from store.kit.database import transaction
from store.kit.errors import Refusal
from store.kit.forms import sent, sure_page
from store.kit.limits import limiter
from store.kit.web import private_page, refusal_page, same_site, see_other
from store.orders import consents
from store.orders.models import Order, OrderStatus
from store.orders.orders import lock_order
from store.payments import cancellation, checkout
from store.payments.charge import Charge, charge_of
from store.payments.inbox import fulfil_order
from store.payments.transfers import is_partly_received
from store.storefront.form_limits import may_ask_gateway
from store.storefront.notes import edition_asked_for, notes_page
from store.storefront.order_view import page_values, view_order, way_to_order

bp = Blueprint("order_page", __name__)

UNSURE = "Tick the box if you are sure, or keep your order."
UNTICKED = "Tick the box if you want your copy straight away, or go back to your order."


class NotPaidYet(Refusal):
    """There is no library for an order that nobody paid."""

    heading = "This order is not paid"
    sentence = "We mail the link to your copies once the order is paid."


@bp.get("/orders/<token>")
def show(token: str) -> Response:
    """The order as it stands; one that waits for its payment is asked about at the gateway. Or all that
    changed in one edition of its copies."""
    if wanted := edition_asked_for():
        return private_page(_notes(token, wanted))
    link, order, charge = _asked(token)
    values = page_values(order, charge, link)
    return private_page(render_template("storefront/order.html", token=token, **values))


def _notes(token: str, edition_id: int) -> Response:
    _, order = held_order(token)
    editions = view_order(order).shelf.editions
    edition = next((one for one in editions if one.id == edition_id), None)
    path = url_for("order_page.show", token=token)
    return notes_page(edition, order.lines[0].title, path, back="Back to your order")


def _asked(token: str) -> tuple[Link, Order, Charge]:
    """The link, its order, and whether its buyer has been charged: asked at the gateway, because they come
    back from paying before its news arrives."""
    (link, order), is_heard = held_order(token), False
    is_open = request.method != "HEAD" and order.status is not OrderStatus.PAID
    if is_open and may_ask_gateway(order.id):
        reference = request.args.get("session_id", "")
        is_named = re.fullmatch(r"\w{1,120}", reference, re.ASCII) is not None
        is_heard = fulfil_order(order.id, reference if is_named else "")
        link, order = held_order(token)
    return link, order, charge_of(order, is_heard=is_heard)


@bp.post("/orders/<token>/pay")
@limiter.limit("60 per hour")
def pay(token: str) -> Response:
    """On to the payment of an order that was left unpaid: by way of the review, which shows
    today's price and whether it is still sold."""
    same_site(request)
    order = open_order(token)
    if order.status is OrderStatus.PENDING and is_partly_received(order.id):
        return refusal_page(checkout.PartlyReceived(), way_to_order(token))
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
    try:
        cancellation.cancel_as_customer(lambda: open_order(token))
    except cancellation.NotCancellable:
        return _not_cancellable(open_order(token), token)
    return see_other(url_for("order_page.show", token=token))


def _cancel_page(token: str) -> Response:
    _, order, charge = _asked(token)
    if not cancellation.can_cancel(order):
        return _not_cancellable(order, token)
    return sure_page(
        "storefront/order_cancel.html",
        UNSURE,
        view=view_order(order),
        charge=charge,
        token=token,
    )


def _not_cancellable(order: Order, token: str) -> Response:
    return refusal_page(cancellation.why_not_cancellable(order), way_to_order(token))


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
    try:
        with transaction():
            cancellation.supply_at_once(lock_order(open_order(token).id))
    except cancellation.NothingWaits as refusal:
        return refusal_page(refusal, way_to_order(token))
    return see_other(url_for("order_page.show", token=token))


def _consent_page(token: str) -> Response:
    order = open_order(token)
    refusal = cancellation.why_nothing_waits(order)
    if refusal is not None:
        return refusal_page(refusal, way_to_order(token))
    return sure_page(
        "storefront/order_consent.html",
        UNTICKED,
        box="wants_now",
        view=view_order(order),
        wording=consents.CONSENT_WORDINGS[consents.CURRENT_WORDING],
        token=token,
    )


@bp.post("/orders/<token>/library-link")
@limiter.limit("30 per hour")
def mail_library_link(token: str) -> Response:
    """Owe the letter with all links to the address on file, once in ten minutes."""
    same_site(request)
    with transaction():
        order = open_order(token)
        if order.status is not OrderStatus.PAID:
            return refusal_page(NotPaidYet(), way_to_order(token))
        fresh_links.send_copies_to(
            order.customer,
            f"order:{order.id}",
            by=fresh_links.BY_ORDER_PAGE,
            order_id=order.id,
        )
    page = url_for("order_page.show", token=token, _anchor="library-link")
    return see_other(page)
