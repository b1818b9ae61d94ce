"""What a database was told meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from store.kit.database import db


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements of this application's engine, in order."""
    told: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        told.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield told
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)
