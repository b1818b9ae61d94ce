"""Complimentary copies: given at the desk with a reason, and taken back with one."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.catalog.publications import publication_by_slug
from store.kit.database import end_read, transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Typed, fresh_key, status, typed
from store.kit.paging import id_in
from store.orders.customers import customer_by_id
from store.orders.gifts import give_copy
from store.orders.models import Order
from store.orders.orders import order_by_reference
from store.payments.cancellation import NotAGift, take_back_gift
from store.payments.checkout import begin_checkout
from store.staff import audit
from store.staff.acts import Act
from store.staff.guard import EDITORS, SUPPORT, may, opens_to, who

bp = Blueprint("gifts", __name__, url_prefix="/admin")


@bp.route("/publications/<slug>/give", methods=["GET", "POST"])
@opens_to(EDITORS)
def give(slug: str) -> Any:
    """Give a copy; the key of the form makes two presses one gift."""
    values, errors = Typed(form_key=fresh_key(), **_recipient()), {}
    if request.method == "POST":
        values, person = typed(), who()
        end_read()
        try:
            with transaction():
                order = give_copy(
                    publication_by_slug(slug),
                    email=values["email"],
                    name=values["name"],
                    reason=values["reason"],
                    who=person,
                    form_key=f"gift:{values['form_key']}"[:40],
                )
                audit.record_once(Act.COPY_GIVEN, order)
                order_id, told = order.id, f"Given to {order.email} as order {order.reference}."
        except InvalidFields as refusal:
            errors = refusal.faults
        else:
            begin_checkout(order_id)
            flash(f"{told} The letter is on its way.")
            return redirect(url_for("publications.one", slug=slug), 303)
    page = render_template(
        "admin/give.html", publication=publication_by_slug(slug), values=values, errors=errors
    )
    return page, status(errors)


def _recipient() -> dict[str, str]:
    """The customer from whose page somebody came, for who may see customers."""
    customer_id = id_in(request.args.get("to")) if may("support") else None
    if customer_id is None:
        return {}
    customer = customer_by_id(customer_id)
    return {"email": customer.email, "name": customer.name}


@bp.route("/orders/<reference>/take-back", methods=["GET", "POST"])
@opens_to(SUPPORT)
def take_back(reference: str) -> Any:
    """Take a copy back that was given, for a reason."""
    order = order_by_reference(reference)
    if not order.given_reason:
        raise NotAGift
    values, errors = Typed(), {}
    if request.method == "POST":
        values, person, order_id = typed(), who(), order.id
        try:
            with transaction():
                take_back_gift(order_id, reason=values["reason"], who=person)
                audit.record(Act.COPY_TAKEN_BACK, (Order, order_id))
        except InvalidFields as refusal:
            errors = refusal.faults
        else:
            flash("The copy is taken back: its links give no file any more.")
            return redirect(url_for("orders.one", reference=reference), 303)
        order = order_by_reference(reference)
    page = render_template("admin/take_back.html", order=order, values=values, errors=errors)
    return page, status(errors)
