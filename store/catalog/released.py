"""Editions that are out and stand, with their files, as plain values: for pages that only read them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from store.catalog.models import Asset, Edition, EditionStatus, Publication


class ReleasedFile(NamedTuple):
    """One file of a released edition, and what names it."""

    slug: str
    number: int
    format: str
    id: int
    sha256: str
    size: int
    uploaded_at: datetime
    facts: dict[str, Any]
    cover_sha256: str | None  # of page one, where it has pages
    title: str


@dataclass(frozen=True)
class ReleasedEdition:
    """An edition that is out and stands."""

    id: int
    publication_id: int
    number: int
    label: str
    notes: str
    released_at: datetime
    assets: list[ReleasedFile] = field(default_factory=list)


FILE: tuple[Any, ...] = (
    Publication.slug,
    Edition.number,
    Asset.format,
    Asset.id,
    Asset.sha256,
    Asset.size,
    Asset.uploaded_at,
    Asset.facts,
    Asset.cover_sha256,
    Publication.title,
)
# A row for each file, or one without; the reader says of which publications.
ROWS = (
    sa.select(
        Edition.id,
        Edition.publication_id,
        Edition.number,
        Edition.label,
        Edition.notes,
        Edition.released_at,
        *FILE,
    )
    .select_from(Edition)
    .join(Publication, Publication.id == Edition.publication_id)
    .outerjoin(Asset, Asset.edition_id == Edition.id)
    .where(Edition.status == EditionStatus.RELEASED)
    .order_by(Edition.number.desc(), Asset.format.desc())
)
_OF_EDITION = 6  # columns; those of the file follow


def read_released(rows: Iterable[Sequence[Any]]) -> list[ReleasedEdition]:
    """What these rows say: the editions, newest first, each with its files."""
    found: dict[int, ReleasedEdition] = {}
    for row in rows:
        edition = found.get(row[0])
        if edition is None:
            edition = found[row[0]] = ReleasedEdition(*row[:_OF_EDITION])
        file = ReleasedFile(*row[_OF_EDITION:])
        if file.id is not None:
            edition.assets.append(file)
    return list(found.values())
