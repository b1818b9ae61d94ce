"""The receipt of an order, and whom it is made out to: added by the buyer, before or after."""

from dataclasses import fields

from flask import Blueprint, Response, render_template, request, url_for

from store.entitlements.links import open_order
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import sent, status
from store.kit.limits import limiter
from store.kit.web import private_page, refusal_page, same_site, see_other
from store.orders.billing import Billing, billing_of, set_billing
from store.orders.customers import mask
from store.orders.models import Order, OrderStatus
from store.payments.receipts import NoReceipt, receipt_of
from store.storefront.order_view import way_to_order

bp = Blueprint("receipt", __name__)

# Longer than any of the fields may be, so that the page can say how long the words are.
_MOST_TYPED = 2000


@bp.get("/orders/<token>/receipt")
def show(token: str) -> Response:
    """The receipt, to be printed or saved; an unpaid order says that it has none."""
    order = open_order(token)
    try:
        receipt = receipt_of(order)
    except NoReceipt as refusal:
        return refusal_page(refusal, way_to_order(token))
    page = render_template(
        "storefront/receipt.html",
        receipt=receipt,
        order=order,
        masked=mask(order.customer.email),
        token=token,
    )
    return private_page(page)


@bp.get("/orders/<token>/billing")
def form(token: str) -> Response:
    """Organisation, address, order number and VAT number as they stand."""
    order = open_order(token)
    return _form(order, billing_of(order), token, {})


@bp.post("/orders/<token>/billing")
@limiter.limit("60 per hour")
def fill_in(token: str) -> Response:
    """Write them, and show the receipt with them."""
    same_site(request)
    given = sent()
    typed = Billing(**{field.name: given.cut(field.name, _MOST_TYPED) for field in fields(Billing)})
    try:
        with transaction():
            order = open_order(token)
            set_billing(order, typed)
            is_paid = order.status is OrderStatus.PAID
    except InvalidFields as refusal:
        return _form(open_order(token), typed, token, refusal.faults)
    door = "receipt.show" if is_paid else "order_page.show"
    return see_other(url_for(door, token=token))


def _form(order: Order, values: Billing, token: str, errors: dict[str, str]) -> Response:
    page = render_template(
        "storefront/billing_form.html", order=order, values=values, errors=errors, token=token
    )
    return private_page(page, status(errors))
