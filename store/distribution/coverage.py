"""The account of a release: every entitled customer in exactly one column, with the reason; and of
one customer, in sentences that can be read out to them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from store.catalog.models import Edition, EditionStatus
from store.distribution.recipients import IMPORTED, batch_of, concerned, imported_as_having, missing
from store.entitlements.models import Entitlement
from store.entitlements.received import NOTICE
from store.kit import clock
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.formatting import format_day, format_moment
from store.mail.batches import COLUMNS, in_columns
from store.mail.models import (
    Attempt,
    Batch,
    BatchStatus,
    Delivery,
    DeliveryStatus,
    Occasion,
    Repair,
    RepairEnd,
    stands_at,
)
from store.orders.models import Customer, OrderLine

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


class NotReleasedYet(Refusal):
    """Before its release an edition has recipients in prospect only."""

    sentence = "This edition is not released yet. A rehearsal shows who would get it."


@dataclass(frozen=True)
class Coverage:
    """Customers in numbers. Recipients are those fixed at the release; `later` came afterwards."""

    handed_over: int = 0
    waiting: int = 0
    held: int = 0
    undeliverable: int = 0
    came_back: int = 0
    given_up: int = 0  # of those that came back: a person gave the address up, with a word
    left_out: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    total: int = 0  # counted apart from the columns, customer by customer
    later: int = 0
    possibly_twice: int = 0
    batch_status: BatchStatus | None = None
    # When what hangs on rights was counted; None: just now, with all the rest.
    counted_at: datetime | None = None

    @property
    def imported(self) -> int:
        """Of those left out, who came by import with this edition."""
        return self.left_out.get(IMPORTED, 0)

    @property
    def counted(self) -> int:
        """The sum of the columns."""
        not_gone = self.waiting + self.held + self.undeliverable + self.missing
        return self.handed_over + self.came_back + not_gone + sum(self.left_out.values())

    @property
    def sums_match(self) -> bool:
        """Whether every recipient stands in exactly one column."""
        return self.counted == self.total

    @property
    def is_complete(self) -> bool:
        """Nothing waits, nothing is held, nobody is missing, what came back is repaired or given
        up by a person, and the sums match."""
        to_repair = self.came_back - self.given_up
        return self.sums_match and not (self.waiting or self.held or self.missing or to_repair)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "handed_over": self.handed_over,
            "waiting": self.waiting,
            "held": self.held,
            "undeliverable": self.undeliverable,
            "came_back": self.came_back,
            "given_up": self.given_up,
            "left_out": self.left_out,
            "missing": self.missing,
            "total": self.total,
            "sums_match": self.sums_match,
            "is_complete": self.is_complete,
            "later": self.later,
            "possibly_twice": self.possibly_twice,
            "batch_status": self.batch_status,
        }


@dataclass(frozen=True)
class Explanation:
    """The customer's column in the coverage of an edition, `later` and `not_concerned` besides."""

    column: str
    sentences: list[str]


def coverage(edition: Edition) -> Coverage:
    """Where everybody stands who is entitled to a released edition, counted from every row: seven
    statements however many. Pages ask `live`, which counts none.

    Refuses (`NotReleasedYet`) an edition that was never released.
    """
    batch = batch_of(edition)
    if edition.released_at is None or batch is None:
        raise NotReleasedYet
    columns, left_out = in_columns(_by_status(batch))
    imported = _count(imported_as_having(edition))
    fixed = sa.select(Delivery.customer_id).where(Delivery.batch_id == batch.id)
    everybody: list[sa.Select[Any]] = [fixed, imported_as_having(edition)]
    lacking = 0
    if edition.status != EditionStatus.WITHDRAWN:  # nobody is owed what was withdrawn
        absent = missing(edition)
        lacking = _count(absent)
        everybody.append(sa.select(absent.subquery().c.customer_id))
    # Who has it by a purchase after the release: its confirmation, or a letter of their own.
    later = (
        sa.select(Delivery.customer_id)
        .where(
            Delivery.edition_id == edition.id,
            Delivery.customer_id.is_not(None),
            Delivery.customer_id.not_in(fixed.where(Delivery.customer_id.is_not(None))),
        )
        .distinct()
    )
    return Coverage(
        **columns,
        given_up=given_up_of(batch),
        left_out=left_out_with(left_out, imported),
        missing=lacking,
        total=_count(sa.union(*everybody)),
        later=_count(later),
        possibly_twice=possibly_twice(batch),
        batch_status=batch.status,
    )


def _by_status(batch: Batch) -> list[tuple[DeliveryStatus, str, int]]:
    rows = db.session.execute(
        sa.select(Delivery.status, Delivery.reason, sa.func.count())
        .where(Delivery.batch_id == batch.id)
        .group_by(Delivery.status, Delivery.reason)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def left_out_with(left_out: dict[str, int], imported: int) -> dict[str, int]:
    """Who was left out, by reason, with those who came by import and have the edition."""
    if imported:
        left_out = left_out | {IMPORTED: left_out.get(IMPORTED, 0) + imported}
    return dict(sorted(left_out.items()))


def possibly_twice(batch: Batch) -> int:
    """How many letters of a release may have arrived twice."""
    query = sa.select(sa.func.count()).where(
        # The condition of their index to the letter.
        sa.text("is_possibly_twice AND batch_id IS NOT NULL"),
        Delivery.batch_id == batch.id,
    )
    return db.session.scalar(query) or 0


def given_up_of(batch: Batch) -> int:
    """How many letters of a release came back of which a person gave the address up."""
    of_reader = Repair.customer_id == Delivery.customer_id
    letters = sa.select(Delivery.id).where(
        Delivery.batch_id == batch.id,
        stands_at(DeliveryStatus.BOUNCED),
        sa.exists().where(of_reader, Repair.how == RepairEnd.GIVEN_UP),
        ~sa.exists().where(of_reader, Repair.ended_at.is_(None)),
    )
    return _count(letters)


def _count(rows: sa.Select[Any] | sa.CompoundSelect[Any]) -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(rows.subquery())) or 0


def coverage_of(edition: Edition, customer: Customer) -> Explanation:
    """Where a customer stands with an edition, and why. Shows no address and no link."""
    rights = _rights(edition, customer)
    told = [_right_in_words(right) for right in rights]
    batch = batch_of(edition)
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
    # Notices beside the first letter, as after a dispute that was won.
    others = [
        f"Another notice ({OCCASIONS[one.occasion]}) {status_in_words(one)}"
        for one in found[1:]
        if one.occasion is not None and one.status is not DeliveryStatus.SKIPPED
    ]
    sentences = [*told, *_letter_in_words(delivery), *others]
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


def _right_in_words(right: Entitlement) -> str:
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


def _letter_in_words(delivery: Delivery) -> list[str]:
    what = "The edition notice" if delivery.kind == NOTICE else "The order confirmation"
    told = [f"{what} {status_in_words(delivery)}"]
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


def status_in_words(delivery: Delivery) -> str:
    """What became of a letter, to be read out behind "the letter"; moments in the house's zone."""
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
        case DeliveryStatus.BOUNCED:
            return f"was handed over and came back: {delivery.reason}"
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
