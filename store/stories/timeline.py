"""What happened with an order, a customer, a publication or a letter: newest first, in sentences with a
subject. You, or the name; *they* for buyers.

However long the history, each builder takes the same number of statements, and of each kind of row no
more than the story has room for.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from flask import has_request_context
from sqlalchemy.orm import joinedload

from store.catalog.models import Asset, Edition, Publication
from store.entitlements.models import Download, Entitlement
from store.kit.database import db
from store.kit.money import format_money
from store.kit.status import StatusChange
from store.mail.models import Delivery, DeliveryStatus
from store.orders.models import Order, OrderStatus
from store.payments.gateways.base import FREE, MANUAL
from store.payments.models import Checkout, Dispute, Payment, Refund, RefundStatus, Transfer
from store.staff.people import everybody
from store.staff.sessions import person_at_desk

LONGEST = 20

_NAMES = {
    "customer": "They",
    "command line": "Somebody at the shop’s machine",
    "demonstration": "The demonstration",
    "shop": "The shop",
    "timetable": "The shop",
    "worker": "The shop",
}
_LETTERS = {
    "accept_order": "The question whether the order is theirs",
    "address_changed": "The letter about the change of address",
    "address_restored": "The letter that the change of address was undone",
    "confirm_address": "The letter that asks to confirm the new address",
    "confirm_second_address": "The letter that asks to confirm a second address",
    "edition_notice": "The letter on edition {number}",
    "find_my_copies": "The letter with all their links",
    "news_stopped": "The letter that news has stopped",
    "offer": "The letter with their price",
    "order_confirmation": "The confirmation",
    "order_moved": "The letter that the order went to another address",
    "order_refunded": "The letter about the refund",
    "order_settled": "The letter about what was decided",
    "payment_failed": "The letter that the payment did not arrive",
    "second_address_added": "The letter about a second address",
    "second_address_ended": "The letter that the second address has ended",
    "transfer_details": "The letter on how to pay by bank",
    "your_data": "The letter with the link to their data",
    "erasure_told": "The letter that their data is to be erased",
    "erasure_stopped": "The letter that nothing is erased",
}
_BECAME = {
    DeliveryStatus.QUEUED: "waits to leave",
    DeliveryStatus.SENDING: "is being handed over",
    DeliveryStatus.SENT: "was handed over to their server",
    DeliveryStatus.BOUNCED: "came back",
    DeliveryStatus.FAILED: "could not be delivered",
    DeliveryStatus.HELD: "is held back",
    DeliveryStatus.SKIPPED: "was left out",
}
# What a change of a status says, by what it is of, and from what to what; money, letters and
# placing are told by rows of their own.
_CHANGES = {
    ("orders", "given", "pending"): "{who} gave them a free copy",
    ("orders", "given", "paid"): "{who} gave them a free copy",
    ("orders", "given", "taken back"): "{who} took the copy back",
    ("orders", "pending", "expired"): "The order was not paid in time",
    ("orders", "pending", "cancelled"): "{who} gave the order up before paying",
    ("orders", "first address", "new address"): "{who} moved the order to another address",
    ("orders", "in use", "held"): "Somebody objected to the move of the order",
    ("orders", "held", "given back"): "{who} gave the order back to its first address",
    ("orders", "held", "left"): "{who} left the order at its new address",
    ("orders", "changed address", "its own address"): "The order stayed at its own address",
    ("publications", "draft", "listed"): "{who} put it on sale",
    ("publications", "retired", "listed"): "{who} put it on sale again",
    ("publications", "listed", "retired"): "{who} took it off sale",
    ("deliveries", "sent", "bounced"): "It came back",
    ("deliveries", "bounced", "queued"): "{who} had it sent again",
    ("deliveries", "failed", "queued"): "{who} had it sent again",
    ("deliveries", "held", "queued"): "{who} let it go",
    ("deliveries", "skipped", "queued"): "{who} had it sent after all",
    ("deliveries", "held", "skipped"): "{who} left it out",
    ("deliveries", "queued", "skipped"): "{who} left it out",
    ("customers", "old address", "new address"): "{who} changed the address",
    ("customers", "old address", "restored address"): "{who} undid the change of the address",
    ("customers", "old links", "fresh links"): "{who} ended all links and had fresh ones mailed",
    ("customers", "none", "second address"): "{who} gave a second address",
    ("customers", "second address", "none"): "{who} took the second address out",
    ("customers", "two", "one"): "{who} brought two customers together",
}
_BANK = {
    "opened_at": "Their bank disputed {money}",
    "submitted_at": "{who} answered the bank",
    "won_at": "The bank decided for us",
    "lost_at": "The bank decided for them, and took {money}",
    "closed_at": "The bank’s question was closed",
}


class Event(NamedTuple):
    """A sentence, when, the reason that was given or what it belongs to, and the name of the row."""

    sentence: str
    at: datetime
    reason: str = ""
    row: str = ""


def order_story(order: Order, most: int = LONGEST) -> list[Event]:
    """Placed, paid, letters, downloads, refunds, disputes, moves of one order."""
    this = Order.id == order.id
    return _newest(
        most,
        _downloads(Download.order_id == order.id, most),
        _letters(Delivery.order_id == order.id, most),
        *_money(this, most),
        _changes("orders", [order.id], most),
        _placed(this),
    )


def customer_story(customer_id: int) -> list[Event]:
    """The same of all that one customer ordered, and what became of their address and links."""
    theirs = Order.customer_id == customer_id
    orders = sa.select(Order.id).where(theirs)
    return _newest(
        LONGEST,
        _downloads(Download.customer_id == customer_id),
        _letters(Delivery.customer_id == customer_id),
        *_money(theirs),
        _changes("customers", [customer_id]),
        _changes("orders", orders),
        _placed(theirs),
        _brought_in(customer_id),
    )


def publication_story(publication: Publication, editions: Iterable[Edition]) -> list[Event]:
    """On sale and off it, and its editions."""
    found = [Event("It was added", publication.created_at)]
    for one in editions:
        found.append(Event(f"A draft of edition {one.number} was begun", one.created_at))
        if one.released_at:
            found.append(Event(f"Edition {one.number} was released", one.released_at))
        if one.withdrawn_at:
            found.append(Event(f"Edition {one.number} was withdrawn", one.withdrawn_at))
    return _newest(LONGEST, found, _changes("publications", [publication.id]))


def letter_story(letter: Delivery, most: int = LONGEST) -> list[Event]:
    """How one letter came to be owed, left, came back, and was sent again."""
    asked_by = (letter.facts or {}).get("asked_by")
    owed = f"{named(asked_by)} asked for it" if asked_by else "It was owed"
    left = [Event("It was handed over", letter.sent_at)] if letter.sent_at else []
    return _newest(
        most,
        [Event(owed, letter.created_at)],
        left,
        _changes("deliveries", [letter.id], most),
    )


def named(somebody: str) -> str:
    """How a sentence begins that somebody is the subject of."""
    if somebody.startswith("gateway:"):
        return "The payment firm"
    if is_reader(somebody):
        return "You"
    return _NAMES.get(somebody) or _staff().get(somebody, somebody)


def is_reader(somebody: str) -> bool:
    """Whether it is who sits at the desk and reads the story; in a terminal nobody does."""
    person = person_at_desk() if has_request_context() else None
    return person is not None and person.email == somebody


def _staff() -> dict[str, str]:
    """The names of staff by address, of those who have left, too; asked once a page."""
    kept: dict[Any, Any] = db.session().info
    if "staff_names" not in kept:
        kept["staff_names"] = {one.email: one.known_as for one in everybody()}
    names: dict[str, str] = kept["staff_names"]
    return names


def _money(which: Any, most: int = LONGEST) -> tuple[Iterator[Event], ...]:
    kinds = _disputes, _refunds, _transfers, _payments
    return tuple(kind(which, most) for kind in kinds)


def _newest(most: int, *some: Iterable[Event]) -> list[Event]:
    """Of one moment, what is told by an earlier argument stands first, as it came later."""
    found = [event for events in some for event in events]
    return sorted(found, key=lambda event: event.at, reverse=True)[:most]


def _placed(which: Any) -> Iterator[Event]:
    for order in _rows(sa.select(Order).where(which).order_by(Order.id.desc())):
        if order.given_reason:
            continue  # told by who gave it
        price = f" with {order.discount_label}" if order.discount_label else ""
        yield Event(f"They placed order {order.reference}{price}", order.placed_at)
        if order.status is OrderStatus.PAID and not order.total_amount and order.paid_at:
            yield Event("Nothing was to pay", order.paid_at)


def _payments(which: Any, most: int) -> Iterator[Event]:
    query = sa.select(Payment).join(Order).where(which).order_by(Payment.id.desc())
    # What came by bank is told as it arrived.
    for payment in _rows(query.where(Payment.gateway.not_in((MANUAL, FREE))), most):
        yield Event(has_paid(payment, "They"), payment.received_at)


def _transfers(which: Any, most: int) -> Iterator[Event]:
    query = sa.select(Transfer).join(Checkout, Checkout.id == Transfer.checkout_id)
    query = query.join(Order, Order.id == Checkout.order_id).where(which)
    for one in _rows(query.order_by(Transfer.id.desc()), most):
        sentence = f"{named(one.who)} noted {amount_of(one)} from the bank"
        yield Event(sentence, one.recorded_at, one.note)


def _refunds(which: Any, most: int) -> Iterator[Event]:
    query = sa.select(Refund).join(Payment).join(Order).where(which)
    for one in _rows(query.order_by(Refund.id.desc()), most):
        if one.status is RefundStatus.FAILED:
            sentence = f"{amount_of(one)} could not be given back"
            yield Event(sentence, one.requested_at, one.failure or one.why)
        elif one.who == "customer":
            yield Event(f"They cancelled, and {amount_of(one)} went back", one.requested_at)
        else:
            yield Event(f"{named(one.who)} refunded {amount_of(one)}", one.requested_at, one.why)


def _disputes(which: Any, most: int) -> Iterator[Event]:
    query = sa.select(Dispute).join(Payment).join(Order).where(which)
    for one in _rows(query.order_by(Dispute.id.desc()), most):
        for column, sentence in _BANK.items():
            at = getattr(one, column)
            if at:
                words = sentence.format(who=named(one.submitted_by), money=amount_of(one))
                reason = one.reason_in_words if column == "opened_at" else ""
                yield Event(words, at, reason)


def _letters(which: Any, most: int = LONGEST) -> Iterator[Event]:
    query = (
        sa.select(Delivery, Edition.number)
        .outerjoin(Edition, Edition.id == Delivery.edition_id)
        .where(which)
        .order_by(Delivery.id.desc())
        .limit(most)
    )
    for letter, number in db.session.execute(query):
        fallback = f"The letter “{letter.kind.replace('_', ' ')}”"
        name = _LETTERS.get(letter.kind, fallback).format(number=number)
        sentence = f"{name} {_BECAME[letter.status]}"
        row = f"letter {letter.id}"
        yield Event(sentence, letter.sent_at or letter.created_at, letter.reason, row)


def _downloads(which: Any, most: int = LONGEST) -> Iterator[Event]:
    query = sa.select(Download).where(which).order_by(Download.id.desc())
    query = query.options(joinedload(Download.asset).joinedload(Asset.edition))
    for one in _rows(query, most):
        kind, edition = one.asset.format.upper(), one.asset.edition
        yield Event(f"They downloaded the {kind} of edition {edition.number}", one.started_at)


def _brought_in(customer_id: int) -> Iterator[Event]:
    query = sa.select(Entitlement).where(
        Entitlement.customer_id == customer_id, Entitlement.order_line_id.is_(None)
    )
    query = query.options(joinedload(Entitlement.publication)).order_by(Entitlement.id.desc())
    for right in _rows(query):
        yield Event(f"They were brought in with {right.publication.title}", right.granted_at)


def _changes(entity: str, ids: Any, most: int = LONGEST) -> Iterator[Event]:
    query = sa.select(StatusChange).where(
        StatusChange.entity == entity, StatusChange.entity_id.in_(ids)
    )
    for one in _rows(query.order_by(StatusChange.id.desc()), most):
        sentence = _CHANGES.get((entity, one.from_status, one.to_status))
        if sentence:
            told = sentence.format(who=named(one.who))
            yield Event(told, one.at, one.why if one.why.lower() != told.lower() else "")


def _rows(query: sa.Select[Any], most: int = LONGEST) -> Any:
    return db.session.scalars(query.limit(most))


def has_paid(payment: Payment, buyer: str) -> str:
    """That a payment came, and how."""
    kind = payment.method.replace("_", " ")
    how = "by bank transfer" if payment.gateway == MANUAL else f"by {kind}" if kind else ""
    return f"{buyer} paid {amount_of(payment)} {how}".strip()


def amount_of(row: Any) -> str:
    """The money of a payment, refund, transfer or dispute, as people read it."""
    return format_money(row.amount, row.currency)
