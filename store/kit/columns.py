"""Column types of ours, and text made of columns, the same on both databases."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


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


def formatted(pattern: str, *values: Any) -> sa.ColumnElement[str]:
    """`pattern.format(*values)` as the database computes it, where values are columns; so that
    Python and SQL spell a key from the same pattern."""
    first, *others = pattern.split("{}")
    text: sa.ColumnElement[str] = sa.literal(first)
    for value, after in zip(values, others, strict=True):
        is_column = isinstance(value, sa.ClauseElement)
        text = text + (sa.cast(value, sa.String(20)) if is_column else str(value))
        text = text + after if after else text
    return text
