"""The newest of what happened at the shop today, for the desk's first page."""

import sqlalchemy as sa
from flask import url_for
from markupsafe import Markup, escape
from sqlalchemy.orm import joinedload

from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.orders.models import Order
from store.payments.models import Payment, Refund
from store.stories.timeline import Event, amount_of, has_paid, named

_TODAY = 6


def today_at_the_shop() -> list[Event]:
    """The newest of today's payments, refunds, gifts, and letters that did not arrive."""
    zone = config().zone
    since = clock.start_of(clock.today(zone), zone)
    paid = (
        sa.select(Payment)
        .where(Payment.received_at >= since, Payment.amount > 0)
        .options(joinedload(Payment.order))
        .order_by(Payment.received_at.desc(), Payment.id.desc())
    )
    given_back = (
        sa.select(Refund)
        .where(Refund.requested_at >= since)
        .options(joinedload(Refund.payment).joinedload(Payment.order))
        .order_by(Refund.requested_at.desc(), Refund.id.desc())
    )
    # A gift is paid the moment it is placed, and of that there is an index.
    gifts = sa.select(Order).where(Order.paid_at >= since, Order.given_reason != "")
    gifts = gifts.order_by(Order.paid_at.desc(), Order.id.desc())
    events = [
        Event(has_paid(one, _buyer(one.order, "Somebody")), one.received_at, _order_link(one.order))
        for one in db.session.scalars(paid.limit(_TODAY))
    ]
    for refund in db.session.scalars(given_back.limit(_TODAY)):
        order = refund.payment.order
        sentence = f"{named(refund.who)} refunded {amount_of(refund)} to {_buyer(order)}"
        if refund.who == "customer":
            sentence = f"{_buyer(order, 'Somebody')} cancelled, and {amount_of(refund)} went back"
        events.append(Event(sentence, refund.requested_at, _order_link(order)))
    for order in db.session.scalars(gifts.limit(_TODAY)):
        sentence = f"A free copy was given to {_buyer(order)}"
        events.append(Event(sentence, order.placed_at, _order_link(order)))
    return sorted(events, key=lambda event: event.at, reverse=True)[:_TODAY]


def _buyer(order: Order, somebody: str = "somebody") -> str:
    return order.name or order.organisation or order.email or f"{somebody} who was erased"


def _order_link(order: Order) -> Markup:
    url = url_for("orders.one", reference=order.reference)
    return Markup('<a href="{}">{}</a>').format(url, escape(order.reference))
