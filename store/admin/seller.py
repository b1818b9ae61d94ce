"""Who sells, as pages, letters and receipts say it."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.admin.forms import Typed, of_row, status, typed
from store.admin.guard import EDITORS, opens_to
from store.catalog.selling import SellerUnknown, current_seller, state_seller
from store.kit.database import transaction
from store.kit.errors import InvalidFields

bp = Blueprint("seller", __name__, url_prefix="/admin/seller")

FIELDS = (
    "trading_name",
    "legal_name",
    "charity_number",
    "company_number",
    "address",
    "email",
    "reply_to",
    "phone",
    "vat_number",
    "countries",
    "bank_details",
)


@bp.route("", methods=["GET", "POST"])
@opens_to(EDITORS)
def edit() -> Any:
    """State who sells; orders keep what they saw."""
    errors: dict[str, str] = {}
    if request.method == "POST":
        values = typed()
        try:
            with transaction():
                state_seller(**{name: values[name] for name in FIELDS})
        except InvalidFields as refusal:
            errors = refusal.faults
        else:
            flash("Saved. Orders that were placed before keep what they said then.")
            return redirect(url_for("home.home"), 303)
    else:
        values = _stated()
    return render_template("admin/seller.html", values=values, errors=errors), status(errors)


def _stated() -> Typed:
    try:
        return of_row(current_seller(), FIELDS)
    except SellerUnknown:
        return Typed()
