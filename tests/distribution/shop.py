"""What tests of distribution do to a shop, by the rules that the doors call."""

from dataclasses import dataclass

import sqlalchemy as sa
from flask import current_app

from store.catalog.models import Edition, EditionStatus, Publication
from store.distribution import releasing
from store.entitlements.models import Entitlement
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import outbox, worker
from store.mail.models import CapturedLetter, Delivery, DeliveryStatus
from store.orders.models import Order
from tests.factories import an_asset, an_edition


def draft(publication: Publication, number: int = 1, **given: object) -> Edition:
    """A draft with a PDF and an EPUB, in the caller's transaction."""
    edition = an_edition(publication, number, **given)
    an_asset(edition, "pdf")
    an_asset(edition, "epub")
    return edition


def release(edition: Edition) -> Edition:
    """Press Release and let the moment come; in transactions of its own."""
    with transaction():
        releasing.schedule_release(edition, None, "Olga")
    assert releasing.release_due() == 1
    return reread(edition)


def drafted_and_released(publication: Publication, number: int = 1, **given: object) -> Edition:
    """A released edition, made and released by the rules."""
    with transaction():
        edition = draft(publication, number, **given)
    return release(edition)


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


def reread(edition: Edition) -> Edition:
    """The row as it is now, in the session that is open now."""
    fresh = db.session.get_one(Edition, edition.id, populate_existing=True)
    assert isinstance(fresh.status, EditionStatus)
    return fresh


def deliveries(edition: Edition) -> dict[str, tuple[DeliveryStatus, str]]:
    """Status and reason of the edition's notices by the customer's address."""
    from store.orders.models import Customer

    rows = db.session.execute(
        sa.select(Customer.email, Delivery.status, Delivery.reason)
        .join(Delivery, Delivery.customer_id == Customer.id)
        .where(Delivery.edition_id == edition.id, Delivery.kind == "edition_notice")
    ).all()
    db.session.rollback()
    return {email: (status, reason) for email, status, reason in rows}


def send() -> list[CapturedLetter]:
    """Let a worker send all that is due; returns every letter captured so far."""
    with current_app.app_context():  # a worker's session is its own
        worker.send_due_letters()
        worker.sweep()
    db.session.rollback()
    found = list(db.session.scalars(sa.select(CapturedLetter).order_by(CapturedLetter.id)))
    db.session.rollback()
    return found
