"""Letters: what is owed, what left, what did not, and once more."""

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.admin.lists import PAGE_SIZE, history, people
from store.distribution.coverage import OCCASIONS
from store.kit.database import db, transaction
from store.kit.errors import NotFound, Refusal
from store.kit.paging import paginate
from store.kit.status import ForbiddenMove
from store.mail import outbox
from store.mail.letters import kinds
from store.mail.models import Attempt, Delivery, DeliveryStatus
from store.orders.models import Order
from store.staff.guard import SUPPORT, opens_to, who

bp = Blueprint("letters", __name__, url_prefix="/admin/letters")

STATUSES = {
    DeliveryStatus.QUEUED: "waiting",
    DeliveryStatus.SENDING: "being handed over",
    DeliveryStatus.SENT: "handed over",
    DeliveryStatus.FAILED: "undeliverable",
    DeliveryStatus.HELD: "held",
    DeliveryStatus.SKIPPED: "left out",
}


class LetterUnknown(NotFound):
    """No letter has this number."""

    sentence = "There is no letter of this number."


class NotToBeSentAgain(Refusal):
    """A letter that is under way, waiting or sent needs no second try."""

    sentence = "Only letters that failed, are held or were left out can be sent again."


def kind_in_words(kind: str) -> str:
    """`edition notice` for `edition_notice`."""
    return kind.replace("_", " ")


@bp.get("")
@opens_to(SUPPORT)
def all() -> Any:
    """Letters, newest first, by status and kind."""
    chosen, kind = request.args.get("status", ""), request.args.get("kind", "")
    wanted = DeliveryStatus(chosen) if chosen in set(DeliveryStatus) else None
    query = sa.select(Delivery).order_by(Delivery.id.desc())
    if wanted is not None:
        query = query.where(Delivery.status == wanted)
    if kind:
        query = query.where(Delivery.kind == kind)
    page = paginate(query, request.args.get("page", 1, int), PAGE_SIZE)
    return render_template(
        "admin/letters.html",
        page=page.linked(
            lambda other: url_for(
                "letters.all", page=other, status=chosen or None, kind=kind or None
            )
        ),
        people=people(page.rows),
        statuses=STATUSES,
        kinds=[(one, kind_in_words(one)) for one in kinds()],
        chosen=chosen,
        kind=kind,
    )


@bp.get("/<int:letter_id>")
@opens_to(SUPPORT)
def one(letter_id: int) -> Any:
    """One letter with every try to hand it over."""
    delivery = _find(letter_id)
    order = db.session.get(Order, delivery.order_id) if delivery.order_id else None
    tries = sa.select(Attempt).where(Attempt.delivery_id == delivery.id)
    return render_template(
        "admin/letter.html",
        letter=delivery,
        order=order,
        occasion=OCCASIONS.get(delivery.occasion) if delivery.occasion else "",
        customer=people([delivery]).get(delivery.customer_id or 0),
        attempts=db.session.scalars(tries.order_by(Attempt.id)).all(),
        history=history(deliveries=[delivery.id]),
        statuses=STATUSES,
        may_retry=delivery.status.may_become(DeliveryStatus.QUEUED)
        and delivery.status is not DeliveryStatus.SENDING,
    )


@bp.post("/<int:letter_id>/retry")
@opens_to(SUPPORT)
def retry(letter_id: int) -> Any:
    """Send a letter that did not leave, as a new message."""
    with transaction():
        try:
            outbox.retry(_find(letter_id), who())
        except ForbiddenMove:
            raise NotToBeSentAgain from None
    flash("The letter is tried again.")
    return redirect(url_for("letters.one", letter_id=letter_id), 303)


def _find(letter_id: int) -> Delivery:
    found = db.session.get(Delivery, letter_id) if letter_id < 2**31 else None
    if found is None:
        raise LetterUnknown
    return found
