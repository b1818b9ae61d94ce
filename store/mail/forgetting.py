"""Addresses that strangers typed, taken out of letters once these are closed."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db
from store.mail.models import Attempt, Delivery, DeliveryStatus

KEPT_FOR = timedelta(days=2)
FORGOTTEN = "its address is forgotten"

# The rest has its turn with the next minute of the timetable.
_AT_ONCE = 1000
# What a mail server, or the shop, said of a letter that did not leave may quote its address.
_QUOTING = (DeliveryStatus.FAILED, DeliveryStatus.HELD)


def long_past() -> datetime:
    """What is older than this (UTC) is forgotten."""
    return clock.now() - KEPT_FOR


def forget_addresses(*which: sa.ColumnElement[bool]) -> None:
    """Blank the addresses of the letters of `which` that are not on their way, those of each try,
    and what was said to them, which may quote the address."""
    session = db.session()
    is_closed = Delivery.status.not_in(DeliveryStatus.open())
    chosen = sa.select(Delivery.id).where(*which, is_closed, Delivery.address.is_not(None))
    reason = sa.case((Delivery.status.in_(_QUOTING), FORGOTTEN), else_=Delivery.reason)
    blanked = session.scalars(
        sa.update(Delivery)
        .where(Delivery.id.in_(chosen.limit(_AT_ONCE)), is_closed)
        .values(address=None, reason=reason)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    ).all()
    if blanked:
        session.execute(
            sa.update(Attempt)
            .where(Attempt.delivery_id.in_(blanked))
            .values(address="", reply="")
            .execution_options(synchronize_session=False)
        )
        session.expire_all()
