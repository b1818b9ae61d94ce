"""What was counted from all rows of an edition's people at a moment, and is kept so that no page
counts them again; the timetable counts once more."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from store.kit import clock
from store.kit.database import Base, db, insert_into, status_type

# What takes long is counted less often: a two hundredth of the time goes into it.
_SHARE = 200


class TallyKind(StrEnum):
    """What was counted."""

    RELEASE = "release"  # beside the letters of a release: see `live.recount`
    REHEARSAL = "rehearsal"  # whom a release would reach: see `rehearsal.count_again`


class Tally(Base):
    """One of each kind for an edition."""

    __tablename__ = "tallies"
    __table_args__ = (sa.UniqueConstraint("edition_id", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    edition_id: Mapped[int] = mapped_column(sa.ForeignKey("editions.id"))
    kind: Mapped[TallyKind] = mapped_column(status_type(TallyKind))
    counted_at: Mapped[datetime]
    took_ms: Mapped[int]
    found: Mapped[dict[str, Any]]

    def is_older_than(self, age: timedelta) -> bool:
        """Whether it is to be counted again, where that is due at this age."""
        least = timedelta(milliseconds=_SHARE * self.took_ms)
        return self.counted_at <= clock.now() - max(age, least)


def kept(kind: TallyKind, edition_id: int) -> Tally | None:
    """What was counted last; None where that is out of date, or was never counted."""
    return db.session.scalars(
        sa.select(Tally).where(Tally.edition_id == edition_id, Tally.kind == kind)
    ).first()


def keep(kind: TallyKind, edition_id: int, found: dict[str, Any], seconds: float) -> None:
    """Keep what was counted now, in `seconds`."""
    statement = insert_into(Tally).values(
        kind=kind,
        edition_id=edition_id,
        counted_at=clock.now(),
        took_ms=round(seconds * 1000),
        found=found,
    )
    new = {name: statement.excluded[name] for name in ("counted_at", "took_ms", "found")}
    db.session.execute(
        statement.on_conflict_do_update(index_elements=["edition_id", "kind"], set_=new)
    )
    db.session.expire_all()


def forget(kind: TallyKind, edition_id: int) -> None:
    """It is out of date: pages count for themselves until the timetable has done so."""
    db.session.execute(
        sa.delete(Tally)
        .where(Tally.edition_id == edition_id, Tally.kind == kind)
        .execution_options(synchronize_session="fetch")
    )
