"""The database: one base for models, our types of columns, and the one way to write.

Pages read in a plain BEGIN; writing goes through `transaction()`, which on SQLite begins with
BEGIN IMMEDIATE, so that two writers queue instead of failing half-way.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache, reduce
from operator import add
from typing import Any, cast

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Session, registry
from sqlalchemy.types import TypeDecorator

from store.kit.engine import WRITES


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

_alongside: ContextVar[Callable[[], bool] | None] = ContextVar("alongside", default=None)

# `{}` or `{:010}`.
_FIELDS = re.compile(r"\{(?::(0\d+))?\}")


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
        _write_alongside()
        session.commit()
    except BaseException:
        session.rollback()
        session.info["after_commit"] = []
        raise
    finally:
        session.info["writing"] = False
    for call in session.info.pop("after_commit"):
        call()


@contextmanager
def alongside(write: Callable[[], bool]) -> Iterator[None]:
    """For a rule that opens its own transactions: at the end of each `write` is called, until it
    says that it has written; what it writes is committed with the rest."""
    token = _alongside.set(write)
    try:
        yield
    finally:
        _alongside.reset(token)


def _write_alongside() -> None:
    write = _alongside.get()
    if write is not None and write():
        _alongside.set(None)


def one_look() -> Connection:
    """A connection to read from by one statement, whose answer is of one moment; the session, with
    all that it keeps account of, costs half as much again. Close it (`with`) before anything else
    is asked: no door holds two."""
    return db.engine.connect()


class DriverQuery:
    """A reading statement that is said to the driver itself, its text made once: SQLAlchemy costs a
    short one three times what the database does. For what is asked at each request; its rows come
    as the driver hands them over."""

    def __init__(self, statement: sa.Select[Any]) -> None:
        self.statement = statement
        self._said: dict[str, _Said] = {}

    def rows(self, **values: Any) -> list[tuple[Any, ...]]:
        """The rows of now, by these values of what it leaves open. As with `one_look`, no door holds
        another connection meanwhile."""
        dialect = db.engine.dialect
        said = self._said.get(dialect.name)
        if said is None:
            said = self._said[dialect.name] = _said_to(dialect, self.statement, values)
        bound = said.constants | {name: said.write[name](value) for name, value in values.items()}
        given: Any = bound if said.order is None else tuple(bound[name] for name in said.order)
        driver = db.engine.raw_connection()
        try:
            cursor = driver.cursor()
            cursor.execute(said.text, given)
            return list(cursor.fetchall())
        except cast(Any, dialect).dbapi.Error:
            # Asked once more below, where a fault is told in words that all know, and a connection
            # that is dead leaves the pool.
            pass
        finally:
            driver.close()
        with one_look() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(said.text, given)]


@dataclass(frozen=True)
class _Said:
    """A statement for one kind of driver; `order` of what it binds, where that goes by place."""

    text: str
    order: list[str] | None
    write: dict[str, Callable[[Any], Any]]
    constants: dict[str, Any]


def _said_to(dialect: Dialect, statement: sa.Select[Any], example: Mapping[str, Any]) -> _Said:
    made: Any = statement.compile(dialect=dialect)
    whole = made.construct_expanded_state(example)
    write = {name: _writer(bind.type, dialect) for name, bind in made.binds.items()}
    constants = {
        name: write[name](value) for name, value in whole.parameters.items() if name not in example
    }
    return _Said(whole.statement, whole.positiontup, write, constants)


def _writer(kind: sa.types.TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any]:
    return kind.dialect_impl(dialect).bind_processor(dialect) or (lambda value: value)


def one_write(**options: float) -> AbstractContextManager[Connection]:
    """The same to write: a transaction of its own. Refuses (`NestedTransaction`) inside another."""
    give_connection_back()
    return db.engine.execution_options(**({WRITES: True} | options)).begin()


def give_connection_back() -> None:
    """A thread that holds one connection and waits for a second starves all the others. Refuses
    (`NestedTransaction`) where the session writes."""
    if not db.session.registry.has():
        return
    session = db.session()
    if session.info.get("writing"):
        raise NestedTransaction("another transaction inside transaction()")
    session.rollback()


def insert_into(model: type[Base]) -> Any:
    """The INSERT of our database's own dialect, which knows ON CONFLICT."""
    dialect: Any = sqlite if db.engine.dialect.name == "sqlite" else postgresql
    return dialect.insert(model)


def insert_once(model: type[Base], **values: Any) -> int | None:
    """Add a row and return its id; None where any unique constraint says that it is there.

    Where somebody else is just writing the same, waits until that is committed or given up.
    """
    session = db.session()
    session.flush()  # what it refers to may wait there
    return insert_once_by(session.connection(), model, values)


def insert_once_by(
    connection: Connection, model: type[Base], values: Mapping[str, Any]
) -> int | None:
    """The same over a connection that writes."""
    statement = _inserts_once(model, connection.dialect.name)
    added: int | None = connection.execute(statement, values).scalar()
    return added


@lru_cache(maxsize=64)
def _inserts_once(model: type[Base], _dialect: str) -> Any:
    return insert_into(model).on_conflict_do_nothing().returning(model.__table__.c.id)


def take_turn(name: str) -> None:
    """Wait until every other transaction that took the turn of this name has ended, and hold it
    until this one does: for what has no row yet that could be locked. Take it before any row.

    On SQLite who writes has it already.
    """
    if db.engine.dialect.name == "postgresql":
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def after_commit(call: Callable[[], None]) -> None:
    """Run `call` once the open transaction is committed; at once where none is open."""
    info = db.session().info
    if info.get("writing"):
        info["after_commit"].append(call)
    else:
        call()


def end_read() -> None:
    """Give the connection back before waiting for somebody else's server; one that was lost
    meanwhile is let go."""
    try:
        db.session.remove()
    except sa.exc.DBAPIError:
        db.session().invalidate()
        db.session.remove()


def end_repeated_read() -> None:
    """The same for a read that a worker repeats: ended by a commit on PostgreSQL, as psycopg forgets
    at each rollback what the server has planned, and to plan these costs more than to run them.
    Only where nothing was written."""
    if db.session.registry.has() and db.engine.dialect.name == "postgresql":
        session = db.session()
        if session.in_transaction() and not session.info.get("writing"):
            # Of a connection that is lost there is nothing to end.
            with suppress(sa.exc.SQLAlchemyError, cast(Any, db.engine.dialect).dbapi.Error):
                driver: Any = session.connection().connection.driver_connection
                driver.commit()
    end_read()


def is_listed(
    column: sa.Column[Any] | InstrumentedAttribute[Any], name: str
) -> sa.ColumnElement[bool]:
    """Whether it is one of the values bound to `name`; on PostgreSQL they are one array, so that the
    text is the same, and its plan kept, however many they are. Build what has it once for each
    database."""
    if db.engine.dialect.name == "postgresql":
        values = sa.bindparam(name, type_=postgresql.ARRAY(column.type))
        return column == sa.any_(values)
    return column.in_(sa.bindparam(name, expanding=True))


def status_type(enum: type[StrEnum], *, is_checked: bool = True) -> sa.Enum:
    """An enum as text with a check constraint, the same on both databases; else with `one_of`."""
    return sa.Enum(
        enum,
        name=enum.__name__.lower(),
        native_enum=False,
        create_constraint=is_checked,
        length=20,
        values_callable=lambda members: [m.value for m in members],
    )


def one_of(column: str, enum: type[StrEnum]) -> sa.CheckConstraint:
    """The same check, for tables that are written by the hundred thousand: where a check says IN,
    SQLite makes a table of the words for each row, which took a fifth of a release."""
    words = " OR ".join(f"{column} = '{member.value}'" for member in enum)
    return sa.CheckConstraint(words, name=enum.__name__.lower())


def written_out(value: str | int) -> sa.ColumnElement[Any]:
    """A constant of our own in the statement itself: each value that is bound is handled at each
    execution."""
    return sa.literal_column(f"'{value}'" if isinstance(value, str) else str(value))


def formatted(pattern: str, *values: Any) -> sa.ColumnElement[str]:
    """`pattern.format(*values)` as the database computes it, where values are columns; so that
    Python and SQL spell a key from the same pattern. It knows `{}`, and `{:010}` for
    numbers of at most so many digits."""
    said, *others = _FIELDS.split(pattern)
    columns: list[sa.ColumnElement[str]] = []
    for value, width, after in zip(values, others[::2], others[1::2], strict=True):
        if isinstance(value, sa.ClauseElement):
            # What is known here is one literal, however many pieces it comes in.
            columns += [sa.literal(said), _spelled(value, int(width or 0))]
            said = after
        else:
            said += f"{{:{width or ''}}}".format(value) + after
    return reduce(add, [*columns, sa.literal(said)] if said else columns)


def _spelled(value: Any, width: int) -> sa.ColumnElement[str]:
    if not width:
        return sa.cast(value, sa.String(20))
    # Both databases count in 64 bits here, and neither pads in the words of the other.
    with_one_before = sa.literal(10**width, sa.BigInteger) + value
    return sa.func.substr(sa.cast(with_one_before, sa.String(20)), 2)
