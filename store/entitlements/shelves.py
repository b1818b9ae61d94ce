"""What a customer's library shows: their shelves, the paths that lead on from them, and what they
may have bought twice."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from store.catalog.models import Edition, EditionStatus, Publication
from store.entitlements.access import readable, released_editions, stands
from store.entitlements.links import PATHS, token_of
from store.entitlements.models import DISPUTE_LOST, GIFT_TAKEN_BACK, Entitlement, Link, NoticeStop
from store.kit import clock
from store.kit.database import db
from store.orders.models import Order, OrderLine

TWICE_WITHIN = timedelta(days=1)


@dataclass
class Shelf:
    """One publication in a customer's library. `editions` are those that may be fetched now."""

    publication: Publication
    rights: list[Entitlement]
    editions: list[Edition] = field(default_factory=list)
    is_published: bool = False
    is_stopped: bool = False

    @property
    def orders(self) -> list[Order]:
        """The orders that brought these rights, oldest first."""
        lines = (right.order_line for right in self.rights if right.order_line)
        return sorted({line.order for line in lines}, key=lambda order: (order.placed_at, order.id))

    @property
    def ordered_at(self) -> datetime:
        """When it was first ordered, or granted where no order stands behind it."""
        placed = [order.placed_at for order in self.orders]
        return min([*placed, *(right.granted_at for right in self.rights)])

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
        """Whether it rests because somebody objected to the move of its order."""
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


def shelves(customer_id: int) -> list[Shelf]:
    """A customer's library, what can be read first, then by purchase, newest first; in a fixed
    number of statements."""
    rights = db.session.scalars(
        sa.select(Entitlement)
        .where(Entitlement.customer_id == customer_id)
        .options(
            joinedload(Entitlement.from_edition),
            joinedload(Entitlement.publication),
            joinedload(Entitlement.order_line).joinedload(OrderLine.order),
        )
        .order_by(Entitlement.id)
        # A right may have been taken back since this session last looked.
        .execution_options(populate_existing=True)
    ).all()
    found: dict[int, Shelf] = {}
    for right in rights:
        shelf = found.setdefault(right.publication_id, Shelf(right.publication, []))
        shelf.rights.append(right)
    editions = released_editions(list(found))
    stops = sa.select(NoticeStop.publication_id).where(
        NoticeStop.customer_id == customer_id, NoticeStop.stopped_at.is_not(None)
    )
    stopped = set(db.session.scalars(stops))
    for publication_id, shelf in found.items():
        of_it = [each for each in editions if each.publication_id == publication_id]
        shelf.editions = readable(shelf.rights, of_it)
        shelf.is_published = bool(of_it)
        shelf.is_stopped = publication_id in stopped
    return sorted(
        found.values(), key=lambda shelf: (bool(shelf.editions), shelf.ordered_at), reverse=True
    )


@dataclass(frozen=True)
class Doors:
    """The paths of a customer's standing links, with fresh tokens: one query for all of them."""

    library: Link | None
    orders: dict[int, Link]
    stops: dict[int, Link]

    def order_path(self, order_id: int) -> str | None:
        """The page of an order."""
        return _path(self.orders.get(order_id))

    def stop_path(self, publication_id: int) -> str | None:
        """The page that stops or resumes news of a publication."""
        return _path(self.stops.get(publication_id))

    def library_path(self) -> str | None:
        """The library's own page."""
        return _path(self.library)


def doors_of(customer_id: int) -> Doors:
    """Every standing link of a customer; the newest of each kind."""
    links = db.session.scalars(
        sa.select(Link)
        .where(Link.customer_id == customer_id, Link.revoked_at.is_(None))
        .order_by(Link.id)
    ).all()
    library = [link for link in links if link.purpose == "library"]
    return Doors(
        library=library[-1] if library else None,
        orders={li.order_id: li for li in links if li.purpose == "order" and li.order_id},
        stops={li.publication_id: li for li in links if li.purpose == "stop" and li.publication_id},
    )


def _path(link: Link | None) -> str | None:
    return f"{PATHS[link.purpose]}{token_of(link)}" if link else None
