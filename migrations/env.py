"""Alembic through Flask-Migrate; on SQLite with foreign keys off and a `foreign_key_check` before the
commit. Downgrades are for development."""

import re
from typing import Any

import sqlalchemy as sa
from alembic import context
from flask import current_app

from store.kit.config import config
from store.kit.engine import WRITES
from store.kit.numbers import begin_at
from store.payments.gateways.demo import make_tables

DROPS = re.compile(r'DROP TABLE "?(\w+)"?')
RENAMES = re.compile(r'ALTER TABLE "?_alembic_tmp_\w+"? RENAME TO "?(\w+)"?')
target = current_app.extensions["migrate"].db
engine: sa.Engine = target.engine


def render_item(kind: str, item: object, _context: object) -> str | bool:
    """Write our own column type as what it is in the database: migrations outlive our modules."""
    if kind == "type" and type(item).__name__ == "UtcDateTime":
        return "sa.DateTime(timezone=True)"
    return False


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Leave alone what others make by themselves, the bell's queue and the demonstration, and what
    no model knows: the tables and indexes of searches."""
    others = {"table": ("huey_", "demo_", "search_"), "index": ("ix_search_",)}
    return not (name or "").startswith(others.get(kind, ()) or ("\0",))


def keep_triggers(connection: sa.Connection) -> None:
    """A batch change of a table copies it, drops it and gives the copy its name: what SQLite drops
    along with it, its triggers, is made again."""
    kept: dict[str, list[str]] = {}

    @sa.event.listens_for(connection, "before_cursor_execute")
    def note(_connection: object, cursor: Any, statement: str, *_rest: object) -> None:
        if found := DROPS.fullmatch(statement.strip()):
            query = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
            kept[found[1]] = [row[0] for row in cursor.execute(query, (found[1],)).fetchall()]

    @sa.event.listens_for(connection, "after_cursor_execute")
    def make(_connection: object, cursor: Any, statement: str, *_rest: object) -> None:
        if found := RENAMES.fullmatch(statement.strip()):
            for sql in kept.pop(found[1], []):
                cursor.execute(sql)


def keep_numbers(connection: sa.Connection) -> None:
    """A table that was copied has lost account of its numbers, of which a restore lets none be given
    twice."""
    if sa.inspect(connection).has_table("restores"):
        query = "SELECT max(numbers_from) FROM restores"
        if (floor := connection.exec_driver_sql(query).scalar()) is not None:
            begin_at(connection, floor)


def run() -> None:
    # What still writes is waited for, on SQLite too, instead of meeting it half-way.
    with engine.connect().execution_options(**{WRITES: True}) as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if is_sqlite:
            # A batch change copies and drops tables; with foreign keys on, the drop would reach
            # the rows that point there. The pragma does nothing inside a transaction.
            driver = connection.connection.driver_connection
            driver.execute("PRAGMA foreign_keys = OFF")
            keep_triggers(connection)
        context.configure(
            connection=connection,
            target_metadata=target.metadatas[None],
            render_as_batch=is_sqlite,
            render_item=render_item,
            include_name=include_name,
            compare_type=True,
            transaction_per_migration=False,
            transactional_ddl=True,  # SQLite's too, since the driver leaves BEGIN to us
        )
        try:
            with context.begin_transaction():
                context.run_migrations()
                heads = context.get_context().get_current_heads()
                if set(heads) == set(context.script.get_heads()) and config().env != "production":
                    make_tables(connection)
                if is_sqlite:
                    keep_numbers(connection)
                    faults = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
                    if faults:
                        raise RuntimeError(f"rows would point nowhere: {faults[:5]}")
        finally:
            if is_sqlite:
                driver.execute("PRAGMA foreign_keys = ON")


run()
