"""Orders: listed, found, looked at, sent again."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.exceptions import BadRequest

from store.admin import letters, refunds
from store.admin.order_states import state_of, states_of
from store.entitlements.access import rights_of_order
from store.entitlements.granting import resend_confirmation
from store.entitlements.order_moves import move_of, settle_held
from store.kit.database import transaction
from store.kit.forms import place_in_list, searched
from store.orders.consents import accepted_terms, given_consent
from store.orders.models import Order, OrderStatus
from store.orders.orders import is_whole, list_orders, order_by_reference
from store.orders.prices import order_vat_note
from store.payments import disputes, sums, transfer_lists, transfers
from store.payments.receipts import receipt_of
from store.staff import audit
from store.staff.acts import Act
from store.staff.guard import SUPPORT, opens_to, who
from store.stories.timeline import order_story

bp = Blueprint("orders", __name__, url_prefix="/admin/orders")

STATUSES = {
    OrderStatus.PENDING: "waiting for payment",
    OrderStatus.PAID: "paid",
    OrderStatus.EXPIRED: "not paid in time",
    OrderStatus.CANCELLED: "given up",
}
# Beside its status: a person decides whose it is.
HELD = "held"


@bp.get("")
@opens_to(SUPPORT)
def all() -> Any:
    """Orders, newest first; found by reference, address, name or organisation."""
    text, chosen = searched(), request.args.get("status", "")
    wanted = OrderStatus(chosen) if chosen in set(OrderStatus) else None
    is_part = "part" in request.args
    asked: dict[str, Any] = {"q": text or None, "status": chosen or None}
    kept: dict[str, Any] = asked | {"part": 1 if is_part else None}
    page = list_orders(place_in_list(), wanted, text, is_held=chosen == HELD, is_part=is_part)
    is_alone = not is_part and is_whole(text)
    return render_template(
        "admin/orders.html",
        page=page.linked(lambda **there: url_for("orders.all", **there, **kept)),
        part_url=url_for("orders.all", part=1, **asked) if is_alone else None,
        text=text,
        chosen=chosen,
        states=states_of(page.rows),
        choices=[("", "any"), *STATUSES.items(), (HELD, "held")],
    )


@bp.get("/<reference>")
@opens_to(SUPPORT)
def one(reference: str) -> Any:
    """One order: lines, money, rights, letters, what happened when."""
    order = order_by_reference(reference)
    money = sums.sums_of(order)
    contested = sums.disputes_of_order(order.id)
    page = letters.letters_of(order_id=order.id, place=place_in_list())
    return render_template(
        "admin/order.html",
        order=order,
        state=state_of(order, money, is_disputed=any(one.is_open for one in contested)),
        payments=refunds.shown_payments(order.id),
        sums=money,
        disputes=contested,
        warnings=disputes.fraud_warnings(order.id),
        refunds=sums.refunds_of(order.id),
        refund_words=refunds.REFUNDS,
        plain_amount=refunds.plain_amount,
        transfer=transfers.awaited_transfer(order),
        transfers=sums.transfers_of_order(order.id),
        backs=transfer_lists.unsent_backs(order_id=order.id).rows,
        rights=rights_of_order(order.id),
        terms=accepted_terms(order),
        consent=given_consent(order.id),
        vat=order_vat_note(order),
        letter_words=letters.STATUSES,
        letters=page.linked(
            lambda **there: url_for("orders.one", reference=order.reference, **there)
        ),
        held=move_of(order.id) if order.held_at else None,
        events=order_story(order),
    )


@bp.get("/<reference>/receipt")
@opens_to(SUPPORT)
def receipt(reference: str) -> Any:
    """The customer's receipt, to print for somebody who asks by post or telephone."""
    order = order_by_reference(reference)
    return render_template("admin/receipt.html", receipt=receipt_of(order), order=order)


@bp.post("/<reference>/resend")
@opens_to(SUPPORT)
def resend(reference: str) -> Any:
    """The confirmation with fresh links, again, to the address on file."""
    with transaction():
        order = order_by_reference(reference)
        resend_confirmation(order, who())
        audit.record(Act.ORDER_RESENT, order)
        told = f"The confirmation is on its way to {order.customer.email}."
    flash(told)
    return redirect(url_for("orders.one", reference=reference), 303)


@bp.post("/<reference>/held")
@opens_to(SUPPORT)
def settle(reference: str) -> Any:
    """Decide about an order whose move was objected to: give it back, or leave it where it is."""
    outcome = request.form.get("outcome", "")
    if outcome not in {"back", "stay"}:
        raise BadRequest
    with transaction():
        order_id = order_by_reference(reference).id
        settle_held(order_id, is_given_back=outcome == "back", who=who())
        audit.record(Act.ORDER_SETTLED, (Order, order_id), after={"outcome": outcome})
    told = "is given back to the address it had" if outcome == "back" else "stays where it is"
    flash(f"The order {told}. Both addresses are told.")
    return redirect(url_for("orders.one", reference=reference), 303)
