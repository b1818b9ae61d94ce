"""Orders: listed, found, looked at, sent again, refunded."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.admin import looking
from store.admin.forms import Typed, fresh_key, status, typed
from store.admin.guard import OWNERS, SUPPORT, opens_to, who
from store.admin.letters import STATUSES as LETTERS
from store.entitlements.access import rights_of_order
from store.entitlements.resending import resend_confirmation
from store.kit.database import end_read, transaction
from store.kit.money import InvalidPrice, format_money, parse_price
from store.kit.status import StatusChange
from store.orders.consents import accepted_terms, given_consent
from store.orders.models import Order, OrderStatus
from store.orders.ordering import list_orders, order_by_reference
from store.orders.quoting import order_vat_note
from store.payments import refunding
from store.payments.models import RefundStatus
from store.payments.receipts import receipt_of
from store.payments.transfer_rows import awaited_transfer, received_for, unsent_backs

bp = Blueprint("orders", __name__, url_prefix="/admin/orders")

STATUSES = {
    OrderStatus.PENDING: "waiting for payment",
    OrderStatus.PAID: "paid",
    OrderStatus.EXPIRED: "not paid in time",
    OrderStatus.CANCELLED: "given up",
}
REFUNDS = {
    RefundStatus.REQUESTED: "on its way",
    RefundStatus.SUCCEEDED: "given back",
    RefundStatus.FAILED: "failed",
}


@bp.get("")
@opens_to(SUPPORT)
def all() -> Any:
    """Orders, newest first; found by reference, address, name or organisation."""
    text, chosen = looking.searched(), request.args.get("status", "")
    wanted = OrderStatus(chosen) if chosen in set(OrderStatus) else None
    page = list_orders(request.args.get("page", 1, int), wanted, text)
    return render_template(
        "admin/orders.html",
        page=page.linked(
            lambda other: url_for("orders.all", page=other, q=text or None, status=chosen or None)
        ),
        text=text,
        chosen=chosen,
        statuses=STATUSES,
    )


@bp.get("/<reference>")
@opens_to(SUPPORT)
def one(reference: str) -> Any:
    """One order: lines, money, rights, letters, what happened when."""
    order = order_by_reference(reference)
    refunds = refunding.refunds_of(order.id)
    letters = looking.letters_of(order_id=order.id, page=request.args.get("page", 1, int))
    return render_template(
        "admin/order.html",
        order=order,
        statuses=STATUSES,
        payments=refunding.payments_of(order.id),
        refunds=refunds,
        refund_words=REFUNDS,
        left=_left(order),
        transfer=awaited_transfer(order),
        transfers=received_for(order.id),
        backs=unsent_backs(order.id),
        rights=rights_of_order(order.id),
        terms=accepted_terms(order),
        consent=given_consent(order.id),
        vat=order_vat_note(order),
        letter_words=LETTERS,
        letters=letters.linked(
            lambda other: url_for("orders.one", reference=order.reference, page=other)
        ),
        history=_history(order, [refund.id for refund in refunds]),
    )


@bp.get("/<reference>/receipt")
@opens_to(SUPPORT)
def receipt(reference: str) -> Any:
    """The customer's receipt, to be printed for who asks by post or telephone."""
    order = order_by_reference(reference)
    return render_template("admin/receipt.html", receipt=receipt_of(order), order=order)


@bp.post("/<reference>/resend")
@opens_to(SUPPORT)
def resend(reference: str) -> Any:
    """The confirmation with fresh links, again, to the address on file."""
    with transaction():
        order = order_by_reference(reference)
        resend_confirmation(order, who())
        told = f"The confirmation is on its way to {order.customer.email}."
    flash(told)
    return redirect(url_for("orders.one", reference=reference), 303)


@bp.route("/<reference>/refund", methods=["GET", "POST"])
@opens_to(OWNERS)
def refund(reference: str) -> Any:
    """Give money back; the key of the form makes two presses one refund."""
    order = order_by_reference(reference)
    values, errors = Typed(form_key=fresh_key()), {}
    if request.method == "POST":
        values = typed()
        errors = _refund(order, values)
        if not errors:
            return redirect(url_for("orders.one", reference=reference), 303)
        order = order_by_reference(reference)
    elif _left(order) < 1:
        raise refunding.NothingToRefund
    page = render_template(
        "admin/refund.html", order=order, left=_left(order), values=values, errors=errors
    )
    return page, status(errors)


def _refund(order: Order, values: Typed) -> dict[str, str]:
    order_id, currency, text = order.id, order.currency, values["amount"].strip()
    try:
        amount = parse_price(text, currency) if text else None
    except InvalidPrice as refusal:
        return {"amount": refusal.sentence.replace("The price", "The amount", 1)}
    key = f"desk:{values['form_key']}"[:60]
    person = who()
    end_read()  # the gateway is asked, outside any transaction
    try:
        rows = refunding.refund_order(
            order_id, amount=amount, who=person, why=values["why"].strip()[:300], key=key
        )
    except refunding.MoreThanPaid as refusal:
        return {"amount": refusal.sentence}
    for row in rows:
        flash(f"{format_money(row.amount, row.currency)}: {REFUNDS[row.status]}.")
    return {}


def _left(order: Order) -> int:
    return refunding.paid_amount(order.id) - refunding.refunded_amount(order.id)


def _history(order: Order, refund_ids: list[int]) -> list[StatusChange]:
    changes = looking.history("orders", [order.id]) + looking.history("refunds", refund_ids)
    return sorted(changes, key=lambda change: change.at)
