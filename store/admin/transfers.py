"""Bank transfers at the desk: what is awaited, what came, what has to be sent back."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.kit import clock
from store.kit.config import config
from store.kit.database import alongside, db, end_read
from store.kit.errors import InvalidFields
from store.kit.forms import Reader, Typed, fresh_key, place_in_list, status, typed
from store.kit.money import format_money, to_decimal
from store.orders.models import Order, OrderStatus
from store.orders.orders import order_by_reference
from store.payments import transfer_lists, transfers
from store.staff import recorded
from store.staff.guard import OWNERS, SUPPORT, opens_to, who

bp = Blueprint("transfers", __name__, url_prefix="/admin")


@bp.get("/transfers")
@opens_to(SUPPORT)
def all() -> Any:
    """Refunds to send by bank, and orders that wait for a transfer."""
    awaited = transfer_lists.awaited_orders(place_in_list())
    backs = transfer_lists.unsent_backs(place_in_list("back_"))
    return render_template(
        "admin/transfers.html",
        awaited=awaited.linked(lambda **there: url_for("transfers.all", **there)),
        backs=backs.linked(lambda **there: url_for("transfers.all", **there), "back_"),
    )


@bp.route("/orders/<reference>/received", methods=["GET", "POST"])
@opens_to(SUPPORT)
def received(reference: str) -> Any:
    """Note money that came; the key of the form makes two presses one row."""
    order = order_by_reference(reference)
    transfer = transfers.awaited_transfer(order)
    if transfer is None:
        raise transfers.NoTransferAwaited
    today, due = clock.today(config().zone), to_decimal(transfer.due, transfer.currency)
    values = Typed(form_key=fresh_key(), amount=str(due), received_on=today.isoformat())
    errors: dict[str, str] = {}
    if request.method == "POST":
        values = typed()
        errors = _record(order, values)
        if not errors:
            return redirect(url_for("orders.one", reference=reference), 303)
        order = order_by_reference(reference)
        transfer = transfers.awaited_transfer(order)
    elif transfer.due < 1:
        raise transfers.MoreThanDue("All the money of this order has arrived.")
    page = render_template(
        "admin/received.html", order=order, transfer=transfer, values=values, errors=errors
    )
    return page, status(errors)


@bp.post("/transfers/back/<int:back_id>/sent")
@opens_to(OWNERS)
def sent(back_id: int) -> Any:
    """Say that money was sent back; a second press changes nothing."""
    person = who()
    end_read()
    with alongside(lambda: recorded.sent_back(back_id)):
        back = transfers.mark_sent_back(back_id, person)
    flash(f"{format_money(back.amount, back.currency)} is marked as sent. The customer is told.")
    return redirect(url_for("transfers.all"), 303)


def _record(order: Order, values: Typed) -> dict[str, str]:
    order_id, person, reader = order.id, who(), Reader(values)
    amount = reader.amount("amount", order.currency, needed=True)
    day = reader.day("received_on", "Enter the day on which the money arrived.", needed=True)
    if amount is None or day is None:
        return reader.faults
    key = f"desk:{values['form_key']}"[:60]
    end_read()
    try:
        with alongside(lambda: recorded.transfer_noted(key)):
            transfers.record_transfer(
                order_id,
                amount=amount,
                received_on=day,
                note=values["note"],
                who=person,
                form_key=key,
            )
    except transfers.MoreThanDue as refusal:
        return {"amount": refusal.sentence}
    except InvalidFields as refusal:
        return refusal.faults
    order = db.session.get_one(Order, order_id)
    transfer = transfers.awaited_transfer(order)
    if order.status is OrderStatus.PAID:
        flash("All the money has arrived. The order is paid, and the customer is told.")
    elif transfer is not None:
        flash(f"Noted: {transfer.part}.")
    return {}
