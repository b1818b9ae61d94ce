"""The front of the shop: what is on sale, a few titles large or many as a shelf."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from flask import Blueprint, Response, render_template
from sqlalchemy.orm import selectinload

from store.catalog import publications
from store.catalog.models import Edition, EditionStatus, Publication
from store.catalog.samples import samples_shown
from store.kit.config import config
from store.kit.database import db
from store.kit.forms import place_in_list
from store.kit.web import public_page
from store.orders.consents import term_in_words
from store.orders.prices import quote
from store.storefront.file_facts import formats, glance
from store.storefront.history import History, PastEdition
from store.storefront.publication import Shown, first_paragraph, shown_with

bp = Blueprint("front", __name__)

# So many titles stand large on the front page; more are a shelf of tiles.
MOST_SHOWN_LARGE = 3
# So many editions of a title that stands there alone.
MOST_IN_FRONT = 3


@bp.get("/")
def home() -> Response:
    """Everything that is on sale."""
    place = place_in_list()
    page = publications.listed_publications(place)
    page = page.linked(lambda **there: f"/?{urlencode(there)}")
    canonical = config().base_url + "/" + (place.query if page.previous else "")
    released = released_of(page.rows)
    samples = samples_shown([one.id for one in page.rows])
    shelf = [
        shown_with(one, next(iter(released.get(one.id, [])), None), samples.get(one.id))
        for one in page.rows
    ]
    is_few = len(shelf) <= MOST_SHOWN_LARGE and not (page.previous_url or page.next_url)
    return public_page(
        render_template(
            "storefront/home.html",
            shelf=shelf,
            large=[_large(one) for one in shelf] if is_few else [],
            history=_past(next(iter(released.values()), [])),
            page=page,
            canonical_url=canonical,
        )
    )


def released_of(listed: Sequence[Publication]) -> dict[int, list[Edition]]:
    """The released editions of each that has one, newest first, in as few statements for many as
    for one."""
    query = (
        sa.select(Edition)
        .where(
            Edition.publication_id.in_([one.id for one in listed]),
            Edition.status == EditionStatus.RELEASED,
        )
        .options(selectinload(Edition.assets))
        .order_by(Edition.number.desc())
    )
    found: dict[int, list[Edition]] = {}
    for edition in db.session.scalars(query):
        found.setdefault(edition.publication_id, []).append(edition)
    return found


def _large(shown: Shown) -> dict[str, Any]:
    """What stands beside a large cover."""
    publication = shown.publication
    return {
        "shown": shown,
        "vat": quote(publication).note,
        "glance": formats(shown.edition) if shown.edition else glance(publication, None),
        "about": first_paragraph(publication.description)[0],
        "term": term_in_words(publication.updates_months),
    }


def _past(released: Sequence[Edition]) -> History:
    """The last few of these editions; what changed of the newest alone."""
    told = [PastEdition.begun(one) for one in released[:MOST_IN_FRONT]]
    short = [replace(one, notes="", is_cut=False) for one in told[1:]]
    return History((*told[:1], *short), ever=len(released), standing=len(released))
