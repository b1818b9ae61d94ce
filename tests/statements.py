"""What a database was told meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from store.kit.database import DriverQuery, db


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements of this application's engine, in order, those to the driver itself among them."""
    told: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        told.append(statement)

    real = DriverQuery.rows

    def rows(query: DriverQuery, **values: Any) -> list[tuple[Any, ...]]:
        told.append(str(query.statement))
        return real(query, **values)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    DriverQuery.rows = rows  # type: ignore[method-assign]
    try:
        yield told
    finally:
        DriverQuery.rows = real  # type: ignore[method-assign]
        sa.event.remove(db.engine, "before_cursor_execute", note)
