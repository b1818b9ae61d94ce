"""How a database goes about statements: by an index, or by a look at every row."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from store.kit.database import db


@dataclass
class Plans:
    """The statements that named the tables, and the steps that looked at every row of one."""

    statements: list[str] = field(default_factory=list)
    of_all_rows: list[str] = field(default_factory=list)


@contextmanager
def plans(*tables: str) -> Iterator[Plans]:
    """What is read and changed meanwhile of these tables."""
    seen = Plans()
    is_sqlite = db.engine.dialect.name == "sqlite"
    named = re.compile(rf"\b({'|'.join(tables)})\b")
    # A whole walk along an index is one, too, unless the index holds few rows.
    few = "|".join(
        str(index.name)
        for table in tables
        for index in db.metadata.tables[table].indexes
        if index.dialect_options["sqlite"]["where"] is not None
    )
    few_alone = rf"(?!.*INDEX ({few}))" if few else ""
    looks_at_all = re.compile(rf"(SCAN|Seq Scan on) ({'|'.join(tables)})(_\d+)?\b{few_alone}")

    def explain(_c: Any, cursor: Any, statement: str, given: Any, *_rest: Any) -> None:
        if not named.search(statement) or statement.startswith(("EXPLAIN", "INSERT")):
            return
        how = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
        seen.statements.append(statement)
        if not is_sqlite:  # which reads a table of few rows as a whole, whatever its indexes
            cursor.execute("SET LOCAL enable_seqscan = off")
        lines = [str(row[-1]) for row in cursor.execute(how + statement, given).fetchall()]
        seen.of_all_rows += [line for line in lines if looks_at_all.search(line)]

    sa.event.listen(db.engine, "before_cursor_execute", explain)
    try:
        yield seen
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", explain)
