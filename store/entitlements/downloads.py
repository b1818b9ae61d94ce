"""A download granted: link, right and file, asked by one statement that is built once. What it does not
grant is judged by `links.open_download` and `access`, which know why not."""

from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from store.catalog import released
from store.catalog.editions import asset_named
from store.catalog.models import Asset, Edition, EditionStatus, Publication
from store.catalog.released import ReleasedFile
from store.entitlements.access import asset_for, asset_of_order
from store.entitlements.links import DOWNLOADS, MAX_AGE, open_download
from store.entitlements.models import Entitlement, Link
from store.entitlements.shelves import opens
from store.kit import clock, tokens
from store.kit.database import one_look
from store.orders.models import Order, OrderLine


class Grant(NamedTuple):
    """A file that may be fetched at this moment, by whom, and behind which order's link if any."""

    customer_id: int
    order_id: int | None
    file: ReleasedFile


_carried = aliased(Edition)


def _grants(purpose: str) -> sa.Select[Any]:
    """The file behind a link of this purpose that a right opens by itself."""
    links = sa.select(Link.customer_id, Link.order_id, *released.FILE).select_from(Link)
    if purpose == "order":
        links = (
            links.join(Order, Order.id == Link.order_id)
            .join(OrderLine, OrderLine.order_id == Order.id)
            .join(Entitlement, Entitlement.order_line_id == OrderLine.id)
            .where(Order.customer_id == Link.customer_id)
        )
    else:
        links = links.join(Entitlement, Entitlement.customer_id == Link.customer_id)
    return (
        links.join(Publication, Publication.id == Entitlement.publication_id)
        .join(Edition, Edition.publication_id == Publication.id)
        .join(Asset, Asset.edition_id == Edition.id)
        .outerjoin(_carried, _carried.id == Entitlement.from_edition_id)
        .where(
            Link.reference == sa.bindparam("reference"),
            Link.purpose == purpose,
            Link.revoked_at.is_(None),
            Publication.slug == sa.bindparam("slug"),
            Edition.number == sa.bindparam("number"),
            Asset.format == sa.bindparam("format"),
            Edition.status == EditionStatus.RELEASED,
            Entitlement.revoked_at.is_(None),
            Entitlement.suspended_at.is_(None),
            Entitlement.held_at.is_(None),
            Entitlement.available_at <= sa.bindparam("now"),
            opens(Entitlement, _carried, Edition),
        )
        .limit(1)
    )


_GRANTS = {signed: _grants(purpose) for purpose, signed in DOWNLOADS.items()}


def grant_download(token: str, name: str) -> Grant:
    """The file of this reference or file name behind a download's token. Refuses as
    `links.open_download`, then as `access.asset_for`."""
    named = asset_named(name)
    for signed, query in _GRANTS.items() if named else ():
        reference = tokens.read_at_once(token, signed, MAX_AGE[signed])
        if reference is not None and named is not None:
            which = dict(zip(("slug", "number", "format"), named, strict=True))
            which |= {"reference": reference, "now": clock.now()}
            with one_look() as connection:
                found = connection.execute(query, which).first()
            if found is not None:
                return Grant(found[0], found[1], ReleasedFile(*found[2:]))
    link = open_download(token)
    if link.order_id is not None:
        return Grant(link.customer_id, link.order_id, asset_of_order(link.order_id, name))
    return Grant(link.customer_id, None, asset_for(link.customer_id, name))
