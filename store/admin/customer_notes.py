"""Notes of staff about a customer."""

from typing import Any

from flask import Blueprint, flash, redirect, url_for

from store.admin import customers
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import sent
from store.orders.customer_notes import add_note, remove_note
from store.orders.models import Customer
from store.staff import audit
from store.staff.acts import Act
from store.staff.guard import SUPPORT, opens_to, who

bp = Blueprint("customer_notes", __name__, url_prefix="/admin/customers/<int:customer_id>/notes")


@bp.post("")
@opens_to(SUPPORT)
def add(customer_id: int) -> Any:
    """Note something; the record says that it was done, not what it says."""
    text = sent()["note"]
    try:
        with transaction():
            add_note(customers.find(customer_id), text, who())
            audit.record(Act.CUSTOMER_NOTED, (Customer, customer_id))
    except InvalidFields as refusal:
        page = customers.page_of(customer_id, note_typed=text, note_errors=refusal.faults)
        return page, refusal.status
    flash("The note is kept.")
    return redirect(url_for("customers.one", customer_id=customer_id, _anchor="notes"), 303)


@bp.post("/<int:number>/remove")
@opens_to(SUPPORT)
def remove(customer_id: int, number: int) -> Any:
    """Take a note out for good."""
    with transaction():
        remove_note(number, customers.find(customer_id).id)
        audit.record(Act.NOTE_REMOVED, (Customer, customer_id))
    flash("The note is taken out.")
    return redirect(url_for("customers.one", customer_id=customer_id, _anchor="notes"), 303)
