"""The people behind each number of a release: before it, those who would get it and those left out;
after it, those of one column, with the reason in words."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from store.catalog.models import Edition
from store.distribution.recipients import (
    IMPORTED,
    MATTERS_ONLY,
    STOPPED,
    TERM_OVER,
    batch_of,
    imported_as_having,
    missing,
    recipients,
)
from store.entitlements.models import HELD, REFUNDED, SUSPENDED
from store.kit import clock
from store.kit.database import UtcDateTime, db
from store.kit.formatting import format_moment
from store.kit.mailboxes import ERASED
from store.kit.paging import BEGINNING, BY_NAME, PAGE_SIZE, Page, Place, paginate
from store.kit.spreadsheets import Cell, to_csv
from store.mail import batches, outbox
from store.mail.answers import Cause, judge
from store.mail.models import (
    Attempt,
    Delivery,
    DeliveryStatus,
    Occasion,
    stands_at,
)
from store.orders.customers import suggest_correction
from store.orders.models import Customer
from store.orders.search import holds

_PIECE = 500
_FOR_GOOD = 550  # what came back without a code is read as refused for good
_CODE = re.compile(r"\s*([245]\d\d)\b")

_NO_LETTER = sa.cast(sa.null(), sa.Integer)

GETS, LEFT_OUT = "gets", batches.LEFT_OUT
# Columns of the account after the release.
COLUMNS = ("handed_over", "waiting", "held", "undeliverable", "came_back", "missing", LEFT_OUT)
# Why people are told, and why they are not, as the page says it of several of them.
WHY_TOLD = {
    Occasion.RELEASED: "have an edition already",
    Occasion.FIRST_COPY: "get their first copy",
    Occasion.DAYS_OVER: "get their first copy when their 14 days are over",
    Occasion.CORRECTION: "were sent what is withdrawn now",
}
WHY_NOT = {
    STOPPED: "asked for no notices",
    MATTERS_ONLY: "asked for what matters only",
    SUSPENDED: "have a disputed payment",
    REFUNDED: "were refunded",
    HELD: "wait for a decision on an order’s move",
    TERM_OVER: "have editions included no longer",
    IMPORTED: "have it from before their import",
    ERASED: "were erased, as they asked",
}
_WORDS = {
    outbox.ON_HOLD: "Letters to this address came back",
    outbox.GIVEN_UP: "The address was given up by a person",
    STOPPED: "Asked for no notices of new editions",
    MATTERS_ONLY: "Asked for news of what matters only",
    SUSPENDED: "The payment is disputed",
    REFUNDED: "The order was refunded",
    TERM_OVER: "New editions are no longer included",
    IMPORTED: "Had this edition before the import",
    ERASED: "Erased, as they asked",
}


@dataclass(frozen=True)
class Person:
    """One customer of a list. `why` is for people, `said` what a server or the shop wrote."""

    customer_id: int
    email: str
    name: str
    why: str = ""
    said: str = ""
    letter_id: int | None = None
    tries: int = 0
    last_at: datetime | None = None
    meant: str | None = None  # the address that was probably meant

    @property
    def may_be_corrected(self) -> bool:
        """Whether another address is what helps."""
        return bool(self.meant) or self.why in (_cap(Cause.GONE), _WORDS[outbox.ON_HOLD])


def before_release(edition: Edition, which: str, why: str = "") -> sa.Select[Any]:
    """Who would get an edition (`GETS`) or be left out, for one reason or all of them."""
    rows = recipients(edition).subquery()
    reason = rows.c.occasion if which == GETS else rows.c.left_out
    query = sa.select(
        rows.c.customer_id,
        reason.label("reason"),
        _NO_LETTER.label("letter_id"),
        rows.c.due_at.label("at"),
    )
    query = query.where(
        rows.c.left_out.is_(None) if which == GETS else rows.c.left_out.is_not(None)
    )
    return query.where(reason == why) if why else query


def of_column(edition: Edition, column: str, why: str = "") -> sa.Select[Any]:
    """Who stands in one column of a released edition's account, left out for one reason or all."""
    none, never = _NO_LETTER.label("letter_id"), sa.cast(sa.null(), UtcDateTime())
    if column == "missing":
        absent = missing(edition).subquery("absent")
        return sa.select(absent.c.customer_id, sa.literal("").label("reason"), none, never)
    if column != LEFT_OUT:
        return _carried(edition, batches.stands_in(column))
    skipped = _carried(edition, stands_at(DeliveryStatus.SKIPPED))
    if why:
        skipped = skipped.where(Delivery.reason == why)
    if why not in ("", IMPORTED):
        return skipped
    having = imported_as_having(edition).subquery("having_it")
    imported = sa.select(having.c[0], sa.literal(IMPORTED), none, never)
    both = sa.union_all(skipped, imported).subquery("both")
    return sa.select(both.c[0], both.c[1], both.c[2].label("letter_id"), both.c[3])


def _carried(edition: Edition, which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Letters of the release, found by edition and customer in the order of the list."""
    batch = batch_of(edition)
    columns: tuple[Any, ...] = (
        Delivery.customer_id,
        Delivery.reason,
        Delivery.id.label("letter_id"),
        sa.func.coalesce(Delivery.sent_at, Delivery.due_at).label("at"),
    )
    is_of_it = Delivery.edition_id == edition.id, Delivery.batch_id == (batch.id if batch else 0)
    return sa.select(*columns).where(*is_of_it, which)


def some_people(
    rows: sa.Select[Any], text: str = "", place: Place = BEGINNING, size: int = PAGE_SIZE
) -> Page[Person]:
    """The people of a list whose address or name holds `text`, in the order of their numbers: the
    same statements however long it is."""
    listed, who = _joined(rows, text)
    page = paginate(listed, place, who, size=size, words=BY_NAME)
    tried = _tries([row.letter_id for row in page.rows if row.letter_id])
    return replace(page, rows=[_person(row, tried.get(row.letter_id or 0)) for row in page.rows])


def people_csv(rows: sa.Select[Any], text: str = "") -> Iterator[str]:
    """The whole list as CSV in pieces, read while they are written; write it with `utf-8-sig`."""
    yield to_csv([("email", "name", "why", "said", "at")])
    listed, who = _joined(rows, text)
    found = db.session.execute(listed.order_by(who).execution_options(yield_per=_PIECE))
    for piece in found.partitions():
        lines: list[Sequence[Cell]] = []
        for row in piece:
            one = _person(row, None)
            at = format_moment(one.last_at) if one.last_at else ""
            lines.append((one.email, one.name, one.why, one.said, at))
        yield to_csv(lines)


def _joined(rows: sa.Select[Any], text: str) -> tuple[sa.Select[Any], sa.ColumnElement[int]]:
    """The rows with their customers and letters, and what they are ordered by."""
    listed = rows.subquery("listed")
    customer_id, reason, letter_id, at = listed.c
    columns: tuple[Any, ...] = (
        Customer,
        reason.label("reason"),
        letter_id.label("letter_id"),
        sa.type_coerce(at, UtcDateTime()).label("at"),
        Delivery.status,
    )
    query = (
        sa.select(*columns)
        .select_from(listed)
        .join(Customer, Customer.id == customer_id)
        .outerjoin(Delivery, Delivery.id == letter_id)
    )
    return (query.where(holds(Customer, text)) if text.strip() else query), customer_id


def _person(row: Any, tried: tuple[int, datetime | None] | None) -> Person:
    tries, last_at = tried or (0, None)
    is_refused = row.status in (DeliveryStatus.FAILED, DeliveryStatus.BOUNCED)
    why, said = _in_words(row.reason or "", row.status, row.at, is_refused=is_refused)
    meant = suggest_correction(row.Customer.email) if is_refused else None
    return Person(
        row.Customer.id,
        row.Customer.email,
        row.Customer.name,
        why,
        said,
        row.letter_id,
        tries,
        last_at or row.at,
        meant,
    )


def _in_words(
    reason: str, status: DeliveryStatus | None, at: datetime | None, *, is_refused: bool
) -> tuple[str, str]:
    """Why, for people; and what the server wrote, where it is a server's."""
    if reason in _WORDS:
        return _WORDS[reason], ""
    if reason in set(Occasion):
        return f"{WHY_TOLD.get(Occasion(reason), 'are told of it')}".capitalize(), ""
    code = _CODE.match(reason)
    if is_refused or code:
        return _cap(judge(None, int(code[1]) if code else _FOR_GOOD, reason).cause), reason
    if reason:
        return _cap(reason), ""
    if status is DeliveryStatus.QUEUED and at is not None and at > clock.now():
        return f"Not due before {format_moment(at)}", ""
    if status in DeliveryStatus.open():
        return "Waits for its turn", ""
    if status is DeliveryStatus.SENT:
        return "Handed over to the mail server", ""
    return "No letter yet; one is owed within a minute", ""


def _cap(words: str) -> str:
    return words[:1].upper() + words[1:]


def _tries(letters: Collection[int]) -> dict[int, tuple[int, datetime | None]]:
    query = (
        sa.select(Attempt.delivery_id, sa.func.count(), sa.func.max(Attempt.started_at))
        .where(Attempt.delivery_id.in_(letters))
        .group_by(Attempt.delivery_id)
    )
    return {row[0]: (row[1], row[2]) for row in db.session.execute(query)}
