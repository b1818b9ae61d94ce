"""The library: what a customer owns, the newest edition first. Showing it writes nothing."""

from dataclasses import dataclass

from flask import Blueprint, Response, render_template

from store.catalog.publishing import promised_date
from store.entitlements.access import Doors, Shelf, copy_waits, doors_of, shelves
from store.entitlements.links import open_link
from store.entitlements.models import Link
from store.kit.refusal_pages import private_page
from store.orders.customers import mask
from store.orders.promises import promise_in_words
from store.storefront.copies import ShownCopies, show_copies

bp = Blueprint("library", __name__)


@dataclass(frozen=True)
class ShownShelf:
    """One publication as the page shows it."""

    shelf: Shelf
    copies: ShownCopies
    orders: list[tuple[str, str]]
    stop_path: str | None
    promised: str
    waits: bool
    is_withdrawn: bool


@bp.get("/library/<token>")
def library(token: str) -> Response:
    """Everything that the holder of this link may read."""
    link = open_link(token, "library")
    doors = doors_of(link.customer_id)
    shown = [_show(shelf, link, doors) for shelf in shelves(link.customer_id)]
    page = render_template(
        "storefront/library.html", shelves=shown, masked=mask(link.customer.email), token=token
    )
    return private_page(page)


def _show(shelf: Shelf, link: Link, doors: Doors) -> ShownShelf:
    day = None if shelf.is_published else promised_date(shelf.publication)
    return ShownShelf(
        shelf=shelf,
        copies=show_copies(shelf.editions, link),
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
