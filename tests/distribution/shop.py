"""What tests of distribution do to a shop, by the rules that the doors call."""

from secrets import token_urlsafe

import sqlalchemy as sa
from flask import current_app

from store.catalog.models import Edition, EditionStatus, Publication
from store.distribution import releasing
from store.entitlements import granting
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.status import advance
from store.mail import outbox, worker
from store.mail.models import CapturedLetter, Delivery, DeliveryStatus
from store.orders.details import Details
from store.orders.models import Order, OrderStatus
from store.orders.ordering import place_order
from tests.factories import an_asset, an_edition


def buy(
    publication: Publication,
    email: str = "anna@reader.example",
    name: str = "Anna Berg",
    *,
    wants_now: bool = True,
) -> Order:
    """Order and pay, in the caller's transaction."""
    details = Details(email=email, name=name, wants_now=wants_now)
    order = place_order(
        publication, details, form_key=token_urlsafe(8), seen_amount=publication.price_amount
    )
    advance(order, OrderStatus.PAID)
    order.paid_at = clock.now()
    granting.grant_order(order, clock.now())
    return order


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
