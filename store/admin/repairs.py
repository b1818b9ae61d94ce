"""Repairs: letters that came back, and the ways to mend it, each by one press."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug import Response

from store.admin.letters import kind_in_words
from store.entitlements import open_repairs, repairs
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Typed, place_in_list, status, typed
from store.mail.models import Repair
from store.staff import audit
from store.staff.acts import Act
from store.staff.guard import SUPPORT, opens_to, who

bp = Blueprint("repairs", __name__, url_prefix="/admin/repairs")


@bp.get("")
@opens_to(SUPPORT)
def all() -> Any:
    """What came back and waits for a person, oldest first."""
    page = open_repairs.open_repairs(place_in_list())
    return render_template(
        "admin/repairs.html",
        page=page.linked(lambda **there: url_for("repairs.all", **there)),
        complaints=open_repairs.complaints_lately(),
        complaint_days=open_repairs.COMPLAINTS_SHOWN,
    )


@bp.post("/<int:repair_id>/resend")
@opens_to(SUPPORT)
def resend(repair_id: int) -> Any:
    """The address is right after all: letters go there again, first what was missed."""
    with transaction():
        queued = repairs.resend(repair_id, who())
        audit.record(Act.REPAIR_RESENT, (Repair, repair_id), after={"letters": queued})
    flash(f"The address is in use again. Letters on their way to it: {queued}.")
    return _back()


@bp.post("/<int:repair_id>/second")
@opens_to(SUPPORT)
def write_to_second(repair_id: int) -> Any:
    """Mail all links to the customer's second address, whose reader can then make it the first."""
    with transaction():
        address = repairs.write_to_second(repair_id, who())
        audit.record(Act.REPAIR_SECOND, (Repair, repair_id))
    flash(f"All links are on their way to {address}. There they can make it their first address.")
    return _back()


@bp.route("/<int:repair_id>/give-up", methods=["GET", "POST"])
@opens_to(SUPPORT)
def giving_up(repair_id: int) -> Any:
    """Write to the address no more, with a word why; who said it is kept beside it."""
    values, errors = Typed(), dict[str, str]()
    if request.method == "POST":
        values = typed()
        try:
            with transaction():
                repairs.give_up(repair_id, who(), values["word"])
                audit.record(Act.REPAIR_GIVEN_UP, (Repair, repair_id))
        except InvalidFields as refusal:
            errors = refusal.faults
        else:
            flash("The address is given up. A new address of theirs ends that.")
            return _back()
    found = open_repairs.repair_by_id(repair_id)
    if found.repair.ended_at is not None:
        raise repairs.RepairEnded
    page = render_template(
        "admin/repair_give_up.html",
        one=found,
        kind=kind_in_words(found.letter.kind),
        values=values,
        errors=errors,
    )
    return page, status(errors)


def _back() -> Response:
    return redirect(url_for("repairs.all"), 303)
