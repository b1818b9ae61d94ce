"""Rows of a copy are put into an empty database of the other kind, whose tables stand at the copy's
revision: triggers rest meanwhile, and what they keep is copied as it is; numbers go on behind the
largest one; what points nowhere ends it all. Each is one transaction.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from store.backups.contents import Content, Row, is_ours, tables_of
from store.kit.errors import Refusal

if TYPE_CHECKING:
    import psycopg

_AT_ONCE = 5_000
# The demonstration's tables are made where it may run alone.
_MAY_LACK = "demo_"

Told = Callable[[str, int], None]
Turn = Callable[[Any], Any]


class TableUnknown(Refusal):
    """The copy has a table, or a column, that the shop does not."""


class RowUnfit(Refusal):
    """A value that the other database does not take."""


def fill_sqlite(path: Path, tables: Iterable[Content], tell: Told) -> None:
    """Rows of a PostgreSQL dump into a SQLite file. Refuses (`TableUnknown`, `RowUnfit`)."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("BEGIN IMMEDIATE")
        resting = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in resting:
            connection.execute(f'DROP TRIGGER "{name}"')
        known = tables_of(connection)
        for table in known:
            connection.execute(f'DELETE FROM "{table}"')  # noqa: S608 - the schema's own name
        for one in _known_ones(tables, known):
            tell(one.table, _into_sqlite(connection, one))
        searches = "SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%'"
        for (name,) in connection.execute(searches).fetchall():
            connection.execute(f"INSERT INTO {name}({name}) VALUES ('rebuild')")  # noqa: S608 - the same
        for _, sql in resting:
            connection.execute(sql)
        if lost := connection.execute("PRAGMA foreign_key_check").fetchone():
            raise RowUnfit(f"A row of {lost[0]} points to a row of {lost[2]} that is not there.")
        connection.execute("COMMIT")


def _into_sqlite(connection: sqlite3.Connection, one: Content) -> int:
    found = connection.execute(f'PRAGMA table_info("{one.table}")').fetchall()
    types = {column[1]: str(column[2]).upper().partition("(")[0] for column in found}
    turns = _turns(one, types, _FOR_SQLITE)
    names, places = _named(one.columns), ", ".join("?" * len(one.columns))
    insert = f'INSERT INTO "{one.table}" ({names}) VALUES ({places})'  # noqa: S608 - the same
    count, rows = 0, iter(one.rows)
    while some := list(islice(rows, _AT_ONCE)):
        count += len(some)
        try:
            connection.executemany(insert, _turned(some, turns))
        except (sqlite3.Error, ValueError) as fault:
            raise RowUnfit(f"A row of {one.table} does not fit: {fault}.") from None
    return count


def fill_postgresql(address: str, tables: Iterable[Content], tell: Told) -> None:
    """Rows of a SQLite copy into a PostgreSQL database (libpq's address). Refuses the same."""
    import psycopg  # noqa: PLC0415 - the extra `postgresql`

    # Committed where the block ends well.
    with psycopg.connect(address) as connection:
        known = [name for (name,) in _ask(connection, _TABLES) if is_ours(name)]
        pointing = _ask(connection, _POINTING)
        for table, name, _ in pointing:
            _tell(connection, f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"')
        for table in known:
            _tell(connection, f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
            _tell(connection, f'DELETE FROM "{table}"')  # noqa: S608 - the schema's own name
        for one in _known_ones(tables, known):
            tell(one.table, _into_postgresql(connection, one))
        for table, column, sequence in _ask(connection, _NUMBERED):
            _tell(
                connection,
                f'SELECT setval(\'{sequence}\', max("{column}")) FROM "{table}"'  # noqa: S608 - the same
                " HAVING count(*) > 0",
            )
        for table in known:
            _tell(connection, f'ALTER TABLE "{table}" ENABLE TRIGGER USER')
        for table, name, said in pointing:
            try:
                _tell(connection, f'ALTER TABLE "{table}" ADD CONSTRAINT "{name}" {said}')
            except psycopg.errors.ForeignKeyViolation as fault:
                raise RowUnfit(
                    f"A row of {table} points nowhere: {fault.diag.message_detail}"
                ) from None


_TABLES = """
SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
 ORDER BY relname
"""
_POINTING = """
SELECT relname, conname, pg_get_constraintdef(pg_constraint.oid) FROM pg_constraint
  JOIN pg_class ON pg_class.oid = conrelid
 WHERE contype = 'f' AND connamespace = current_schema()::regnamespace AND relname NOT LIKE 'huey%'
"""
_NUMBERED = """
SELECT table_name, column_name, pg_get_serial_sequence(format('%I', table_name), column_name)
  FROM information_schema.columns
 WHERE table_schema = current_schema() AND table_name NOT LIKE 'huey%'
   AND pg_get_serial_sequence(format('%I', table_name), column_name) IS NOT NULL
"""
_TYPES = """
SELECT column_name, data_type FROM information_schema.columns
 WHERE table_schema = current_schema() AND table_name = %s
"""


def _into_postgresql(connection: "psycopg.Connection[Any]", one: Content) -> int:
    import psycopg  # noqa: PLC0415 - the extra `postgresql`

    turns = _turns(one, dict(connection.execute(_TYPES, (one.table,)).fetchall()), _FOR_POSTGRESQL)
    count = 0
    try:
        with connection.cursor() as cursor:
            said = cast(Any, f'COPY "{one.table}" ({_named(one.columns)}) FROM STDIN')
            with cursor.copy(said) as copy:
                for count, row in enumerate(_turned(one.rows, turns), start=1):  # noqa: B007 - the last
                    copy.write_row(row)
    except (psycopg.DataError, psycopg.IntegrityError) as fault:
        raise RowUnfit(
            f"A row of {one.table} does not fit: {str(fault).splitlines()[0]}."
        ) from None
    return count


def _ask(connection: "psycopg.Connection[Any]", query: str) -> list[Any]:
    return connection.execute(cast(Any, query)).fetchall()


def _tell(connection: "psycopg.Connection[Any]", statement: str) -> None:
    connection.execute(cast(Any, statement))


def _known_ones(tables: Iterable[Content], known: list[str]) -> Iterator[Content]:
    for one in tables:
        if one.table in known:
            yield one
        elif not one.table.startswith(_MAY_LACK):
            raise TableUnknown(
                f"The copy has a table {one.table}, which this version does not know."
            )


def _named(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _turns(one: Content, types: dict[str, str], by_type: dict[str, Turn]) -> list[Turn | None]:
    if unknown := [name for name in one.columns if name not in types]:
        raise TableUnknown(f"{one.table} has no column {unknown[0]} in this version.")
    return [by_type.get(types[name]) for name in one.columns]


def _turned(rows: Iterable[Row], turns: list[Turn | None]) -> Iterator[Row]:
    """Each value in the other database's spelling."""
    for row in rows:
        yield tuple(
            value if turn is None or value is None else turn(value)
            for value, turn in zip(row, turns, strict=True)
        )


def _moment(text: str) -> str:
    # As SQLAlchemy writes it, in UTC and always with six digits: SQLite compares them as text.
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"


_FOR_SQLITE: dict[str, Turn] = {
    "BOOLEAN": lambda text: text == "t",
    "DATETIME": _moment,
    "TIMESTAMP": _moment,
    "INTEGER": int,
    "BIGINT": int,
    "SMALLINT": int,
    "DOUBLE": float,
    "FLOAT": float,
    "REAL": float,
    "NUMERIC": float,
    "BLOB": lambda text: bytes.fromhex(text.removeprefix("\\x")),
}
_FOR_POSTGRESQL: dict[str, Turn] = {
    "boolean": bool,
    "timestamp with time zone": lambda text: f"{text}+00",
    "bytea": bytes,
}
