"""What a customer may read, computed at the moment of asking; a refund closes the next request."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload

from store.catalog.editions import asset_named
from store.catalog.models import Asset, Edition, EditionStatus, Publication
from store.entitlements.links import PATHS, token_of
from store.entitlements.models import DISPUTE_LOST, GIFT_TAKEN_BACK, Entitlement, Link, NoticeStop
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import NotFound, Refusal
from store.orders.models import Order, OrderLine

REFUNDED_SENTENCE = "This order was refunded, so its copies can no longer be downloaded."
GIFT_SENTENCE = "This copy was given to you and was taken back, so it can no longer be downloaded."
LOST_SENTENCE = "Your bank took the payment back, so its copies can no longer be downloaded."
DISPUTED_SENTENCE = (
    "The payment is being disputed with your bank; your copies rest until that is decided."
)


HELD_SENTENCE = (
    "This order was moved to another address, and somebody objected. A person will look at it; "
    "until then its copies rest."
)


class FileUnknown(NotFound):
    """A name that no file has which this link may give; which files there are is not told."""

    heading = "We do not know this file"
    sentence = (
        "Your link is good, but it does not lead to a file of this name. Open the page of your "
        "order or your library, and press the button there."
    )


class NoLongerYours(Refusal):
    """A file that the customer had or will have, and may not fetch at this moment."""

    status = 410
    heading = "This file cannot be downloaded"
    way_out = ("/find-my-copies", "Find my copies")
    sentence = "This edition was withdrawn or is no longer part of what you bought."


def has_rights(customer_id: int) -> bool:
    """Whether a customer was ever given a right, be it over by now."""
    query = sa.select(sa.exists().where(Entitlement.customer_id == customer_id))
    return bool(db.session.scalar(query))


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
        standing = [right.available_at for right in self.rights if _stands(right)]
        first = min(standing, default=None)
        return first if first is not None and first > clock.now() else None


def shelves(customer_id: int) -> list[Shelf]:
    """A customer's library, what can be read first, then by purchase, newest first; in a fixed
    number of statements."""
    rights = db.session.scalars(
        _rights(customer_id).options(
            joinedload(Entitlement.publication),
            joinedload(Entitlement.order_line).joinedload(OrderLine.order),
        )
    ).all()
    found: dict[int, Shelf] = {}
    for right in rights:
        shelf = found.setdefault(right.publication_id, Shelf(right.publication, []))
        shelf.rights.append(right)
    editions = _editions(list(found))
    stopped = _stopped(customer_id)
    for publication_id, shelf in found.items():
        of_it = [each for each in editions if each.publication_id == publication_id]
        shelf.editions = _readable(shelf.rights, of_it)
        shelf.is_published = bool(of_it)
        shelf.is_stopped = publication_id in stopped
    return sorted(
        found.values(), key=lambda shelf: (bool(shelf.editions), shelf.ordered_at), reverse=True
    )


def readable_editions(customer_id: int, publication_id: int) -> list[Edition]:
    """The editions of a publication that a customer may fetch now, newest first."""
    rights = _rights(customer_id).where(Entitlement.publication_id == publication_id)
    return _readable(db.session.scalars(rights).all(), _editions([publication_id]))


def editions_of_order(order_id: int) -> list[Edition]:
    """The editions that an order's own rights open now, newest first; nothing of what else its
    customer may read."""
    rights = db.session.scalars(_rights_of_order(order_id)).all()
    publication_ids = sorted({right.publication_id for right in rights})
    return [
        edition
        for publication_id in publication_ids
        for edition in _readable(
            [right for right in rights if right.publication_id == publication_id],
            _editions([publication_id]),
        )
    ]


def editions_within(right: Entitlement, released: Sequence[Edition]) -> list[Edition]:
    """The editions of `released`, newest first, that a right opens once it is available."""
    first = right.from_edition
    since = first.number if first else 0
    within = [one for one in released if one.number >= since and _in_term(right, one)]
    if within or first is None or first.status != EditionStatus.WITHDRAWN:
        return within
    # What was carried is gone and nothing newer stands: better the last sound one than none.
    return [edition for edition in released if edition.number < first.number][:1]


def asset_for(customer_id: int, name: str) -> Asset:
    """The file of this reference or file name, where the customer may fetch it now.

    Refuses with `NoLongerYours` (410) what was theirs or is not yet, and with `FileUnknown` (404)
    everything else.
    """
    return _asset_within(_rights(customer_id), name)


def asset_of_order(order_id: int, name: str) -> Asset:
    """The same, where the order's own rights open it; refuses alike."""
    return _asset_within(_rights_of_order(order_id), name)


def _asset_within(query: sa.Select[Entitlement], name: str) -> Asset:
    asset = _asset_named(name)
    publication_id = asset.edition.publication_id
    rights = db.session.scalars(query.where(Entitlement.publication_id == publication_id)).all()
    if not rights:
        raise FileUnknown
    readable = {edition.id for edition in _readable(rights, _editions([publication_id]))}
    if asset.edition_id not in readable:
        raise _reason(rights)
    return asset


def order_behind(link: Link) -> Order:
    """The order that an order link opens, with lines, customer and seller."""
    query = (
        sa.select(Order)
        .where(Order.id == link.order_id)
        .options(
            joinedload(Order.customer),
            joinedload(Order.seller),
            selectinload(Order.lines).joinedload(OrderLine.publication),
        )
    )
    return db.session.scalars(query).one()


def rights_of_order(order_id: int) -> list[Entitlement]:
    """What an order gave, taken back or not."""
    return list(db.session.scalars(_rights_of_order(order_id)))


def copy_waits(available_at: datetime | None, expected: date | None) -> bool:
    """Whether the right to cancel, and not the release, decides when the copy comes: `expected`
    is the promised date of what is not released, None where it is or nothing is promised."""
    if available_at is None or available_at <= clock.now():
        return False
    return expected is None or clock.start_of(expected, config().zone) < available_at


def is_waiting(order_id: int) -> bool:
    """Whether an order's copies all wait for the right to cancel to end."""
    rights = rights_of_order(order_id)
    now = clock.now()
    return bool(rights) and all(_stands(right) and right.available_at > now for right in rights)


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


def _rights(customer_id: int) -> sa.Select[Entitlement]:
    return _all_rights().where(Entitlement.customer_id == customer_id)


def _rights_of_order(order_id: int) -> sa.Select[Entitlement]:
    return _all_rights().join(Entitlement.order_line).where(OrderLine.order_id == order_id)


def _all_rights() -> sa.Select[Entitlement]:
    return (
        sa.select(Entitlement)
        .options(joinedload(Entitlement.from_edition))
        .order_by(Entitlement.id)
        # A right may have been taken back since this session last looked.
        .execution_options(populate_existing=True)
    )


def _editions(publication_ids: list[int]) -> Sequence[Edition]:
    query = (
        sa.select(Edition)
        .where(
            Edition.publication_id.in_(publication_ids),
            Edition.status == EditionStatus.RELEASED,
        )
        .options(selectinload(Edition.assets))
        .order_by(Edition.number.desc())
        .execution_options(populate_existing=True)
    )
    return db.session.scalars(query).all()


def _stopped(customer_id: int) -> set[int]:
    query = sa.select(NoticeStop.publication_id).where(
        NoticeStop.customer_id == customer_id, NoticeStop.stopped_at.is_not(None)
    )
    return set(db.session.scalars(query))


def _stands(right: Entitlement) -> bool:
    return right.revoked_at is None and right.suspended_at is None and right.held_at is None


def _readable(rights: Iterable[Entitlement], released: Sequence[Edition]) -> list[Edition]:
    now = clock.now()
    mine: set[int] = set()
    for right in rights:
        if _stands(right) and right.available_at <= now:
            mine |= {edition.id for edition in editions_within(right, released)}
    return [edition for edition in released if edition.id in mine]


def _in_term(right: Entitlement, edition: Edition) -> bool:
    until, released_at = right.updates_until, edition.released_at
    return until is None or (released_at is not None and released_at <= until)


def _asset_named(name: str) -> Asset:
    # Marks and brackets behind a name that was copied are not part of it.
    parts = asset_named(re.sub(r"[^a-z0-9.-].*", "", name, flags=re.DOTALL).rstrip(".-"))
    if parts is None:
        raise FileUnknown
    slug, number, format = parts
    query = (
        sa.select(Asset)
        .join(Asset.edition)
        .join(Edition.publication)
        .where(Publication.slug == slug, Edition.number == number, Asset.format == format)
        .options(joinedload(Asset.edition).joinedload(Edition.publication))
    )
    asset = db.session.scalars(query).first()
    if asset is None or asset.edition.released_at is None:
        raise FileUnknown
    return asset


def _reason(rights: Sequence[Entitlement]) -> NoLongerYours:
    kept = [right for right in rights if right.revoked_at is None]
    if not kept:
        is_lost = any(right.revoked_reason == DISPUTE_LOST for right in rights)
        if all(right.revoked_reason == GIFT_TAKEN_BACK for right in rights):
            return NoLongerYours(GIFT_SENTENCE)
        return NoLongerYours(LOST_SENTENCE if is_lost else REFUNDED_SENTENCE)
    if all(right.held_at for right in kept):
        return NoLongerYours(HELD_SENTENCE)
    if all(right.suspended_at or right.held_at for right in kept):
        return NoLongerYours(DISPUTED_SENTENCE)
    if all(right.available_at > clock.now() for right in rights if _stands(right)):
        return NoLongerYours(
            "This copy is not ready for you yet. The page of your order says when it is."
        )
    return NoLongerYours()
