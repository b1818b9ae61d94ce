"""The library: what a customer owns, the newest edition first, and its files as every page behind a
link shows them. Showing it writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, render_template

from store.catalog.models import Asset, Edition
from store.catalog.publications import still_promised
from store.catalog.released import ReleasedEdition, ReleasedFile
from store.entitlements.access import copy_waits
from store.entitlements.doors import Doors, doors_of, download_path
from store.entitlements.granting import later_twins
from store.entitlements.held_links import HeldLink, held_library
from store.entitlements.models import Link
from store.entitlements.shelves import Shelf, shelves
from store.kit.formatting import format_size
from store.kit.web import private_page
from store.orders.consents import promise_in_words
from store.orders.customers import mask
from store.payments.cancellation import can_cancel

bp = Blueprint("library", __name__)


@dataclass(frozen=True)
class ShownCopies:
    """What may be downloaded now, with addresses that are good for a day."""

    newest: Edition | ReleasedEdition | None
    files: list[dict[str, Any]]
    earlier: list[tuple[Edition | ReleasedEdition, list[tuple[str, str]]]]


@dataclass(frozen=True)
class Twin:
    """An order that may repeat an earlier one by a slip, and where it is given back by a press;
    without a path a person gives it back."""

    reference: str
    earlier: str
    cancel_path: str


@dataclass(frozen=True)
class ShownShelf:
    """One publication as the page shows it."""

    shelf: Shelf
    copies: ShownCopies
    orders: list[tuple[str, str]]
    twins: list[Twin]
    stop_path: str | None
    promised: str
    waits: bool
    is_withdrawn: bool


@bp.get("/library/<token>")
def library(token: str) -> Response:
    """Everything that the holder of this link may read."""
    link = held_library(token)
    doors = doors_of(link.customer_id)
    shown = [_show(shelf, link, doors) for shelf in shelves(link.customer_id)]
    page = render_template(
        "storefront/library.html",
        shelves=shown,
        masked=mask(link.email),
        erased_from=link.erased_from,
        path=f"/library/{token}",
    )
    return private_page(page)


def _show(shelf: Shelf, link: HeldLink, doors: Doors) -> ShownShelf:
    day = None if shelf.is_published else still_promised(shelf.publication.expected_on)
    return ShownShelf(
        shelf=shelf,
        copies=show_copies(shelf.editions, link),
        orders=[
            (order.reference, path)
            for order in shelf.orders
            if (path := doors.order_path(order.id))
        ],
        twins=_twins(shelf, doors),
        stop_path=doors.stop_path(shelf.publication.id),
        promised=promise_in_words(day) if day else "",
        waits=copy_waits(shelf.available_at, day),
        is_withdrawn=shelf.is_withdrawn,
    )


def _twins(shelf: Shelf, doors: Doors) -> list[Twin]:
    if len(shelf.orders) < 2:
        return []  # asks nothing for a shelf of one order
    found = []
    for order, earlier in later_twins([order.id for order in shelf.orders]):
        path = doors.order_path(order.id)
        cancel_path = f"{path}/cancel" if path and can_cancel(order) else ""
        found.append(Twin(order.reference, earlier.reference, cancel_path))
    return found


def show_copies(
    editions: Sequence[Edition] | Sequence[ReleasedEdition], link: Link | HeldLink
) -> ShownCopies:
    """The files of these editions, newest first, for the holder of a library or order link."""
    newest = editions[0] if editions else None
    files: list[Asset | ReleasedFile] = [*newest.assets] if newest else []
    return ShownCopies(
        newest=newest,
        files=[_file(link, asset, is_second=place > 0) for place, asset in enumerate(files)],
        earlier=[
            (each, [(asset.format.upper(), download_path(link, asset)) for asset in each.assets])
            for each in editions[1:]
        ],
    )


def _file(link: Link | HeldLink, asset: Asset | ReleasedFile, *, is_second: bool) -> dict[str, Any]:
    details, pages = [format_size(asset.size)], asset.facts.get("pages")
    if asset.format == "epub":
        details.append("for phones and e-readers")
    elif pages:
        details.append("1 page" if pages == 1 else f"{pages} pages")
    return {
        "url": download_path(link, asset),
        "label": f"Download {asset.format.upper()}",
        "detail": ", ".join(details),
        "checksum": asset.sha256,
        "second": is_second,
    }
