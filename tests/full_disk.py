"""A disk that is full, on both databases, without one: each refuses as it does on a full disk."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from flask import Flask

from store.kit.database import db
from tests.rows import every_table

_FUNCTION = """
CREATE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END
$$"""


@contextmanager
def full_disk(app: Flask) -> Iterator[None]:
    """Inside, whatever is written ends with the database's own error; afterwards there is space.

    SQLite may have no more pages than it has, and each row drags some hundred kB along;
    PostgreSQL raises its class 53100 itself. What was kept of the answer to `/readyz` is forgotten.
    """
    is_sqlite = db.engine.dialect.name == "sqlite"
    tables = [table.name for table in every_table()]
    db.session.remove()
    db.engine.dispose()  # and with it the connection that shared commits keep
    _run(_fill_sqlite(tables) if is_sqlite else _fill_postgresql(tables))
    if is_sqlite:
        sa.event.listen(db.engine, "checkout", _no_more_pages)
    app.extensions.pop("colophon.can_write", None)
    try:
        yield
    finally:
        db.session.remove()
        if is_sqlite:
            sa.event.remove(db.engine, "checkout", _no_more_pages)
        db.engine.dispose()
        app.extensions.pop("colophon.can_write", None)
        _run(_empty_sqlite(tables) if is_sqlite else _empty_postgresql(tables))


def _run(statements: list[str]) -> None:
    """Past the engine, which begins transactions of its own."""
    url = db.engine.url
    if url.drivername.startswith("sqlite"):
        connection: Any = sqlite3.connect(str(url.database), isolation_level=None)
    else:
        address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        connection = psycopg.connect(address, autocommit=True)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def _no_more_pages(connection: Any, *_: object) -> None:
    # Never below what it has: SQLite raises the number to that itself.
    connection.execute("PRAGMA max_page_count = 1")


def _fill_sqlite(tables: list[str]) -> list[str]:
    return ["CREATE TABLE filler (octets BLOB)"] + [
        f"CREATE TRIGGER full_{act}_{table} BEFORE {act} ON {table} BEGIN"
        " INSERT INTO filler VALUES (zeroblob(400000)); END"
        for table in tables
        for act in ("INSERT", "UPDATE")
    ]


def _empty_sqlite(tables: list[str]) -> list[str]:
    acts = ("INSERT", "UPDATE")
    gone = [f"DROP TRIGGER full_{act}_{table}" for table in tables for act in acts]
    return [*gone, "DROP TABLE filler"]


def _fill_postgresql(tables: list[str]) -> list[str]:
    return [_FUNCTION] + [
        f"CREATE TRIGGER full_{table} BEFORE INSERT OR UPDATE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION disk_is_full()"
        for table in tables
    ]


def _empty_postgresql(tables: list[str]) -> list[str]:
    gone = [f"DROP TRIGGER full_{table} ON {table}" for table in tables]
    return [*gone, "DROP FUNCTION disk_is_full"]
