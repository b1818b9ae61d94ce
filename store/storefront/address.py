"""Changing the e-mail address: asked for behind the library link, proved by a letter to the new
one, undone by the old one."""

from flask import Blueprint, Response, render_template, request

from store.entitlements.addresses import (
    confirm_change,
    count_orders_along,
    request_change,
    undo_change,
)
from store.entitlements.fresh_links import SameAddress, end_links
from store.entitlements.links import open_link, order_behind
from store.entitlements.models import Link
from store.entitlements.order_moves import hold_order
from store.kit.database import transaction
from store.kit.forms import sent, sure_page
from store.kit.limits import TooOften, limiter
from store.kit.web import private_page, same_site
from store.orders.customers import InvalidAddress, mask, parse_address
from store.payments.charge import is_money_under_way
from store.storefront.form_limits import count_letter

bp = Blueprint("address", __name__)


@bp.get("/library/<token>/address")
def form(token: str) -> Response:
    """The form beside the address on file."""
    return _form(token)


@bp.post("/library/<token>/address")
@limiter.limit("20 per hour")
def ask(token: str) -> Response:
    """Mail the new address a link that proves it; until then nothing changes."""
    same_site(request)
    link = open_link(token, "library")
    typed = sent().cut("email")
    try:
        count_letter(f"customer {link.customer_id}", parse_address(typed))
        with transaction():
            asked = request_change(open_link(token, "library").customer, typed)
            new_email = asked.new_email
    except (InvalidAddress, SameAddress, TooOften) as refusal:
        return _form(token, typed, {"email": refusal.sentence}, refusal.status)
    page = render_template("storefront/address_asked.html", new_email=new_email, token=token)
    return private_page(page)


@bp.get("/address/<token>")
def show(token: str) -> Response:
    """The page with the box; opening it changes nothing."""
    return _ask_sure("address_confirm", open_link(token, "address"), token)


@bp.post("/address/<token>")
def confirm(token: str) -> Response:
    """Take the new address over."""
    same_site(request)
    if not sent().is_ticked():
        return _ask_sure("address_confirm", open_link(token, "address"), token)
    with transaction():
        link = open_link(token, "address")
        email = confirm_change(link, has_money=is_money_under_way).email
    return private_page(render_template("storefront/address_confirmed.html", email=email))


@bp.get("/undo/<token>")
def show_undo(token: str) -> Response:
    """What undoing does, and the box."""
    return _ask_undo(token)


@bp.post("/undo/<token>")
def undo(token: str) -> Response:
    """Give the address back to whom it belonged before; an order that was moved is held."""
    same_site(request)
    if not sent().is_ticked():
        return _ask_undo(token)
    with transaction():
        link = open_link(token, "undo")
        if link.order_id is not None:
            page = render_template("storefront/move_held.html", order=hold_order(link))
        else:
            email = undo_change(link).email
            page = render_template("storefront/address_undone.html", email=email)
    return private_page(page)


def _ask_undo(token: str) -> Response:
    link = open_link(token, "undo")
    template = "address_undo" if link.order_id is None else "move_undo"
    return _ask_sure(template, link, token)


@bp.get("/library/<token>/end-links")
def show_end_links(token: str) -> Response:
    """What ending the links means, and the box."""
    return _ask_sure("end_links", open_link(token, "library"), token)


@bp.post("/library/<token>/end-links")
def end(token: str) -> Response:
    """End every link that was mailed, and mail fresh ones to the address on file."""
    same_site(request)
    if not sent().is_ticked():
        return _ask_sure("end_links", open_link(token, "library"), token)
    with transaction():
        customer = open_link(token, "library").customer
        end_links(customer, "customer")
        masked = mask(customer.email)
    return private_page(render_template("storefront/links_ended.html", masked=masked))


UNTICKED = {
    "address_confirm": "Tick the box if this address is to be yours, or close this page.",
    "address_undo": "Tick the box if you want your address back, or close this page.",
    "move_undo": "Tick the box if the order is to be held, or close this page.",
    "end_links": "Tick the box if your links are to end, or go back to your copies.",
}


def _ask_sure(template: str, link: Link, token: str) -> Response:
    return sure_page(
        f"storefront/{template}.html",
        UNTICKED[template],
        link=link,
        order=order_behind(link) if link.order_id else None,
        masked=mask(link.customer.email),
        orders=count_orders_along(link.customer_id) if template == "address_confirm" else 0,
        token=token,
    )


def _form(
    token: str, typed: str = "", errors: dict[str, str] | None = None, status: int = 200
) -> Response:
    page = render_template(
        "storefront/address_form.html",
        masked=mask(open_link(token, "library").customer.email),
        typed=typed,
        errors=errors or {},
        token=token,
    )
    return private_page(page, status)
