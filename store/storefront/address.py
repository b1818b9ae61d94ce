"""Changing the e-mail address: asked for in the library, proved by a letter to the new one."""

from flask import Blueprint, Response, render_template, request

from store.entitlements.addresses import SameAddress, confirm_change, request_change
from store.entitlements.links import open_link
from store.kit.database import transaction
from store.kit.limits import limiter
from store.kit.refusal_pages import private_page
from store.kit.web import same_site
from store.orders.customers import InvalidAddress, mask
from store.orders.models import Customer

bp = Blueprint("address", __name__)


@bp.get("/library/<token>/address")
def form(token: str) -> Response:
    """The form with the address on file."""
    return _form(_customer(token), token)


@bp.post("/library/<token>/address")
@limiter.limit("20 per hour")
def ask(token: str) -> Response:
    """Mail the new address a link that proves it; until then nothing changes."""
    same_site(request)
    typed = request.form.get("email", "")[:400]
    try:
        with transaction():
            link = request_change(_customer(token), typed)
            new_email = link.new_email
    except (InvalidAddress, SameAddress) as refusal:
        return _form(_customer(token), token, typed, {"email": refusal.sentence})
    page = render_template("storefront/address_asked.html", new_email=new_email, token=token)
    return private_page(page)


@bp.get("/address/<token>")
def show(token: str) -> Response:
    """The page with the button; opening it changes nothing."""
    link = open_link(token, "address")
    return private_page(render_template("storefront/address_confirm.html", link=link, token=token))


@bp.post("/address/<token>")
def confirm(token: str) -> Response:
    """Take the new address over."""
    same_site(request)
    with transaction():
        email = confirm_change(open_link(token, "address")).email
    return private_page(render_template("storefront/address_confirmed.html", email=email))


def _customer(token: str) -> Customer:
    return open_link(token, "library").customer


def _form(
    customer: Customer, token: str, typed: str = "", errors: dict[str, str] | None = None
) -> Response:
    page = render_template(
        "storefront/address_form.html",
        masked=mask(customer.email),
        typed=typed,
        errors=errors or {},
        token=token,
    )
    answer = private_page(page)
    answer.status_code = 422 if errors else 200
    return answer
