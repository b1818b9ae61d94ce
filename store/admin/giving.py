"""Complimentary copies, given at the desk with a reason."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.catalog.publications import publication_by_slug
from store.kit.database import end_read, transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Typed, fresh_key, status, typed
from store.orders.giving import give_copy
from store.payments.checkout import begin_checkout
from store.staff.guard import EDITORS, opens_to, who

bp = Blueprint("giving", __name__, url_prefix="/admin/publications")


@bp.route("/<slug>/give", methods=["GET", "POST"])
@opens_to(EDITORS)
def give(slug: str) -> Any:
    """Give a copy; the key of the form makes two presses one gift."""
    values, errors = Typed(form_key=fresh_key()), {}
    if request.method == "POST":
        values = typed()
        errors = _give(slug, values)
        if not errors:
            return redirect(url_for("publications.one", slug=slug), 303)
    page = render_template(
        "admin/give.html", publication=publication_by_slug(slug), values=values, errors=errors
    )
    return page, status(errors)


def _give(slug: str, values: Typed) -> dict[str, str]:
    person = who()
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
            order_id, told = order.id, f"Given to {order.email} as order {order.reference}."
    except InvalidFields as refusal:
        return refusal.faults
    begin_checkout(order_id)
    flash(f"{told} The letter is on its way.")
    return {}
