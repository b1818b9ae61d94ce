"""What a reference leads to, and its whole story from the rows, oldest first: of an order, a letter, an
edition or a message of a gateway. No address stands in it, only its mask.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa

from store.catalog.editions import EditionUnknown, edition_by_number
from store.catalog.models import Edition
from store.catalog.publications import PublicationUnknown, publication_by_slug
from store.distribution.coverage import NotReleasedYet, coverage
from store.kit.database import db
from store.kit.errors import NotFound
from store.kit.formatting import format_moment
from store.mail.marks import marked_letter, marks_in
from store.mail.models import Attempt, Batch, Delivery, DeliveryStatus, ReturnedLetter
from store.mail.smtp import OutcomeKind
from store.orders.customers import mask_addresses
from store.orders.models import Order
from store.orders.orders import OrderUnknown, order_by_reference
from store.payments.models import Checkout, Dispute, GatewayEvent, Payment, Refund
from store.stories.editions import edition_story
from store.stories.timeline import Event, letter_story, order_story

# Of each kind of row; no order and no letter has as many.
_MOST = 1000
_LETTER = re.compile(r"(?:letter\s+|delivery\s+|delivery=)?#?([0-9]{1,9})", re.IGNORECASE)
_EDITION = re.compile(r"(?:edition\s+)?([a-z0-9-]+)[/\s]+([0-9]{1,6})", re.IGNORECASE)
# As lines of the log name rows: `order_id=5`, `edition=2`.
_ROW = re.compile(
    r"(batch|order|edition|checkout|gateway_event|payment|refund|dispute)(?:_id)?[=\s]+#?([0-9]{1,9})",
    re.IGNORECASE,
)
_KIND = re.compile(r"(?:order|event|event_id)[=\s]+(?=\S)", re.IGNORECASE)
_OUTCOMES = {
    OutcomeKind.ACCEPTED: "The mail server took it",
    OutcomeKind.DEFERRED: "It was put off",
    OutcomeKind.REFUSED: "The mail server refused it",
    OutcomeKind.UNKNOWN: "The connection broke before the mail server said whether it has it",
    OutcomeKind.UNSENDABLE: "The mail server carries no such address",
}


# Which order a row is of, by the name that the log has for its kind.
_ID_OF = {
    "order": Order.id,
    "checkout": Checkout.id,
    "payment": Payment.id,
    "refund": Refund.id,
    "dispute": Dispute.id,
}
_ORDER_OF = {
    "order": sa.select(Order.id),
    "checkout": sa.select(Checkout.order_id),
    "payment": sa.select(Payment.order_id),
    "refund": sa.select(Payment.order_id).join(Refund),
    "dispute": sa.select(Payment.order_id).join(Dispute),
}


class NothingFound(NotFound):
    """The reference leads nowhere."""

    sentence = (
        "Nothing has that name. Looked for: an order by its reference (K7QM-2XWP), a letter by its number "
        "(letter 412), its Message-ID or the mark in its return path, an edition (SLUG/2), and what a "
        "gateway calls an event, checkout, payment, refund or dispute; and rows as the log names them "
        "(order_id=5, edition=2). The number of a request stands in "
        "the log alone: search for it there."
    )


class Story(NamedTuple):
    """What the reference names, how it stands now, and all that happened, oldest first."""

    about: str
    now: str
    events: list[Event]


def explain(text: str) -> Story:
    """The story of what `text` names. Refuses `NothingFound`."""
    text = text.strip()
    bare = _KIND.sub("", text, count=1) if _KIND.match(text) else text
    for look in (_as_order, _as_edition, _as_row, _as_letter, _as_gateway_says):
        found = look(text) or look(bare)
        if found is not None:
            events = sorted(found.events, key=lambda one: one.at)
            return found._replace(events=[_masked(one) for one in events])
    raise NothingFound


def _masked(event: Event) -> Event:
    said = mask_addresses(event.sentence)
    return event._replace(sentence=said, reason=mask_addresses(event.reason))


def _as_order(text: str) -> Story | None:
    try:
        return _of_order(order_by_reference(text))
    except OrderUnknown:
        return None


def _as_edition(text: str) -> Story | None:
    found = _EDITION.fullmatch(text)
    if found is None or found[1] in {"letter", "delivery"}:
        return None
    try:
        edition = edition_by_number(publication_by_slug(found[1].lower()), int(found[2]))
    except (PublicationUnknown, EditionUnknown):
        return None
    return _of_edition(edition)


def _of_edition(edition: Edition) -> Story:
    about = f"Edition {edition.number} of “{edition.publication.title}”"
    return Story(about, _edition_now(edition), edition_story(edition))


def _edition_now(edition: Edition) -> str:
    try:
        told = coverage(edition)
    except NotReleasedYet:
        return edition.status.value
    return (
        f"{edition.status.value}; of {told.total} customers {told.handed_over} have their letter, "
        f"{told.waiting} wait, {told.held} are held, {told.undeliverable} cannot be reached, "
        f"{told.came_back} came back, {sum(told.left_out.values())} left out, {told.missing} missing"
    )


def _as_row(text: str) -> Story | None:
    found = _ROW.fullmatch(text)
    if found is None:
        return None
    kind, number = found[1].lower(), int(found[2])
    if kind == "gateway_event":
        event = db.session.get(GatewayEvent, number)
        return _as_gateway_says(event.event_id) if event else None
    if kind == "batch":
        batch = db.session.get(Batch, number)
        kind, number = (batch.reason, batch.subject_id) if batch else ("", 0)
    if kind == "edition":
        edition = db.session.get(Edition, number)
        return _of_edition(edition) if edition else None
    if kind not in _ORDER_OF:
        return None
    order_id = db.session.scalar(_ORDER_OF[kind].where(_ID_OF[kind] == number))
    return _of_order(db.session.get_one(Order, order_id)) if order_id else None


def _as_letter(text: str) -> Story | None:
    number = _LETTER.fullmatch(text)
    letter_id = int(number[1]) if number else marked_letter(marks_in(text))
    letter = db.session.get(Delivery, letter_id) if letter_id else None
    if letter is None:
        return None
    events = [
        # When it was handed over the try says, with the answer.
        *(one for one in letter_story(letter, _MOST) if one.sentence != "It was handed over"),
        *_tries(letter),
        *_reports(letter),
    ]
    order = db.session.get(Order, letter.order_id) if letter.order_id else None
    of_order = f", of order {order.reference}" if order else ""
    return Story(f"Letter {letter.id} ({letter.kind}{of_order})", _letter_now(letter), events)


def _letter_now(letter: Delivery) -> str:
    now = letter.status.value
    if letter.status is DeliveryStatus.QUEUED:
        now += f", due {format_moment(letter.due_at)}"
    if letter.is_possibly_twice:
        now += ", possibly twice"
    return now + (f": {mask_addresses(letter.reason)}" if letter.reason else "")


def _tries(letter: Delivery) -> Iterator[Event]:
    tried = sa.select(Attempt).where(Attempt.delivery_id == letter.id).order_by(Attempt.id)
    for number, one in enumerate(db.session.scalars(tried.limit(_MOST)), 1):
        yield Event(f"Try {number} began", one.started_at, f"by {one.worker}")
        if one.ended_at and one.outcome:
            yield Event(_OUTCOMES[OutcomeKind(one.outcome)], one.ended_at, one.reply)


def _reports(letter: Delivery) -> Iterator[Event]:
    came = sa.select(ReturnedLetter).where(ReturnedLetter.delivery_id == letter.id)
    for one in db.session.scalars(came.order_by(ReturnedLetter.id).limit(_MOST)):
        yield Event(f"A report came ({one.kind.value}) {one.code}".strip(), one.came_at, one.words)


def _as_gateway_says(text: str) -> Story | None:
    event = db.session.scalars(sa.select(GatewayEvent).where(GatewayEvent.event_id == text)).first()
    order = _order_of(event.subject if event else text)
    if order is not None:
        return _of_order(order)
    if event is None:
        return None
    about = f"Message {event.event_id} of {event.gateway}"
    return Story(about, event.status.value, list(_told_by(event)))


def _order_of(name: str) -> Order | None:
    """The order that one of a gateway's names leads to."""
    by_payment = (
        sa.select(Payment.order_id).where(Payment.gateway_payment_id == name),
        sa.select(Payment.order_id).join(Refund).where(Refund.gateway_refund_id == name),
        sa.select(Payment.order_id).join(Dispute).where(Dispute.gateway_dispute_id == name),
        sa.select(Checkout.order_id).where(Checkout.gateway_reference == name),
    )
    for query in by_payment:
        order_id = db.session.scalars(query.limit(1)).first()
        if order_id is not None:
            return db.session.get_one(Order, order_id)
    return None


def _of_order(order: Order) -> Story:
    events = [*order_story(order, _MOST), *_tries_to_pay(order), *_messages(order)]
    held = ", held" if order.held_at else ""
    return Story(f"Order {order.reference}", f"{order.status.value}{held}", events)


def _tries_to_pay(order: Order) -> Iterator[Event]:
    tries = sa.select(Checkout).where(Checkout.order_id == order.id).order_by(Checkout.id)
    for one in db.session.scalars(tries.limit(_MOST)):
        sentence, name = f"A try to pay was begun ({one.gateway})", one.gateway_reference or ""
        yield Event(sentence, one.created_at, f"now {one.status.value}. {one.failure}", name)


def _messages(order: Order) -> Iterator[Event]:
    """What gateways said about the order's tries, payments, refunds and disputes."""
    of_payments = sa.select(Payment.id).where(Payment.order_id == order.id)
    names: list[sa.Select[Any]] = [
        sa.select(Checkout.gateway_reference).where(Checkout.order_id == order.id),
        sa.select(Payment.gateway_payment_id).where(Payment.order_id == order.id),
        sa.select(Refund.gateway_refund_id).where(Refund.payment_id.in_(of_payments)),
        sa.select(Dispute.gateway_dispute_id).where(Dispute.payment_id.in_(of_payments)),
    ]
    known = {name for query in names for name in db.session.scalars(query) if name}
    said = sa.select(GatewayEvent).where(GatewayEvent.subject.in_(known)).order_by(GatewayEvent.id)
    for event in db.session.scalars(said.limit(_MOST)):
        yield from _told_by(event)


def _told_by(event: GatewayEvent) -> Iterator[Event]:
    said = f"The payment firm said {event.kind}"
    yield Event(said, event.received_at, f"about {event.subject}", event.event_id)
    if event.handled_at is not None:
        done = f"Its message {event.kind} was {event.status.value}"
        yield Event(done, event.handled_at, event.note, event.event_id)
