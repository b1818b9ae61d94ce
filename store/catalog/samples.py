"""The free sample of a publication: a PDF, an EPUB or both, uploaded or cut from an edition, and the
chapters of the EPUB as they are read in the shop.

Receiving and cutting touch no database, so that they are called before the transaction.
"""

import tempfile
from collections.abc import Collection, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import nh3
import sqlalchemy as sa

from store.catalog.gate import parts
from store.catalog.gate.pieces import BookPart, Chapter, NoPart, Reading
from store.catalog.models import Asset, Edition, EditionStatus, Publication, Sample, SampleChapter
from store.catalog.publications import lock_publication
from store.catalog.uploads import ReceivedFile, receive_file, work_room
from store.kit import clock
from store.kit.database import db, end_read, formatted
from store.kit.errors import Refusal
from store.kit.storage import storage

_NAMES = (
    "a abbr b blockquote br caption cite code dd dfn div dl dt em h2 h3 h4 h5 h6 hr i kbd li mark ol"
    " p pre q rp rt ruby s samp small span strong sub sup table tbody td th tr u ul var"
)
_TAGS = set(_NAMES.split())
_ATTRIBUTES = {
    "*": {"lang", "dir"},
    "a": {"href"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}
_SCHEMES = {"http", "https", "mailto"}
_REL = "nofollow noopener noreferrer"
_LONGEST_TITLE = 200
_LONGEST_OPENING = 4  # pieces: a heading and some paragraphs


class SampleRefused(Refusal):
    """What was handed over, or asked for, makes no sample."""

    status = 422


@dataclass(frozen=True)
class ReceivedSample:
    """A file that passed the gate and is stored; of an EPUB what there is to read in a page."""

    file: ReceivedFile
    reading: Reading = field(default_factory=lambda: Reading([]))
    origin: str = ""


class SampleFile(NamedTuple):
    """One file of a sample, as pages speak of it."""

    format: str
    size: int  # bytes
    pages: int


@dataclass(frozen=True)
class SampleShown:
    """What the pages of a publication say of its sample."""

    files: list[SampleFile]
    chapters: int
    opening: list[str]

    @property
    def pages(self) -> int:
        """Of its PDF; 0 where it has none."""
        return max(one.pages for one in self.files)


def receive_sample(source: Path | BinaryIO, *, name: str = "", origin: str = "") -> ReceivedSample:
    """Take in a file as `receive_file` does, through the same gate, and read an EPUB's chapters.
    Refuses as that does, and `SampleRefused`."""
    file = receive_file(source, name=name)
    if file.format != "epub":
        return ReceivedSample(file, origin=origin)
    with _room() as folder:
        copy = _copied(file.sha256, file.size, folder)
        try:
            return ReceivedSample(file, parts.read_chapters(copy, folder), origin)
        except NoPart as fault:
            raise SampleRefused(fault.sentence) from None


def cut_sample(asset: Asset, first: int, last: int) -> ReceivedSample:
    """Pages `first` to `last` of an edition's PDF, tagged and named as the whole is, through the
    gate. Refuses `SampleRefused`, and what the gate does."""
    pages = int(asset.facts.get("pages") or 0)
    number = asset.edition.number
    sha256, size = asset.sha256, asset.size
    if not 1 <= first <= last <= pages:
        raise SampleRefused(f"Choose pages from 1 to {pages}, the first one first.")
    if last - first + 1 == pages:
        raise SampleRefused("A sample is a part. Leave some pages out.")
    span = f"page {first}" if first == last else f"pages {first} to {last}"
    end_read()  # the cut takes its time
    with _room() as folder:
        try:
            made = parts.cut_pages(_copied(sha256, size, folder), folder, first, last)
        except NoPart as fault:
            raise SampleRefused(fault.sentence) from None
        return receive_sample(made, origin=f"{span} of edition {number}")


def parts_of_book(asset: Asset) -> list[BookPart]:
    """The chapters that can be chosen of an edition's EPUB. Refuses `SampleRefused`."""
    sha256, size = asset.sha256, asset.size
    end_read()  # reading it takes its time
    with _room() as folder:
        try:
            return parts.parts_of_book(_copied(sha256, size, folder), folder)
        except NoPart as fault:
            raise SampleRefused(fault.sentence) from None


def build_sample(asset: Asset, numbers: Collection[int]) -> ReceivedSample:
    """The chapters with these numbers of an edition's EPUB as a book of their own, through the gate.
    Refuses `SampleRefused`, and what the gate does."""
    number = asset.edition.number
    sha256, size = asset.sha256, asset.size
    span = "1 chapter" if len(numbers) == 1 else f"{len(numbers)} chapters"
    end_read()
    with _room() as folder:
        try:
            made = parts.build_book(_copied(sha256, size, folder), folder, numbers)
        except NoPart as fault:
            raise SampleRefused(fault.sentence) from None
        return receive_sample(made, origin=f"{span} of edition {number}")


def put_sample(publication: Publication, received: ReceivedSample) -> Sample:
    """Make this file the publication's sample in its format. Refuses (`SampleRefused`) what is an
    edition, whole."""
    file = received.file
    lock_publication(publication.id, alone=True)
    _refuse_whole(publication.id, file)
    query = sa.select(Sample).where(
        Sample.publication_id == publication.id, Sample.format == file.format
    )
    sample = db.session.scalars(query).first() or Sample(
        publication_id=publication.id, format=file.format
    )
    chapters = received.reading.chapters
    sample.sha256, sample.size = file.sha256, file.size
    sample.pages = int(file.facts.get("pages") or 0) or None
    sample.chapters = len(chapters)
    sample.opening = received.reading.opening[:_LONGEST_OPENING]
    sample.origin = received.origin
    sample.put_at = clock.now()
    db.session.add(sample)
    db.session.flush()
    _forget_chapters([sample.id])
    db.session.add_all(_row(sample.id, number, one) for number, one in enumerate(chapters, 1))
    db.session.flush()
    return sample


def remove_sample(publication: Publication, format: str) -> bool:
    """Take the sample of this format away; False where there was none. The file stays in storage,
    as those of editions do."""
    lock_publication(publication.id, alone=True)
    found = [one for one in samples_of(publication.id) if one.format == format]
    for sample in found:
        _forget_chapters([sample.id])
        db.session.delete(sample)
    db.session.flush()
    return bool(found)


def samples_of(publication_id: int) -> list[Sample]:
    """The files of its sample, the PDF first."""
    query = sa.select(Sample).where(Sample.publication_id == publication_id)
    return list(db.session.scalars(query.order_by(Sample.format.desc())))


def samples_shown(publication_ids: Collection[int]) -> dict[int, SampleShown]:
    """Of these publications those that have a sample, in one statement."""
    query = sa.select(
        Sample.publication_id,
        Sample.format,
        Sample.size,
        Sample.pages,
        Sample.chapters,
        Sample.opening,
    ).where(Sample.publication_id.in_(publication_ids))
    found: dict[int, SampleShown] = {}
    for owner, format, size, pages, chapters, opening in db.session.execute(
        query.order_by(Sample.format.desc())
    ):
        before = found.get(owner, SampleShown([], 0, []))
        files = [*before.files, SampleFile(format, size, pages or 0)]
        found[owner] = SampleShown(files, before.chapters or chapters, before.opening or opening)
    return found


_columns = cast(sa.Table, Sample.__table__).c
# For the statement that reads all rows of a publication's page.
SAMPLE_FACTS = (
    sa.select(
        sa.func.aggregate_strings(
            formatted(
                "{} {} {} {}",
                _columns.format,
                _columns.size,
                sa.func.coalesce(_columns.pages, 0),
                _columns.chapters,
            ),
            ",",
        )
    )
    .where(Sample.publication_id == Publication.id)
    .correlate(Publication)
    .scalar_subquery()
)
SAMPLE_OPENING = (
    sa.select(Sample.opening)
    .where(Sample.publication_id == Publication.id, Sample.chapters > 0)
    .correlate(Publication)
    .limit(1)
    .scalar_subquery()
)


def read_sample(facts: str | None, opening: list[str] | None) -> SampleShown | None:
    """What these two columns say; None where there is no sample."""
    if not facts:
        return None
    told = [one.split() for one in sorted(facts.split(","), reverse=True)]
    files = [SampleFile(format, int(size), int(pages)) for format, size, pages, _ in told]
    return SampleShown(files, max(int(one[3]) for one in told), opening or [])


class ShownChapter(NamedTuple):
    """One chapter of a sample: its number and title, and its HTML where it is the one to read."""

    number: int
    title: str
    html: str


def chapters_of(sample_id: int, number: int) -> list[ShownChapter]:
    """All chapters by title, and of one the words."""
    html = sa.case((SampleChapter.number == number, SampleChapter.html), else_="")
    query = sa.select(SampleChapter.number, SampleChapter.title, html).where(
        SampleChapter.sample_id == sample_id
    )
    return [ShownChapter(*row) for row in db.session.execute(query.order_by(SampleChapter.number))]


def newest_file(publication_id: int, format: str) -> Asset | None:
    """The file of the newest edition that has one of this format and stands, a draft before its
    release too."""
    query = (
        sa.select(Asset)
        .join(Edition)
        .where(
            Edition.publication_id == publication_id,
            Edition.status != EditionStatus.WITHDRAWN,
            Asset.format == format,
        )
        .order_by(Edition.number.desc())
    )
    return db.session.scalars(query.limit(1)).first()


def sample_filename(slug: str, format: str) -> str:
    """`send-early-years-sample.pdf`."""
    return f"{slug}-sample.{format}"


def _row(sample_id: int, number: int, chapter: Chapter) -> SampleChapter:
    title = chapter.title[:_LONGEST_TITLE] or f"Part {number}"
    return SampleChapter(sample_id=sample_id, number=number, title=title, html=_clean(chapter.html))


def _clean(html: str) -> str:
    """Only what our own list knows, whatever a stranger's book made of the program that read it."""
    return nh3.clean(
        html, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes=_SCHEMES, link_rel=_REL
    ).strip()


def _forget_chapters(sample_ids: Iterable[int]) -> None:
    db.session.execute(sa.delete(SampleChapter).where(SampleChapter.sample_id.in_(sample_ids)))


def _refuse_whole(publication_id: int, file: ReceivedFile) -> None:
    """An edition would be given to everybody: by its bytes, or by having as many pages or words."""
    same = sa.or_(
        Asset.sha256.in_([file.sha256, file.uploaded_sha256]),
        Asset.uploaded_sha256.in_([file.sha256, file.uploaded_sha256]),
    )
    if db.session.scalars(sa.select(Asset.id).where(same).limit(1)).first() is not None:
        raise SampleRefused(
            "This is the file of an edition, and everybody could take it. Upload a part."
        )
    query = (
        sa.select(Asset)
        .join(Edition)
        .where(Edition.publication_id == publication_id, Asset.format == file.format)
        .order_by(Edition.number.desc())
    )
    newest = db.session.scalars(query.limit(1)).first()
    if newest is None:
        return
    for fact in ("pages", "words"):
        whole, part = newest.facts.get(fact), file.facts.get(fact)
        if isinstance(whole, int) and isinstance(part, int) and 0 < whole <= part:
            raise SampleRefused(
                f"This has {part:,} {fact}, and edition {newest.edition.number} has {whole:,}. "
                "A sample is a part of it."
            )


@contextmanager
def _room() -> Any:
    with tempfile.TemporaryDirectory(dir=work_room(), prefix="upload-") as folder:
        yield Path(folder)


def _copied(sha256: str, size: int, folder: Path) -> Path:
    """A copy of a stored file that a program of ours can open."""
    copy = folder / "whole"
    with copy.open("wb") as out:
        out.writelines(storage().chunks(f"assets/{sha256}", 0, size))
    return copy
