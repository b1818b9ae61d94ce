"""The library: what a customer owns, the newest edition first, its files as every page behind a link
shows them, and what they hear of new editions. Showing it writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from flask import Blueprint, Response, render_template, request

from store.catalog.models import Asset, Edition
from store.catalog.publications import still_promised
from store.catalog.released import ReleasedEdition, ReleasedFile
from store.entitlements.access import copy_waits, customers_with_rights
from store.entitlements.doors import Doors, doors_of, download_path
from store.entitlements.granting import later_twins
from store.entitlements.held_links import HeldLink, held_library
from store.entitlements.links import open_link
from store.entitlements.models import Link, News
from store.entitlements.news import choose_by_press
from store.entitlements.shelf_parts import Spot, part_of
from store.entitlements.shelves import Shelf, shelves
from store.kit.database import transaction
from store.kit.errors import Refusal
from store.kit.formatting import format_size
from store.kit.forms import Typed, sent
from store.kit.web import private_page, same_site
from store.orders.consents import promise_in_words
from store.orders.customers import mask
from store.payments.cancellation import can_cancel
from store.storefront.notes import NoPart, Told, edition_asked_for, notes_page, told

bp = Blueprint("library", __name__)


@dataclass(frozen=True)
class ShownCopies:
    """What may be downloaded now, with addresses that are good for a day."""

    newest: Edition | ReleasedEdition | None
    files: list[dict[str, Any]]
    earlier: list[tuple[Edition | ReleasedEdition, list[tuple[str, str]]]]
    notes: dict[int, Told]


@dataclass(frozen=True)
class Twin:
    """An order that may repeat an earlier one by a slip, and where it is given back by a press;
    without a path a person gives it back."""

    reference: str
    earlier: str
    cancel_path: str


class NothingChosen(Refusal):
    """A choice of news that is none, or of a publication that is not in the library."""

    status = 400
    heading = "Nothing was changed"
    sentence = "This request did not say what to do. Open your library and choose there."


class Cover(NamedTuple):
    """What the cover of a publication is drawn from, or the picture that it is."""

    slug: str
    title: str
    subtitle: str
    author: str
    cover_sha256: str | None


class Saved(NamedTuple):
    """A choice of news that was just made, and whether an edition that was missed is owed for it."""

    publication_id: int
    is_owed: bool


@dataclass(frozen=True)
class ShownShelf:
    """One publication as the page shows it."""

    shelf: Shelf
    cover: Cover
    copies: ShownCopies
    orders: list[tuple[str, str]]
    twins: list[Twin]
    promised: str
    waits: bool
    is_withdrawn: bool


@bp.get("/library/<token>")
def library(token: str) -> Response:
    """What the holder of this link may read, some titles at a time; or all that changed in one edition."""
    link = held_library(token)
    if wanted := edition_asked_for():
        return private_page(_notes(link, token, wanted))
    return _page(link, token)


def _notes(link: HeldLink, token: str, edition_id: int) -> Response:
    for shelf in shelves(link.customer_id):
        for edition in shelf.editions:
            if edition.id == edition_id:
                return notes_page(edition, shelf.publication.title, f"/library/{token}")
    raise NoPart


@bp.post("/library/<token>/news")
def choose(token: str) -> Response:
    """What is heard of new editions of one publication from now on."""
    same_site(request)
    with transaction():
        customer_id = open_link(token, "library").customer_id
        news, publication_id = _chosen(sent())
        if not customers_with_rights([customer_id], publication_id):
            raise NothingChosen
        is_owed = choose_by_press(customer_id, publication_id, news)
    return _page(held_library(token), token, Saved(publication_id, is_owed))


def _chosen(form: Typed) -> tuple[News, int]:
    try:
        return News(form["news"]), int(form.matching("publication", r"\d{1,9}"))
    except ValueError:
        raise NothingChosen from None


def _page(link: HeldLink, token: str, saved: Saved | None = None) -> Response:
    doors, path = doors_of(link.customer_id), f"/library/{token}"
    owned = shelves(link.customer_id)
    part = part_of(owned, *(Spot.read(request.args.get(side)) for side in ("after", "before")))
    page = render_template(
        "storefront/library.html",
        shelves=[_show(shelf, link, doors) for shelf in part.shelves],
        owned=owned,
        part=part,
        page=part.linked(path),
        masked=mask(link.email),
        erased_from=link.erased_from,
        path=path,
        news_path=f"{path}/news{part.query}",
        saved=saved,
        has_epub=any(file.format == "epub" for one in owned for file in one.newest_files),
    )
    return private_page(page)


def _show(shelf: Shelf, link: HeldLink, doors: Doors) -> ShownShelf:
    day = None if shelf.is_published else still_promised(shelf.publication.expected_on)
    return ShownShelf(
        shelf=shelf,
        cover=_cover(shelf),
        copies=show_copies(shelf.editions, link),
        orders=[
            (order.reference, path)
            for order in shelf.orders
            if (path := doors.order_path(order.id))
        ],
        twins=_twins(shelf, doors),
        promised=promise_in_words(day) if day else "",
        waits=copy_waits(shelf.available_at, day),
        is_withdrawn=shelf.is_withdrawn,
    )


def _cover(shelf: Shelf) -> Cover:
    of_it = shelf.publication
    pages = [file.cover_sha256 for file in shelf.newest_files if file.cover_sha256]
    picture = of_it.cover_sha256 or next(iter(pages), None)
    return Cover(of_it.slug, of_it.title, of_it.subtitle, of_it.author, picture)


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
        notes=told(editions),
    )


def _file(link: Link | HeldLink, asset: Asset | ReleasedFile, *, is_second: bool) -> dict[str, Any]:
    details, pages = [format_size(asset.size)], asset.facts.get("pages")
    if asset.format == "epub":
        details.append("for phones and e-readers")
    elif pages:
        details.append("1 page" if pages == 1 else f"{pages} pages")
    return {
        "url": download_path(link, asset),
        "format": asset.format.upper(),
        "label": f"Download {asset.format.upper()}",
        "detail": ", ".join(details),
        "checksum": asset.sha256,
        "second": is_second,
    }
