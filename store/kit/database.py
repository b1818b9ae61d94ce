"""The database: one base for models, moments in UTC, and the one way to write.

Pages read in a plain BEGIN; writing goes through `transaction()`, which on SQLite begins with
BEGIN IMMEDIATE, so that two writers queue instead of failing half-way.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Session, registry

from store.kit.columns import UtcDateTime
from store.kit.engine import WRITES


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


def insert_into(model: type[Base]) -> Any:
    """The INSERT of our database's own dialect, which knows ON CONFLICT."""
    dialect: Any = sqlite if db.engine.dialect.name == "sqlite" else postgresql
    return dialect.insert(model)


def insert_once(model: type[Base], **values: Any) -> int | None:
    """Add a row and return its id; None where any unique constraint says that it is there.

    Where somebody else is just writing the same, waits until that is committed or given up.
    """
    statement = insert_into(model).values(values).on_conflict_do_nothing()
    added: int | None = db.session.scalar(statement.returning(model.__table__.c.id))
    return added


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
