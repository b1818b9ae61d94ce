"""The rows that a publication's page is made of, read by one statement: all that can change on it but
the day."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import sqlalchemy as sa

from store.catalog.faces import HouseFace, face_of
from store.catalog.models import Asset, Edition, EditionStatus, Face, Publication, Seller
from store.catalog.publications import PublicationUnknown
from store.catalog.samples import SAMPLE_FACTS, SAMPLE_OPENING, SampleShown, read_sample
from store.catalog.sellers import SellerUnknown
from store.kit import clock
from store.kit.database import Base, DriverQuery, UtcDateTime, db, written_out
from store.orders.prices import members_rule
from store.storefront.history import COLUMNS, History, read_history

# What stands on no page of the window: it may be long, and each column costs a little.
_LEFT_OUT = {
    "publications.overdue_alerted_on",
    "publications.search_key",
    "publications.warned_on",
    "editions.notes",
    "editions.severity",
    "editions.correction",
    "editions.created_at",
    "editions.release_at",
    "editions.withdrawn_at",
    "assets.findings",
    "assets.sha256",
    "assets.uploaded_sha256",
    "assets.uploaded_at",
    "sellers.bank_details",
    "sellers.reply_to",
    "sellers.stated_at",
}


def _columns(model: type[Base]) -> list[sa.ColumnElement[Any]]:
    columns = cast(sa.Table, model.__table__).c
    return [column for column in columns if str(column) not in _LEFT_OUT]


_MODELS: tuple[type[Base], ...] = (Publication, Edition, Asset, Seller, Face)
_COLUMNS = [_columns(model) for model in _MODELS]
_newest = sa.alias(Edition.__table__)
_EDITION = (
    sa.select(_newest.c.id)
    .where(
        _newest.c.publication_id == Publication.id,
        _newest.c.status == written_out(EditionStatus.RELEASED),
    )
    .order_by(_newest.c.number.desc())
    .limit(written_out(1))
    .offset(written_out(0))
    .correlate(Publication)
    .scalar_subquery()
)
_SELLER = sa.select(sa.func.max(Seller.id)).correlate(None).scalar_subquery()
_NOW = sa.bindparam("now", type_=UtcDateTime())
# Its rows stay as the driver hands them over: they are compared more often than they are read.
_ROWS = DriverQuery(
    sa.select(
        members_rule(Publication.id, Publication.currency, _NOW).label("members_rule"),
        *(column.label(f"c{i}") for i, column in enumerate(chain.from_iterable(_COLUMNS))),
        *COLUMNS,
        SAMPLE_FACTS.label("sample_facts"),
        SAMPLE_OPENING.label("sample_opening"),
    )
    .select_from(Publication)
    .outerjoin(Edition, Edition.id == _EDITION)
    .outerjoin(Asset, Asset.edition_id == Edition.id)
    .outerjoin(Seller, Seller.id == _SELLER)
    .outerjoin(Face, Face.id == written_out(1))
    .where(Publication.slug == sa.bindparam("slug"))
    .order_by(Asset.format.desc())
)


@dataclass(frozen=True)
class InWindow:
    """A publication, its newest edition with files, its seller and its past, as they stood at one
    moment: in no session, so that nothing more can be asked of them."""

    publication: Publication
    edition: Edition | None
    seller: Seller
    face: HouseFace
    has_members_price: bool
    history: History
    sample: SampleShown | None = None


def rows_in_window(slug: str) -> Sequence[Any]:
    """The rows of now, one for each file or one without; none where no publication has this address."""
    return _ROWS.rows(slug=slug, now=clock.now())


def read_window(rows: Sequence[Any]) -> InWindow:
    """What these rows say. Refuses `PublicationUnknown` and `SellerUnknown`."""
    if not rows:
        raise PublicationUnknown
    parts = [_parts(row) for row in rows]
    publication, edition, _, seller, face = parts[0]
    if seller is None:
        raise SellerUnknown
    if edition is not None:
        edition.assets = [file for _, _, file, *_ in parts if file is not None]
    members, *_, editions, moves, facts, opening = rows[0]
    opening = _read(SAMPLE_OPENING.type, opening, db.engine.dialect)
    sample = read_sample(facts, opening)
    history = read_history(editions, moves)
    return InWindow(publication, edition, seller, face_of(face), bool(members), history, sample)


def _parts(row: Any) -> list[Any]:
    """Publication, edition, file and seller of a row; None for each that is not there."""
    found, start = [], 1
    dialect = db.engine.dialect
    for model, columns in zip(_MODELS, _COLUMNS, strict=True):
        values = dict(zip(columns, row[start : start + len(columns)], strict=True))
        there = {str(column.key): _read(column.type, values[column], dialect) for column in columns}
        found.append(model(**there) if there["id"] is not None else None)
        start += len(columns)
    return found


def _read(kind: sa.types.TypeEngine[Any], value: Any, dialect: sa.Dialect) -> Any:
    """A value as its column's type makes it of what the driver handed over."""
    read = kind.dialect_impl(dialect).result_processor(dialect, None)
    return read(value) if read is not None and value is not None else value
