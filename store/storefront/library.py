"""The library: what a customer owns, the newest edition first. Showing it writes nothing."""

from dataclasses import dataclass

from flask import Blueprint, Response, render_template

from store.catalog.publications import promised_date
from store.entitlements.access import copy_waits
from store.entitlements.links import open_link
from store.entitlements.models import Link
from store.entitlements.shelves import Doors, Shelf, doors_of, later_twins, shelves
from store.kit.web import private_page
from store.orders.consents import promise_in_words
from store.orders.customers import mask
from store.payments.cancellation import can_cancel
from store.storefront.shown_copies import ShownCopies, show_copies

bp = Blueprint("library", __name__)


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
        twins=_twins(shelf, doors),
        stop_path=doors.stop_path(shelf.publication.id),
        promised=promise_in_words(day) if day else "",
        waits=copy_waits(shelf.available_at, day),
        is_withdrawn=shelf.is_withdrawn,
    )


def _twins(shelf: Shelf, doors: Doors) -> list[Twin]:
    if len(shelf.orders) < 2:
        return []
    found = []
    for order, earlier in later_twins(shelf.orders):
        path = doors.order_path(order.id)
        cancel_path = f"{path}/cancel" if path and can_cancel(order) else ""
        found.append(Twin(order.reference, earlier.reference, cancel_path))
    return found
