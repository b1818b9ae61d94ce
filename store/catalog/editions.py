"""Editions, their files and what staff write about each: made and changed as drafts, immutable once
released."""

import re
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from store.catalog.models import WHAT_MATTERS, Asset, Edition, EditionStatus, Publication
from store.catalog.publications import lock_publication
from store.catalog.released import ReleasedFile
from store.catalog.uploads import ReceivedFile
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import InvalidFields, NotFound, Refusal
from store.kit.markup import Cut, cut_markdown, dead_links, pictures
from store.kit.paging import BEGINNING, Page, Place, paginate
from store.kit.text import clean_line, clean_text, without_accents

SEVERITIES = (*WHAT_MATTERS, "minor")
EDITIONS_SHOWN = 12
LONGEST_NOTES = 600_000  # characters
LONGEST_CORRECTION = 600
# Bytes of HTML. Gmail shows no more than 102 kB of a letter, and the way to stop such letters
# stands at its end; what is round the notes takes up to 20 kB, so that 90 kB is the most.
_NOTES_MOST = 70_000
# Bytes of a title in the name of a file; file systems take 255 for the whole.
_LONGEST_NAME = 150
_NOT_IN_NAMES = re.compile(r"""[/\\:*?"<>|%;\x00-\x1f]+""")
_MEDIA_TYPES = {"pdf": "application/pdf", "epub": "application/epub+zip"}


class EditionUnknown(NotFound):
    """No edition with that number."""

    sentence = "This publication has no edition with that number."


class EditionAlreadyReleased(Refusal):
    """A released edition never changes; a corrected one follows it."""

    sentence = "This edition is released and stays as it is. Upload a new edition instead."


class EditionScheduled(Refusal):
    """Between Release and the release nothing changes, so that what was shown is what goes."""

    sentence = "This edition is about to be released. Take it back first, then change it."


class UploadRefused(Refusal):
    """What was handed over makes no edition."""

    status = 422


def upload_edition(
    publication: Publication,
    files: Iterable[ReceivedFile],
    *,
    label: str | None = None,
    notes: str | None = None,
    severity: str | None = None,
) -> Edition:
    """Put received files into the publication's draft edition; without one, begin the next number.

    A format that the draft has already is replaced. Refuses (`UploadRefused`) no file, or two of
    one format, and (`InvalidFields`) a severity that is none and notes that are too long.
    """
    received = list(files)
    formats = [file.format for file in received]
    if not received:
        raise UploadRefused("Choose a PDF or an EPUB to upload.")
    if len(set(formats)) < len(formats):
        raise UploadRefused("Two of these files have the same format. Upload one of each.")
    # Two uploads at once must not both begin the same number.
    lock_publication(publication.id, alone=True)
    edition = draft_of(publication.id)
    if edition is None:
        highest = sa.select(sa.func.max(Edition.number)).where(
            Edition.publication_id == publication.id
        )
        edition = Edition(
            publication_id=publication.id,
            number=(db.session.scalar(highest) or 0) + 1,
            status=EditionStatus.DRAFT,
            label="",
            notes="",
            severity="minor",
            created_at=clock.now(),
        )
        db.session.add(edition)
        db.session.flush()
    edit_edition(edition, label=label, notes=notes, severity=severity)
    for file in received:
        put_asset(edition, file)
    return edition


def put_asset(edition: Edition, file: ReceivedFile) -> Asset:
    """Add a received file to a draft, or replace its file of the same format.

    Refuses `EditionAlreadyReleased` and `EditionScheduled`.
    """
    _hold_draft(edition)
    asset = db.session.scalars(
        sa.select(Asset).where(Asset.edition_id == edition.id, Asset.format == file.format)
    ).first() or Asset(edition_id=edition.id, format=file.format)
    asset.sha256 = file.sha256
    asset.uploaded_sha256 = file.uploaded_sha256
    asset.size = file.size
    asset.facts = file.facts
    asset.findings = list(file.findings)
    asset.cover_sha256 = file.cover_sha256
    asset.uploaded_at = clock.now()
    db.session.add(asset)
    db.session.flush()
    db.session.expire(edition, ["assets"])
    return asset


def edit_edition(
    edition: Edition,
    *,
    label: str | None = None,
    notes: str | None = None,
    severity: str | None = None,
    correction: str | None = None,
) -> None:
    """Change what is given of a draft. Refuses as `put_asset`, and `InvalidFields`."""
    _hold_draft(edition)
    faults = {}
    if severity is not None and severity not in SEVERITIES:
        faults["severity"] = f"The severity must be one of {', '.join(SEVERITIES)}."
    if notes is not None and (fault := notes_fault(notes)):
        faults["notes"] = fault
    if correction is not None and len(clean_line(correction)) > LONGEST_CORRECTION:
        faults["correction"] = f"This may have {LONGEST_CORRECTION} characters. Make it shorter."
    if faults:
        raise InvalidFields(faults)
    if label is not None:
        edition.label = clean_line(label)[:100]
    if notes is not None:
        edition.notes = clean_text(notes)
    if correction is not None:
        edition.correction = clean_line(correction)
    if severity is not None:
        edition.severity = severity
    db.session.flush()


def notes_in_letter(notes: str) -> Cut:
    """The notes as the letter holds them: whole, or cut between two blocks."""
    return cut_markdown(notes, _NOTES_MOST)


def notes_fault(notes: str) -> str:
    """Why these notes cannot be kept; empty where they can."""
    if len(notes) <= LONGEST_NOTES:
        return ""
    return (
        f"What changed may have {LONGEST_NOTES:,} characters. This has {len(notes):,}: shorten it, "
        "or put the long part into the publication itself."
    )


def look_at_notes(notes: str) -> list[str]:
    """What staff should know of the notes before they leave, in sentences."""
    return list(_looked_at(notes, config().base_url))


@lru_cache(maxsize=64)
def _looked_at(notes: str, base: str) -> tuple[str, ...]:
    found = [
        f"The link “{one}” in the notes leads nowhere in a letter, so only its words are shown. Write "
        f"the whole address, such as https://… or {base}/…"
        for one in dead_links(notes)
    ]
    found += [
        f"The picture “{one}” in the notes is not shown, neither in the letter nor in the library: "
        "its words stand there instead."
        for one in pictures(notes)
    ]
    cut = notes_in_letter(notes)
    if cut.is_cut:
        found.append(
            "The notes are longer than mail programs show. In the letter they end after "
            f"“… {cut.ends}”, and a link leads on to the library, where they stand whole."
        )
    return tuple(found)


def edition_by_number(publication: Publication, number: int) -> Edition:
    """One edition. Refuses `EditionUnknown` (404)."""
    found = db.session.scalars(
        sa.select(Edition).where(Edition.publication_id == publication.id, Edition.number == number)
    ).first()
    if found is None:
        raise EditionUnknown
    return found


def edition_by_id(edition_id: int) -> Edition:
    """One edition. Refuses `EditionUnknown` (404)."""
    edition = db.session.get(Edition, edition_id)
    if edition is None:
        raise EditionUnknown
    return edition


def editions_of(publication: Publication) -> list[Edition]:
    """All editions, drafts too, newest first."""
    query = sa.select(Edition).where(Edition.publication_id == publication.id)
    return list(db.session.scalars(query.order_by(Edition.number.desc())))


def newest_editions(publication_ids: Collection[int]) -> dict[int, dict[str, Edition]]:
    """Per publication its newest `released` edition and its newest `draft` or scheduled one."""
    query = (
        sa.select(Edition)
        .where(
            Edition.publication_id.in_(publication_ids), Edition.status != EditionStatus.WITHDRAWN
        )
        .order_by(Edition.number)
    )
    found: dict[int, dict[str, Edition]] = {}
    for edition in db.session.scalars(query):
        kind = "released" if edition.status is EditionStatus.RELEASED else "draft"
        found.setdefault(edition.publication_id, {})[kind] = edition
    return found


def draft_of(publication_id: int) -> Edition | None:
    """The draft that an upload goes into: the one with the highest number."""
    query = sa.select(Edition).where(
        Edition.publication_id == publication_id, Edition.status == EditionStatus.DRAFT
    )
    return db.session.scalars(query.order_by(Edition.number.desc()).limit(1)).first()


def edition_before(edition: Edition) -> Edition | None:
    """The last edition that was released before this one, to lay it beside."""
    query = sa.select(Edition).where(
        Edition.publication_id == edition.publication_id,
        Edition.number < edition.number,
        Edition.released_at.is_not(None),
    )
    return db.session.scalars(query.order_by(Edition.number.desc()).limit(1)).first()


def withdrawn_before(edition: Edition) -> Edition | None:
    """The edition that this one replaces: the last before it, where that was withdrawn."""
    before = edition_before(edition)
    return before if before and before.status == EditionStatus.WITHDRAWN else None


def ever_released(publication_id: int) -> Sequence[Edition]:
    """The editions that were released, withdrawn since or not, in the order of their numbers."""
    query = sa.select(Edition).where(
        Edition.publication_id == publication_id, Edition.released_at.is_not(None)
    )
    return db.session.scalars(query.order_by(Edition.number)).all()


def released_editions(publication_id: int, place: Place = BEGINNING) -> Page[Edition]:
    """The editions that were released, withdrawn since or not, newest first, a page of them with their
    files."""
    query = sa.select(Edition).where(
        Edition.publication_id == publication_id, Edition.released_at.is_not(None)
    )
    order = (Edition.number.desc(), Edition.id.desc())
    return paginate(query.options(selectinload(Edition.assets)), place, *order, size=EDITIONS_SHOWN)


def edition_out(publication_id: int, number: int) -> Edition | None:
    """The edition of this number, where it is out and stands."""
    query = sa.select(Edition).where(
        Edition.publication_id == publication_id,
        Edition.number == number,
        Edition.status == EditionStatus.RELEASED,
    )
    return db.session.scalars(query).one_or_none()


def asset_filename(asset: Asset | ReleasedFile) -> str:
    """The readable name of a file, in ASCII: `send-early-years-edition-2.pdf`."""
    slug, number = _of_file(asset)
    return f"{slug}-edition-{number}.{asset.format}"


def download_names(file: ReleasedFile) -> tuple[str, str]:
    """What a file is called where it is saved, after its title: in ASCII, and with all its letters."""
    return _names(file.title, file.slug, file.number, file.format)


@lru_cache(maxsize=256)
def _names(title: str, slug: str, number: int, format: str) -> tuple[str, str]:
    ending = f", edition {number}.{format}"
    # Systems refuse these signs, and mean something by a full stop or a dash in front.
    kept = _NOT_IN_NAMES.sub(" ", clean_line(title)).strip(" .-~")
    whole = _fitting(" ".join(kept.split()), _LONGEST_NAME) or slug
    plain = "".join(one for one in without_accents(whole) if one.isascii())
    plain = " ".join(plain.split()).strip(" .-~") or slug
    return plain + ending, whole + ending


def _fitting(text: str, most: int) -> str:
    """As much of a text as its UTF-8 fits into so many bytes, to the end of a word."""
    if len(text.encode()) <= most:
        return text
    cut = text.encode()[:most].decode(errors="ignore")
    return (cut.rpartition(" ")[0] or cut).strip(" .,-")


def asset_reference(asset: Asset | ReleasedFile) -> str:
    """What names a file in an address, before the free file name: `send-early-years-2-pdf`."""
    slug, number = _of_file(asset)
    return f"{slug}-{number}-{asset.format}"


def asset_named(text: str) -> tuple[str, int, str] | None:
    """Slug, edition number and format of what `asset_reference` or `asset_filename` made; None
    for others."""
    found = re.fullmatch(r"([a-z0-9-]+)-([1-9]\d{0,5})-(pdf|epub)", text) or re.fullmatch(
        r"([a-z0-9-]+)-edition-([1-9]\d{0,5})\.(pdf|epub)", text
    )
    return (found[1], int(found[2]), found[3]) if found else None


def _of_file(asset: Asset | ReleasedFile) -> tuple[str, int]:
    if isinstance(asset, ReleasedFile):
        return asset.slug, asset.number
    return asset.edition.publication.slug, asset.edition.number


def media_type(format: str) -> str:
    """The registered media type of a format that we sell."""
    return _MEDIA_TYPES[format]


def _hold_draft(edition: Edition) -> None:
    """Lock the row and look again: a release may have passed since the page was shown."""
    db.session.flush()
    db.session.refresh(edition, with_for_update=True)
    if edition.status == EditionStatus.SCHEDULED:
        raise EditionScheduled
    if edition.status != EditionStatus.DRAFT:
        raise EditionAlreadyReleased
