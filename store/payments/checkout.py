"""Checkouts: a try to pay begins, ends at its gateway, or runs out with its order.

What is agreed no more ends at its gateway first, so that nobody pays it.
"""

import logging
from datetime import timedelta

import sqlalchemy as sa

from store.entitlements.links import order_link, order_url, token_of
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, end_read, transaction
from store.kit.errors import Refusal
from store.orders.discounts import HELD_FOR_TRANSFER, keep_place
from store.orders.models import Order, OrderStatus
from store.orders.orders import expire_order, lock_order
from store.payments.charge import charge_of, is_money_under_way
from store.payments.fulfilment import SOONEST, end_unheard
from store.payments.gateways.base import (
    FREE,
    MANUAL,
    CheckoutRequest,
    Gateway,
    GatewayRefused,
    GatewayUnreachable,
    StartedCheckout,
)
from store.payments.gateways.registry import NoGateway, default_gateway, gateway_named
from store.payments.inbox import fulfil_checkout, fulfil_order
from store.payments.models import Checkout, CheckoutStatus
from store.payments.transfers import TIME_TO_TRANSFER, has_part, owe_details, takes_transfers

log = logging.getLogger(__name__)

# How long a buyer has; Stripe takes 30 minutes to 24 hours.
TIME_TO_PAY = timedelta(hours=23)
AT_ONCE = 200
# How many tries at once the timetable ends at a gateway that was silent.
ENDED_AT_ONCE = 20


class OrderClosed(Refusal):
    """An order that ran out or was given up is not paid any more; a new one is placed."""

    heading = "This order is closed"
    sentence = "This order was not paid in time, or was given up. Please order again."
    way_out = ("/", "See what we publish")


class NoTransfers(Refusal):
    """A seller who has not said where money can be transferred to."""

    heading = "We cannot take bank transfers"
    sentence = (
        "We cannot take bank transfers at the moment. Your order is kept. Please choose another way "
        "to pay, or write to us."
    )


class PartlyReceived(Refusal):
    """Part of the price has come by bank: it is not paid in another way as well."""

    heading = "Part of your payment has arrived"
    sentence = (
        "Part of the money for this order has arrived by bank transfer. Please transfer the rest, "
        "or write to us."
    )


class PaymentsUnavailable(Refusal):
    """The gateway does not answer, or will not have this checkout."""

    status = 503
    heading = "We cannot take payments at the moment"
    sentence = (
        "The payment service does not answer. No payment has been begun, and your order is kept. "
        "Please try again in a few minutes."
    )


def begin_checkout(order_id: int, gateway_name: str | None = None) -> str:
    """The address where the order is paid, or the order's own page where it is paid already.

    `gateway_name` "manual" is a bank transfer, None the way to pay online; an order without a
    price needs neither and is fulfilled at once. Opens its own transactions, so the door calls it
    outside one. Pressed twice it is one checkout; another choice ends the try before it. Refuses
    (`NoGateway`, `NoTransfers`, `OrderClosed`, `PartlyReceived`, `PaymentsUnavailable`).
    """
    # News of the last try may not have arrived yet.
    fulfil_order(order_id)
    _close_outdated(order_id, gateway_name)
    with transaction():
        order = lock_order(order_id)
        if order.status is OrderStatus.PAID or is_money_under_way(order):
            return own_page(order)
        if order.status is not OrderStatus.PENDING:
            raise OrderClosed
        checkout = _open_checkout(order) or _add_checkout(
            order, _choose_gateway(order, gateway_name)
        )
        if checkout.gateway == MANUAL:
            keep_place(order, checkout.created_at + HELD_FOR_TRANSFER)
        if checkout.pay_url:
            return checkout.pay_url
        gateway, request = gateway_named(checkout.gateway), _request(checkout, order)
    started = _start(gateway, request)
    with transaction():
        lock_order(order_id)
        _note_start(db.session.get_one(Checkout, request.checkout_id), started)
    if gateway.name == FREE:
        fulfil_checkout(request.checkout_id)
    return started.url


def _close_outdated(order_id: int, gateway_name: str | None) -> None:
    """End an open try whose amount is no longer that of the order, or that goes another way than
    is chosen now, at the gateway first. Refuses (`PartlyReceived`, `PaymentsUnavailable`)."""
    order = db.session.get_one(Order, order_id)
    checkout = _open_checkout(order)
    is_wanted = True
    # Once it is paid, or the buyer's bank is at work, a second way would charge twice.
    if checkout and order.status is OrderStatus.PENDING and checkout.processing_at is None:
        agreed = (order.total_amount, order.currency)
        is_of_order = agreed == (checkout.amount, checkout.currency)
        is_wanted = is_of_order and checkout.gateway == _choose_gateway(order, gateway_name).name
    if checkout is None or is_wanted:
        end_read()
        return
    if has_part(checkout):
        raise PartlyReceived
    end_read()
    end_open_try(order_id)


def _open_checkout(order: Order) -> Checkout | None:
    query = sa.select(Checkout).where(
        Checkout.order_id == order.id, Checkout.status == CheckoutStatus.OPEN
    )
    return db.session.scalars(query.execution_options(populate_existing=True)).first()


def _choose_gateway(order: Order, gateway_name: str | None) -> Gateway:
    """The way in which an order is paid: none where nothing is to pay, else the one that was
    named, else the one online. Refuses (`NoGateway`, `NoTransfers`)."""
    if order.total_amount == 0:
        return gateway_named(FREE)
    if gateway_name is not None:
        if not takes_transfers():
            raise NoTransfers
        return gateway_named(gateway_name)
    try:
        return default_gateway()
    except NoGateway:
        if takes_transfers():
            raise NoGateway(
                "We cannot take cards at the moment. Your order is kept. Go back and choose "
                "“Order and pay by bank transfer”."
            ) from None
        raise


def _add_checkout(order: Order, gateway: Gateway) -> Checkout:
    now = clock.now()
    checkout = Checkout(
        order_id=order.id,
        gateway=gateway.name,
        status=CheckoutStatus.OPEN,
        amount=order.total_amount,
        currency=order.currency,
        created_at=now,
        expires_at=now + (TIME_TO_TRANSFER if gateway.name == MANUAL else TIME_TO_PAY),
        ask_at=now + SOONEST,
    )
    db.session.add(checkout)
    db.session.flush()
    return checkout


def _request(checkout: Checkout, order: Order) -> CheckoutRequest:
    link = order_link(order.id, order.customer_id)
    slug = order.lines[0].publication.slug
    # Signed as of the try: asked again, with the same key, the gateway wants the same addresses.
    token = token_of(link, checkout.created_at)
    review = f"{config().base_url}/publications/{slug}/order?resume={token}"
    return CheckoutRequest(
        idempotency_key=f"order-{order.reference}-checkout-{checkout.id}",
        checkout_id=checkout.id,
        order_reference=order.reference,
        title=order.lines[0].title,
        email=order.email,
        amount=checkout.amount,
        currency=checkout.currency,
        expires_at=checkout.expires_at,
        success_url=order_url(order.id, checkout.created_at),
        cancel_url=review,
    )


def _start(gateway: Gateway, request: CheckoutRequest) -> StartedCheckout:
    try:
        return gateway.start(request)
    except GatewayUnreachable:
        log.exception("checkout %s could not be started", request.checkout_id)
    except GatewayRefused:
        log.exception("checkout %s will never be started", request.checkout_id)
        # Another press begins another try: under the same key it would be refused again.
        with transaction() as session:
            checkout = session.get_one(Checkout, request.checkout_id, populate_existing=True)
            if checkout.gateway_reference is None:
                end_unheard(checkout)
    raise PaymentsUnavailable


def _note_start(checkout: Checkout, started: StartedCheckout) -> None:
    checkout.gateway_reference = started.reference
    checkout.pay_url = started.url
    checkout.expires_at = started.expires_at
    if checkout.gateway == MANUAL:
        owe_details(checkout)


def own_page(order: Order) -> str:
    """The address of an order's own page, its link there; inside the caller's transaction."""
    order_link(order.id, order.customer_id)
    return order_url(order.id)


def end_open_try(order_id: int) -> None:
    """End an order's open try at its gateway, and apply what that says; money that has come wins.

    Opens its own transactions. Refuses (`PaymentsUnavailable`) while the gateway is silent, in
    words that claim nothing about the money.
    """
    query = sa.select(Checkout).filter_by(order_id=order_id, status=CheckoutStatus.OPEN)
    checkout = db.session.scalars(query).first()
    if checkout is None or is_money_under_way(checkout.order):
        end_read()
        return
    checkout_id, name, reference = checkout.id, checkout.gateway, checkout.gateway_reference
    end_read()
    if reference is None:
        with transaction() as session:
            lock_order(order_id)
            checkout = session.get_one(Checkout, checkout_id, populate_existing=True)
            if checkout.gateway_reference is None:
                end_unheard(checkout)
        return
    try:
        gateway_named(name).close(reference)
        fulfil_checkout(checkout_id)
    except (GatewayUnreachable, GatewayRefused):
        order = db.session.get_one(Order, order_id)
        sentence = charge_of(order, is_heard=False).sentence
        end_read()
        raise PaymentsUnavailable(sentence) from None


def end_for_order(order_id: int) -> None:
    """After the commit that gave an order up: end its try. A gateway that is silent is asked
    later (`end_left_open`), and money that comes all the same goes back."""
    _end_each(sa.select(Checkout.id).where(_is_left_open(), Order.id == order_id))


def end_left_open() -> None:
    """For the timetable: the tries of orders that were given up while their gateway was silent."""
    is_due = Checkout.ask_at <= clock.now()
    query = sa.select(Checkout.id).where(_is_left_open(), is_due).order_by(Checkout.ask_at)
    _end_each(query.limit(ENDED_AT_ONCE))


def _is_left_open() -> sa.ColumnElement[bool]:
    return sa.and_(
        Order.id == Checkout.order_id,
        Order.status == OrderStatus.CANCELLED,
        Checkout.status == CheckoutStatus.OPEN,
        Checkout.processing_at.is_(None),
        Checkout.held_at.is_(None),
    )


def _end_each(query: sa.Select[int]) -> None:
    checkout_ids = list(db.session.scalars(query))
    if not checkout_ids:
        end_read()
        return
    with transaction() as session:
        # Whatever comes of it, others are asked about first next time.
        session.execute(
            sa.update(Checkout)
            .where(Checkout.id.in_(checkout_ids))
            .values(ask_at=clock.now() + SOONEST)
        )
        order_ids = list(
            session.scalars(sa.select(Checkout.order_id).where(Checkout.id.in_(checkout_ids)))
        )
    for order_id in order_ids:
        try:
            end_open_try(order_id)
        except PaymentsUnavailable:
            log.warning("the try of order %s could not be ended yet", order_id)


def expire_due() -> None:
    """For the timetable: end checkouts that were never started, and orders whose last one ended.

    Checkouts that a gateway knows are ended by what it says (`inbox.sweep`).
    """
    now = clock.now()
    unheard = sa.select(Checkout.id, Checkout.order_id).where(
        Checkout.status == CheckoutStatus.OPEN,
        Checkout.gateway_reference.is_(None),
        Checkout.expires_at <= now,
    )
    for checkout_id, order_id in db.session.execute(unheard.limit(AT_ONCE)).all():
        with transaction():
            lock_order(order_id)
            checkout = db.session.get_one(Checkout, checkout_id, populate_existing=True)
            if checkout.gateway_reference is None:
                end_unheard(checkout)
    for left_id in db.session.scalars(_left_alone().limit(AT_ONCE)).all():
        with transaction():
            order = lock_order(left_id)
            # Looked at again under the lock.
            mine = _left_alone().where(Order.id == order.id)
            if db.session.scalars(mine).first() is not None:
                expire_order(order, "not paid in time")


def _left_alone() -> sa.Select[int]:
    """Pending orders without an open checkout, old enough to have been paid."""
    mine = Checkout.order_id == Order.id
    is_current = sa.or_(Checkout.status == CheckoutStatus.OPEN, Checkout.expires_at > clock.now())
    return (
        sa.select(Order.id)
        .where(
            Order.status == OrderStatus.PENDING,
            Order.placed_at <= clock.now() - TIME_TO_PAY,
            ~sa.exists().where(mine, is_current),
        )
        .order_by(Order.id)
    )
