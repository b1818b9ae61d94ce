"""Discounts: listed, added, ended."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.admin.discount_form import add_typed
from store.catalog import publications
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Typed, status, typed
from store.orders import discount_rows
from store.staff.guard import EDITORS, SUPPORT, opens_to

bp = Blueprint("discounts", __name__, url_prefix="/admin/discounts")


@bp.get("")
@opens_to(SUPPORT)
def all() -> Any:
    """Every discount, newest first, with the orders that use it and that hold a place of it."""
    page = discount_rows.list_discounts(request.args.get("page", 1, int))
    return render_template(
        "admin/discounts.html",
        page=page.linked(lambda other: url_for("discounts.all", page=other)),
        places=discount_rows.places_by_discount([one.id for one in page.rows]),
        state_of=discount_rows.state_of,
        last_day=discount_rows.last_day,
    )


@bp.route("/new", methods=["GET", "POST"])
@opens_to(EDITORS)
def new() -> Any:
    """A new code, or a new price for members."""
    values, errors = Typed(code=discount_rows.suggested_code(), currency="GBP"), {}
    if request.method == "POST":
        # Not one of an authenticator, which `typed` keeps off every page.
        values = Typed(typed(), code=request.form.get("code", ""))
        try:
            add_typed(values)
        except InvalidFields as refusal:
            errors = refusal.faults
        else:
            flash("The discount is added.")
            return redirect(url_for("discounts.all"), 303)
    page = render_template(
        "admin/discount-form.html",
        values=values,
        errors=errors,
        choices=[("", "All of them")]
        + [(one.slug, one.title) for one in publications.all_publications()],
    )
    return page, status(errors)


@bp.post("/<int:number>/end")
@opens_to(EDITORS)
def end(number: int) -> Any:
    """Let a discount take nothing off any more."""
    with transaction():
        found = discount_rows.discount_by_name(str(number))
        discount_rows.end_discount(found)
        told = f"{found.name} takes nothing off any more. Orders that were placed keep it."
    flash(told)
    return redirect(url_for("discounts.all"), 303)
