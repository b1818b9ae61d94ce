"""Who sells, as pages, letters and receipts say it."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.catalog.sellers import FIELDS, SellerUnknown, current_seller, state_seller
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Typed, of_row, status, typed
from store.payments.transfers import bank_changes, masked
from store.staff import recorded
from store.staff.guard import EDITORS, OWNERS, opens_to, signed_in, who
from store.staff.sign_in import password_faults

bp = Blueprint("seller", __name__, url_prefix="/admin/seller")


@bp.route("", methods=["GET", "POST"])
@opens_to(EDITORS)
def edit() -> Any:
    """State who sells; orders keep what they saw."""
    values, errors = typed(), {}
    if request.method == "POST":
        try:
            with transaction():
                was = recorded.seller_facts()
                stated = state_seller(**{name: values[name] for name in FIELDS})
                recorded.seller_stated(stated, was)
        except InvalidFields as refusal:
            errors = refusal.faults
        else:
            flash("Saved. Orders that were placed before keep what they said then.")
            return redirect(url_for("home.home"), 303)
    try:
        seller = current_seller()
    except SellerUnknown:
        seller = None
    if request.method != "POST" and seller is not None:
        values = of_row(seller, FIELDS)
    page = render_template(
        "admin/seller.html",
        values=values,
        errors=errors,
        bank=masked(seller.bank_details) if seller is not None else "",
    )
    return page, status(errors)


@bp.route("/bank", methods=["GET", "POST"])
@opens_to(OWNERS)
def bank() -> Any:
    """Where buyers transfer money to: the password is asked again, and owners are told."""
    errors: dict[str, str] = {}
    values = (
        typed() if request.method == "POST" else Typed(bank_details=current_seller().bank_details)
    )
    if request.method == "POST":
        person, errors = who(), password_faults(signed_in())
        try:
            if not errors:
                with transaction():
                    recorded.bank_changed(values["bank_details"], person)
        except InvalidFields as refusal:
            errors = refusal.faults
        if not errors:
            flash("The bank details are saved, and the owners are told.")
            return redirect(url_for("seller.edit"), 303)
    page = render_template(
        "admin/seller_bank.html", values=values, errors=errors, changes=bank_changes()
    )
    return page, status(errors)
