"""A second address: given behind the library link, proved by a letter to it, refused by the first
one, taken out behind the library link."""

from typing import Any

from flask import Blueprint, Response, render_template, request

from store.entitlements.fresh_links import SameAddress
from store.entitlements.links import open_link
from store.entitlements.on_file import is_on_file, second_of
from store.entitlements.second_addresses import (
    confirm_second,
    refuse_second,
    remove_second,
    request_second,
)
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import sent, sure_page
from store.kit.limits import TooOften, limiter
from store.kit.web import private_page, same_site
from store.orders.customers import InvalidAddress, mask, parse_address
from store.storefront.form_limits import count_letter

bp = Blueprint("second_address", __name__)

UNTICKED = {
    "form": "Tick the box if you want a second address, or go back to your copies.",
    "confirm": "Tick the box if this mailbox is to be a second address, or close this page.",
    "remove": "Tick the box if the address is to be taken out, or go back to your copies.",
    "refuse": "Tick the box if you do not want this second address, or close this page.",
}


@bp.get("/library/<token>/second-address")
def form(token: str) -> Response:
    """What there is, and the form for another."""
    return _form(token)


@bp.post("/library/<token>/second-address")
@limiter.limit("20 per hour")
def ask(token: str) -> Response:
    """Mail the address a link that proves it; until then nothing changes."""
    same_site(request)
    link = open_link(token, "library")
    typed, is_sure = sent().cut("email"), sent().is_ticked()
    try:
        address = parse_address(typed)
        if not is_sure:
            return _form(token, typed, {"sure": UNTICKED["form"]}, InvalidFields.status)
        count_letter(f"customer {link.customer_id}", address)
        with transaction():
            asked = request_second(open_link(token, "library").customer, typed)
            email = asked.new_email
    except (InvalidAddress, SameAddress, TooOften) as refusal:
        errors = {"email": refusal.sentence} | ({} if is_sure else {"sure": UNTICKED["form"]})
        return _form(token, typed, errors, refusal.status, is_sure=is_sure)
    return _done("asked", email=email, token=token)


@bp.get("/library/<token>/second-address/remove")
def show_remove(token: str) -> Response:
    """What taking it out does, and the box."""
    return _ask_remove(token)


@bp.post("/library/<token>/second-address/remove")
def remove(token: str) -> Response:
    """Take it out."""
    same_site(request)
    if not sent().is_ticked():
        return _ask_remove(token)
    with transaction():
        customer = open_link(token, "library").customer
        remove_second(customer, "customer")
        masked = mask(customer.email)
    return _done("removed", masked=masked)


@bp.get("/second-address/<token>")
def show(token: str) -> Response:
    """The page with the box; opening it changes nothing."""
    return _ask_confirm(token)


@bp.post("/second-address/<token>")
def confirm(token: str) -> Response:
    """Take the second address over; the first is told."""
    same_site(request)
    if not sent().is_ticked():
        return _ask_confirm(token)
    with transaction():
        second = confirm_second(open_link(token, "second"))
        email, works_from = second.email, second.on_file_at
    return _done("confirmed", email=email, works_from=works_from)


@bp.get("/refuse/<token>")
def show_refuse(token: str) -> Response:
    """What there is to refuse, and the box; opening it changes nothing."""
    return _ask_refuse(token)


@bp.post("/refuse/<token>")
def refuse(token: str) -> Response:
    """Take a second address out that the first does not want. A robot that reads their mail must not, or who
    has one never has a second address, and does not hear of it."""
    same_site(request)
    if not sent().is_ticked():
        return _ask_refuse(token)
    with transaction():
        link = open_link(token, "refuse")
        masked = mask(link.new_email or "")
        refuse_second(link)
    return _done("refused", masked=masked)


def _ask_confirm(token: str) -> Response:
    link = open_link(token, "second")
    return sure_page(
        "storefront/second_address_confirm.html", UNTICKED["confirm"], link=link, token=token
    )


def _ask_refuse(token: str) -> Response:
    masked = mask(open_link(token, "refuse").new_email or "")
    return sure_page(
        "storefront/second_address_refuse.html", UNTICKED["refuse"], masked=masked, token=token
    )


def _ask_remove(token: str) -> Response:
    customer = open_link(token, "library").customer
    second = second_of(customer.id)
    return sure_page(
        "storefront/second_address_remove.html",
        UNTICKED["remove"],
        second=mask(second.email) if second else "",
        is_on_file=second is not None and is_on_file(second),
        masked=mask(customer.email),
        token=token,
    )


def _form(
    token: str,
    typed: str = "",
    errors: dict[str, str] | None = None,
    status: int = 200,
    *,
    is_sure: bool = False,
) -> Response:
    customer = open_link(token, "library").customer
    second = second_of(customer.id)
    page = render_template(
        "storefront/second_address.html",
        masked=mask(customer.email),
        second=mask(second.email) if second else "",
        is_on_file=second is not None and is_on_file(second),
        works_from=second.on_file_at if second else None,
        typed=typed,
        is_sure=is_sure,
        errors=errors or {},
        token=token,
    )
    return private_page(page, status)


def _done(what: str, **values: Any) -> Response:
    return private_page(render_template("storefront/second_address_done.html", what=what, **values))
