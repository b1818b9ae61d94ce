"""Why one customer did or did not get an edition, in sentences that can be read out to them."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from store.catalog.models import Edition, EditionStatus
from store.distribution.recipients import (
    IMPORTED,
    batch_of,
    concerned,
    imported_as_having,
)
from store.entitlements.models import Entitlement
from store.entitlements.received import NOTICE
from store.kit import clock
from store.kit.database import db
from store.kit.formatting import format_day, format_moment
from store.mail.models import Attempt, Batch, BatchStatus, Delivery, DeliveryStatus, Occasion
from store.orders.models import Customer, OrderLine

COLUMNS = {
    DeliveryStatus.SENT: "handed_over",
    DeliveryStatus.QUEUED: "waiting",
    DeliveryStatus.SENDING: "waiting",
    DeliveryStatus.HELD: "held",
    DeliveryStatus.FAILED: "undeliverable",
    DeliveryStatus.SKIPPED: "left_out",
}

# Why a notice is owed, for the desk.
OCCASIONS = {
    Occasion.RELEASED: "a new edition",
    Occasion.FIRST_COPY: "the first copy",
    Occasion.DAYS_OVER: "the 14 days are over",
    Occasion.ASKED: "asked for within the 14 days",
    Occasion.ACCESS_BACK: "access came back",
    Occasion.RESENT: "sent again by a person",
    Occasion.CORRECTION: "in place of a withdrawn edition",
}


@dataclass(frozen=True)
class Explanation:
    """The customer's column in the coverage of an edition, `later` and `not_concerned` besides."""

    column: str
    sentences: list[str]


def coverage_of(edition: Edition, customer: Customer) -> Explanation:
    """Where a customer stands with an edition, and why. Shows no address and no link."""
    rights = _rights(edition, customer)
    told = [_of_right(right) for right in rights]
    batch = batch_of(db.session, edition)
    found = _deliveries(edition, customer, batch)
    if not rights and not found:
        return Explanation("not_concerned", ["This customer never had this publication."])
    if not rights:
        told = ["The order that brought it went to another address."]
    if not found:
        column, sentence = _without_delivery(edition, customer)
        return Explanation(column, [*told, sentence])
    delivery = found[0]
    is_recipient = batch is not None and delivery.batch_id == batch.id
    column = COLUMNS[delivery.status] if is_recipient else "later"
    sentences = [*told, *_of_delivery(delivery), *_of_others(found[1:])]
    paused = is_recipient and batch is not None and batch.status == BatchStatus.PAUSED
    if paused and column == "waiting":
        sentences.append("The letters of this release are paused.")
    return Explanation(column, sentences)


def _rights(edition: Edition, customer: Customer) -> list[Entitlement]:
    query = (
        sa.select(Entitlement)
        .where(
            Entitlement.customer_id == customer.id,
            Entitlement.publication_id == edition.publication_id,
        )
        .options(joinedload(Entitlement.order_line).joinedload(OrderLine.order))
        .order_by(Entitlement.id)
    )
    return list(db.session.scalars(query))


def _of_right(right: Entitlement) -> str:
    line = right.order_line
    if line is None:
        told = f"Imported on {format_day(right.granted_at)}"
    else:
        verb = "Pre-ordered" if line.is_preorder else "Bought"
        told = f"{verb} on {format_day(line.order.placed_at)}, order {line.order.reference}"
    if right.revoked_at:
        return f"{told}; taken back on {format_day(right.revoked_at)}: {right.revoked_reason}."
    if right.held_at:
        return f"{told}; held since {format_day(right.held_at)}, as its move was objected to."
    if right.suspended_at:
        return f"{told}; suspended on {format_day(right.suspended_at)}."
    if right.updates_until:
        last = format_moment(right.updates_until)
        return f"{told}; new editions are included until {last}."
    return f"{told}."


def _deliveries(edition: Edition, customer: Customer, batch: Batch | None) -> list[Delivery]:
    """Every letter that carries the edition to the customer: that of the release first, which the
    coverage counts, then notices before confirmations, those that were not left out first."""
    query = sa.select(Delivery).where(
        Delivery.edition_id == edition.id, Delivery.customer_id == customer.id
    )
    ordered = query.order_by(
        sa.case((Delivery.batch_id == (batch.id if batch else 0), 0), else_=1),
        sa.case((Delivery.kind == NOTICE, 0), else_=1),
        sa.case((Delivery.status == DeliveryStatus.SKIPPED, 1), else_=0),
        Delivery.id,
    )
    return list(db.session.scalars(ordered))


def _of_others(deliveries: list[Delivery]) -> list[str]:
    """Notices beside the first letter, as after a dispute that was won."""
    return [
        f"Another notice ({OCCASIONS[one.occasion]}) {_standing(one)}"
        for one in deliveries
        if one.occasion is not None and one.status is not DeliveryStatus.SKIPPED
    ]


def _of_delivery(delivery: Delivery) -> list[str]:
    what = "The edition notice" if delivery.kind == NOTICE else "The order confirmation"
    told = [f"{what} {_standing(delivery)}"]
    attempt = db.session.scalars(
        sa.select(Attempt)
        .where(Attempt.delivery_id == delivery.id, Attempt.ended_at.is_not(None))
        .order_by(Attempt.id.desc())
    ).first()
    if attempt is not None and attempt.ended_at is not None and attempt.reply:
        told.append(f"On {format_moment(attempt.ended_at)} the server said: {attempt.reply}")
    if delivery.is_possibly_twice:
        told.append("A worker ended while it was sent, so it may have arrived twice.")
    return told


def _standing(delivery: Delivery) -> str:
    match delivery.status:
        case DeliveryStatus.SENT if delivery.sent_at:
            return f"was handed over to the mail server on {format_moment(delivery.sent_at)}."
        case DeliveryStatus.QUEUED if delivery.due_at > clock.now():
            return f"is not due before {format_moment(delivery.due_at)}."
        case DeliveryStatus.QUEUED | DeliveryStatus.SENDING:
            return f"waits to be sent; {delivery.tries} tries so far."
        case DeliveryStatus.HELD:
            return f"is held: {delivery.reason}."
        case DeliveryStatus.FAILED:
            return f"could not be delivered: {delivery.reason}"
        case DeliveryStatus.SKIPPED:
            return f"was left out: {delivery.reason}."
        case _:
            return "was handed over to the mail server."


def _without_delivery(edition: Edition, customer: Customer) -> tuple[str, str]:
    imported = imported_as_having(edition).where(Entitlement.customer_id == customer.id)
    if db.session.scalars(imported).first() is not None:
        return "left_out", f"No letter was owed: {IMPORTED}."
    if edition.released_at is None:
        return "not_concerned", "This edition is not released yet."
    if edition.status == EditionStatus.WITHDRAWN:
        return "not_concerned", "This edition was withdrawn."
    rows = concerned(edition).subquery()
    query = sa.select(rows.c.left_out).where(rows.c.customer_id == customer.id)
    found = db.session.execute(query).first()
    if found is None:
        return "not_concerned", "This edition is not among those that were bought."
    return "missing", "The letter is missing; the next pass of the timetable owes it."
