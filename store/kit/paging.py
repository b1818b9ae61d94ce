"""Long lists, a page at a time, with the same few statements however long they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import sqlalchemy as sa

from store.kit.database import db

Row = TypeVar("Row")
PAGE_SIZE = 50
SHORT_PAGE = 25  # of rows that are tall, or stand beside others
# Beyond this nobody needs the exact number, and counting would grow with the list.
COUNTED_ROWS = 1_000


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows of a list. `total` and `pages` are None where there are more than are counted."""

    rows: Sequence[Row]
    number: int
    pages: int | None
    total: int | None
    size: int = PAGE_SIZE
    has_next: bool = False
    previous_url: str | None = None
    next_url: str | None = None

    @property
    def first(self) -> int:
        """The place of the first row shown, counted from 1; 0 on an empty list."""
        return (self.number - 1) * self.size + 1 if self.rows else 0

    @property
    def last(self) -> int:
        """The place of the last row shown."""
        return self.first + len(self.rows) - 1 if self.rows else 0

    def linked(self, url: Callable[[int], str]) -> "Page[Row]":
        """The same page with the addresses of its neighbours, as the pagination macro wants it."""
        return replace(
            self,
            previous_url=url(self.number - 1) if self.number > 1 else None,
            next_url=url(self.number + 1) if self.has_next else None,
        )


def paginate(query: sa.Select[Row], number: int = 1, size: int = PAGE_SIZE) -> Page[Row]:
    """The rows of page `number` (from 1) of an ordered query: one statement that counts as far as
    `COUNTED_ROWS` or this page, one for the rows."""
    number = min(max(1, number), 1_000_000)
    most = max(COUNTED_ROWS, number * size)
    bare = query.order_by(None).with_only_columns(
        sa.literal(1).label("one"), maintain_column_froms=True
    )
    some = bare.limit(most + 1).subquery()
    count = db.session.scalar(sa.select(sa.func.count()).select_from(some)) or 0
    rows = db.session.scalars(query.limit(size).offset((number - 1) * size)).unique().all()
    return Page(
        rows=rows,
        number=number,
        pages=max(1, -(-count // size)) if count <= most else None,
        total=count if count <= most else None,
        size=size,
        has_next=count > number * size,
    )
