"""How long things take and how often they fail, counted by each process and summed in the database.

A process counts in its memory, and a thread of it adds what has come together to the rows every 15
seconds; so the sums are those of all processes of all machines, whichever of them is asked, and
no restart takes anything away. What a killed process had not added yet is lost.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from flask import Flask, current_app
from sqlalchemy.orm import Mapped, mapped_column

from store.kit.database import Base, db, insert_into, one_write

EVERY_SECONDS = 15.0
PAGES, SENDS, ERRORS = "pages", "sends", "errors"
# Upper ends of the ranges that times are counted in, in seconds; beyond the last is one more.
BOUNDS: dict[str, tuple[float, ...]] = {
    PAGES: (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    SENDS: (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0),
}

# What is measured, of what, in which range.
Key = tuple[str, str, int]


class Measure(Base):
    """How often something fell into one range, and the seconds of all of these; of what is counted
    and not timed, range 0."""

    __tablename__ = "measures"

    name: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    label: Mapped[str] = mapped_column(sa.String(120), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(sa.BigInteger)
    seconds: Mapped[float] = mapped_column(sa.Float)


@dataclass(frozen=True)
class Timed:
    """Times of one thing: how many in each range (one more than there are bounds), and their sum."""

    label: str
    numbers: tuple[int, ...]
    seconds: float


class Pending:
    """What one process has counted and not added yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Key, tuple[int, float]] = {}

    def add(self, key: Key, seconds: float = 0.0, number: int = 1) -> None:
        """Count something that took so long."""
        with self._lock:
            had, took = self._counts.get(key, (0, 0.0))
            self._counts[key] = had + number, took + seconds

    def take(self) -> dict[Key, tuple[int, float]]:
        """All of it; what comes is counted from nothing."""
        with self._lock:
            taken, self._counts = self._counts, {}
        return taken


def init_app(app: Flask) -> None:
    """Count in this application."""
    app.extensions["colophon.measures"] = Pending()


def took(name: str, label: str, seconds: float) -> None:
    """Something of this name took so long."""
    place = bisect_left(BOUNDS[name], seconds)
    _pending().add((name, label[:120], place), seconds)


def failed(label: str) -> None:
    """A page failed with this status."""
    _pending().add((ERRORS, label, 0))


def write_down() -> None:
    """Add what has come together to the rows, in a transaction of its own; none where there is
    nothing. What could not be written is kept for the next time."""
    taken = _pending().take()
    if not taken:
        return
    # Always in one order, so that two processes never wait for each other.
    rows = [
        {"name": name, "label": label, "place": place, "number": number, "seconds": seconds}
        for (name, label, place), (number, seconds) in sorted(taken.items())
    ]
    try:
        with one_write() as connection:
            connection.execute(_adding(), rows)
    except BaseException:
        for key, (number, seconds) in taken.items():
            _pending().add(key, seconds, number)
        raise


def _adding() -> Any:
    statement = insert_into(Measure)
    return statement.on_conflict_do_update(
        index_elements=["name", "label", "place"],
        set_={
            "number": Measure.number + statement.excluded.number,
            "seconds": Measure.seconds + statement.excluded.seconds,
        },
    )


def times(rows: Iterable[sa.Row[Any]], name: str, labels: Iterable[str] = ()) -> list[Timed]:
    """What `all_rows` says of one name, by label; of these `labels` also where nothing was timed yet."""
    found: dict[str, tuple[list[int], float]] = {
        label: ([0] * (len(BOUNDS[name]) + 1), 0.0) for label in labels
    }
    for row in rows:
        if row.name == name:
            numbers, seconds = found.get(row.label, ([0] * (len(BOUNDS[name]) + 1), 0.0))
            numbers[row.place] += row.number
            found[row.label] = numbers, seconds + row.seconds
    return [Timed(label, tuple(n), seconds) for label, (n, seconds) in sorted(found.items())]


def all_rows() -> list[sa.Row[Any]]:
    """All that was ever added, by one statement: some for each address of the shop."""
    return list(db.session.execute(sa.select(*Measure.__table__.columns)).all())


def _pending() -> Pending:
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - documented
    return cast(Pending, app.extensions["colophon.measures"])
