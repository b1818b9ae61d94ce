"""Rows that exist once, whoever writes them first."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite

from store.kit.database import Base, db


def insert_once(model: type[Base], **values: Any) -> int | None:
    """Add a row and return its id; None where any unique constraint says that it is there.

    Where somebody else is just writing the same, waits until that is committed or given up.
    """
    dialect: Any = sqlite if db.session.get_bind().dialect.name == "sqlite" else postgresql
    statement = dialect.insert(model).values(values).on_conflict_do_nothing()
    added: int | None = db.session.scalar(statement.returning(model.__table__.c.id))
    return added
