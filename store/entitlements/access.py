"""What a customer may read, computed at the moment of asking: a refund closes the next request."""

import re
from collections.abc import Collection, Sequence
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload

from store.catalog.editions import asset_named
from store.catalog.models import Asset, Edition, EditionStatus, Publication
from store.catalog.released import ReleasedFile
from store.entitlements.models import Entitlement
from store.entitlements.shelves import Standing, readable
from store.kit import clock
from store.kit.config import config
from store.kit.database import UtcDateTime, db
from store.kit.errors import NotFound, Refusal
from store.orders.models import OrderLine

# Editions of a customer's publications that staff look at together.
_MOST_SHOWN = 25
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
    """Whether a customer was ever given a right, even one that is over by now."""
    return bool(customers_with_rights([customer_id]))


def customers_with_rights(
    customer_ids: Collection[int], publication_id: int | None = None
) -> set[int]:
    """Which of these customers were ever given a right, to this publication or to any."""
    query = sa.select(Entitlement.customer_id).where(Entitlement.customer_id.in_(customer_ids))
    if publication_id is not None:
        query = query.where(Entitlement.publication_id == publication_id)
    return set(db.session.scalars(query.distinct()))


def rights_of(customer_id: int, publication_id: int) -> Sequence[Entitlement]:
    """What a customer was given of a publication, taken back or not."""
    query = _rights().where(
        Entitlement.customer_id == customer_id, Entitlement.publication_id == publication_id
    )
    return db.session.scalars(query).all()


def rights_of_order(order_id: int) -> list[Entitlement]:
    """What an order gave, taken back or not."""
    query = _rights().join(Entitlement.order_line).where(OrderLine.order_id == order_id)
    return list(db.session.scalars(query))


def copy_waits(available_at: datetime | None, expected: date | None) -> bool:
    """Whether the right to cancel, and not the release, decides when the copy comes: `expected`
    is the promised date of what is not released, None where it is or nothing is promised."""
    if available_at is None or available_at <= clock.now():
        return False
    return expected is None or clock.start_of(expected, config().zone) < available_at


def is_waiting(order_id: int) -> bool:
    """Whether an order's copies all wait for the right to cancel to end."""
    which = {"order_id": order_id, "now": clock.now()}
    return bool(db.session.scalar(sa.select(IS_WAITING), which))


_of_order = sa.select(Entitlement.id).join(
    OrderLine,
    sa.and_(
        OrderLine.id == Entitlement.order_line_id,
        OrderLine.order_id == sa.bindparam("order_id"),
    ),
)
# The same as part of a query, of the order and the moment in the parameters `order_id` and `now`.
IS_WAITING = sa.and_(
    sa.exists(_of_order),
    ~sa.exists(
        _of_order.where(
            sa.or_(
                Entitlement.revoked_at.is_not(None),
                Entitlement.suspended_at.is_not(None),
                Entitlement.held_at.is_not(None),
                Entitlement.available_at <= sa.bindparam("now", type_=UtcDateTime()),
            )
        )
    ),
)


def readable_editions(customer_id: int, publication_id: int) -> list[Edition]:
    """The editions of a publication that a customer may fetch now, newest first."""
    return readable(rights_of(customer_id, publication_id), released_editions([publication_id]))


def editions_of_order(order_id: int) -> list[Edition]:
    """The editions that an order's own rights open now, newest first; nothing of what else its
    customer may read."""
    rights = rights_of_order(order_id)
    return [
        edition
        for publication_id in sorted({right.publication_id for right in rights})
        for edition in readable(
            [right for right in rights if right.publication_id == publication_id],
            released_editions([publication_id]),
        )
    ]


def released_editions(publication_ids: Sequence[int]) -> Sequence[Edition]:
    """The editions of these publications that are out and stand, newest first, with their files."""
    query = (
        sa.select(Edition)
        .where(
            Edition.publication_id.in_(publication_ids), Edition.status == EditionStatus.RELEASED
        )
        .options(selectinload(Edition.assets))
        .order_by(Edition.number.desc())
        .execution_options(populate_existing=True)
    )
    return db.session.scalars(query).all()


def ever_released_for(customer_id: int) -> list[Edition]:
    """The 25 newest editions that were ever released of a customer's publications."""
    mine = sa.select(Entitlement.publication_id).where(Entitlement.customer_id == customer_id)
    query = (
        sa.select(Edition)
        .where(Edition.publication_id.in_(mine), Edition.released_at.is_not(None))
        .options(joinedload(Edition.publication))
        .order_by(Edition.released_at.desc(), Edition.id.desc())
        .limit(_MOST_SHOWN)
    )
    return list(db.session.scalars(query))


def count_customers(publication_id: int) -> int:
    """How many customers hold a right to a publication."""
    query = sa.select(sa.func.count(Entitlement.customer_id.distinct())).where(
        Entitlement.publication_id == publication_id, Entitlement.revoked_at.is_(None)
    )
    return db.session.scalar(query) or 0


def asset_for(customer_id: int, name: str) -> ReleasedFile:
    """The file of this reference or file name, where the customer may fetch it now.

    Refuses with `NoLongerYours` (410) what was theirs or is not yet, and with `FileUnknown` (404)
    everything else.
    """
    asset = _asset_named(name)
    return _judged(asset, rights_of(customer_id, asset.edition.publication_id))


def asset_of_order(order_id: int, name: str) -> ReleasedFile:
    """The same, where the order's own rights open it; refuses alike."""
    asset = _asset_named(name)
    publication_id = asset.edition.publication_id
    rights = rights_of_order(order_id)
    return _judged(asset, [right for right in rights if right.publication_id == publication_id])


def _rights() -> sa.Select[Entitlement]:
    return (
        sa.select(Entitlement)
        .options(joinedload(Entitlement.from_edition))
        .order_by(Entitlement.id)
        # A right may have been taken back since this session last looked.
        .execution_options(populate_existing=True)
    )


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


def _judged(asset: Asset, rights: Sequence[Entitlement]) -> ReleasedFile:
    if not rights:
        raise FileUnknown
    editions = released_editions([asset.edition.publication_id])
    if asset.edition_id not in {edition.id for edition in readable(rights, editions)}:
        raise NoLongerYours(_reason(Standing(rights)))
    publication = asset.edition.publication
    return ReleasedFile(
        publication.slug,
        asset.edition.number,
        asset.format,
        asset.id,
        asset.sha256,
        asset.size,
        asset.uploaded_at,
        asset.facts,
        asset.cover_sha256,
        publication.title,
    )


def _reason(standing: Standing) -> str | None:
    """Why none of these rights opens the file; None where only the edition itself is closed."""
    if standing.is_gift_back:
        return GIFT_SENTENCE
    if standing.is_lost:
        return LOST_SENTENCE
    if standing.is_refunded:
        return REFUNDED_SENTENCE
    if standing.is_held:
        return HELD_SENTENCE
    if standing.is_suspended:
        return DISPUTED_SENTENCE
    if standing.available_at is not None:
        return "This copy is not ready for you yet. The page of your order says when it is."
    return None
