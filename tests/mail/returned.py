"""A customer whose edition was sent, and what became of that letter."""

from typing import NamedTuple

import sqlalchemy as sa

from store.kit.database import db, transaction
from store.mail.models import AddressHold, Delivery, DeliveryStatus, Repair, ReturnedLetter
from tests.editions import drafted_and_released
from tests.factories import a_publication, a_seller
from tests.letters import send
from tests.purchases import buy


class Stand(NamedTuple):
    """What became of the letter: its status, addresses on hold, open repairs, reports taken."""

    status: DeliveryStatus
    held: list[str]
    repairs: int
    reports: int


def sent_edition(also: str = "") -> str:
    """Sell to Anna, and to whom else, and release; returns the Message-ID of her letter."""
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        buy(publication)
        if also:
            buy(publication, also, "Ben")
    drafted_and_released(publication)
    send()
    return notice().message_id or ""


def notice() -> Delivery:
    """The letter about the edition, as it stands now."""
    db.session.rollback()
    query = sa.select(Delivery).where(Delivery.kind == "edition_notice").order_by(Delivery.id)
    return db.session.scalars(query.execution_options(populate_existing=True)).all()[0]


def stand() -> Stand:
    status = notice().status
    held = list(db.session.scalars(sa.select(AddressHold.address_key)))
    repairs = db.session.scalar(
        sa.select(sa.func.count(Repair.id)).where(Repair.ended_at.is_(None))
    )
    reports = db.session.scalar(sa.select(sa.func.count(ReturnedLetter.id)))
    db.session.rollback()
    return Stand(status, held, repairs or 0, reports or 0)
