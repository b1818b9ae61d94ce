"""Erasing all that is known of a customer: an owner asks for it, with a code; who works for readers may
stop it."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.admin import customers
from store.entitlements.erasures import DAYS, ask_erasure, mailboxes_of, open_erasure, stop_erasure
from store.kit import clock
from store.kit.database import transaction
from store.kit.formatting import format_day
from store.kit.forms import Typed, status, typed
from store.kit.limits import TooOften
from store.orders.models import Customer
from store.payments.erasures import paid_back_first, why_it_waits
from store.staff import audit
from store.staff.acts import Act
from store.staff.credentials import settles_at
from store.staff.guard import OWNERS, SUPPORT, opens_to, signed_in, who
from store.staff.sign_in import settled_code_faults

bp = Blueprint("erasures", __name__, url_prefix="/admin/customers/<int:customer_id>/erase")


@bp.route("", methods=["GET", "POST"])
@opens_to(OWNERS)
def erase(customer_id: int) -> Any:
    """What goes, what stays and when; asked for with a code of one's own."""
    values, errors, code = Typed(), dict[str, str](), 200
    if request.method == "POST":
        values = typed()
        try:
            errors = settled_code_faults(signed_in())
        except TooOften as refusal:
            errors, code = {"code": refusal.sentence}, refusal.status
        else:
            code = status(errors)
        if not errors:
            _ask(customer_id, is_at_once=values.is_ticked("at_once"))
            return redirect(url_for("customers.one", customer_id=customer_id), 303)
    customer = customers.find(customer_id)
    waits = open_erasure(customer.id)
    page = render_template(
        "admin/erase.html",
        customer=customer,
        addresses=mailboxes_of(customer),
        paid_back=paid_back_first(customer.id),
        waits=waits,
        why=why_it_waits(waits) if waits else None,
        day=clock.now() + DAYS,
        values=values,
        errors=errors,
        has_two_step=signed_in().has_two_step,
        settles_at=settles_at(signed_in()),
    )
    return page, code


@bp.post("/stop")
@opens_to(SUPPORT)
def stop(customer_id: int) -> Any:
    """Let all stay as it is; every address is told."""
    with transaction():
        stop_erasure(customers.find(customer_id).id, who())
        audit.record(Act.ERASURE_STOPPED, (Customer, customer_id))
    flash("Nothing is erased. Every address of theirs is told.")
    return redirect(url_for("customers.one", customer_id=customer_id), 303)


def _ask(customer_id: int, *, is_at_once: bool) -> None:
    with transaction():
        waits = ask_erasure(customers.find(customer_id), who(), is_at_once=is_at_once)
        audit.record(Act.ERASURE_ASKED, (Customer, customer_id), after={"due_at": waits.due_at})
        due_at = waits.due_at
    if is_at_once:
        flash("They are erased as soon as the letters have left and what is open is settled.")
    else:
        flash(f"They are erased on {format_day(due_at)}, unless one of their addresses stops it.")
