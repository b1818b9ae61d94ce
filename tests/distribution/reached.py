"""What has reached a customer, found row by row and not by the query that the shop asks."""

from dataclasses import dataclass

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus
from store.entitlements.models import Entitlement
from store.kit import clock
from store.kit.database import db
from store.mail import outbox
from store.mail.models import Delivery, DeliveryStatus
from store.orders.models import Order
from tests.factories import an_edition


@dataclass(frozen=True)
class Reached:
    """What has reached a customer of a publication, found row by row and not by the query."""

    has_copy: bool
    newest_is_withdrawn: bool
    anything: bool


def reached(customer_id: int, publication_id: int) -> Reached:
    """Letters that carried an edition since the oldest right that stands, or a copy from before an
    import."""
    rights = db.session.scalars(
        sa.select(Entitlement).filter_by(customer_id=customer_id, publication_id=publication_id)
    ).all()
    standing = [right.granted_at for right in rights if right.revoked_at is None]
    letters = db.session.execute(
        sa.select(Delivery, Edition)
        .join(Edition, Edition.id == Delivery.edition_id)
        .where(Delivery.customer_id == customer_id, Edition.publication_id == publication_id)
    ).all()
    sent: list[Edition] = []
    under_way = False
    for letter, edition in letters:
        if not standing or letter.created_at < min(standing):
            continue
        if letter.status in {DeliveryStatus.SENT, DeliveryStatus.SENDING}:
            sent.append(edition)
        elif letter.kind == "order_confirmation" and letter.status == DeliveryStatus.QUEUED:
            under_way = under_way or edition.status == EditionStatus.RELEASED
    sent.sort(key=lambda edition: edition.number)
    sound = [edition for edition in sent if edition.status == EditionStatus.RELEASED]
    elsewhere = any(right.order_line_id is None and right.from_edition_id for right in rights)
    return Reached(
        has_copy=bool(sound) or under_way or elsewhere,
        newest_is_withdrawn=bool(sent) and sent[-1].status == EditionStatus.WITHDRAWN,
        anything=bool(sent) or under_way or elsewhere,
    )


def a_copy_came_before(order: Order) -> None:
    """The order's customer has had a copy of what it bought, of an edition before all others; in
    the caller's transaction, and for one customer of a publication."""
    publication = order.lines[0].publication
    earlier = an_edition(publication, 0, status=EditionStatus.RELEASED, released_at=clock.now())
    outbox.owe(
        "order_confirmation",
        f"earlier:{order.id}",
        customer_id=order.customer_id,
        order_id=order.id,
        edition_id=earlier.id,
    )
