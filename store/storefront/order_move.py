"""Moving one order to another address: asked for on its page, accepted in the other mailbox."""

from flask import Blueprint, Response, render_template, request

from store.entitlements.fresh_links import SameAddress
from store.entitlements.links import open_link, open_order, order_behind
from store.entitlements.order_moves import NotMovable, accept_move, request_move, why_unmovable
from store.kit.database import transaction
from store.kit.forms import sent, sure_page
from store.kit.limits import TooOften, limiter
from store.kit.web import private_page, refusal_page, same_site
from store.orders.customers import InvalidAddress, mask, parse_address
from store.storefront.form_limits import count_letter
from store.storefront.order_view import way_to_order

bp = Blueprint("order_move", __name__)

UNTICKED = "Tick the box if you accept the order, or close this page."


@bp.get("/orders/<token>/move")
def form(token: str) -> Response:
    """The form for the right address, while the order can be moved."""
    return _form(token)


@bp.post("/orders/<token>/move")
@limiter.limit("20 per hour")
def ask(token: str) -> Response:
    """Ask the other mailbox whether it takes the order; until then nothing changes."""
    same_site(request)
    order_id = open_order(token).id
    typed = sent().cut("email")
    try:
        count_letter(f"order {order_id}", parse_address(typed))
        with transaction():
            new_email = request_move(open_order(token).id, typed).new_email
    except (InvalidAddress, SameAddress, TooOften) as refusal:
        return _form(token, typed, {"email": refusal.sentence}, refusal.status)
    page = render_template("storefront/move_asked.html", new_email=new_email, token=token)
    return private_page(page)


@bp.get("/move/<token>")
def show(token: str) -> Response:
    """What accepting the order means, and the box; opening it changes nothing."""
    return _ask_sure(token)


@bp.post("/move/<token>")
def accept(token: str) -> Response:
    """The order becomes the other mailbox's."""
    same_site(request)
    if not sent().is_ticked():
        return _ask_sure(token)
    with transaction():
        order = accept_move(open_link(token, "move"))
        page = render_template("storefront/move_accepted.html", order=order)
    return private_page(page)


def _ask_sure(token: str) -> Response:
    link = open_link(token, "move")
    return sure_page(
        "storefront/move_accept.html", UNTICKED, link=link, order=order_behind(link), token=token
    )


def _form(
    token: str, typed: str = "", errors: dict[str, str] | None = None, status: int = 200
) -> Response:
    order = open_order(token)
    sentence = why_unmovable(order)
    if sentence:
        return refusal_page(NotMovable(sentence), way_to_order(token))
    page = render_template(
        "storefront/move_form.html",
        order=order,
        masked=mask(order.customer.email),
        typed=typed,
        errors=errors or {},
        token=token,
    )
    return private_page(page, status)
