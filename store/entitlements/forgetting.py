"""Addresses that somebody typed and that turned out to be no customer's: they are not kept."""

import sqlalchemy as sa

from store.entitlements.addresses import CONFIRM
from store.entitlements.finding import FIND
from store.entitlements.models import Link
from store.entitlements.order_moves import ACCEPT
from store.kit.database import transaction
from store.mail.models import Delivery, DeliveryStatus
from store.mail.outbox import forget_addresses, long_past

_ASKING = (CONFIRM, ACCEPT)


def forget_unknown_addresses() -> None:
    """Blank the addresses of those who asked for their copies and whom we did not know; the
    timetable calls it."""
    is_stuck = sa.and_(Delivery.customer_id.is_(None), Delivery.created_at < long_past())
    stuck = sa.and_(is_stuck, Delivery.status.in_((DeliveryStatus.FAILED, DeliveryStatus.HELD)))
    with transaction():
        forget_addresses(
            Delivery.kind == FIND, sa.or_(Delivery.status == DeliveryStatus.SKIPPED, stuck)
        )


def forget_unproved_addresses() -> None:
    """Blank the addresses that were asked whether they take a customer's letters, or an order, and
    that never said yes; the timetable calls it."""
    # A link works for a day from when its letter left, and that may be long after it was asked for.
    is_awaited = sa.exists().where(
        Delivery.link_id == Link.id,
        sa.or_(Delivery.status.in_(DeliveryStatus.open()), Delivery.sent_at >= long_past()),
    )
    unproved = (
        Link.purpose.in_(("address", "move")),
        Link.used_at.is_(None),
        Link.created_at < long_past(),
        ~is_awaited,
    )
    with transaction() as session:
        forget_addresses(
            Delivery.kind.in_(_ASKING), Delivery.link_id.in_(sa.select(Link.id).where(*unproved))
        )
        session.execute(
            sa.update(Link)
            .where(*unproved, Link.new_email.is_not(None))
            .values(new_email=None)
            .execution_options(synchronize_session=False)
        )
