"""Fulfilment: what follows from how a checkout stands at its gateway.

One function, safe many times, at once and in any order, because it looks at the present state only
and each step happens once. It is called by the inbox, which has asked the gateway.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from store.entitlements.granting import earlier_twin, grant_order
from store.entitlements.links import order_link
from store.kit import clock
from store.kit.database import db, insert_once
from store.kit.money import format_money
from store.kit.status import advance
from store.mail.outbox import SOMEBODY_WAITS, alert_staff, hour_after_last, owe
from store.orders.discounts import give_place_back, keep_place
from store.orders.models import Order, OrderStatus
from store.orders.orders import lock_order
from store.payments.gateways.base import DisputeOutcome, GatewayState, RefundStanding, Standing
from store.payments.models import Checkout, CheckoutStatus, EventStatus, Payment
from store.payments.money_back import ask_back, record_dispute, record_refund, settle_order
from store.payments.sums import paid_amount, refunded_amount

SOONEST = timedelta(minutes=5)
LATEST = timedelta(hours=1)
# Why a try has failed whose money did not fit; the buyer was charged for a while.
GIVEN_BACK = "A payment that did not fit this order was given back."
UNSUCCESSFUL = {
    Standing.FAILED: CheckoutStatus.FAILED,
    Standing.EXPIRED: CheckoutStatus.EXPIRED,
}


@dataclass(frozen=True)
class Applied:
    """What became of what the gateway said, and a line about it for staff."""

    status: EventStatus
    note: str = ""


def apply_state(
    gateway: str, state: GatewayState | None, asked_at: datetime | None = None
) -> Applied:
    """Apply one checkout's present state to our rows, inside the caller's transaction.

    Money whose amount, currency or order reference is not what was agreed delivers nothing; staff
    are told why. `asked_at` (UTC) is when the gateway was asked; now, unless given.
    """
    checkout = _checkout_of(gateway, state) if state else None
    if state is None or checkout is None:
        return Applied(EventStatus.IGNORED, "It belongs to no checkout of this shop.")
    order = lock_order(checkout.order_id)
    db.session.refresh(checkout)
    if state.standing is Standing.OPEN:
        _ask_later(checkout)
        return Applied(EventStatus.APPLIED)
    if state.standing is Standing.PROCESSING:
        _wait_for_bank(checkout)
        return Applied(EventStatus.APPLIED)
    if state.standing is not Standing.PAID:
        _end_unpaid(checkout, UNSUCCESSFUL[state.standing], state.reason, f"gateway:{gateway}")
        return Applied(EventStatus.APPLIED)
    fault = _mismatch(state, checkout, order)
    if fault:
        return _hold_back(checkout, order, state, fault)
    before = order.status
    payment = _take_payment(checkout, order, state)
    for seen in state.refunds:
        record_refund(order, payment, seen, who=f"gateway:{gateway}")
    for contested in state.disputes:
        record_dispute(order, payment, contested, asked_at=asked_at or clock.now())
    is_late = before is not OrderStatus.PAID and order.customer.erased_at is not None
    is_unwanted = before is OrderStatus.CANCELLED or is_late
    if is_unwanted and refunded_amount(order.id) < paid_amount(order.id):
        # Nobody wants the copy, so all of the money goes back.
        ask_back(order, None, who="shop", why="paid after it was cancelled", key="cancelled")
    settle_order(order)
    return Applied(EventStatus.APPLIED)


def end_unheard(checkout: Checkout) -> None:
    """End a try whose gateway never told us where to pay, so that nobody can have paid."""
    _end_unpaid(checkout, CheckoutStatus.EXPIRED, "It could not be started.", "shop")


def _checkout_of(gateway: str, state: GatewayState) -> Checkout | None:
    query = sa.select(Checkout).where(Checkout.gateway == gateway)
    found = db.session.scalars(query.filter_by(gateway_reference=state.reference)).first()
    if found is not None or state.checkout_id is None:
        return found
    # The gateway was faster than our own note of its answer. The order is asked for too: another
    # shop that shares the account counts its tries as we do.
    unnamed = query.join(Order).where(
        Checkout.id == state.checkout_id,
        Checkout.gateway_reference.is_(None),
        Order.reference == state.order_reference,
    )
    found = db.session.scalars(unnamed).first()
    if found is not None:
        found.gateway_reference = state.reference
        db.session.flush()
    return found


def _ask_later(checkout: Checkout) -> None:
    if checkout.status is CheckoutStatus.OPEN:
        now = clock.now()
        pause = min(max((now - checkout.created_at) / 2, SOONEST), LATEST)
        ends = checkout.expires_at if checkout.expires_at > now else now + SOONEST
        checkout.ask_at = min(now + pause, ends)


def _wait_for_bank(checkout: Checkout) -> None:
    """The buyer has done their part: the try stays open, and is asked about, until the bank says."""
    if checkout.status is CheckoutStatus.OPEN:
        now = clock.now()
        checkout.processing_at = checkout.processing_at or now
        keep_place(checkout.order, None)
        checkout.ask_at = now + LATEST


def _end_unpaid(checkout: Checkout, to: CheckoutStatus, reason: str, who: str) -> None:
    # Money wins: a late "failed" or "expired" changes nothing once the try is completed.
    if checkout.status is not CheckoutStatus.OPEN or not advance(checkout, to, who=who, why=reason):
        return
    checkout.failure = reason[:300]
    checkout.ask_at = None
    if checkout.processing_at is None:
        return
    # A buyer who paid by a slow method has left the page long ago and thinks that it is paid.
    order = checkout.order
    give_place_back(order)
    order_link(order.id, order.customer_id)
    owe(
        "payment_failed",
        f"payment_failed:{checkout.id}",
        customer_id=order.customer_id,
        order_id=order.id,
        facts={"checkout_id": checkout.id},
        # None is lost, and somebody who pays badly in another's name mails them once an hour.
        due_at=hour_after_last("payment_failed", order.customer_id),
        priority=SOMEBODY_WAITS,
    )


def _mismatch(state: GatewayState, checkout: Checkout, order: Order) -> str:
    if state.fault:
        return state.fault
    if state.order_reference != order.reference:
        return f"the gateway names the order “{state.order_reference}”"
    if state.payment_id is None:
        return "the gateway names no payment"
    agreed = (order.total_amount, order.currency)
    if (state.amount, state.currency) != agreed or (checkout.amount, checkout.currency) != agreed:
        paid = format_money(state.amount, state.currency)
        return f"{paid} was paid, {format_money(*agreed)} was agreed"
    return ""


def _hold_back(checkout: Checkout, order: Order, state: GatewayState, fault: str) -> Applied:
    """Money that does not fit delivers nothing. The try stays open, so that nobody pays a second
    time, until that money has gone back; then it has failed, and the order ends like any other."""
    checkout.held_at = None if has_gone_back(state) else checkout.held_at or clock.now()
    if checkout.held_at is None:
        _end_unpaid(checkout, CheckoutStatus.FAILED, GIVEN_BACK, f"gateway:{checkout.gateway}")
    elif checkout.status is CheckoutStatus.OPEN:
        checkout.ask_at = clock.now() + LATEST
    alert_staff(
        f"A payment for order {order.reference} does not fit",
        f"Nothing was delivered: {fault}.\n\nCompare the order with the gateway's own page, then "
        "refund the payment there or write to the customer.",
        f"mismatch:{checkout.id}",
    )
    return Applied(EventStatus.IGNORED, f"Nothing was delivered: {fault}."[:300])


def has_gone_back(state: GatewayState) -> bool:
    """Whether nothing is left at the gateway of the money that a try brought."""
    given = (one.amount for one in state.refunds if one.standing is RefundStanding.SUCCEEDED)
    lost = (one.amount for one in state.disputes if one.outcome is DisputeOutcome.LOST)
    return sum(given) + sum(lost) >= state.amount > 0


def _take_payment(checkout: Checkout, order: Order, state: GatewayState) -> Payment:
    paid_at = state.paid_at or clock.now()
    added = insert_once(
        Payment,
        order_id=checkout.order_id,
        checkout_id=checkout.id,
        gateway=checkout.gateway,
        gateway_payment_id=str(state.payment_id),
        amount=state.amount,
        currency=state.currency,
        received_at=paid_at,
    )
    payment = db.session.scalars(
        sa.select(Payment).filter_by(
            gateway=checkout.gateway, gateway_payment_id=str(state.payment_id)
        )
    ).one()
    _note_place(payment, order, state)
    checkout.held_at = None
    if checkout.status is not CheckoutStatus.COMPLETED:
        advance(checkout, CheckoutStatus.COMPLETED, who=f"gateway:{checkout.gateway}")
        checkout.ask_at = None
    if moved_to_paid(order, checkout.gateway):
        order.paid_at = paid_at
        grant_order(order, paid_at)
        _say_bought_twice(order)
    elif added is not None:
        alert_staff(
            f"Order {order.reference} was paid twice",
            "A second payment arrived for an order that was paid already. Refund one of them.",
            f"paid_twice:{payment.id}",
        )
    return payment


def _note_place(payment: Payment, order: Order, state: GatewayState) -> None:
    """Method, card and evidence of the buyer's country, as soon as the gateway knows them."""
    payment.method = state.method[:40] or payment.method
    payment.billing_country = state.billing_country or payment.billing_country
    payment.card_country = state.card_country or payment.card_country
    payment.card_last4 = state.card_last4 or payment.card_last4
    known = {payment.billing_country, payment.card_country} - {""}
    if known <= {order.country}:
        return
    alert_staff(
        f"Order {order.reference}: the countries do not agree",
        f"The order says {order.country}, the billing address {payment.billing_country or '–'}, "
        f"the card {payment.card_country or '–'}. The copy was delivered. Where VAT depends on the "
        "country, look at the order and keep what you decide.",
        f"countries:{payment.id}",
    )


def moved_to_paid(order: Order, gateway: str) -> bool:
    """Whether this caller moved the order to paid; only the one that did delivers."""
    return order.status is not OrderStatus.PAID and advance(
        order, OrderStatus.PAID, who=f"gateway:{gateway}"
    )


def _say_bought_twice(order: Order) -> None:
    twin = earlier_twin(order)
    if twin is None:
        return
    alert_staff(
        f"Orders {twin.reference} and {order.reference} may be one purchase made twice",
        f"One customer paid both within a day, for “{order.lines[0].title}”. The letter and the "
        "library of the second name the first, and say how one is given back. If you hear that it "
        f"was a slip, refund {order.reference}.",
        f"bought_twice:{order.id}",
    )
