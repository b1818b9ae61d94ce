"""The account of a release on one page, for trustees: figures, reasons, times, and the rows behind
them with their checksum, so that who holds the list can tell that nothing was changed."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from store.catalog.models import Edition
from store.distribution.coverage import Coverage, coverage
from store.distribution.people import COLUMNS, LEFT_OUT, WHY_NOT, of_column
from store.distribution.recipients import RECALLED, WITHDRAWN, batch_of
from store.kit import clock
from store.kit.database import UtcDateTime, db
from store.kit.spreadsheets import Cell, to_csv
from store.kit.status import StatusChange
from store.mail.models import Delivery

_PIECE = 1000


@dataclass(frozen=True)
class Statement:
    """What can be said of a release at one moment."""

    edition: Edition
    account: Coverage
    figures: list[tuple[str, int]]  # each column in words
    left_out: list[tuple[str, int]]  # each reason in words
    released_to: int
    released_by: str  # who pressed, as the history names them
    last_at: datetime | None  # when the last letter was handed over
    rows: int
    sha256: str  # of the list of rows as CSV
    drawn_at: datetime


def state(edition: Edition) -> Statement:
    """The statement as it is now. Refuses (`NotReleasedYet`)."""
    account = coverage(edition)
    digest, rows = hashlib.sha256(), -1  # the first line names the columns
    for piece in rows_csv(edition):
        digest.update(piece.encode())
        rows += piece.count("\r\n")
    since = (RECALLED, WITHDRAWN)
    kept = sum(count for why, count in account.left_out.items() if why not in since)
    figures = [(one.replace("_", " "), getattr(account, one)) for one in COLUMNS if one != LEFT_OUT]
    return Statement(
        edition,
        account,
        figures,
        [(WHY_NOT.get(why, why), count) for why, count in account.left_out.items()],
        account.total - kept,
        _pressed_by(edition),
        _last_at(edition),
        rows,
        digest.hexdigest(),
        clock.now(),
    )


def rows_csv(edition: Edition) -> Iterator[str]:
    """Everybody of the account, by number and without name or address: column, reason where they
    were left out, and when the letter was handed over (UTC). The same rows, the same text."""
    yield to_csv([("customer", "column", "reason", "handed_over_at")])
    for column in COLUMNS:
        listed = of_column(edition, column).subquery("listed")
        customer_id, reason, _letter, at = listed.c
        query = sa.select(customer_id, reason, sa.type_coerce(at, UtcDateTime()))
        found = db.session.execute(query.order_by(customer_id).execution_options(yield_per=_PIECE))
        for piece in found.partitions():
            lines: list[Sequence[Cell]] = []
            for number, why, moment in piece:
                sent_at = f"{moment:%Y-%m-%dT%H:%M:%SZ}" if column == "handed_over" else ""
                lines.append((number, column, why if column == LEFT_OUT else "", sent_at))
            yield to_csv(lines)


def _pressed_by(edition: Edition) -> str:
    query = sa.select(StatusChange.who).where(
        StatusChange.entity == "editions",
        StatusChange.entity_id == edition.id,
        StatusChange.to_status == "scheduled",
    )
    return db.session.scalars(query.order_by(StatusChange.id.desc()).limit(1)).first() or ""


def _last_at(edition: Edition) -> datetime | None:
    batch = batch_of(edition)
    query = sa.select(sa.func.max(Delivery.sent_at)).where(
        Delivery.batch_id == (batch.id if batch else 0)
    )
    return db.session.scalar(query)
