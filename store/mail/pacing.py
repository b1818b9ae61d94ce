"""The pace: one row that all workers of all machines share."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from store.kit import clock
from store.mail.models import Pace


def take_slot(session: Session, rate: float) -> datetime:
    """Reserve the next moment at which a letter may leave, at `rate` letters a second."""
    now = clock.now()
    step = timedelta(seconds=1 / rate)
    session.execute(_insert_first(session, now))
    row = session.execute(sa.select(Pace).where(Pace.id == 1).with_for_update()).scalar_one()
    slot = max(row.next_at, now)
    row.next_at = slot + step
    session.flush()
    return slot


def _insert_first(session: Session, now: datetime) -> Any:
    dialect: Any = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    return dialect.insert(Pace).values(id=1, next_at=now).on_conflict_do_nothing()
