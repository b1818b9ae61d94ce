"""Money going back, payment by payment; each press once."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.kit.database import alongside, end_read
from store.kit.forms import Reader, Typed, fresh_key, status, typed
from store.kit.money import format_money, to_decimal
from store.kit.paging import id_in
from store.orders.models import Order
from store.orders.orders import order_by_reference
from store.payments import money_back, refunds, sums
from store.payments.gateways.base import FREE, MANUAL
from store.payments.models import Payment, Refund, RefundStatus
from store.payments.sums import disputes_of, refundable
from store.staff import recorded
from store.staff.guard import OWNERS, opens_to, who

bp = Blueprint("refunds", __name__, url_prefix="/admin/orders")

REFUNDS = {
    RefundStatus.REQUESTED: "on its way",
    RefundStatus.SUCCEEDED: "given back",
    RefundStatus.FAILED: "failed",
}
METHODS = {MANUAL: "by bank transfer", FREE: "with nothing to pay"}
HELD = "The customer’s bank holds it while it decides: it cannot be refunded."
LOST = "The dispute was lost: the customer has this money."


@dataclass(frozen=True)
class ShownPayment:
    """One payment as the desk shows it; `why_not` says why none of it can be given back."""

    number: int
    payment: Payment
    left: int
    why_not: str

    @property
    def words(self) -> str:
        """Number, amount and day, as a choice on a form."""
        money = format_money(self.payment.amount, self.payment.currency)
        return f"Payment {self.number}: {money}"

    @property
    def way(self) -> str:
        """How it was paid."""
        how = METHODS.get(self.payment.gateway, f"through {self.payment.gateway}")
        kind = self.payment.method.replace("_", " ")
        return f"{how} ({kind})" if kind and self.payment.gateway not in METHODS else how


def shown_payments(order_id: int) -> list[ShownPayment]:
    """Every payment of an order, numbered as they came, with what is left to give back."""
    return [
        ShownPayment(number, payment, refundable(payment), _why_not(payment))
        for number, payment in enumerate(sums.payments_of(order_id), 1)
    ]


def plain_amount(refund: Refund) -> str:
    """The amount as the form takes it, such as 12.50."""
    return str(to_decimal(refund.amount, refund.currency))


@bp.route("/<reference>/refund", methods=["GET", "POST"])
@opens_to(OWNERS)
def refund(reference: str) -> Any:
    """Give money back; the key of the form makes two presses one refund."""
    order = order_by_reference(reference)
    # A refund that failed is asked for again with what it was.
    asked = {name: request.args.get(name, "")[:40] for name in ("payment", "amount")}
    values, errors = Typed(form_key=fresh_key(), **asked), {}
    if request.method == "POST":
        values = typed()
        errors = _refund(order, values)
        if not errors:
            return redirect(url_for("orders.one", reference=reference), 303)
        order = order_by_reference(reference)
    shown = shown_payments(order.id)
    open_ones = [one for one in shown if one.left > 0]
    if not open_ones and request.method != "POST":
        is_held = any(one.why_not for one in shown)
        raise money_back.PaymentDisputed if is_held else money_back.NothingToRefund
    page = render_template(
        "admin/refund.html",
        order=order,
        shown=shown,
        open_ones=open_ones,
        values=values,
        errors=errors,
    )
    return page, status(errors)


def _refund(order: Order, values: Typed) -> dict[str, str]:
    order_id, reader = order.id, Reader(values)
    ids, payment_id = [one.id for one in sums.payments_of(order_id)], id_in(values["payment"])
    if payment_id not in ids:
        payment_id = None
    if payment_id is None and len(ids) > 1:
        reader.faults["payment"] = "Choose which payment goes back."
    amount = reader.amount("amount", order.currency)
    if reader.faults:
        return reader.faults
    key = f"desk:{values['form_key']}"[:60]
    person = who()
    end_read()  # the gateway is asked, outside any transaction
    try:
        with alongside(lambda: recorded.refunds_asked(order_id, key)):
            rows = refunds.refund_order(
                order_id,
                amount=amount,
                who=person,
                why=values["why"].strip()[:300],
                key=key,
                payment_id=payment_id,
            )
    except money_back.MoreThanPaid as refusal:
        return {"amount": refusal.sentence}
    except money_back.PaymentDisputed as refusal:
        return {"payment": refusal.sentence}
    for row in rows:
        money = format_money(row.amount, row.currency)
        reason = f" {row.failure[:1].upper()}{row.failure[1:]}" if row.failure else ""
        flash(f"{money}: {REFUNDS[row.status]}.{reason}", "bad" if reason else "message")
    return {}


def _why_not(payment: Payment) -> str:
    holding = [dispute for dispute in disputes_of(payment.id) if dispute.forbids_refund]
    if not holding:
        return ""
    return LOST if holding[-1].lost_at else HELD
