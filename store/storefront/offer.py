"""A price that depends on who one is: asked for by address, and ordered at behind a mailed link."""

from flask import Blueprint, Response, render_template, request

from store.kit import tokens
from store.kit.errors import NotFound
from store.kit.forms import sent
from store.kit.limits import TooOften, limiter
from store.kit.web import private_page, same_site, see_other
from store.orders.customers import InvalidAddress
from store.orders.models import Offer
from store.orders.offers import OfferUsed, open_offer
from store.orders.placing import Details
from store.orders.prices import has_members_price
from store.payments.inbox import fulfil_order
from store.storefront.form_limits import may_ask_gateway
from store.storefront.order import answer_asking, next_step, resume_order
from store.storefront.order_form import Form, behind_offer, details_page, read_form
from store.storefront.publication import Shown, on_sale, show

bp = Blueprint("offer", __name__)


class NoMembersPrice(NotFound):
    """A publication that costs everybody the same now."""

    sentence = "There is no members’ price for this publication now."


@bp.get("/publications/<slug>/members")
def form(slug: str) -> Response:
    """Where members ask for their price; it says nothing of who is one."""
    return _asking_page(_with_price(slug))


@bp.post("/publications/<slug>/members")
def ask(slug: str) -> Response:
    """Owe the letter; the answer does not say which one it is."""
    same_site(request)
    shown, typed = _with_price(slug), sent()["email"]
    try:
        return answer_asking(shown, typed)
    except InvalidAddress as refusal:
        return _asking_page(shown, typed, {"email": refusal.sentence}, refusal.status)
    except TooOften as refusal:
        return _asking_page(shown, typed, {"form": refusal.sentence}, refusal.status)


@bp.get("/offer/<token>")
def show_offer(token: str) -> Response:
    """The order form at the price of the link; once its order is placed, that order's review."""
    order_id, is_heard = open_offer(token).order_id, False
    if order_id is not None and request.method == "GET" and may_ask_gateway(order_id):
        # The buyer may be back before the gateway's news of why.
        is_heard = fulfil_order(order_id)
    offer = open_offer(token)
    shown = _shown(offer)
    if offer.order is not None:
        return resume_order(shown, offer.order, is_heard=is_heard, token=token)
    code = offer.discount.code if offer.discount else ""
    begun = Form(Details(email=offer.email, code=code or ""), tokens.new_reference())
    return details_page(shown, behind_offer(begun, offer, token))


@bp.post("/offer/<token>")
@limiter.limit("120 per hour")
def step(token: str) -> Response:
    """One step on, as on the plain form, with the address of the link."""
    same_site(request)
    offer, given = open_offer(token), read_form()
    if offer.order is not None and offer.order.form_key != given.form_key:
        return see_other(f"/offer/{token}")
    try:
        return next_step(_shown(offer), behind_offer(given, offer, token))
    except OfferUsed:
        return see_other(f"/offer/{token}")


def _shown(offer: Offer) -> Shown:
    return show(on_sale(offer.publication.slug))


def _with_price(slug: str) -> Shown:
    publication = on_sale(slug)
    if not has_members_price(publication):
        raise NoMembersPrice
    return show(publication)


def _asking_page(
    shown: Shown, typed: str = "", errors: dict[str, str] | None = None, status: int = 200
) -> Response:
    page = render_template(
        "storefront/offer_ask.html", shown=shown, typed=typed, errors=errors or {}
    )
    return private_page(page, status)
