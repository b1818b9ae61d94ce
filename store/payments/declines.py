"""Bursts of declined payments: somebody may be trying stolen cards on our payment page."""

from datetime import timedelta

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db, end_read, transaction
from store.kit.formatting import format_moment
from store.mail.models import Delivery
from store.mail.outbox import alert_staff, is_alert
from store.payments.models import GatewayEvent

WITHIN = timedelta(minutes=10)
MORE_THAN = 10
ONE_ALERT_IN = timedelta(hours=1)
_TOLD = "declines:"


def alert_on_burst() -> bool:
    """For the timetable: alert staff where more payments were declined within ten minutes than
    buyers' slips explain, once an hour; says whether it did. Opens its own transaction, none
    where there is nothing to say."""
    # As the index is written, which holds nothing but declines.
    declined = sa.select(sa.func.count(GatewayEvent.id)).where(
        sa.text("is_decline"), GatewayEvent.received_at > clock.now() - WITHIN
    )
    count = db.session.scalars(declined).one()
    end_read()
    if count <= MORE_THAN:
        return False
    with transaction():
        if _is_told():
            return False
        now = clock.now()
        alert_staff(
            "Many payments are being declined",
            f"{count} payments were declined in the ten minutes before {format_moment(now)}. Buyers "
            "mistype; this many are more likely somebody who tries stolen cards.\n\nLook at the "
            "payments on the gateway's own page, and block there what they have in common. The shop "
            "limits how many payments one network and one address start in an hour; nothing else "
            "has been stopped. The next alert comes in an hour, if it goes on.",
            # Two workers at once say it once.
            f"{_TOLD}{now:%Y-%m-%dT%H}",
        )
    return True


def _is_told() -> bool:
    told = sa.select(Delivery.id).where(
        is_alert(_TOLD),
        Delivery.created_at > clock.now() - ONE_ALERT_IN,
    )
    return db.session.scalars(told.limit(1)).first() is not None
