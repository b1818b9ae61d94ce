"""The shop window: what is on sale, one publication, its cover."""

from flask import Blueprint, Response, make_response, render_template, request

from store.catalog import publications
from store.catalog.countries import countries_sold_to
from store.catalog.models import Publication, PublicationStatus
from store.catalog.sellers import current_seller
from store.kit.config import config
from store.kit.errors import NotFound, Refusal
from store.kit.static_files import YEAR_SECONDS
from store.kit.storage import storage
from store.orders.prices import has_members_price, quote
from store.storefront.file_facts import file_facts
from store.storefront.publication_view import show, show_all, what_happens_when
from store.storefront.structured import structured

bp = Blueprint("publication", __name__)


class NoLongerSold(Refusal):
    """A retired publication: its buyers keep what they have."""

    status = 410
    heading = "No longer sold"
    sentence = (
        "We no longer sell this publication. If you bought it, your copy and your links stay yours."
    )
    way_out = ("/find-my-copies", "Find my copies")


class NoCover(NotFound):
    """A publication without a picture of its own; its pages draw one."""


@bp.get("/")
def home() -> Response:
    """Everything that is on sale."""
    page = publications.listed_publications(request.args.get("page", 1, int))
    page = page.linked(lambda number: f"/?page={number}")
    canonical = config().base_url + ("/" if page.number == 1 else f"/?page={page.number}")
    shelf = show_all(page.rows)
    return _public(
        render_template("storefront/home.html", shelf=shelf, page=page, canonical_url=canonical)
    )


@bp.get("/publications/<slug>")
def publication(slug: str) -> Response:
    """One publication: what it is, what it costs, what happens when."""
    shown, seller = show(on_sale(slug)), current_seller()
    page = render_template(
        "storefront/publication.html",
        shown=shown,
        publication=shown.publication,
        vat=quote(shown.publication).note,
        has_members_price=has_members_price(shown.publication),
        countries=[name for _, name in countries_sold_to(seller)],
        timeline_items=what_happens_when(shown),
        file_facts=file_facts(shown.publication, shown.edition),
        structured=structured(shown, seller),
        canonical_url=config().base_url + shown.path,
        og_type="book",
        og_image_url=config().base_url + shown.cover_url if shown.cover_url else "",
    )
    return _public(page)


@bp.get("/publications/<slug>/cover.png")
def cover(slug: str) -> Response:
    """The picture of the cover, to be kept for as long as it stays the same."""
    digest = show(on_sale(slug)).cover_sha256
    if digest is None:
        raise NoCover
    try:
        picture = storage().read(f"covers/{digest}")
    except FileNotFoundError:
        raise NoCover from None
    answer = Response(picture, content_type="image/png")
    answer.set_etag(digest)
    named = request.args.get("v") == digest[:12]
    keep = f"max-age={YEAR_SECONDS}, immutable" if named else "max-age=0, must-revalidate"
    answer.headers["Cache-Control"] = f"public, {keep}"
    answer.make_conditional(request)
    return answer


def on_sale(slug: str) -> Publication:
    """The listed publication at an address; refuses a draft as unknown (404) and says of a retired
    one that it is no longer sold."""
    publication = publications.publication_by_slug(
        slug, statuses={PublicationStatus.LISTED, PublicationStatus.RETIRED}
    )
    if publication.status is PublicationStatus.RETIRED:
        raise NoLongerSold
    return publication


def _public(page: str) -> Response:
    answer = make_response(page)
    answer.headers["Cache-Control"] = "public, max-age=0, must-revalidate"
    return answer
