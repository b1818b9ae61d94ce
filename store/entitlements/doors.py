"""The paths that a customer's links lead to, each with a fresh token: pages, and files."""

from dataclasses import dataclass
from urllib.parse import quote

import sqlalchemy as sa

from store.catalog.editions import asset_filename, asset_reference
from store.catalog.models import Asset
from store.catalog.released import ReleasedFile
from store.entitlements.held_links import HeldLink
from store.entitlements.links import DOWNLOADS, PATHS
from store.entitlements.models import Link
from store.kit import tokens
from store.kit.database import db


@dataclass(frozen=True)
class Doors:
    """The references of a customer's standing links: the newest of each kind."""

    library: str | None
    orders: dict[int, str]
    stops: dict[int, str]

    def order_path(self, order_id: int) -> str | None:
        """The page of an order."""
        return _path("order", self.orders.get(order_id))

    def stop_path(self, publication_id: int) -> str | None:
        """The page that stops or resumes news of a publication."""
        return _path("stop", self.stops.get(publication_id))

    def library_path(self) -> str | None:
        """The library's own page."""
        return _path("library", self.library)


# Built once: building and taking apart a statement costs more than running it.
_STANDING = (
    sa.select(Link.purpose, Link.reference, Link.order_id, Link.publication_id)
    .where(
        Link.customer_id == sa.bindparam("customer_id"),
        Link.revoked_at.is_(None),
        Link.purpose.in_(("library", "order", "stop")),
    )
    .order_by(Link.id)
)


def doors_of(customer_id: int) -> Doors:
    """Every standing link of a customer, by one statement."""
    library, orders, stops = None, {}, {}
    rows = db.session.connection().execute(_STANDING, {"customer_id": customer_id})
    for purpose, reference, order_id, publication_id in rows:
        if purpose == "library":
            library = reference
        elif purpose == "order" and order_id:
            orders[order_id] = reference
        elif purpose == "stop" and publication_id:
            stops[publication_id] = reference
    return Doors(library, orders, stops)


def download_path(link: Link | HeldLink, asset: Asset | ReleasedFile) -> str:
    """The path of one file for the holder of a library or order link, good for 24 hours: signed
    for the one or the other, and asked of the customer's rights or the order's."""
    token = tokens.sign(link.reference, DOWNLOADS[link.purpose])
    return f"/download/{token}/{asset_reference(asset)}/{quote(asset_filename(asset))}"


def _path(purpose: str, reference: str | None) -> str | None:
    return f"{PATHS[purpose]}{tokens.sign(reference, purpose)}" if reference else None
