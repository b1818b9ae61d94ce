"""How rights to one publication stand, and all of a customer's by publication, as their library shows
them: plain values, read by two statements that are built once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from store.catalog import released
from store.catalog.models import Asset, Edition, EditionStatus, Publication
from store.catalog.released import ReleasedEdition, ReleasedFile
from store.entitlements.models import (
    DISPUTE_LOST,
    GIFT_TAKEN_BACK,
    Download,
    Entitlement,
    News,
    NoticeStop,
    news_by,
)
from store.kit import clock
from store.kit.database import db
from store.orders.models import Order, OrderLine

# An edition as a row of the session, or as plain values.
E = TypeVar("E", Edition, ReleasedEdition)


class Carried(NamedTuple):
    """The edition that came with a purchase."""

    number: int
    status: EditionStatus


class ShelfOrder(NamedTuple):
    """The order that brought a right."""

    placed_at: datetime
    id: int
    reference: str


class Title(NamedTuple):
    """The publication of a shelf."""

    id: int
    slug: str
    title: str
    subtitle: str
    author: str
    cover_sha256: str | None
    expected_on: date | None


class Right(NamedTuple):
    """An entitlement as its customer's library needs it."""

    from_edition: Carried | None
    order: ShelfOrder | None
    granted_at: datetime
    available_at: datetime
    updates_until: datetime | None
    suspended_at: datetime | None
    held_at: datetime | None
    revoked_at: datetime | None
    revoked_reason: str


@dataclass
class Standing:
    """How some rights to one publication stand together."""

    rights: Sequence[Entitlement | Right]

    @property
    def is_refunded(self) -> bool:
        """Whether every right to it was taken back."""
        return all(right.revoked_at for right in self.rights)

    @property
    def is_gift_back(self) -> bool:
        """Whether it was given, and taken back again."""
        return all(right.revoked_reason == GIFT_TAKEN_BACK for right in self.rights)

    @property
    def is_lost(self) -> bool:
        """Whether it was taken back because a bank gave the money back to its customer."""
        return self.is_refunded and any(
            right.revoked_reason == DISPUTE_LOST for right in self.rights
        )

    @property
    def is_suspended(self) -> bool:
        """Whether what is left of the rights rests while a bank decides."""
        kept = [right for right in self.rights if right.revoked_at is None]
        return bool(kept) and all(right.suspended_at or right.held_at for right in kept)

    @property
    def is_held(self) -> bool:
        """Whether it rests because somebody objected to the move of its order. So it says as well
        where a bank decides about another right to it: a person of the shop has to act first."""
        return self.is_suspended and any(
            right.held_at for right in self.rights if right.revoked_at is None
        )

    @property
    def is_withdrawn(self) -> bool:
        """Whether an edition that came with a purchase was taken out of circulation."""
        carried = [right.from_edition for right in self.rights if right.from_edition]
        return any(edition.status == EditionStatus.WITHDRAWN for edition in carried)

    @property
    def available_at(self) -> datetime | None:
        """When the copy may first be had, where that is still to come; None where it may be now."""
        standing = [right.available_at for right in self.rights if stands(right)]
        first = min(standing, default=None)
        return first if first is not None and first > clock.now() else None


@dataclass
class Shelf(Standing):
    """One publication in a customer's library. `editions` are those that may be fetched now."""

    rights: list[Right]
    publication: Title
    news: News = News.EVERY
    newest: ReleasedEdition | None = None  # that is out, whether they may fetch it or not
    editions: list[ReleasedEdition] = field(default_factory=list)
    taken: int = 0  # the number of the newest edition that they have fetched

    @property
    def is_published(self) -> bool:
        """Whether any edition is out and stands."""
        return self.newest is not None

    @property
    def newest_files(self) -> list[ReleasedFile]:
        """The files of the newest edition that they may fetch, else of the newest that is out."""
        newest = self.editions[0] if self.editions else self.newest
        return newest.assets if newest else []

    @property
    def missed(self) -> list[ReleasedEdition]:
        """What came after the edition that they have fetched, newest first."""
        return [one for one in self.editions if 0 < self.taken < one.number]

    @property
    def rank(self) -> int:
        """How far up it stands: with an edition that is new to them, with any to fetch, without."""
        return 2 if self.missed else 1 if self.editions else 0

    @property
    def ended_on(self) -> datetime | None:
        """The last moment of the editions that were included, where a newer one is out."""
        ends = [right.updates_until for right in self.rights if stands(right)]
        last = max((end for end in ends if end is not None), default=None)
        if self.newest is None or last is None or not all(ends):
            return None
        return last - timedelta(seconds=1) if last < self.newest.released_at else None

    @property
    def orders(self) -> list[ShelfOrder]:
        """The orders that brought these rights, oldest first."""
        return sorted({right.order for right in self.rights if right.order})

    @property
    def ordered_at(self) -> datetime:
        """When it was first ordered, or granted where no order stands behind it."""
        placed = [right.order.placed_at for right in self.rights if right.order]
        return min([*placed, *(right.granted_at for right in self.rights)])


def stands(right: Entitlement | Right) -> bool:
    """Whether a right was not taken back and does not rest."""
    return right.revoked_at is None and right.suspended_at is None and right.held_at is None


def readable(rights: Iterable[Entitlement | Right], released: Sequence[E]) -> list[E]:
    """The editions of `released`, those of one publication, that these rights to it open now."""
    now = clock.now()
    mine: set[int] = set()
    for right in rights:
        if stands(right) and right.available_at <= now:
            mine |= {edition.id for edition in editions_within(right, released)}
    return [edition for edition in released if edition.id in mine]


def editions_within(right: Entitlement | Right, released: Sequence[E]) -> list[E]:
    """The editions of `released`, newest first, that a right opens once it is available."""
    first, until = right.from_edition, right.updates_until
    since = first.number if first else 0
    within = [
        one
        for one in released
        if one.number >= since
        and (until is None or (one.released_at is not None and one.released_at <= until))
    ]
    if within or first is None or first.status != EditionStatus.WITHDRAWN:
        return within
    # What was carried is gone and nothing newer stands: better the last sound one than none.
    return [edition for edition in released if edition.number < first.number][:1]


def opens(right: Any, first: Any, edition: Any) -> sa.ColumnElement[bool]:
    """Whether a right, whose purchase came with `first`, opens an edition once it is available, as
    part of a query; without the last sound one that `editions_within` gives in place of a gone one."""
    return sa.and_(
        sa.or_(right.from_edition_id.is_(None), edition.number >= first.number),
        sa.or_(right.updates_until.is_(None), edition.released_at <= right.updates_until),
    )


_carried = sa.alias(Edition.__table__)
_RIGHTS = (
    sa.select(
        Publication.id,
        Publication.slug,
        Publication.title,
        Publication.subtitle,
        Publication.author,
        Publication.cover_sha256,
        Publication.expected_on,
        NoticeStop.stopped_at,
        NoticeStop.matters_pass,
        _carried.c.number,
        _carried.c.status,
        Order.placed_at,
        Order.id,
        Order.reference,
        Entitlement.granted_at,
        Entitlement.available_at,
        Entitlement.updates_until,
        Entitlement.suspended_at,
        Entitlement.held_at,
        Entitlement.revoked_at,
        Entitlement.revoked_reason,
    )
    .select_from(Entitlement)
    .join(Publication, Publication.id == Entitlement.publication_id)
    .outerjoin(_carried, _carried.c.id == Entitlement.from_edition_id)
    .outerjoin(OrderLine, OrderLine.id == Entitlement.order_line_id)
    .outerjoin(Order, Order.id == OrderLine.order_id)
    .outerjoin(
        NoticeStop,
        sa.and_(
            NoticeStop.customer_id == Entitlement.customer_id,
            NoticeStop.publication_id == Entitlement.publication_id,
        ),
    )
    .where(Entitlement.customer_id == sa.bindparam("customer_id"))
    .order_by(Entitlement.id)
)
_fetched = (
    sa.select(Download.asset_id)
    .where(Download.customer_id == sa.bindparam("customer_id"))
    .distinct()
    .subquery("fetched")
)
# Behind the columns of the editions, whether a file has been fetched.
_EDITIONS = (
    released.ROWS.add_columns(_fetched.c.asset_id)
    .outerjoin(_fetched, _fetched.c.asset_id == Asset.id)
    .where(
        Edition.publication_id.in_(
            sa.select(Entitlement.publication_id).where(
                Entitlement.customer_id == sa.bindparam("customer_id")
            )
        )
    )
)


def shelves(customer_id: int) -> list[Shelf]:
    """A customer's library: what is new to them first, then what else can be read, each by purchase,
    newest first."""
    connection, whose = db.session.connection(), {"customer_id": customer_id}
    found: dict[int, Shelf] = {}
    for row in connection.execute(_RIGHTS, whose):
        title, news = Title(*row[:7]), news_by(*row[7:9])
        carried, order = row[9:11], row[11:14]
        shelf = found.setdefault(title.id, Shelf([], title, news))
        shelf.rights.append(
            Right(
                Carried(*carried) if carried[0] is not None else None,
                ShelfOrder(*order) if order[0] is not None else None,
                *row[14:],
            )
        )
    rows = connection.execute(_EDITIONS, whose).all() if found else []
    editions = released.read_released(row[:-1] for row in rows)
    fetched = {row[0] for row in rows if row[-1] is not None}
    for publication_id, shelf in found.items():
        of_it = [each for each in editions if each.publication_id == publication_id]
        shelf.newest = of_it[0] if of_it else None
        shelf.editions = readable(shelf.rights, of_it)
        shelf.taken = max((one.number for one in of_it if one.id in fetched), default=0)
    return sorted(found.values(), key=lambda shelf: place_of(shelf, shelf.rank), reverse=True)


def place_of(shelf: Shelf, rank: int) -> tuple[int, datetime, int]:
    """Where a shelf of this rank stands in a library: what is higher comes first, and no two alike."""
    return rank, shelf.ordered_at, -shelf.publication.id
