"""Undoing a change of address parts a history: what was ordered at the addresses that the customer
had meanwhile stays with those mailboxes."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from store.entitlements.finding import FIND
from store.entitlements.links import Ended
from store.entitlements.models import Link, OrderMove
from store.entitlements.order_moves import hand_over
from store.kit.database import db
from store.kit.status import record_change
from store.mail import outbox
from store.orders.customers import address_key, find_or_add_customer
from store.orders.models import Order

Bought = Sequence[tuple[Order, str]]


def bought_elsewhere(link: Link) -> Bought:
    """What the customer of an undo link ordered, or accepted from another mailbox, since the
    change at another address than the restored one, or got with that address; each order with it."""
    came = sa.and_(
        OrderMove.order_id == Order.id,
        OrderMove.to_customer_id == Order.customer_id,
        OrderMove.is_given_back.is_(False),
    )
    accepted = sa.and_(
        Link.purpose == "move", Link.order_id == OrderMove.order_id, Link.used_at.is_not(None)
    )
    query = (
        sa.select(Order, sa.func.coalesce(Link.new_email, Order.email))
        .outerjoin(OrderMove, came)
        .outerjoin(Link, accepted)
        .where(
            Order.customer_id == link.customer_id,
            sa.func.coalesce(OrderMove.moved_at, Order.came_at, Order.placed_at) >= link.created_at,
        )
        .order_by(Order.id)
        .execution_options(populate_existing=True)
    )
    return _not_at(link, query)


def is_moved_on(link: Link) -> sa.ColumnElement[bool]:
    """Orders that were placed likewise and moved on to another customer since, who keeps them:
    they go back, if at all, to where they were ordered."""
    unsettled = sa.select(OrderMove.order_id).where(
        OrderMove.from_customer_id == link.customer_id, OrderMove.settled_at.is_(None)
    )
    since = sa.func.coalesce(Order.came_at, Order.placed_at)
    return sa.and_(Order.id.in_(unsettled), since >= link.created_at)


def moved_on(link: Link) -> Bought:
    """Those orders, each with the address that it was placed with."""
    query = sa.select(Order, Order.email).where(is_moved_on(link)).order_by(Order.id)
    return _not_at(link, query.execution_options(populate_existing=True))


def leave_behind(link: Link, bought: Bought, moved: Bought) -> set[str]:
    """Give what was bought elsewhere to the customers of those addresses, found or added, and mail
    them their links. Called once the restored address is on file; returns the addresses' keys."""
    mailboxes = set()
    for order, address in bought:
        old_id, mailbox_id = order.customer_id, find_or_add_customer(address, order.name).id
        hand_over(order, mailbox_id, f"stayed-{link.id}", Ended.ADDRESS)
        _rewrite(OrderMove.to_customer_id, order, old_id, mailbox_id)
        _note(order)
        mailboxes.add(mailbox_id)
    for order, address in moved:
        mailbox_id = find_or_add_customer(address, order.name).id
        _rewrite(OrderMove.from_customer_id, order, link.customer_id, mailbox_id)
        objects = Link.purpose == "undo", Link.order_id == order.id
        db.session.execute(sa.update(Link).where(*objects).values(customer_id=mailbox_id))
    facts = {"asked_by": "the shop, as a change of address was undone"}
    for mailbox_id in sorted(mailboxes):
        key = f"find:stayed:{link.id}:{mailbox_id}"
        outbox.owe(FIND, key, customer_id=mailbox_id, facts=facts, priority=0)
    return {address_key(address) for _, address in bought}


def _not_at(link: Link, query: sa.Select[Order, str]) -> Bought:
    restored = address_key(link.new_email or "")
    found = db.session.execute(query).all()
    return [(order, address) for order, address in found if address_key(address) != restored]


def _note(order: Order) -> None:
    was, now, why = "changed address", "its own address", "the change of address was undone"
    record_change(db.session(), "orders", order.id, was, now, who="customer", why=why)


def _rewrite(column: InstrumentedAttribute[int], order: Order, old_id: int, new_id: int) -> None:
    which = OrderMove.order_id == order.id, column == old_id
    db.session.execute(sa.update(OrderMove).where(*which).values({column: new_id}))
