"""Discounts: listed, added, ended."""

from datetime import date, datetime
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.admin.forms import Typed, status, typed
from store.admin.guard import EDITORS, SUPPORT, opens_to
from store.catalog import publishing
from store.kit import clock
from store.kit.config import config
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.money import InvalidPrice, parse_price
from store.orders import discount_rows

bp = Blueprint("discounts", __name__, url_prefix="/admin/discounts")


@bp.get("")
@opens_to(SUPPORT)
def all() -> Any:
    """Every discount, newest first, with the orders that hold a place of it."""
    page = discount_rows.list_discounts(request.args.get("page", 1, int))
    return render_template(
        "admin/discounts.html",
        page=page.linked(lambda other: url_for("discounts.all", page=other)),
        held=discount_rows.orders_by_discount([one.id for one in page.rows]),
        state_of=discount_rows.state_of,
        last_day=discount_rows.last_day,
    )


@bp.route("/new", methods=["GET", "POST"])
@opens_to(EDITORS)
def new() -> Any:
    """A new code, or a new price for members."""
    values, errors = Typed(code=discount_rows.suggested_code(), currency="GBP"), {}
    if request.method == "POST":
        values = typed()
        try:
            _add(values)
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
        + [(one.slug, one.title) for one in publishing.all_publications()],
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
    faults: dict[str, str] = {}
    read: dict[str, Any] = {
        "percent": _number(values, "percent", faults),
        "amount": _amount(values, faults),
        "starts_at": _moment(values, "starts_on", faults, is_end=False),
        "ends_at": _moment(values, "ends_on", faults, is_end=True),
        "max_orders": _number(values, "max_orders", faults),
        "max_orders_each": _number(values, "max_orders_each", faults),
    }
    if faults:
        raise InvalidFields(faults)
    texts = {name: values[name] for name in ("code", "currency", "domains", "members")}
    with transaction():
        slug = values["publication"]
        of = publishing.publication_by_slug(slug) if slug else None
        discount_rows.add_discount(values["name"], publication=of, **texts, **read)


def _number(values: Typed, name: str, faults: dict[str, str]) -> int | None:
    text = values[name].strip()
    if text and not (text.isdecimal() and len(text) < 9):
        faults[name] = "Enter a whole number, or leave it empty."
        return None
    return int(text) if text else None


def _amount(values: Typed, faults: dict[str, str]) -> int | None:
    if not values["amount"].strip():
        return None
    try:
        return parse_price(values["amount"], values["currency"])
    except InvalidPrice as refusal:
        faults["amount"] = refusal.sentence.replace("The price", "The amount", 1)
        return None


def _moment(values: Typed, name: str, faults: dict[str, str], *, is_end: bool) -> datetime | None:
    text = values[name].strip()
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        faults[name] = "Enter the day like 2027-03-31, or leave it empty."
        return None
    return (clock.end_of if is_end else clock.start_of)(day, config().zone)
