"""Disputes: listed, looked at, the answer edited and submitted once."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.kit import clock
from store.kit.database import alongside, end_read, transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Typed, place_in_list, status, typed
from store.payments import disputes
from store.payments.evidence import FIELDS, MOST_IN_ALL, evidence_of
from store.payments.models import Dispute
from store.staff import audit, recorded
from store.staff.acts import Act
from store.staff.guard import OWNERS, SUPPORT, opens_to, who

bp = Blueprint("disputes", __name__, url_prefix="/admin/disputes")

BEGUN = "Kept. Nothing was sent to the bank yet."


@bp.get("")
@opens_to(SUPPORT)
def all() -> Any:
    """Every dispute, those that run first."""
    page = disputes.list_disputes(place_in_list())
    return render_template(
        "admin/disputes.html",
        page=page.linked(lambda **there: url_for("disputes.all", **there)),
        state_of=state_of,
    )


@bp.get("/<int:number>")
@opens_to(SUPPORT)
def one(number: int) -> Any:
    """The facts, when the answer is due, and the answer as it stands."""
    dispute = disputes.dispute_by_id(number)
    return _page(dispute, Typed(evidence_of(dispute)), {})


@bp.post("/<int:number>")
@opens_to(SUPPORT)
def save(number: int) -> Any:
    """Keep the answer as it was edited, and go on to submit it where that was pressed."""
    values = typed()
    try:
        with transaction():
            disputes.save_draft(number, values)
            audit.record(Act.DISPUTE_DRAFTED, (Dispute, number))
    except InvalidFields as refusal:
        return _page(disputes.dispute_by_id(number), values, refusal.faults)
    if request.form.get("then") == "submit":
        return redirect(url_for("disputes.submit", number=number), 303)
    flash(BEGUN)
    return redirect(url_for("disputes.one", number=number), 303)


@bp.post("/<int:number>/gather")
@opens_to(SUPPORT)
def gather(number: int) -> Any:
    """Drop what was edited and gather from our rows again."""
    with transaction():
        disputes.gather_again(number)
        audit.record(Act.DISPUTE_GATHERED, (Dispute, number))
    flash("Gathered from today’s records. What was edited before is gone.")
    return redirect(url_for("disputes.one", number=number), 303)


@bp.route("/<int:number>/submit", methods=["GET", "POST"])
@opens_to(OWNERS)
def submit(number: int) -> Any:
    """The answer in full, and the one button that sends it for good."""
    if request.method == "POST":
        person = who()
        end_read()  # the gateway is asked, outside any transaction
        with alongside(lambda: recorded.dispute_answered(number)):
            disputes.submit_answer(number, person)
        flash("The answer is submitted. The bank decides now, which takes weeks.")
        return redirect(url_for("disputes.one", number=number), 303)
    dispute = disputes.dispute_by_id(number)
    if not disputes.may_answer(dispute):
        raise disputes.NotAnswerable
    return render_template(
        "admin/dispute_submit.html", dispute=dispute, fields=FIELDS, values=evidence_of(dispute)
    )


def state_of(dispute: Dispute) -> str:
    """How it stands, in a few words."""
    for moment, words in (
        (dispute.won_at, "won"),
        (dispute.lost_at, "lost"),
        (dispute.closed_at, "closed"),
        (dispute.submitted_at, "answered"),
    ):
        if moment is not None:
            return words
    is_late = dispute.due_at is not None and dispute.due_at <= clock.now()
    return "not answered in time" if is_late else "to answer"


def _page(dispute: Dispute, values: Typed, errors: dict[str, str]) -> Any:
    page = render_template(
        "admin/dispute.html",
        dispute=dispute,
        order=dispute.payment.order,
        state=state_of(dispute),
        may_answer=disputes.may_answer(dispute),
        fields=FIELDS,
        values=values,
        total=sum(len(values[field.name]) for field in FIELDS),
        most=MOST_IN_ALL,
        errors=errors,
    )
    return page, status(errors)
