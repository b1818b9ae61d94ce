"""Discounts: listed, added, ended."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.catalog import publications
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Typed, place_in_list, sent, status, typed
from store.orders import discounts
from store.orders.discounts import places_by_discount
from store.orders.orders import readable
from store.staff import audit, recorded
from store.staff.acts import Act
from store.staff.guard import EDITORS, SUPPORT, opens_to

bp = Blueprint("discounts", __name__, url_prefix="/admin/discounts")


@bp.get("")
@opens_to(SUPPORT)
def all() -> Any:
    """Every discount, newest first, with the orders that use it and that hold a place of it."""
    page = discounts.list_discounts(place_in_list())
    return render_template(
        "admin/discounts.html",
        page=page.linked(lambda **there: url_for("discounts.all", **there)),
        places=places_by_discount([one.id for one in page.rows]),
        state_of=discounts.state_of,
        last_day=discounts.last_day,
    )


@bp.route("/new", methods=["GET", "POST"])
@opens_to(EDITORS)
def new() -> Any:
    """A new code, or a new price for members."""
    values, errors = Typed(code=readable(8), currency="GBP"), {}
    if request.method == "POST":
        # Not one of an authenticator, which `typed` keeps off every page.
        values = Typed(typed(), code=sent()["code"])
        try:
            with transaction():
                added = discounts.add_discount(**{"name": "", **values})
                recorded.discount_added(added)
        except InvalidFields as refusal:
            errors = refusal.faults
        else:
            flash("The discount is added.")
            return redirect(url_for("discounts.all"), 303)
    page = render_template(
        "admin/discount_form.html",
        values=values,
        errors=errors,
        choices=[("", "All of them")]
        + [(one.slug, one.title) for one in publications.all_publications()],
    )
    return page, status(errors)


@bp.post("/<int:number>/end")
@opens_to(EDITORS)
def end(number: int) -> Any:
    """End a discount: from now on it takes nothing off."""
    with transaction():
        found = discounts.discount_by_name(str(number))
        discounts.end_discount(found)
        audit.record(Act.DISCOUNT_ENDED, found)
        told = f"{found.name} takes nothing off any more. Orders that were placed keep it."
    flash(told)
    return redirect(url_for("discounts.all"), 303)
