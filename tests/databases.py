"""The databases of tests: those of one PostgreSQL server, and SQLite's that wait for no disk."""

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from huey.storage import SqliteStorage

import store.app
from store.kit import jobs

# Who is still connected, and who would connect again under the name it had, stays outside.
_RENAME = (
    'ALTER DATABASE "{old}" ALLOW_CONNECTIONS false',
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{old}'",
    'ALTER DATABASE "{old}" RENAME TO "{new}"',
    'ALTER DATABASE "{new}" ALLOW_CONNECTIONS true',
)
# No trigger and no foreign key is asked.
_EMPTY = """
DO $$
DECLARE one text;
BEGIN
  SET LOCAL session_replication_role = replica;
  FOR one IN SELECT tablename FROM pg_tables
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
  LOOP
    EXECUTE format('DELETE FROM %I', one);
  END LOOP;
  PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
    FROM pg_sequences WHERE last_value IS NOT NULL;
END $$
"""
_SHAPE = """
SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
       (SELECT md5(string_agg(concat_ws(' ', relname, attnum, attname, atttypid, atttypmod,
            attnotnull, atthasdef), ',' ORDER BY attrelid, attnum))
          FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
          WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'),
       (SELECT md5(string_agg(concat_ws(' ', conname, convalidated, pg_get_constraintdef(oid)),
            ',' ORDER BY oid))
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
       (SELECT md5(string_agg(concat_ws(' ', tgname, tgenabled), ',' ORDER BY oid))
          FROM pg_trigger),
       (SELECT md5(string_agg(concat_ws(' ', proname, prosrc), ',' ORDER BY oid))
          FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
       (SELECT count(*) FROM pg_db_role_setting
          JOIN pg_database ON pg_database.oid = setdatabase WHERE datname = current_database()),
       (SELECT string_agg(version_num, ' ') FROM alembic_version)
"""


def new_database(server: str, template: str | None = None, clause: str = "") -> str:
    """Create a database on the server; returns its address."""
    name = _new_name()
    clause = f' TEMPLATE "{template}"' if template else f" {clause}"
    _tell(server, f'CREATE DATABASE "{name}"{clause}')
    return _address(server, name)


def copied(server: str, url: str) -> str:
    """A copy of a database that nobody uses; returns its address."""
    # Connections that were closed may not have ended there yet.
    _tell(server, _RENAME[1].format(old=name_of(url)))
    return new_database(server, template=name_of(url))


def _new_name() -> str:
    return f"shop_{uuid.uuid4().hex[:12]}"


def _address(server: str, name: str) -> str:
    base, _, query = server.partition("?")
    return f"{base.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")


def name_of(url: str) -> str:
    """The name of the database at this address."""
    return url.partition("?")[0].rsplit("/", 1)[1]


def drop_database(server: str, url: str) -> None:
    """Remove a database; whatever is still connected to it is cut off."""
    _tell(server, f'DROP DATABASE "{name_of(url)}" WITH (FORCE)')


def _renamed(server: str, url: str) -> str:
    """Give a database another name, with nobody connected to it; returns its new address."""
    old, new = name_of(url), _new_name()
    _tell(server, *(command.format(old=old, new=new) for command in _RENAME))
    return _address(server, new)


def _tell(server: str, *commands: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        for command in commands:
            connection.execute(command)  # type: ignore[arg-type]


class Databases:
    """Migrated, empty databases, one for each test that runs and used again by the next: to copy
    the template and remove the copy takes fifteen times as long as to empty one."""

    def __init__(self, server: str, template: str) -> None:
        self._server = server
        self._template = template
        self._free: list[str] = []
        self._shape: tuple[Any, ...] | None = None

    @contextmanager
    def one(self) -> Iterator[str]:
        """The address of an empty database. What a test built in it (a trigger, a setting) ends it,
        and the next test has it by another name, which what a test left running does not know."""
        url = self._free.pop() if self._free else new_database(self._server, self._template)
        if self._shape is None:
            with psycopg.connect(url, autocommit=True) as connection:
                self._shape = connection.execute(_SHAPE).fetchone()
        yield url
        url = _renamed(self._server, url)
        with psycopg.connect(url, autocommit=True) as connection:
            is_as_before = connection.execute(_SHAPE).fetchone() == self._shape
            if is_as_before:
                connection.execute(_EMPTY)
        if is_as_before:
            self._free.append(url)
        else:
            drop_database(self._server, url)


@contextmanager
def without_disk() -> Iterator[None]:
    """SQLite and the storage of files within this process write as in use, but wait for no disk: no
    test pulls the plug on it. Processes that tests start wait as in use."""
    prepare_engine = store.app.prepare_engine

    def prepare(engine: sa.Engine) -> None:
        prepare_engine(engine)
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _wait_for_no_disk)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.app, "prepare_engine", prepare)
        patch.setattr(os, "fsync", lambda _handle: None)
        patch.setattr(jobs._FileOfBells, "_create_connection", _bells)
        yield


def _bells(storage: SqliteStorage) -> Any:
    """The connection to a file of bells; the first in a folder makes the file."""
    connection = sqlite3.connect(
        storage.filename, timeout=storage._timeout, check_same_thread=False, isolation_level=None
    )
    _wait_for_no_disk(connection, None)
    storage._set_journal_mode(connection)
    return connection


def _wait_for_no_disk(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")
