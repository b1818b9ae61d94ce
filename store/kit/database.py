"""The database: one base for models, moments in UTC, and the one way to write.

Pages read in a plain BEGIN; writing goes through `transaction()`, which on SQLite begins with
BEGIN IMMEDIATE, so that two writers queue instead of failing half-way.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.orm import DeclarativeBase, Session, registry
from sqlalchemy.types import TypeDecorator

LOCK_PATIENCE_SECONDS = 15.0
WRITES = "colophon_writes"


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware and in UTC on the way in and out, whatever the server's zone is."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy passes it by name
    ) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """What every model inherits; names of constraints are fixed, so that migrations find them."""

    registry = registry(
        metadata=sa.MetaData(
            naming_convention={
                "ix": "ix_%(table_name)s_%(column_0_N_name)s",
                "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                "ck": "ck_%(table_name)s_%(constraint_name)s",
                "fk": "fk_%(table_name)s_%(column_0_name)s",
                "pk": "pk_%(table_name)s",
            }
        ),
        type_annotation_map={datetime: UtcDateTime, dict[str, Any]: sa.JSON, list[Any]: sa.JSON},
    )


db = SQLAlchemy(model_class=Base)


def status_type(enum: type[StrEnum]) -> sa.Enum:
    """An enum as text with a check constraint, the same on both databases."""
    return sa.Enum(
        enum,
        name=enum.__name__.lower(),
        native_enum=False,
        create_constraint=True,
        length=20,
        values_callable=lambda members: [m.value for m in members],
    )


class NestedTransaction(RuntimeError):
    """A transaction was begun inside another: the door commits, the rules below never do."""


@contextmanager
def transaction() -> Iterator[Session]:
    """Write: ends any open read, begins for writing, commits at the end or rolls all back.

    What `after_commit` collected meanwhile is called once the commit stands.
    """
    session = db.session()
    if session.info.get("writing"):
        raise NestedTransaction("transaction() inside transaction()")
    session.rollback()
    session.info.update(writing=True, after_commit=[])
    try:
        session.connection(execution_options={WRITES: True})
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        session.info["after_commit"] = []
        raise
    finally:
        session.info["writing"] = False
    for call in session.info.pop("after_commit"):
        call()


def after_commit(call: Callable[[], None]) -> None:
    """Run `call` once the open transaction is committed; at once where none is open."""
    info = db.session().info
    if info.get("writing"):
        info["after_commit"].append(call)
    else:
        call()


def end_read() -> None:
    """Give the connection back before waiting for somebody else's server."""
    db.session.remove()


def prepare_engine(engine: sa.Engine) -> None:
    """Fit a new engine with what its database needs."""
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)


def engine_options(url: str) -> dict[str, Any]:
    """Arguments of create_engine for this address; errors do not quote the values, which are people's."""
    if url.startswith("sqlite"):
        # Autocommit in the driver: BEGIN is ours, by the event below.
        return {"hide_parameters": True, "connect_args": {"isolation_level": None, "timeout": 0}}
    return {"hide_parameters": True, "pool_pre_ping": True, "pool_size": 10, "max_overflow": 20}


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in (
        f"busy_timeout = {int(LOCK_PATIENCE_SECONDS * 1000)}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    if not connection.get_execution_options().get(WRITES):
        connection.exec_driver_sql("BEGIN")
        return
    # SQLite's own busy handler sleeps longer and longer, and a page starves behind workers that
    # lock again at once; asking each millisecond keeps the worst wait short.
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    try:
        _ask_for_lock(connection)
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(LOCK_PATIENCE_SECONDS * 1000)}")


def _ask_for_lock(connection: Connection) -> None:
    deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
    while True:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except sa.exc.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.001)
        else:
            return
