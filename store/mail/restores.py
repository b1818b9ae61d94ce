"""After a restore: no letter leaves, of whatever kind, until a person says so. What waited as the
backup was made may have left since, so it goes marked as possibly sent twice.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db
from store.kit.errors import Refusal
from store.mail import outbox
from store.mail.heartbeats import Heartbeat
from store.mail.models import Attempt, Delivery, DeliveryStatus, Restore, attempts, deliveries

# Why no letter leaves, for monitors.
HELD = "the shop was restored from a backup, and a person has to say that letters may leave"


class NothingHeld(Refusal):
    """No restore keeps the letters."""

    status = 409
    heading = "Nothing is held"
    sentence = "No restore holds the letters back: they leave as they fall due."


@dataclass(frozen=True)
class Waiting:
    """Letters of one kind that leave once a person says so; `twice` of them may have left before."""

    kind: str
    letters: int
    twice: int


def holding() -> Restore | None:
    """The newest restore that still keeps every letter; None where letters leave."""
    query = sa.select(Restore).where(Restore.let_go_at.is_(None)).order_by(Restore.id.desc())
    return db.session.scalars(query.limit(1)).first()


def hold(made_at: datetime, numbers_from: int) -> Restore:
    """Hold every letter of a database from a backup that was made then (UTC)."""
    now = clock.now()
    restore = Restore(made_at=made_at, restored_at=now, numbers_from=numbers_from)
    db.session.add(restore)
    db.session.flush()
    # Workers of another time, and those of them who had claimed letters.
    db.session.execute(sa.delete(Heartbeat))
    cut_off = sa.select(Delivery.id).where(Delivery.status == DeliveryStatus.SENDING)
    db.session.execute(
        sa.update(attempts)
        .where(Attempt.delivery_id.in_(cut_off), Attempt.ended_at.is_(None))
        .values(outcome="unknown", ended_at=now, reply="the database was put back from a backup")
    )
    db.session.execute(
        sa.update(deliveries)
        .where(Delivery.claimed_at.is_not(None))
        .values(status=DeliveryStatus.QUEUED, claimed_by=None, claimed_at=None)
    )
    could_leave = sa.text("status = 'queued' AND claimed_at IS NULL")
    db.session.execute(
        sa.update(deliveries)
        .where(could_leave, Delivery.due_at <= now)
        .values(is_possibly_twice=True)
    )
    return restore


def waiting_letters() -> list[Waiting]:
    """What would leave if a person said so now, the most first."""
    count = sa.func.count().label("letters")
    twice = sa.func.sum(sa.case((Delivery.is_possibly_twice, 1), else_=0))
    is_due = sa.text("status = 'queued' AND claimed_at IS NULL"), Delivery.due_at <= clock.now()
    query = sa.select(Delivery.kind, count, twice).where(*is_due).group_by(Delivery.kind)
    rows = db.session.execute(query.order_by(count.desc(), Delivery.kind))
    return [Waiting(kind, letters, int(doubtful)) for kind, letters, doubtful in rows]


def let_go(who: str) -> list[Restore]:
    """Let letters leave again; the restores that held them. Refuses (`NothingHeld`)."""
    query = sa.select(Restore).where(Restore.let_go_at.is_(None)).order_by(Restore.id)
    held = list(db.session.scalars(query.with_for_update()))
    if not held:
        raise NothingHeld
    for restore in held:
        restore.let_go_at, restore.let_go_by = clock.now(), who
    db.session.flush()
    outbox.wake()
    return held
