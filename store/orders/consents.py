"""What a customer agreed to, and whether there was need to ask (Consumer Contracts Regulations
2013, regulation 37)."""

from datetime import date, datetime, timedelta

import sqlalchemy as sa

from store.catalog import publishing
from store.catalog.models import Publication
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.orders.inserting import insert_once
from store.orders.models import Consent, Order

IMMEDIATE_SUPPLY = "immediate_supply"
# A wording that was ever shown stays here: rows name the one that their customer saw.
CONSENT_WORDINGS = {
    "2026-1": (
        "Send me the guide straight away. I understand that I then lose my 14-day right to cancel."
    ),
}
CURRENT_WORDING = "2026-1"
# Fourteen days after the day of the order; the fifteenth is free of the right to cancel.
_WAIT = timedelta(days=15)


def waiver_needed(publication: Publication, ordered_at: datetime) -> bool:
    """Whether a copy may fall due inside the 14 days, so that consent has to be asked for.

    A pre-order is judged by its expected date; without one the copy may come any day.
    """
    if not publishing.is_preorder(publication):
        return True
    expected = publication.expected_on
    return expected is None or expected < _day(ordered_at) + _WAIT


def supply_starts_at(order_placed_at: datetime) -> datetime:
    """When a copy may be supplied without consent: the start of day 15 in the shop's zone."""
    return clock.start_of(_day(order_placed_at) + _WAIT, config().zone)


def has_waiver(order_id: int) -> bool:
    """Whether the customer consented to immediate supply, with the order or later."""
    return waiver(order_id) is not None


def waiver(order_id: int) -> Consent | None:
    """The consent to immediate supply: wording and time, as the receipt repeats them."""
    return db.session.scalar(_waiver_of(order_id))


def give_waiver(order: Order) -> None:
    """Note the consent to immediate supply in today's wording; a second press adds nothing."""
    insert_once(
        Consent,
        order_id=order.id,
        kind=IMMEDIATE_SUPPLY,
        wording_version=CURRENT_WORDING,
        given_at=clock.now(),
    )


def forget_waiver(order: Order) -> None:
    """Take the consent out again while the order is still being written."""
    given = waiver(order.id)
    if given is not None:
        db.session.delete(given)
        db.session.flush()


def _waiver_of(order_id: int) -> sa.Select[Consent]:
    return sa.select(Consent).where(Consent.order_id == order_id, Consent.kind == IMMEDIATE_SUPPLY)


def _day(moment: datetime) -> date:
    return moment.astimezone(config().zone).date()
