"""What stands in the copy of a database: table by table, row by row, whichever database it was.

Values are as the copy spells them: what SQLite's driver gives, or the text that COPY writes.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from store.backups.programs import Programs

Row = tuple[Any, ...]
# Made by the database itself, by the bell or by a search; none of them is the shop's.
_NOT_OURS = ("sqlite_", "huey_", "search_", "alembic_version")
_COPY = re.compile(r"COPY (?:\S+\.)?(\S+) \((.*)\) FROM stdin;")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True)
class Content:
    """One table; its rows are read once, before the next table is asked for."""

    table: str
    columns: tuple[str, ...]
    rows: Iterable[Row]


def is_ours(table: str) -> bool:
    """Whether a table is copied."""
    return not table.startswith(_NOT_OURS)


@contextmanager
def contents(path: Path, kind: str, programs: Programs) -> Iterator[Iterator[Content]]:
    """The tables of a copy of this kind (`sqlite` or `postgresql`)."""
    if kind == "sqlite":
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            yield _of_sqlite(connection)
    else:
        with programs.rows(path) as lines:
            yield _of_dump(lines)


def tables_of(connection: sqlite3.Connection) -> list[str]:
    """The tables of a SQLite database that are copied, by name."""
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    return [name for (name,) in connection.execute(query) if is_ours(name)]


def _of_sqlite(connection: sqlite3.Connection) -> Iterator[Content]:
    for table in tables_of(connection):
        found = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - the schema's own name
        yield Content(table, tuple(column[0] for column in found.description), found)


def _of_dump(lines: IO[bytes]) -> Iterator[Content]:
    for line in lines:
        if found := _COPY.fullmatch(line.decode().rstrip("\n")):
            table = found[1].strip('"')
            columns = tuple(name.strip('"') for name in found[2].split(", "))
            rows = _copied(lines)
            if is_ours(table):
                yield Content(table, columns, rows)
            for _ in rows:
                pass


def _copied(lines: IO[bytes]) -> Iterator[Row]:
    for line in lines:
        text = line.decode()
        if text == "\\.\n":
            return
        # A line without a backslash is most of them.
        cells = text[:-1].split("\t")
        yield tuple(map(_value, cells)) if "\\" in text else tuple(cells)


def _value(cell: str) -> str | None:
    if cell == "\\N":
        return None
    return (
        _ESCAPED.sub(lambda found: _MEANT.get(found[1], found[1]), cell) if "\\" in cell else cell
    )
