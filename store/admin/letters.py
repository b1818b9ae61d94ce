"""Letters: what is owed, what left, what did not, and once more."""

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.distribution.coverage import OCCASIONS
from store.kit.database import db, transaction
from store.kit.forms import MOST_TYPED, Typed, place_in_list, status, typed
from store.kit.paging import BEGINNING, SHORT_PAGE, Page, Place, paginate
from store.mail import outbox, standstills
from store.mail.letters import kinds
from store.mail.models import (
    Attempt,
    Delivery,
    DeliveryStatus,
    Standstill,
    is_of_kind,
    stands_at,
)
from store.mail.returns import ReturnKind, take_by_hand
from store.mail.shown import as_written_now
from store.orders.customers import customers_of, key_of_typed
from store.orders.models import Order
from store.orders.orders import search_customers
from store.staff import audit
from store.staff.acts import Act
from store.staff.guard import SUPPORT, opens_to, who
from store.stories.timeline import letter_story

bp = Blueprint("letters", __name__, url_prefix="/admin/letters")

STATUSES = {
    DeliveryStatus.QUEUED: "waiting",
    DeliveryStatus.SENDING: "being handed over",
    DeliveryStatus.SENT: "handed over",
    DeliveryStatus.BOUNCED: "came back",
    DeliveryStatus.FAILED: "undeliverable",
    DeliveryStatus.HELD: "held",
    DeliveryStatus.SKIPPED: "left out",
}


_TAGS = {
    DeliveryStatus.QUEUED: "warn",
    DeliveryStatus.SENDING: "warn",
    DeliveryStatus.HELD: "warn",
    DeliveryStatus.BOUNCED: "bad",
    DeliveryStatus.FAILED: "bad",
    DeliveryStatus.SKIPPED: "off",
}


def tag_of(letter: Delivery) -> str:
    """The kind of the tag that says a letter's state."""
    return _TAGS.get(letter.status, "")


def kind_in_words(kind: str) -> str:
    """`edition notice` for `edition_notice`."""
    return kind.replace("_", " ")


@bp.get("")
@opens_to(SUPPORT)
def all() -> Any:
    """Letters, newest first, by status and kind."""
    chosen, kind = request.args.get("status", ""), request.args.get("kind", "")
    text = request.args.get("q", "").strip()[:MOST_TYPED]
    wanted = DeliveryStatus(chosen) if chosen in set(DeliveryStatus) else None
    query = sa.select(Delivery)
    if wanted is not None:
        query = query.where(stands_at(wanted))
    if kind:
        query = query.where(is_of_kind(kind))
    if text:
        query = query.where(_to(text))
    page = paginate(query, place_in_list(), Delivery.id.desc(), size=SHORT_PAGE)
    return render_template(
        "admin/letters.html",
        page=page.linked(
            lambda **there: url_for(
                "letters.all", status=chosen or None, kind=kind or None, q=text or None, **there
            )
        ),
        people=customers_of(page.rows),
        statuses=STATUSES,
        kinds=[(one, kind_in_words(one)) for one in kinds()],
        chosen=chosen,
        kind=kind,
        text=text,
    )


def _to(text: str) -> sa.ColumnElement[bool]:
    """Whether a letter goes to an address, or to a customer who is found by these words."""
    people = [one.id for one in search_customers(text).rows]
    return sa.or_(
        Delivery.customer_id.in_(people), Delivery.address.in_([text, key_of_typed(text)])
    )


@bp.get("/<int:letter_id>")
@opens_to(SUPPORT)
def one(letter_id: int) -> Any:
    """One letter with every try to hand it over."""
    delivery = outbox.letter_by_id(letter_id)
    order = db.session.get(Order, delivery.order_id) if delivery.order_id else None
    tries = sa.select(Attempt).where(Attempt.delivery_id == delivery.id)
    return render_template(
        "admin/letter.html",
        letter=delivery,
        order=order,
        occasion=OCCASIONS.get(delivery.occasion) if delivery.occasion else "",
        customer=customers_of([delivery]).get(delivery.customer_id or 0),
        attempts=db.session.scalars(tries.order_by(Attempt.id)).all(),
        events=letter_story(delivery),
        statuses=STATUSES,
        may_retry=delivery.status.may_become(DeliveryStatus.QUEUED)
        and delivery.status is not DeliveryStatus.SENDING,
        may_return=delivery.status is DeliveryStatus.SENT and delivery.customer_id is not None,
        words=as_written_now(delivery) if request.args.get("show") == "words" else None,
    )


@bp.post("/<int:letter_id>/retry")
@opens_to(SUPPORT)
def retry(letter_id: int) -> Any:
    """Send a letter that did not leave, as a new message."""
    with transaction():
        outbox.send_again(letter_id, who())
        audit.record(Act.LETTER_RETRIED, (Delivery, letter_id))
    flash("The letter is tried again.")
    return redirect(url_for("letters.one", letter_id=letter_id), 303)


@bp.route("/<int:letter_id>/returned", methods=["GET", "POST"])
@opens_to(SUPPORT)
def returned(letter_id: int) -> Any:
    """Note that a letter came back to a mailbox that the shop does not read by itself."""
    letter, values, errors = outbox.letter_by_id(letter_id), typed(), dict[str, str]()
    if request.method == "POST":
        errors = _return(letter_id, values)
        if not errors:
            flash("Noted. What can mend it stands here.")
            return redirect(url_for("repairs.all"), 303)
        letter = outbox.letter_by_id(letter_id)
    page = render_template(
        "admin/letter_returned.html",
        letter=letter,
        customer=customers_of([letter]).get(letter.customer_id or 0),
        values=values,
        errors=errors,
    )
    return page, status(errors)


def _return(letter_id: int, values: Typed) -> dict[str, str]:
    """Take what a person read; else what is wrong with it, by field."""
    if values["kind"] not in {ReturnKind.HARD, ReturnKind.SOFT}:
        return {"kind": "Choose what the message says."}
    with transaction():
        letter = outbox.letter_by_id(letter_id)
        if letter.status is not DeliveryStatus.SENT:
            return {
                "form": "This letter is not with a mail server now, so it cannot have come back."
            }
        if letter.customer_id is None:
            return {"form": "This letter went to staff. They know best whether it arrived."}
        if not take_by_hand(letter, ReturnKind(values["kind"]), values.cut("words", 1000)):
            return {"form": "This letter left more than 30 days ago. Correct the address instead."}
        audit.record(Act.LETTER_RETURNED, letter, after={"said": values["kind"]})
    return {}


@bp.post("/standstills/<int:number>/seen")
@opens_to(SUPPORT)
def see(number: int) -> Any:
    """Somebody has seen that no letters left; the next one is tried at once."""
    with transaction():
        standstills.see(number, who())
        audit.record(Act.STANDSTILL_SEEN, (Standstill, number))
    flash("Noted. The mail server is asked again now.")
    return redirect(url_for("home.home"), 303)


def letters_of(
    *, customer_id: int | None = None, order_id: int | None = None, place: Place = BEGINNING
) -> Page[Delivery]:
    """The letters of one customer or one order, newest first."""
    query = sa.select(Delivery)
    if customer_id is not None:
        query = query.where(Delivery.customer_id == customer_id)
    if order_id is not None:
        query = query.where(Delivery.order_id == order_id)
    return paginate(query, place, Delivery.id.desc(), size=SHORT_PAGE)
