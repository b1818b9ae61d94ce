"""What the shop says for itself beside our own words: paragraphs of terms, privacy and accessibility,
in Markdown. Every version is kept; the newest one stands."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from store.catalog.models import Statement, StatementKind
from store.kit import clock
from store.kit.database import db
from store.kit.errors import InvalidFields, NotFound
from store.kit.markup import dead_links
from store.kit.text import clean_text

LONGEST = 20_000
SHOWN_VERSIONS = 20


class StatementUnknown(NotFound):
    """No paragraphs of this number."""

    sentence = "There are no such paragraphs."


def standing(kind: StatementKind, at: datetime | None = None) -> Statement | None:
    """The paragraphs that stand now, or stood at a moment; None where there are none."""
    query = sa.select(Statement).filter_by(kind=kind).order_by(Statement.id.desc()).limit(1)
    if at is not None:
        query = query.where(Statement.stated_at <= at)
    found = db.session.scalars(query).first()
    return found if found is not None and found.text else None


def statement_by_id(kind: StatementKind, number: int) -> Statement:
    """One version, to be read as it stood. Refuses (`StatementUnknown`)."""
    found = db.session.get(Statement, number)
    if found is None or found.kind is not kind:
        raise StatementUnknown
    return found


def versions(kind: StatementKind) -> Sequence[Statement]:
    """The newest versions, the one that stands on top."""
    query = sa.select(Statement).filter_by(kind=kind).order_by(Statement.id.desc())
    return db.session.scalars(query.limit(SHOWN_VERSIONS)).all()


def state(kind: StatementKind, text: str) -> Statement | None:
    """Say this from now on; an empty text takes the paragraphs out, the same text is no new version
    (None). Refuses (`InvalidFields`)."""
    cleaned = clean_text(text)
    if len(cleaned) > LONGEST:
        sentence = f"That is {len(cleaned):,} characters long. The most is {LONGEST:,}."
        raise InvalidFields({"text": sentence})
    if dead := dead_links(cleaned):
        raise InvalidFields(
            {"text": f"This address leads nowhere: “{dead[0]}”. Begin it with https://."}
        )
    before = standing(kind)
    if cleaned == (before.text if before else ""):
        return None
    stated = Statement(kind=kind, text=cleaned, stated_at=clock.now())
    db.session.add(stated)
    db.session.flush()
    return stated
