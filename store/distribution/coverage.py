"""The account of a release: every entitled customer in exactly one column, with the reason."""

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus
from store.distribution.explaining import COLUMNS, Explanation, coverage_of
from store.distribution.recipients import (
    IMPORTED,
    batch_of,
    imported_as_having,
    missing,
)
from store.kit.database import db
from store.kit.errors import Refusal
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus

__all__ = ["Coverage", "Explanation", "NotReleasedYet", "coverage", "coverage_of"]


class NotReleasedYet(Refusal):
    """Before its release an edition has recipients in prospect only."""

    sentence = "This edition is not released yet. A rehearsal shows who would get it."


@dataclass(frozen=True)
class Coverage:
    """Customers in numbers. Recipients are those fixed at the release; `later` came afterwards."""

    handed_over: int = 0
    waiting: int = 0
    held: int = 0
    undeliverable: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    total: int = 0  # counted apart from the columns, customer by customer
    later: int = 0
    possibly_twice: int = 0
    batch_status: BatchStatus | None = None

    @property
    def counted(self) -> int:
        """The sum of the columns."""
        columns = self.handed_over + self.waiting + self.held + self.undeliverable + self.missing
        return columns + sum(self.left_out.values())

    @property
    def sums_match(self) -> bool:
        """Whether every recipient stands in exactly one column."""
        return self.counted == self.total

    @property
    def is_complete(self) -> bool:
        """Nothing waits, nothing is held, nobody is missing, and the sums match."""
        return self.sums_match and not (self.waiting or self.held or self.missing)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "handed_over": self.handed_over,
            "waiting": self.waiting,
            "held": self.held,
            "undeliverable": self.undeliverable,
            "left_out": self.left_out,
            "missing": self.missing,
            "total": self.total,
            "sums_match": self.sums_match,
            "is_complete": self.is_complete,
            "later": self.later,
            "possibly_twice": self.possibly_twice,
            "batch_status": self.batch_status,
        }


def coverage(edition: Edition) -> Coverage:
    """Where everybody stands who is entitled to a released edition: six statements however many.

    Refuses (`NotReleasedYet`) an edition that was never released.
    """
    batch = batch_of(db.session, edition)
    if edition.released_at is None or batch is None:
        raise NotReleasedYet
    columns, left_out = _columns(batch)
    imported = _count(imported_as_having(edition).subquery())
    if imported:
        left_out[IMPORTED] = left_out.get(IMPORTED, 0) + imported
    twice = sa.select(sa.func.count()).where(
        Delivery.batch_id == batch.id, Delivery.is_possibly_twice
    )
    return Coverage(
        **columns,
        left_out=dict(sorted(left_out.items())),
        missing=0 if _is_withdrawn(edition) else _count(missing(edition).subquery()),
        total=_count(_everybody(edition, batch).subquery()),
        later=db.session.scalar(_later(edition, batch)) or 0,
        possibly_twice=db.session.scalar(twice) or 0,
        batch_status=batch.status,
    )


def _columns(batch: Batch) -> tuple[dict[str, int], dict[str, int]]:
    rows = db.session.execute(
        sa.select(Delivery.status, Delivery.reason, sa.func.count().label("people"))
        .where(Delivery.batch_id == batch.id)
        .group_by(Delivery.status, Delivery.reason)
    )
    columns: dict[str, int] = {}
    left_out: dict[str, int] = {}
    for status, reason, people in rows:
        into, name = (
            (left_out, reason) if status == DeliveryStatus.SKIPPED else (columns, COLUMNS[status])
        )
        into[name] = into.get(name, 0) + people
    return columns, left_out


def _everybody(edition: Edition, batch: Batch) -> sa.CompoundSelect[Any]:
    parts: list[sa.Select[Any]] = [
        sa.select(Delivery.customer_id).where(Delivery.batch_id == batch.id),
        imported_as_having(edition),
    ]
    if not _is_withdrawn(edition):
        absent = missing(edition).subquery()
        parts.append(sa.select(absent.c.customer_id))
    return sa.union(*parts)


def _later(edition: Edition, batch: Batch) -> sa.Select[int]:
    """Who has it by a purchase after the release: its confirmation, or a letter of their own."""
    fixed = sa.select(Delivery.customer_id).where(
        Delivery.batch_id == batch.id, Delivery.customer_id.is_not(None)
    )
    return sa.select(sa.func.count(Delivery.customer_id.distinct())).where(
        Delivery.edition_id == edition.id,
        Delivery.customer_id.is_not(None),
        Delivery.customer_id.not_in(fixed),
    )


def _is_withdrawn(edition: Edition) -> bool:
    # Nobody is owed what was withdrawn.
    return edition.status == EditionStatus.WITHDRAWN


def _count(rows: sa.Subquery) -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(rows)) or 0
