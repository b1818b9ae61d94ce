"""The repairs that wait for a person, oldest first: what was tried, what the server said and what it
probably means, which editions are owed since, and the addresses that may be right."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from store.catalog.models import Edition, EditionStatus, Publication
from store.entitlements.models import SecondAddress
from store.entitlements.repairs import RepairUnknown
from store.kit import clock
from store.kit.database import db
from store.kit.paging import BEGINNING, OLDEST_FIRST, SHORT_PAGE, Page, Place, paginate
from store.mail.answers import judge, status_in
from store.mail.models import Attempt, Delivery, DeliveryStatus, Repair, ReturnedLetter, ReturnKind
from store.orders.customers import customers_of, suggest_correction
from store.orders.models import Customer, Order

# What a customer did not get, and is sent once the address is right.
OWED = (DeliveryStatus.BOUNCED, DeliveryStatus.FAILED, DeliveryStatus.HELD)
# How long staff are told of a reader who did not want a letter.
COMPLAINTS_SHOWN = 30
_MOST_SHOWN = 5
_CODE = re.compile(r"\s*([245]\d\d)\b")
# What servers say for good where the report has no code of its own.
_FOR_GOOD, _FOR_NOW = 550, 450


@dataclass(frozen=True)
class OpenRepair:
    """One repair as a person needs it."""

    repair: Repair
    letter: Delivery  # that came back first
    customer: Customer | None  # none: the letter was to staff
    address: str
    tries: int
    last_try: datetime | None
    cause: str
    suggestion: str | None  # the address that was probably meant
    owed: list[str] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)  # whose pages ask their buyer
    second: str | None = None  # on file: news goes there meanwhile


def open_repairs(place: Place = BEGINNING, size: int = SHORT_PAGE) -> Page[OpenRepair]:
    """A page of the repairs that nobody has ended, oldest first; the same few statements however
    many stand on it."""
    query = sa.select(Repair).where(Repair.ended_at.is_(None))
    order = Repair.opened_at, Repair.id
    page = paginate(query, place, *order, size=size, words=OLDEST_FIRST)
    return replace(page, rows=_told(page.rows))


def is_in_repair(customer_id: int) -> bool:
    """Whether letters to this customer come back, and nobody has mended it yet."""
    theirs = Repair.customer_id == customer_id, Repair.ended_at.is_(None)
    return bool(db.session.scalar(sa.select(sa.exists().where(*theirs))))


def repair_by_id(repair_id: int) -> OpenRepair:
    """One repair, ended or not. Refuses (`RepairUnknown`)."""
    found = db.session.get(Repair, repair_id)
    if found is None:
        raise RepairUnknown
    return _told([found])[0]


def complaints_lately() -> int:
    """How many reports said in these days that a reader did not want a letter."""
    since = clock.now() - timedelta(days=COMPLAINTS_SHOWN)
    # The condition of its partial index, to the letter.
    is_complaint = sa.text("kind = 'complaint'")
    query = sa.select(sa.func.count()).select_from(ReturnedLetter)
    return db.session.scalar(query.where(is_complaint, ReturnedLetter.came_at >= since)) or 0


def _told(repairs: Sequence[Repair]) -> list[OpenRepair]:
    letters = _letters(repairs)
    people, tries = customers_of(repairs), _tries(letters)
    owed, seconds, orders = _owed(people), _seconds(people), _orders(people)
    told = []
    for repair in repairs:
        letter, customer = letters[repair.delivery_id], people.get(repair.customer_id or 0)
        count, last = tries.get(letter.id, (0, None))
        address = (customer.email if customer else letter.address) or repair.address_key
        suggestion = suggest_correction(address) if customer else None
        told.append(
            OpenRepair(
                repair,
                letter,
                customer,
                address,
                count,
                last,
                likely_cause(repair, suggestion),
                suggestion,
                owed.get(repair.customer_id or 0, []),
                orders.get(repair.customer_id or 0, []),
                seconds.get(repair.customer_id or 0),
            )
        )
    return told


def likely_cause(repair: Repair, suggestion: str | None) -> str:
    """Why it probably came back, in words: a slip near a large mailbox's name before what the
    server says, as such names belong to somebody who answers for nobody."""
    if suggestion:
        return f"a slip in the address: perhaps {suggestion} was meant"
    words = repair.words if status_in(repair.words) else f"{repair.code} {repair.words}".strip()
    said = _CODE.match(repair.words)
    code = int(said[1]) if said else _FOR_NOW if repair.kind is ReturnKind.SOFT else _FOR_GOOD
    return judge(None, code, words).cause


def _letters(repairs: Iterable[Repair]) -> dict[int, Delivery]:
    query = sa.select(Delivery).where(Delivery.id.in_([one.delivery_id for one in repairs]))
    return {letter.id: letter for letter in db.session.scalars(query)}


def _tries(letters: Collection[int]) -> dict[int, tuple[int, datetime | None]]:
    query = (
        sa.select(Attempt.delivery_id, sa.func.count(), sa.func.max(Attempt.started_at))
        .where(Attempt.delivery_id.in_(letters))
        .group_by(Attempt.delivery_id)
    )
    return {row[0]: (row[1], row[2]) for row in db.session.execute(query)}


def _owed(people: Collection[int]) -> dict[int, list[str]]:
    """The newest edition of each publication that a customer did not get, with its title, unless it or
    a newer one has reached them by another letter."""
    other, newer = aliased(Delivery), aliased(Edition)
    has_come = (
        sa.exists()
        .correlate_except(other, newer)
        .where(
            other.customer_id == Delivery.customer_id,
            other.status == DeliveryStatus.SENT,
            other.edition_id == newer.id,
            newer.publication_id == Edition.publication_id,
            newer.number >= Edition.number,
        )
    )
    query = (
        sa.select(Delivery.customer_id, Publication.title, sa.func.max(Edition.number))
        .join(Edition, Edition.id == Delivery.edition_id)
        .join(Publication, Publication.id == Edition.publication_id)
        .where(
            Delivery.customer_id.in_(people),
            Delivery.address.is_(None),
            Delivery.status.in_(OWED),
            Edition.status == EditionStatus.RELEASED,
            ~has_come,
        )
        .group_by(Delivery.customer_id, Publication.id, Publication.title)
        .order_by(Publication.title)
    )
    owed: dict[int, list[str]] = defaultdict(list)
    for customer_id, title, newest in db.session.execute(query):
        owed[customer_id or 0].append(f"{title}, edition {newest}")
    return owed


def _seconds(people: Collection[int]) -> dict[int, str]:
    query = sa.select(SecondAddress.customer_id, SecondAddress.email).where(
        SecondAddress.customer_id.in_(people), SecondAddress.on_file_at <= clock.now()
    )
    return {row[0]: row[1] for row in db.session.execute(query)}


def _orders(people: Collection[int]) -> dict[int, list[Order]]:
    """The newest orders of each."""
    place = sa.func.row_number().over(
        partition_by=Order.customer_id, order_by=(Order.placed_at.desc(), Order.id.desc())
    )
    ranked = (
        sa.select(Order.id, place.label("place")).where(Order.customer_id.in_(people)).subquery()
    )
    query = sa.select(Order).join(ranked, ranked.c.id == Order.id)
    orders: dict[int, list[Order]] = defaultdict(list)
    shown = query.where(ranked.c.place <= _MOST_SHOWN).order_by(Order.placed_at.desc())
    for order in db.session.scalars(shown):
        orders[order.customer_id].append(order)
    return orders
