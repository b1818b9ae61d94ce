"""Which publications there are, on sale at what price, expected when."""

import re
from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from store.catalog.models import (
    Asset,
    DateMove,
    Edition,
    EditionStatus,
    Publication,
    PublicationStatus,
    VatTreatment,
)
from store.catalog.sellers import current_seller
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import InvalidFields, NotFound, Refusal
from store.kit.money import LARGEST_PRICE, InvalidPrice, charge_fault, parse_currency
from store.kit.paging import BEGINNING, BY_NAME, SHORT_PAGE, Page, Place, paginate
from store.kit.status import advance
from store.kit.text import clean_line, clean_text, length_faults, search_key

LISTED = PublicationStatus.LISTED
SHELF_SIZE = 12
LATEST_YEAR = 2199
# So long before a promised date staff are warned.
WARNED_DAYS = (7, 2)
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST = {
    "title": (200, "The title"),
    "subtitle": (300, "The subtitle"),
    "author": (200, "The author"),
    "language": (20, "The language code"),
    "isbn": (20, "The ISBN"),
    "planned_formats": (100, "What is planned of the formats"),
    "planned_length": (100, "What is planned of the length"),
    "planned_access": (300, "What is planned of the accessibility"),
}
_OTHERS = ("price_amount", "currency", "expected_on", "updates_months", "vat_treatment")
_BY_TITLE = (Publication.title, Publication.id)
_TEXTS = ("description", "contents", "audience")

# Every page asks these; built once, as building a statement costs more than running it.
_BY_SLUG = sa.select(Publication).where(Publication.slug == sa.bindparam("slug"))
_NEWEST_RELEASED = (
    sa.select(Edition)
    .where(
        Edition.publication_id == sa.bindparam("publication_id"),
        Edition.status == EditionStatus.RELEASED,
    )
    .order_by(Edition.number.desc())
    .limit(1)
)


class PublicationUnknown(NotFound):
    """No publication of that name that this visitor may see."""

    sentence = "We have no publication at this address."
    way_out: tuple[str, str] | None = ("/", "See what we publish")


class SlugTaken(Refusal):
    """Two publications cannot share an address."""

    sentence = "There is a publication with this address already. Choose another."


class AlreadySo(Refusal):
    """The publication is in that state already, or cannot get there from where it is."""


def add_publication(
    slug: str, title: str, price_amount: int, currency: str, **fields: Any
) -> Publication:
    """A new publication, a draft that nobody sees yet.

    `price_amount` is in minor units of `currency` (ISO 4217). Refuses (`InvalidFields`) values
    that cannot be taken and (`SlugTaken`) an address in use.
    """
    given = {"title": title, "price_amount": price_amount, "currency": currency} | fields
    values, faults = _checked(given)
    if not _SLUG.fullmatch(slug) or len(slug) > 60:
        faults["slug"] = "The address must be small letters, digits and single hyphens, up to 60."
    if faults:
        raise InvalidFields(faults)
    if _by_slug(slug) is not None:
        raise SlugTaken
    publication = Publication(
        slug=slug, status=PublicationStatus.DRAFT, created_at=clock.now(), **values
    )
    db.session.add(publication)
    db.session.flush()
    return publication


def edit_publication(publication: Publication, **fields: Any) -> None:
    """Change what is given. Orders keep title and price as they were. Refuses `InvalidFields`."""
    values, faults = _checked(fields, publication.currency)
    if faults:
        raise InvalidFields(faults)
    for name, value in values.items():
        setattr(publication, name, value)
    db.session.flush()


def put_on_sale(publication: Publication, who: str) -> None:
    """List the publication. Refuses (`SellerUnknown`) while nobody is said to sell."""
    current_seller()
    if publication.status == LISTED:
        raise AlreadySo("This publication is on sale already.")
    advance(publication, LISTED, who=who)


def retire(publication: Publication, who: str) -> None:
    """Take the publication off sale; its buyers keep what they have and what they are owed."""
    if publication.status != LISTED:
        raise AlreadySo("Only a publication that is on sale can be retired.")
    advance(publication, PublicationStatus.RETIRED, who=who)


def publication_by_slug(
    slug: str, *, statuses: Collection[PublicationStatus] | None = None
) -> Publication:
    """The publication at an address; `statuses` narrows it. Refuses `PublicationUnknown` (404)."""
    found = _by_slug(slug)
    if found is None or (statuses is not None and found.status not in statuses):
        raise PublicationUnknown
    return found


def list_publications(place: Place = BEGINNING) -> Page[Publication]:
    """Every publication by title, drafts and retired ones too, a page of them."""
    query = sa.select(Publication)
    return paginate(query, place, *_BY_TITLE, size=SHORT_PAGE, words=BY_NAME)


def all_publications() -> list[Publication]:
    """Every publication, drafts and retired ones too, by title."""
    query = sa.select(Publication).order_by(Publication.title, Publication.id)
    return list(db.session.scalars(query))


def publications_with(text: str, size: int) -> Page[Publication]:
    """Publications by title, of whose titles all words that were typed are part."""
    query = sa.select(Publication)
    for word in search_key(text).split():
        query = query.where(Publication.search_key.contains(word, autoescape=True))
    return paginate(query, BEGINNING, *_BY_TITLE, size=size, words=BY_NAME)


def listed_publications(place: Place = BEGINNING) -> Page[Publication]:
    """What is on sale, by title, a shelf at a time."""
    query = sa.select(Publication).where(Publication.status == LISTED)
    return paginate(query, place, *_BY_TITLE, size=SHELF_SIZE, words=BY_NAME)


def newest_released(publication_id: int) -> Edition | None:
    """The edition that a buyer gets today; None before the first release."""
    return db.session.scalars(_NEWEST_RELEASED, {"publication_id": publication_id}).first()


def is_preorder(publication: Publication) -> bool:
    """Whether an order placed now would wait for its first edition."""
    return newest_released(publication.id) is None


def promised_date(publication: Publication) -> date | None:
    """The expected date while it lies ahead or is today; None once it has passed."""
    return still_promised(publication.expected_on)


def still_promised(expected: date | None) -> date | None:
    """The same of a date that was read without its publication."""
    return expected if expected and expected >= clock.today(config().zone) else None


def moves_of(publication_id: int, since: datetime | None = None) -> list[DateMove]:
    """How its date was moved, the first change first; with `since` (UTC) from then on."""
    query = sa.select(DateMove).where(DateMove.publication_id == publication_id)
    if since is not None:
        query = query.where(DateMove.moved_at >= since)
    return list(db.session.scalars(query.order_by(DateMove.number)))


def cover_of(publication: Publication) -> str | None:
    """SHA-256 of the cover to show: the uploaded one, else page one of the newest PDF."""
    newest = newest_released(publication.id)
    found = [asset.cover_sha256 for asset in newest.assets] if newest else []
    return publication.cover_sha256 or next((cover for cover in found if cover), None)


# The same, for a statement that joins an edition with its publication.
COVER_OF_EDITION = sa.func.coalesce(
    Publication.cover_sha256,
    sa.select(Asset.cover_sha256)
    .where(Asset.edition_id == Edition.id, Asset.cover_sha256.is_not(None))
    .order_by(Asset.format.desc())
    .limit(1)
    .correlate(Edition)
    .scalar_subquery(),
)


def overdue_publications() -> list[Publication]:
    """On sale, expected on a day that has passed, nothing released, and staff not told yet."""
    told = Publication.overdue_alerted_on
    today = clock.today(config().zone)
    query = _unreleased().where(
        Publication.expected_on < today, told.is_distinct_from(Publication.expected_on)
    )
    return list(db.session.scalars(query.order_by(Publication.id)))


def dates_due() -> list[Publication]:
    """On sale, nothing released, and expected within a week or on a day that has passed, without a
    release that is scheduled for that day or before; the earliest first."""
    zone = config().zone
    until = clock.today(zone) + timedelta(days=max(WARNED_DAYS))
    scheduled = (
        sa.select(sa.func.min(Edition.release_at))
        .where(Edition.publication_id == Publication.id, Edition.status == EditionStatus.SCHEDULED)
        .scalar_subquery()
    )
    query = _unreleased().add_columns(scheduled).where(Publication.expected_on <= until)
    rows = db.session.execute(query.order_by(Publication.expected_on, Publication.id)).all()
    return [
        publication
        for publication, release_at in rows
        if release_at is None or release_at >= clock.end_of(publication.expected_on, zone)
    ]


def _unreleased() -> sa.Select[Publication]:
    released = sa.exists().where(
        Edition.publication_id == Publication.id, Edition.released_at.is_not(None)
    )
    return sa.select(Publication).where(Publication.status == LISTED, ~released)


def lock_publication(publication_id: int, *, alone: bool = False) -> Publication:
    """The publication's row, locked: shared to grant, `alone` to upload or release.

    On SQLite the writing transaction is the lock.
    """
    return db.session.scalars(
        sa.select(Publication)
        .where(Publication.id == publication_id)
        .with_for_update(read=not alone)
        .execution_options(populate_existing=True)
    ).one()


def _by_slug(slug: str) -> Publication | None:
    return db.session.scalars(_BY_SLUG, {"slug": slug}).first()


def _checked(given: dict[str, Any], currency: str = "") -> tuple[dict[str, Any], dict[str, str]]:
    """Values as they are stored, and what is wrong with them by field."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in _LONGEST:
            values[name] = clean_line(value)
        elif name in _TEXTS:
            values[name] = clean_text(value)
        elif name in _OTHERS:
            values[name] = value
        else:
            raise TypeError(f"a publication has no {name} to be set here")
    return values, length_faults(values, _LONGEST) | _faults(values, currency)


def _faults(values: dict[str, Any], currency: str) -> dict[str, str]:
    """What is wrong by field; a currency is put into capitals on the way."""
    faults: dict[str, str] = {}
    if values.get("title") == "":
        faults["title"] = "Enter the title."
    if "currency" in values:
        try:
            values["currency"] = parse_currency(values["currency"])
        except InvalidPrice as refusal:
            faults["currency"] = refusal.sentence
    if "price_amount" in values:
        amount = values["price_amount"]
        if not 0 < amount <= LARGEST_PRICE:
            faults["price_amount"] = "Enter a price of more than nothing and not beyond reason."
        elif fault := charge_fault(amount, values.get("currency", currency)):
            faults["price_amount"] = fault
    charges_vat = values.get("vat_treatment") == VatTreatment.STANDARD_INCLUDED
    if charges_vat and not current_seller().vat_number:
        faults["vat_treatment"] = "Only a seller with a VAT number can charge VAT. Enter it first."
    expected = values.get("expected_on")
    if expected is not None and not 2000 <= expected.year <= LATEST_YEAR:
        faults["expected_on"] = f"Enter a date between 2000 and {LATEST_YEAR}."
    months = values.get("updates_months")
    if months is not None and not 0 < months <= 1200:
        faults["updates_months"] = "Enter for how many months new editions are included."
    return faults
