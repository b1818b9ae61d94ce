"""Editions whose moment has come, for readers of whom some have stopped news."""

from collections import Counter

import sqlalchemy as sa

from store.catalog.models import Publication
from store.distribution import releasing
from store.distribution.recipients import recipients
from store.entitlements.models import NoticeStop
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus
from store.orders.models import Customer
from tests.editions import a_shop, draft
from tests.purchases import buy

READERS, STOPPED = 60, 7


def a_shop_with_readers() -> int:
    """A publication whose first edition all have; its number."""
    publication = a_shop(editions=1)
    with transaction() as session:
        for number in range(READERS):
            buy(publication, f"reader{number:03}@reader.example", wants_now=number % 2 == 0)
        for customer_id in session.scalars(sa.select(Customer.id).limit(STOPPED)).all():
            given = {"customer_id": customer_id, "publication_id": publication.id}
            session.add(NoticeStop(stopped_at=clock.now(), **given))
        publication_id = publication.id
    hand_all_over()
    return publication_id


def hand_all_over() -> None:
    """Every letter has reached its reader, so that the next edition is news to them."""
    queued = Delivery.status == DeliveryStatus.QUEUED
    sent = {"status": DeliveryStatus.SENT, "sent_at": clock.now()}
    with transaction() as session:
        session.execute(sa.update(Delivery).where(queued).values(sent))
        session.execute(sa.update(Batch).values(status=BatchStatus.FINISHED))


def scheduled(publication_id: int, number: int) -> tuple[int, set[int]]:
    """An edition whose moment has come, and whom it concerns."""
    with transaction():
        edition = draft(db.session.get_one(Publication, publication_id), number)
        releasing.schedule_release(edition, None, "Olga")
        concerned = db.session.execute(recipients(edition)).all()
        return edition.id, {row.customer_id for row in concerned}


def owed(edition_id: int) -> Counter[int | None]:
    """How many letters of an edition each customer is owed."""
    query = sa.select(Delivery.customer_id).where(Delivery.edition_id == edition_id)
    found = Counter(db.session.scalars(query).all())
    db.session.remove()
    return found
