"""Erasing all that is known of a customer: asked for behind the library link, stopped there or behind a
letter."""

from flask import Blueprint, Response, render_template, request

from store.entitlements.erasures import (
    DAYS,
    NothingToStop,
    ask_erasure,
    mailboxes_of,
    open_erasure,
    stop_erasure,
)
from store.entitlements.links import open_link
from store.kit import clock
from store.kit.database import transaction
from store.kit.forms import SURE, sent, status, sure_page
from store.kit.limits import limiter
from store.kit.web import private_page, same_site
from store.orders.customers import mask
from store.payments.erasures import paid_back_first, why_it_waits
from store.storefront.form_limits import count_letter

bp = Blueprint("erasure", __name__)

UNTICKED = "Tick the box if all is to be erased, or go back to your copies."
UNKEPT = "Tick the box if the copies are to stay, or close this page."


@bp.get("/library/<token>/erase")
def form(token: str) -> Response:
    """What goes, what stays and when, with the box; or how an erasure stands that was asked for."""
    return _form(token)


@bp.post("/library/<token>/erase")
@limiter.limit("20 per hour")
def ask(token: str) -> Response:
    """Have it erased seven days from now; every address is told."""
    same_site(request)
    if not sent().is_ticked():
        return _form(token)
    customer = open_link(token, "library").customer
    if open_erasure(customer.id) is None:
        # Asked for, stopped and asked for again it would fill every mailbox of theirs.
        count_letter(f"customer {customer.id}", customer.email)
    with transaction():
        ask_erasure(open_link(token, "library").customer, "customer")
    return _form(token)


@bp.post("/library/<token>/erase/stop")
@limiter.limit("20 per hour")
def stop(token: str) -> Response:
    """Let all stay as it is; with the box, as a letter leads here, too (see `keep`)."""
    same_site(request)
    if not sent().is_ticked():
        return _form(token, is_unkept=True)
    with transaction():
        stop_erasure(open_link(token, "library").customer_id, "customer")
    return private_page(render_template("storefront/erasure_stopped.html", token=token))


@bp.get("/keep/<token>")
def show_keep(token: str) -> Response:
    """What is to be erased and when, and the box that stops it."""
    return _keep_form(token)


@bp.post("/keep/<token>")
def keep(token: str) -> Response:
    """Let all stay as it is. A robot that reads their mail must not stop it, or who has one is never erased."""
    same_site(request)
    if not sent().is_ticked():
        return _keep_form(token)
    with transaction():
        link = open_link(token, "keep")
        link.used_at = clock.now()
        stop_erasure(link.customer_id, "customer")
    return private_page(render_template("storefront/erasure_stopped.html", token=""))


def _keep_form(token: str) -> Response:
    link = open_link(token, "keep")
    waits = open_erasure(link.customer_id)
    if waits is None:
        raise NothingToStop
    other = mask(link.new_email) if link.new_email else ""
    return sure_page("storefront/erasure_keep.html", UNKEPT, waits=waits, other=other, token=token)


def _form(token: str, *, is_unkept: bool = False) -> Response:
    customer = open_link(token, "library").customer
    waits = open_erasure(customer.id)
    addresses = [mask(one) for one in mailboxes_of(customer)]
    if waits is not None:
        errors = {SURE: UNKEPT} if is_unkept else {}
        page = render_template(
            "storefront/erasure_waits.html",
            waits=waits,
            why=why_it_waits(waits),
            addresses=addresses,
            errors=errors,
            token=token,
        )
        return private_page(page, status(errors))
    return sure_page(
        "storefront/erasure.html",
        UNTICKED,
        addresses=addresses,
        paid_back=paid_back_first(customer.id),
        day=clock.now() + DAYS,
        token=token,
    )
