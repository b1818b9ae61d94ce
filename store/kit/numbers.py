"""The numbers of rows after a database was put back from a backup: none is given a second time.

What was given since the backup stands on old pages, in the metadata of payments and in the heads of
letters. So each table goes on far above all that it can have reached.
"""

from typing import Any

import sqlalchemy as sa

from store.kit.database import Base

# More rows than any table gets between two backups, and few enough for fifty restores within the
# nine digits that a number may have at a gateway.
STEP = 10_000_000

_KEY = "PRIMARY KEY (id)"
_KEPT = "PRIMARY KEY (id AUTOINCREMENT)"


def next_floor(connection: sa.Connection) -> int:
    """The first number that no table of a database can have reached since its backup."""
    highest = max(_highest(connection, table) for table in _numbered(connection))
    return (highest // STEP + 1) * STEP


def begin_at(connection: sa.Connection, floor: int) -> None:
    """Every number of a row from now on is `floor` or above it. Safe many times; called inside a
    transaction that writes."""
    if connection.dialect.name == "sqlite":
        _begin_sqlite_at(connection, floor)
        return
    for table in _numbered(connection):
        sequence = sa.func.pg_get_serial_sequence(table, "id")
        last = connection.execute(sa.select(sa.func.pg_sequence_last_value(sequence))).scalar()
        if (last or 0) < floor - 1:
            connection.execute(sa.select(sa.func.setval(sequence, floor - 1)))


def _numbered(connection: sa.Connection) -> list[str]:
    """The tables whose rows the database numbers."""
    there = set(sa.inspect(connection).get_table_names())
    return sorted(
        name
        for name, table in Base.metadata.tables.items()
        if name in there
        and [column.name for column in table.primary_key] == ["id"]
        and isinstance(table.columns.id.type, sa.Integer)
    )


def _highest(connection: sa.Connection, table: str) -> int:
    row = sa.table(table, sa.column("id"))
    return connection.execute(sa.select(sa.func.max(row.c.id))).scalar() or 0


def _begin_sqlite_at(connection: sa.Connection, floor: int) -> None:
    """SQLite goes on behind the highest row that is there, unless the table keeps account
    (AUTOINCREMENT). That is a word in the schema and changes no row, so it may be written there
    (https://sqlite.org/lang_altertable.html, "Making other kinds of table schema changes")."""
    driver: Any = connection.connection.driver_connection
    tables = _numbered(connection)
    # Makes the table of accounts.
    driver.execute("CREATE TABLE numbers_begin (id INTEGER PRIMARY KEY AUTOINCREMENT)")
    driver.execute("DROP TABLE numbers_begin")
    version = driver.execute("PRAGMA schema_version").fetchone()[0]
    driver.execute("PRAGMA writable_schema = ON")
    try:
        for table in tables:
            driver.execute(
                "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = ?",
                (_KEY, _KEPT, table),
            )
        # Every connection reads the schema again.
        driver.execute(f"PRAGMA schema_version = {version + 1}")
    finally:
        driver.execute("PRAGMA writable_schema = OFF")
    for table in tables:
        told = driver.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        if told is None:
            driver.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, floor - 1))
        elif told[0] < floor - 1:
            driver.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (floor - 1, table))
