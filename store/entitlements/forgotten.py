"""Customers of whom nothing is left: no copy, and no order that is kept. Their name and address go as by
an erasure, without one being asked for.

The timetable walks round all customers, a few hundred at a time; what is written down is how far it
has come.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from store.entitlements.clearing import AT_ONCE, RECORDS, UNPAID, Clearing
from store.entitlements.erasing import erase_person
from store.entitlements.merging import lock_histories
from store.entitlements.models import Entitlement
from store.kit import clock
from store.kit.database import db, insert_once, transaction
from store.mail.models import Delivery, DeliveryStatus
from store.orders.models import Customer, Order

_WALK = "customers"


def forget_customers() -> None:
    """Take out the next of those who have nothing any more (timetable)."""
    place = sa.select(Clearing.up_to).where(Clearing.name == _WALK).scalar_subquery()
    is_next = Customer.id > sa.func.coalesce(place, 0)
    query = sa.select(Customer.id).where(is_next).order_by(Customer.id).limit(AT_ONCE)
    ids = db.session.scalars(query).all()
    for customer_id in db.session.scalars(_without_anything(ids)).all():
        with transaction() as session:
            lock_histories([customer_id])
            if session.scalar(_without_anything([customer_id])) is not None:
                erase_person(customer_id, clock.now(), is_asked=False)
    if len(ids) == AT_ONCE:
        _go_on_from(ids[-1])
    elif db.session.scalar(sa.select(Clearing.up_to).where(Clearing.name == _WALK)):
        _go_on_from(0)  # and round again


def _without_anything(ids: Sequence[int]) -> sa.Select[int]:
    now = clock.now()
    theirs = Order.customer_id == Customer.id
    is_bought = sa.or_(Order.paid_at.is_not(None), Order.given_reason != "")
    has_right = Entitlement.customer_id == Customer.id
    is_open = Delivery.status.in_(DeliveryStatus.open())
    return sa.select(Customer.id).where(
        Customer.id.in_(ids),
        Customer.merged_into_id.is_(None),
        Customer.erased_at.is_(None),
        Customer.created_at < now - UNPAID,
        ~sa.exists().where(has_right, Entitlement.revoked_at.is_(None)),
        ~sa.exists().where(has_right, Entitlement.granted_at >= now - RECORDS),
        ~sa.exists().where(theirs, Order.placed_at >= now - UNPAID),
        ~sa.exists().where(theirs, is_bought, Order.placed_at >= now - RECORDS),
        ~sa.exists().where(Delivery.customer_id == Customer.id, is_open),
    )


def _go_on_from(customer_id: int) -> None:
    with transaction() as session:
        insert_once(Clearing, name=_WALK, up_to=0)
        session.execute(sa.update(Clearing).where(Clearing.name == _WALK).values(up_to=customer_id))
