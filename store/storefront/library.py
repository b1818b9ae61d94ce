"""The library: what a customer owns, the newest edition first. Showing it writes nothing."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, render_template

from store.catalog.models import Asset, Edition
from store.catalog.publishing import promised_date
from store.entitlements.access import Doors, Shelf, copy_waits, doors_of, shelves
from store.entitlements.links import download_path, open_link
from store.entitlements.models import Link
from store.kit.formatting import format_size
from store.kit.refusal_pages import private_page
from store.orders.customers import mask
from store.orders.promises import promise_in_words

bp = Blueprint("library", __name__)


@dataclass(frozen=True)
class ShownShelf:
    """One publication as the page shows it; `files` are those of the newest edition."""

    shelf: Shelf
    files: list[dict[str, Any]]
    earlier: list[tuple[Edition, list[tuple[str, str]]]]
    orders: list[tuple[str, str]]
    stop_path: str | None
    promised: str
    waits: bool
    is_withdrawn: bool

    @property
    def newest(self) -> Edition | None:
        """The edition that the buttons give."""
        return self.shelf.editions[0] if self.shelf.editions else None


@bp.get("/library/<token>")
def library(token: str) -> Response:
    """Everything that the holder of this link may read."""
    link = open_link(token, "library")
    doors = doors_of(link.customer_id)
    shown = [_show(shelf, link, doors) for shelf in shelves(link.customer_id)]
    page = render_template(
        "storefront/library.html", shelves=shown, masked=mask(link.customer.email)
    )
    return private_page(page)


def _show(shelf: Shelf, link: Link, doors: Doors) -> ShownShelf:
    newest, earlier = shelf.editions[:1], shelf.editions[1:]
    day = None if shelf.is_published else promised_date(shelf.publication)
    return ShownShelf(
        shelf=shelf,
        files=[
            _file(link, asset, is_second=place > 0)
            for edition in newest
            for place, asset in enumerate(edition.assets)
        ],
        earlier=[(each, [_named(link, asset) for asset in each.assets]) for each in earlier],
        orders=[
            (order.reference, path)
            for order in shelf.orders
            if (path := doors.order_path(order.id))
        ],
        stop_path=doors.stop_path(shelf.publication.id),
        promised=promise_in_words(day) if day else "",
        waits=copy_waits(shelf.available_at, day),
        is_withdrawn=shelf.is_withdrawn,
    )


def _file(link: Link, asset: Asset, *, is_second: bool) -> dict[str, Any]:
    return {
        "url": download_path(link, asset),
        "label": f"Download {asset.format.upper()}",
        "detail": ", ".join(_details(asset)),
        "checksum": asset.sha256,
        "second": is_second,
    }


def _details(asset: Asset) -> list[str]:
    words = [format_size(asset.size)]
    pages = asset.facts.get("pages")
    if asset.format == "epub":
        words.append("for phones and e-readers")
    elif pages:
        words.append("1 page" if pages == 1 else f"{pages} pages")
    return words


def _named(link: Link, asset: Asset) -> tuple[str, str]:
    return asset.format.upper(), download_path(link, asset)
