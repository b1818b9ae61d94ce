"""Every cell of every table of moves: the move is made and kept, or refused and nothing changes."""

from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from store.kit.database import db, transaction
from store.kit.status import ForbiddenMove, Status, StatusChange, advance
from tests.test_architecture import STATES
from tests.test_migrations import fill


def _model(status: type[Status]) -> type[Any]:
    """The model whose status is of this kind."""
    (found,) = [
        mapper.class_
        for mapper in db.Model.registry.mappers
        if "status" in mapper.columns
        and getattr(mapper.columns["status"].type, "enum_class", None) is status
    ]
    return found


def _set(model: type[Any], status: Status) -> None:
    """The one row stands at this status, and nothing is kept of how it came there."""
    with transaction() as session:
        session.execute(sa.update(model).values(status=status))
        session.execute(sa.delete(StatusChange))


def _try(model: type[Any], to: Status) -> tuple[str, list[tuple[str, ...]]]:
    with transaction() as session:
        row = session.get_one(model, 1)
        with suppress(ForbiddenMove):
            assert advance(row, to, who="Olga", why="a test") is True
        session.flush()
        kept = session.execute(
            sa.select(
                StatusChange.entity,
                StatusChange.from_status,
                StatusChange.to_status,
                StatusChange.who,
                StatusChange.why,
            )
        )
        return str(row.status), [tuple(one) for one in kept]


@pytest.mark.parametrize("entity", STATES)
def test_every_move_is_made_or_refused_as_its_table_says(app: Flask, entity: str) -> None:
    status = STATES[entity]
    model = _model(status)
    fill()
    wrong = []
    for old in status:
        for new in status:
            _set(model, old)
            stands, kept = _try(model, new)
            made = (str(new), [(model.__tablename__, str(old), str(new), "Olga", "a test")])
            refused = (str(old), [])
            if (stands, kept) != (made if new in status.moves().get(old, set()) else refused):
                wrong.append(f"{old} → {new}: {stands}, {kept}")
    assert wrong == []


@pytest.mark.parametrize("entity", STATES)
def test_no_status_leads_to_itself_and_each_can_be_reached_or_begins(entity: str) -> None:
    status = STATES[entity]
    moves = status.moves()
    assert [old for old in status if old in moves.get(old, set())] == []
    reached = set().union(*moves.values())
    assert [one for one in status if one not in reached | {next(iter(status))}] == []
