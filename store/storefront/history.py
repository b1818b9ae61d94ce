"""What has become of a publication: its editions, each with its day and what changed, and the dates
that were promised, as the window and the feed tell of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import reduce
from typing import Any, cast

import sqlalchemy as sa

from store.catalog.models import Asset, DateMove, Edition, EditionStatus, Publication
from store.kit.database import written_out
from store.storefront.notes import LONGEST_BEGINNING, Told, beginning_of, told

# Of each edition the window has the beginning of what changed; the page of all editions has more.
MOST_SHOWN = 8
MOST_MOVES = 10


@dataclass(frozen=True)
class PastEdition:
    """An edition that was released. `notes` are Markdown: none where it was withdrawn, as what it
    held is given to nobody."""

    number: int
    label: str
    released_at: datetime
    withdrawn_at: datetime | None
    pages: int | None
    notes: str
    is_cut: bool = False

    @classmethod
    def told(
        cls,
        number: int,
        label: str,
        released_at: datetime,
        withdrawn_at: datetime | None,
        pages: int | None,
        notes: str,
    ) -> "PastEdition":
        """As the window shows it; of the notes one character more than their beginning is enough."""
        said = "" if withdrawn_at else notes
        is_cut = len(said) > LONGEST_BEGINNING
        said = beginning_of(said) if is_cut else said
        return cls(number, label, released_at, withdrawn_at, pages, said, is_cut)

    @classmethod
    def whole(cls, edition: Edition) -> "PastEdition":
        """With all that changed, of an edition that was released and has its files at hand."""
        if edition.released_at is None:
            raise ValueError("an edition that was never released has no past")
        counts = [one.facts.get("pages") for one in edition.assets if one.format == "pdf"]
        notes = "" if edition.withdrawn_at else edition.notes
        return cls(
            edition.number,
            edition.label,
            edition.released_at,
            edition.withdrawn_at,
            next(iter(counts), None),
            notes,
        )

    @classmethod
    def of_page(cls, editions: Sequence[Edition]) -> list["PastEdition"]:
        """Of editions as `whole` takes them, with as much of what changed as a page has room for."""
        shown = told(one for one in editions if not one.withdrawn_at)
        found = []
        for edition in editions:
            notes, is_cut = shown.get(edition.id, Told(""))
            found.append(replace(cls.whole(edition), notes=notes, is_cut=is_cut))
        return found

    @classmethod
    def begun(cls, edition: Edition) -> "PastEdition":
        """The same with the beginning of what changed."""
        it = cls.whole(edition)
        return cls.told(it.number, it.label, it.released_at, it.withdrawn_at, it.pages, it.notes)

    @property
    def name(self) -> str:
        """`Edition 3`, `First edition`; with its label, if it has one."""
        name = "First edition" if self.number == 1 else f"Edition {self.number}"
        return f"{name}, {self.label}" if self.label else name


@dataclass(frozen=True)
class MovedDate:
    """A change of the promised date, and why, as those who waited were told."""

    old_on: date | None
    new_on: date | None
    moved_at: datetime
    reason: str


@dataclass(frozen=True)
class History:
    """The newest editions, newest first; how many were ever out, and how many of them stand."""

    editions: tuple[PastEdition, ...] = ()
    ever: int = 0
    standing: int = 0
    moves: tuple[MovedDate, ...] = ()  # of the date, the last one first

    @property
    def newest(self) -> PastEdition | None:
        """The one that a buyer gets today."""
        return next((one for one in self.editions if one.withdrawn_at is None), None)

    @property
    def has_more(self) -> bool:
        """Whether the page of all editions says more than these."""
        return self.ever > len(self.editions) or any(one.is_cut for one in self.editions)

    @property
    def renewed(self) -> str:
        """`Renewed twice`; empty where one edition stands, or none."""
        often = self.standing - 1
        words = {1: "once", 2: "twice"}
        return f"Renewed {words.get(often, f'{often} times')}" if often > 0 else ""


# Each column below is one text, so that what a publication has been through takes no rows and no
# statement of its own: its rows and fields stand behind marks that no text holds
# (`kit.text.clean_text`), in the order in which the database finds them.
_ROW, _FIELD = "\x1e", "\x1f"
_edition = cast(sa.Table, Edition.__table__).alias("past").c
_move = cast(sa.Table, DateMove.__table__).alias("moved").c
_file = cast(sa.Table, Asset.__table__).alias("measured").c


_pages = (
    sa.select(_file.facts["pages"].as_string())
    .where(_file.edition_id == _edition.id, _file.format == written_out("pdf"))
    .scalar_subquery()
)
_stands = sa.case((_edition.status == written_out(EditionStatus.RELEASED), written_out(1)))


def _as_text(rows: sa.Select[Any], of: Any, number: Any, most: int) -> sa.ScalarSelect[str]:
    found = (
        rows.where(of == Publication.id)
        .order_by(number.desc())
        .limit(written_out(most))
        .offset(written_out(0))
    )
    there = found.correlate(Publication).subquery()
    fields: list[Any] = [
        sa.func.coalesce(sa.cast(one, sa.Text), written_out("")) for one in there.c
    ]
    spelled = reduce(lambda said, more: said + written_out(_FIELD) + more, fields)
    told = sa.func.aggregate_strings(spelled, _ROW)
    return sa.select(told).select_from(there).scalar_subquery()


COLUMNS = (
    _as_text(
        sa.select(
            _edition.number,
            _edition.label,
            _edition.released_at,
            _edition.withdrawn_at,
            _pages.label("pages"),
            sa.func.substr(
                _edition.notes, written_out(1), written_out(LONGEST_BEGINNING + 1)
            ).label("notes"),
            sa.func.count(_edition.id).over().label("ever"),
            sa.func.count(_stands).over().label("standing"),
        ).where(_edition.released_at.is_not(None)),
        _edition.publication_id,
        _edition.number,
        MOST_SHOWN,
    ).label("editions_told"),
    _as_text(
        sa.select(_move.number, _move.old_on, _move.new_on, _move.moved_at, _move.reason),
        _move.publication_id,
        _move.number,
        MOST_MOVES,
    ).label("moves_told"),
)


def read_history(editions_told: str | None, moves_told: str | None) -> History:
    """What these two columns say."""
    told = list(_rows(editions_told))
    ever, standing = (int(count) for count in told[0][6:]) if told else (0, 0)
    editions = tuple(
        PastEdition.told(
            int(number), label, _moment(out), _moment(gone) if gone else None, _number(pages), notes
        )
        for number, label, out, gone, pages, notes, _, _ in told
    )
    moves = tuple(
        MovedDate(_date(old), _date(new), _moment(at), reason)
        for _, old, new, at, reason in _rows(moves_told)
    )
    return History(editions, ever, standing, moves)


def _rows(told: str | None) -> Iterator[list[str]]:
    """The rows of a text, each as its fields; the highest number, which comes first in each, first."""
    rows = [one.split(_FIELD) for one in (told or "").split(_ROW) if one]
    yield from sorted(rows, key=lambda fields: -int(fields[0]))


def _moment(told: str) -> datetime:
    moment = datetime.fromisoformat(told)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _date(told: str) -> date | None:
    return date.fromisoformat(told) if told else None


def _number(told: str) -> int | None:
    return int(told) if told.isdecimal() else None
