"""Discounts: listed, added, ended."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.catalog import publications
from store.kit import clock
from store.kit.config import config
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Reader, Typed, status, typed
from store.orders import discount_rows
from store.staff.guard import EDITORS, SUPPORT, opens_to

bp = Blueprint("discounts", __name__, url_prefix="/admin/discounts")

NO_NUMBER = "Enter a whole number, or leave it empty."
NO_DAY = "Enter the day like 2027-03-31, or leave it empty."


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
            _add(values)
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
    """Let a discount take nothing off any more."""
    with transaction():
        found = discount_rows.discount_by_name(str(number))
        discount_rows.end_discount(found)
        told = f"{found.name} takes nothing off any more. Orders that were placed keep it."
    flash(told)
    return redirect(url_for("discounts.all"), 303)


def _add(values: Typed) -> None:
    """Add the discount of a form. Refuses (`InvalidFields`) naming each field."""
    reader, zone = Reader(values), config().zone
    percent = reader.number("percent", NO_NUMBER)
    amount = reader.amount("amount", values["currency"])
    starts_on = reader.day("starts_on", NO_DAY)
    ends_on = reader.day("ends_on", NO_DAY)
    max_orders = reader.number("max_orders", NO_NUMBER)
    max_orders_each = reader.number("max_orders_each", NO_NUMBER)
    reader.check()
    slug = values["publication"]
    with transaction():
        discount_rows.add_discount(
            values["name"],
            publication=publications.publication_by_slug(slug) if slug else None,
            code=values["code"],
            percent=percent,
            amount=amount,
            currency=values["currency"],
            starts_at=clock.start_of(starts_on, zone) if starts_on else None,
            ends_at=clock.end_of(ends_on, zone) if ends_on else None,
            max_orders=max_orders,
            max_orders_each=max_orders_each,
            domains=values["domains"],
            members=values["members"],
        )
