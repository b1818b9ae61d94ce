"""The one way in which a status changes: compare, set, and keep a row about it."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, Self

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column, object_session

from store.kit import clock
from store.kit.database import Base, db
from store.kit.happenings import tell_move


class Status(StrEnum):
    """A status that carries its own table of moves."""

    @classmethod
    def moves(cls) -> dict[Self, set[Self]]:
        """From each status, those that may follow it."""
        raise NotImplementedError

    def may_become(self, to: Self) -> bool:
        """Whether the table has the move."""
        return to in self.moves().get(self, set())


class ForbiddenMove(RuntimeError):
    """A move that the table does not have: a mistake of ours, never of a customer."""


class HasStatus(Protocol):
    """A row with an id and a status."""

    @property
    def id(self) -> Any: ...

    status: Any


class StatusChange(Base):
    """One change of one row's status: from, to, when, by whom and why."""

    __tablename__ = "status_changes"
    __table_args__ = (sa.Index("ix_status_changes_entity_id", "entity", "entity_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    entity: Mapped[str] = mapped_column(sa.String(40))
    entity_id: Mapped[int]
    from_status: Mapped[str] = mapped_column(sa.String(20))
    to_status: Mapped[str] = mapped_column(sa.String(20))
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(sa.String(200))
    why: Mapped[str] = mapped_column(sa.Text)


def advance(row: HasStatus, to: Status, *, who: str = "shop", why: str = "") -> bool:
    """Move `row` to `to` if its status is still the one that was read; says whether we won.

    The loser of a race gets False and finds the row refreshed. Raises `ForbiddenMove` for a move
    that the table does not have.
    """
    session = object_session(row)
    if session is None:
        raise RuntimeError("a row outside a session has no status to change")
    session.flush()
    old: Status = row.status
    if not old.may_become(to):
        raise ForbiddenMove(f"{type(row).__name__} {row.id}: {old} → {to}")
    table = sa.inspect(type(row)).local_table
    won = session.execute(
        sa.update(table)
        .where(table.c.id == row.id, table.c.status == old)
        .values(status=to)
        .returning(table.c.id)
    ).first()
    session.refresh(row)
    if won is None:
        return False
    record_change(session, table.name, row.id, old, to, who=who, why=why)
    return True


def record_change(
    session: Session, entity: str, entity_id: int, old: str, new: str, *, who: str, why: str
) -> None:
    """Keep a change that a set-wise statement made."""
    session.add(
        StatusChange(
            entity=entity,
            entity_id=entity_id,
            from_status=str(old),
            to_status=str(new),
            at=clock.now(),
            who=who,
            why=why,
        )
    )
    tell_move(entity, entity_id, str(new), who=who)


def history(**ids: Any) -> list[StatusChange]:
    """What happened to rows, oldest first: `history(orders=[1], refunds=[2, 3])`."""
    wanted = [
        sa.and_(StatusChange.entity == entity, StatusChange.entity_id.in_(some))
        for entity, some in ids.items()
    ]
    query = sa.select(StatusChange).where(sa.or_(*wanted))
    return list(db.session.scalars(query.order_by(StatusChange.at, StatusChange.id)))
