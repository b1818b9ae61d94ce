"""Long lists, a part at a time: each begins beside a row that is named by its id, so that a late part
costs what the first does, whatever came in meanwhile, and no part counts the whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.sql import operators

from store.kit.database import db

Row = TypeVar("Row")
PAGE_SIZE = 50
SHORT_PAGE = 25  # of rows that are tall, or stand beside others
# What leads back and on.
NEWEST_FIRST = ("Newer ones", "Older ones")
OLDEST_FIRST = ("Older ones", "Newer ones")
BY_NAME = ("Previous page", "Next page")
_LARGEST_ID = 2**31 - 1


@dataclass(frozen=True)
class Place:
    """Where in a list: behind the row of one id, or before that of another; at its beginning where
    neither is said, or the row is not there."""

    after: int | None = None
    before: int | None = None

    @classmethod
    def read(cls, after: str | None, before: str | None) -> "Place":
        """As an address says it; what is no id says nothing."""
        return cls(id_in(after), id_in(before))

    @property
    def query(self) -> str:
        """`?after=7`, to stand behind an address; nothing at the beginning."""
        if self.after is not None:
            return f"?after={self.after}"
        return f"?before={self.before}" if self.before is not None else ""


BEGINNING = Place()


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows of a list, and whether there are others on either side."""

    rows: Sequence[Row]
    words: tuple[str, str] = NEWEST_FIRST
    previous: Place | None = None
    next: Place | None = None
    previous_url: str | None = None
    next_url: str | None = None

    @property
    def has_next(self) -> bool:
        return self.next is not None

    @property
    def total(self) -> int | None:
        """How many rows there are; None where they do not all stand here."""
        return None if self.previous or self.next else len(self.rows)

    def linked(self, url: Callable[..., str], prefix: str = "") -> "Page[Row]":
        """The same page with the addresses of its neighbours, as the pagination macro wants it;
        `url` takes `after` or `before`, behind the `prefix` of one of several lists of a page."""
        back, on = self.previous, self.next
        return replace(
            self,
            previous_url=url(**{f"{prefix}before": back.before}) if back else None,
            next_url=url(**{f"{prefix}after": on.after}) if on else None,
        )


def paginate(
    query: sa.Select[*tuple[Any, ...]],
    place: Place,
    *order: Any,
    size: int = PAGE_SIZE,
    words: tuple[str, str] = NEWEST_FIRST,
) -> Page[Any]:
    """The rows of a query behind a place, or before it, in this order: expressions of one direction,
    the last of which is the id that names a row. One statement, and one more where little is left
    before the place, or nothing behind it: then the list is shown from its beginning."""
    key = place.before if place.after is None else place.after
    is_back = place.after is None and key is not None
    rows = _rows(query, order, key, size, is_back=is_back)
    if key is not None and len(rows) < (size if is_back else 1):
        return paginate(query, BEGINNING, *order, size=size, words=words)
    has_more = len(rows) > size
    rows = rows[:size][::-1] if is_back else rows[:size]
    has_previous, has_next = (has_more, True) if is_back else (key is not None, has_more)
    return Page(
        rows,
        words,
        previous=Place(before=_id_of(rows[0])) if has_previous else None,
        next=Place(after=_id_of(rows[-1])) if has_next else None,
    )


def _rows(
    query: sa.Select[*tuple[Any, ...]],
    order: Sequence[Any],
    key: int | None,
    size: int,
    *,
    is_back: bool,
) -> list[Any]:
    """One row more than asked for, where there is one; the other way round where that is back."""
    columns = [_bare(one) for one in order]
    falls = all(_falls(one) for one in order)
    if falls != any(_falls(one) for one in order):
        raise ValueError("a list has one direction")
    if key is not None:
        behind = operators.lt if falls != is_back else operators.gt
        query = query.where(behind(*_sides(columns, key)))
    if is_back:
        falls = not falls
    query = query.order_by(None).order_by(*(one.desc() if falls else one.asc() for one in columns))
    answer = db.session.execute(query.limit(size + 1)).unique()
    return list(answer.all() if len(query.column_descriptions) > 1 else answer.scalars())


def _sides(columns: list[sa.ColumnElement[Any]], key: int) -> tuple[Any, Any]:
    """Where a row stands, and where that of the key does."""
    if len(columns) == 1:
        return columns[0], key
    there = sa.select(*columns).where(columns[-1] == key).correlate(None)
    return sa.tuple_(*columns), there.scalar_subquery()


def _falls(order: sa.ColumnElement[Any]) -> bool:
    return getattr(order, "modifier", None) is operators.desc_op


def _bare(order: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return order.element if isinstance(order, sa.UnaryExpression) and _falls(order) else order


def _id_of(row: Any) -> int:
    """The id of a row, or of the first of several that stand in one."""
    number: int = (row[0] if isinstance(row, sa.Row) else row).id
    return number


def id_in(text: str | None) -> int | None:
    """The number of a row that an address names; None where it can be none."""
    text = text or ""
    is_id = text.isascii() and text.isdecimal() and 0 < int(text[:11]) <= _LARGEST_ID
    return int(text) if is_id and len(text) < 11 else None
