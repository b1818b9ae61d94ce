"""The letters of a batch as a whole: in which column of its account each stands; held back, and let go."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from store.kit.database import db
from store.kit.status import advance
from store.mail import outbox, rests
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus, open_letters, stands_at

LEFT_OUT = "left_out"
COLUMNS = {
    DeliveryStatus.SENT: "handed_over",
    DeliveryStatus.QUEUED: "waiting",
    DeliveryStatus.SENDING: "waiting",
    DeliveryStatus.HELD: "held",
    DeliveryStatus.FAILED: "undeliverable",
    DeliveryStatus.BOUNCED: "came_back",
    DeliveryStatus.SKIPPED: LEFT_OUT,
}


def in_columns(
    letters: Iterable[tuple[DeliveryStatus, str, int]],
) -> tuple[dict[str, Any], dict[str, int]]:
    """Letters by status and reason as people in columns, and who was left out by the reason."""
    columns: dict[str, Any] = {}
    left_out: dict[str, int] = {}
    for status, reason, people in letters:
        into, name = (
            (left_out, reason) if status == DeliveryStatus.SKIPPED else (columns, COLUMNS[status])
        )
        into[name] = into.get(name, 0) + people
    return columns, left_out


def stands_in(column: str) -> sa.ColumnElement[bool]:
    """Whether a letter of a batch stands in a column, by an index wherever few do."""
    if column == "handed_over":
        return Delivery.status == DeliveryStatus.SENT
    statuses = [status for status, name in COLUMNS.items() if name == column]
    if DeliveryStatus.QUEUED in statuses:
        is_open = Delivery.id.in_(open_letters(Delivery.id))
        return sa.and_(Delivery.status.in_(statuses), is_open)
    return stands_at(statuses[0])


def pause(batch: Batch, who: str, why: str) -> bool:
    """Hold the letters that have not left, until `resume`; False where none were on their way."""
    if batch.status is not BatchStatus.RUNNING:
        return False
    if not advance(batch, BatchStatus.PAUSED, who=who, why=why):
        return False
    batch.pause_reason = why
    db.session.flush()
    return True


def resume(batch: Batch, who: str) -> bool:
    """Let paused letters go on; False where they are not paused."""
    if batch.status is not BatchStatus.PAUSED:
        return False
    if not advance(batch, BatchStatus.RUNNING, who=who):
        return False
    batch.pause_reason = ""
    db.session.flush()
    rests.try_now(db.session())
    outbox.wake()
    return True
