"""Ending tries to pay: at their gateway first, so that nobody pays what is agreed no more."""

import logging

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db, end_read, transaction
from store.kit.errors import Refusal
from store.orders.models import Order, OrderStatus
from store.orders.orders import lock_order
from store.payments.charged import charge_of, is_money_under_way
from store.payments.fulfilment import SOONEST, end_unheard
from store.payments.gateways.base import GatewayRefused, GatewayUnreachable
from store.payments.gateways.registry import gateway_named
from store.payments.inbox import fulfil_checkout
from store.payments.models import Checkout, CheckoutStatus

log = logging.getLogger(__name__)

AT_ONCE = 20


class PaymentsUnavailable(Refusal):
    """The gateway does not answer, or will not have this checkout."""

    status = 503
    heading = "We cannot take payments at the moment"
    sentence = (
        "The payment service does not answer. No payment has been begun, and your order is kept. "
        "Please try again in a few minutes."
    )


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
    _end_each(query.limit(AT_ONCE))


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
