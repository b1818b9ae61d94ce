"""One publication as it stands now, its cover, and the same for machines."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import Blueprint, Response, render_template
from markupsafe import Markup

from store.catalog import publications
from store.catalog.covers import (
    KINDS,
    WIDTHS,
    cover_file,
    cover_now_path,
    cover_path,
    drawn_cover_file,
)
from store.catalog.drawn_covers import has_picture
from store.catalog.models import Edition, Publication, PublicationStatus, Seller
from store.catalog.samples import SampleShown
from store.catalog.sellers import countries_sold_to, current_face
from store.kit import clock
from store.kit.config import config
from store.kit.errors import NotFound, Refusal
from store.kit.formatting import format_day
from store.kit.kept_pages import kept_pages
from store.kit.markup import render_markdown
from store.kit.money import format_money, to_decimal
from store.kit.web import public_page
from store.orders.consents import promise_in_words, term_in_words
from store.orders.prices import quote
from store.storefront.file_facts import edition_in_words, file_facts, formats, glance
from store.storefront.history import History
from store.storefront.window_rows import InWindow, read_window, rows_in_window

bp = Blueprint("publication", __name__)

# What a person is not called.
_OF_MANY = frozenset(
    [
        "association",
        "centre",
        "centers",
        "charity",
        "cic",
        "cio",
        "college",
        "commission",
        "committee",
        "company",
        "council",
        "department",
        "federation",
        "foundation",
        "group",
        "hub",
        "inc",
        "institute",
        "limited",
        "llp",
        "ltd",
        "ministry",
        "network",
        "partnership",
        "plc",
        "press",
        "school",
        "service",
        "services",
        "society",
        "team",
        "trust",
        "union",
        "university",
    ]
)


class NoLongerSold(Refusal):
    """A retired publication: its buyers keep what they have."""

    status = 410
    heading = "No longer sold"
    sentence = (
        "We no longer sell this publication. If you bought it, your copy and your links stay yours."
    )
    way_out = ("/find-my-copies", "Find my copies")


class NoCover(NotFound):
    """A publication whose pages draw its cover, in letters of which no picture can be made."""


@bp.get("/publications/<slug>")
def publication(slug: str) -> Response:
    """One publication: what it is, what it costs, what happens when. Written once for as long as its
    rows and the day stay the same."""
    rows, today = rows_in_window(slug), clock.today(config().zone)
    return public_page(kept_pages().page(slug, (rows, today), lambda: written(read_window(rows))))


def told_moves(history: History) -> list[tuple[str, str, str]]:
    """How the promised date has moved, the last change first: since when, which date, and why."""
    moves = history.moves
    told = [(f"Since {format_day(one.moved_at)}", _date(one.new_on), one.reason) for one in moves]
    if moves and moves[-1].old_on:
        told.append(("Before that", _date(moves[-1].old_on), ""))
    return told


def _date(promised: date | None) -> str:
    """`12 March 2027`, or `the end of March 2027` where a month was promised."""
    if promised is None:
        return "No date"
    return promise_in_words(promised).removeprefix("on ").removeprefix("by ")


def _term(publication: Publication) -> str:
    months = publication.updates_months
    return "" if months is None else f", {term_in_words(months)}"


def first_paragraph(text: str) -> tuple[Markup, Markup]:
    """Markdown as HTML: what is inside its first paragraph, and all that follows it."""
    html = render_markdown(text, config().base_url)
    before, _, after = html.partition("</p>")
    if not before.startswith("<p>"):
        return Markup(), html
    return Markup(before.removeprefix("<p>")), Markup(after.strip())  # noqa: S704 - cut from Markup


def written(found: InWindow) -> str:
    """The page of what was found, and of the settings."""
    shown = shown_with(sold(found.publication), found.edition, found.sample)
    seller = found.seller
    countries = [name for _, name in countries_sold_to(seller)]
    return render_template(
        "storefront/publication.html",
        shown=shown,
        seller=seller,
        face=found.face,
        publication=shown.publication,
        vat=quote(shown.publication).note,
        has_members_price=found.has_members_price,
        timeline_items=what_happens_when(shown),
        history=found.history,
        moves=told_moves(found.history) if shown.is_preorder else [],
        edition_words=edition_in_words(shown.edition, found.history) if shown.edition else "",
        glance=glance(shown.publication, shown.edition),
        formats=formats(shown.edition) if shown.edition else "",
        term=_term(shown.publication),
        about=first_paragraph(shown.publication.description),
        file_facts=file_facts(shown.publication, shown.edition, found.history, countries),
        structured=structured(shown, seller),
        canonical_url=config().base_url + shown.path,
        og_type="book",
        og_image_url=config().base_url + shown.cover_url if shown.cover_url else "",
    )


@bp.get("/publications/<slug>/cover.png")
def cover(slug: str) -> Response:
    """The picture that is the cover now, whatever was the cover before; of what is no longer sold as
    well, since letters show it."""
    found = publications.publication_by_slug(slug)
    if found.status is PublicationStatus.DRAFT:
        raise publications.PublicationUnknown
    digest = show(found).cover_sha256
    try:
        if digest is not None:
            picture = cover_file(digest, WIDTHS[-1], "jpg")
        else:
            words = found.title, found.subtitle, found.author
            picture = drawn_cover_file(slug, *words, current_face().accent)
    except FileNotFoundError:
        raise NoCover from None
    answer = public_page(picture)
    answer.content_type = KINDS["jpg"]
    answer.headers["Cross-Origin-Resource-Policy"] = (
        "cross-origin"  # pages of mail programs show it
    )
    return answer


def on_sale(slug: str) -> Publication:
    """The listed publication at an address; refuses a draft as unknown (404) and says of a retired
    one that it is no longer sold."""
    return sold(publications.publication_by_slug(slug))


def sold(publication: Publication) -> Publication:
    if publication.status is PublicationStatus.DRAFT:
        raise publications.PublicationUnknown
    if publication.status is PublicationStatus.RETIRED:
        raise NoLongerSold
    return publication


@dataclass(frozen=True)
class Shown:
    """What the pages need of one publication at this moment."""

    publication: Publication
    edition: Edition | None
    promised: date | None
    sample: SampleShown | None = None

    @property
    def slug(self) -> str:
        return self.publication.slug

    @property
    def title(self) -> str:
        return self.publication.title

    @property
    def subtitle(self) -> str:
        return self.publication.subtitle

    @property
    def author(self) -> str:
        return self.publication.author

    @property
    def is_preorder(self) -> bool:
        return self.edition is None

    @property
    def path(self) -> str:
        return f"/publications/{self.slug}"

    @property
    def price(self) -> str:
        return format_money(self.publication.price_amount, self.publication.currency)

    @property
    def cover_sha256(self) -> str | None:
        """The uploaded cover, else page one of the newest edition's PDF, else none."""
        pages = [one.cover_sha256 for one in self.edition.assets] if self.edition else []
        return self.publication.cover_sha256 or next((page for page in pages if page), None)

    @property
    def cover_url(self) -> str:
        """Of a picture; "" where the cover is drawn in letters that no picture of ours has."""
        if self.cover_sha256:
            return cover_path(self.cover_sha256)
        return cover_now_path(self.slug) if has_picture(self.title) else ""

    @property
    def when(self) -> str:
        """Since when or from when it can be had; never a date that has passed as if to come."""
        if self.edition is not None and self.edition.released_at is not None:
            renewed = "renewed on " if self.edition.number > 1 else ""
            return f"Edition {self.edition.number}, {renewed}{format_day(self.edition.released_at)}"
        if self.promised is None:
            return "Not published yet"
        return f"Published {promise_in_words(self.promised)}"


def show(publication: Publication) -> Shown:
    """The publication with its newest edition and the date that is still promised."""
    return shown_with(publication, publications.newest_released(publication.id))


def shown_with(
    publication: Publication, edition: Edition | None, sample: SampleShown | None = None
) -> Shown:
    promised = publications.promised_date(publication) if edition is None else None
    return Shown(publication, edition, promised, sample)


def what_happens_when(shown: Shown) -> list[tuple[str, str, bool]]:
    """The timeline of the publication page: when, what, whether it is now."""
    # A plain hyphen breaks at a phone's width, and leaves "e-" at the end of a line.
    by_mail = "You get the link to your copy by e\N{NON-BREAKING HYPHEN}mail."
    at_once = (
        f"{by_mail} If you would rather keep your 14-day right to "
        "cancel, it comes when the 14 days are over."
    )
    later = (
        "When an edition is renewed",
        f"You get it too, free, {term_in_words(shown.publication.updates_months)}.",
        False,
    )
    if not shown.is_preorder:
        return [
            ("Today", f"You pay {shown.price} and get a receipt.", True),
            ("At once", at_once, False),
            later,
        ]
    until = "Until it is published"
    if shown.promised:
        until += f" ({promise_in_words(shown.promised)})"
    return [
        ("Today", f"You are charged {shown.price} and get a receipt.", True),
        (until, "You can cancel and get all of it back.", False),
        ("On the day of release", by_mail, False),
        later,
    ]


def structured(shown: Shown, seller: Seller) -> dict[str, Any]:
    """The publication for machines, after schema.org: a book with its offer."""
    publication, address = shown.publication, config().base_url + shown.path
    data: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": ["Book", "Product"],
        "name": publication.title,
        "url": address,
        "inLanguage": publication.language,
        "bookFormat": "https://schema.org/EBook",
        "publisher": {"@type": "Organization", "name": seller.trading_name},
        "offers": _offer(shown, seller, address),
    }
    if publication.subtitle:
        data["alternativeHeadline"] = publication.subtitle
    if publication.author:
        data["author"] = {"@type": _kind_of(publication.author, seller), "name": publication.author}
    if publication.isbn:
        data["isbn"] = publication.isbn
    if shown.cover_url:
        data["image"] = config().base_url + shown.cover_url
    if shown.edition is not None and shown.edition.released_at is not None:
        data["bookEdition"] = str(shown.edition.number)
        day = shown.edition.released_at.astimezone(config().zone).date()
        data["datePublished"] = day.isoformat()
    return data


def _kind_of(author: str, seller: Seller) -> str:
    """An author who bears the seller's name, or whose name says so, is an organisation."""
    ours = {seller.trading_name.casefold(), seller.legal_name.casefold()}
    words = set(re.findall(r"\w+", author.casefold()))
    return "Organization" if author.casefold() in ours or words & _OF_MANY else "Person"


def _offer(shown: Shown, seller: Seller, address: str) -> dict[str, Any]:
    publication = shown.publication
    offer: dict[str, Any] = {
        "@type": "Offer",
        "url": address,
        "price": str(to_decimal(publication.price_amount, publication.currency)),
        "priceCurrency": publication.currency,
        "availability": f"https://schema.org/{'PreOrder' if shown.is_preorder else 'InStock'}",
        "seller": {"@type": "Organization", "name": seller.trading_name},
        "eligibleRegion": seller.countries.split(","),
    }
    if shown.promised:
        offer["availabilityStarts"] = shown.promised.isoformat()
    return offer
