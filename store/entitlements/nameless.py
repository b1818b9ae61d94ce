"""What tax law kept of those who were erased goes, too, once its time is over."""

from datetime import timedelta

import sqlalchemy as sa

from store.entitlements.models import Link
from store.entitlements.person import person_of, rows_of
from store.kit import clock
from store.kit.database import Base, db, transaction
from store.mail.models import Delivery
from store.orders.models import Customer, Offer, Order

# Six years after the end of the financial year of the newest order, whatever day that year ends on.
KEPT_FOR = timedelta(days=2557)
_AT_ONCE = 20
# What hangs on orders, with them. Letters stay, as releases are counted by them, and name no order.
_GONE = (
    "transfers_back",
    "transfers",
    "disputes",
    "refunds",
    "payments",
    "checkouts",
    "consents",
    "order_moves",
    "downloads",
    "entitlements",
    "order_lines",
    "links",
    "orders",
)


def remove_old_accounts() -> None:
    """For the timetable: remove the orders of customers who are erased, when the newest one's time
    is over."""
    before = clock.now() - KEPT_FOR
    theirs = sa.select(Order.id).where(Order.customer_id == Customer.id)
    old = sa.select(Customer.id).where(
        Customer.erased_at < before,
        theirs.exists(),
        ~theirs.where(Order.placed_at >= before).exists(),
    )
    for customer_id in db.session.scalars(old.order_by(Customer.id).limit(_AT_ONCE)).all():
        with transaction():
            _remove(customer_id)


def _remove(customer_id: int) -> None:
    person = person_of(customer_id)
    orders = sa.select(Order.id).where(Order.customer_id.in_(person.ids))
    links = sa.select(Link.id).where(
        sa.or_(Link.customer_id.in_(person.ids), Link.order_id.in_(orders))
    )
    tables = Base.metadata.tables
    # What others hold of it: a link that objects to the move of such an order.
    unnamed = sa.update(Delivery).execution_options(synchronize_session=False)
    db.session.execute(unnamed.where(Delivery.link_id.in_(links)).values(link_id=None))
    db.session.execute(unnamed.where(Delivery.order_id.in_(orders)).values(order_id=None))
    db.session.execute(sa.update(Offer).where(Offer.order_id.in_(orders)).values(order_id=None))
    chosen = {}
    for name in _GONE:
        row = tables[name].columns
        which = rows_of(name, person)
        if "order_id" in row:
            which = sa.or_(which, row.order_id.in_(orders))
        chosen[name] = db.session.scalars(sa.select(row.id).where(which)).all()
    for name in _GONE:
        db.session.execute(sa.delete(tables[name]).where(tables[name].columns.id.in_(chosen[name])))
