"""The letters of a change of a date as their account shows them; paused, and set going again."""

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from store.catalog.models import DateMove
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.paging import BEGINNING, OLDEST_FIRST, SHORT_PAGE, Page, Place, paginate
from store.kit.status import advance
from store.mail import outbox, rests
from store.mail.models import BatchStatus, Delivery, DeliveryStatus
from store.payments.date_moves import batch_of_move

COLUMNS = {
    "handed_over": (DeliveryStatus.SENT,),
    "waiting": (DeliveryStatus.QUEUED, DeliveryStatus.SENDING),
    "held": (DeliveryStatus.HELD,),
    "undeliverable": (DeliveryStatus.FAILED,),
    "came_back": (DeliveryStatus.BOUNCED,),
    "left_out": (DeliveryStatus.SKIPPED,),
}


class NotSending(Refusal):
    """No letters are on their way that could be paused."""

    sentence = "No letters about this date are being sent."


class NotPaused(Refusal):
    """Nothing to go on with."""

    sentence = "The letters about this date are not paused."


@dataclass(frozen=True)
class Account:
    """Customers in numbers, each in one column; those left out by reason, too."""

    status: BatchStatus
    pause_reason: str
    columns: dict[str, int]
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Everybody whom the change concerned."""
        return sum(self.columns.values())

    @property
    def is_going(self) -> bool:
        """Whether letters leave at this moment."""
        return self.status is BatchStatus.RUNNING and self.columns["waiting"] > 0


def account_of(move: DateMove) -> Account:
    """How far the letters of a change have come, in one statement however many."""
    batch = batch_of_move(move)
    counted: Any = db.session.execute(
        sa.select(Delivery.status, Delivery.reason, sa.func.count())
        .where(Delivery.batch_id == batch.id)
        .group_by(Delivery.status, Delivery.reason)
    ).all()
    columns = {
        name: sum(people for status, _, people in counted if status in statuses)
        for name, statuses in COLUMNS.items()
    }
    reasons = {
        reason: people for status, reason, people in counted if status is DeliveryStatus.SKIPPED
    }
    return Account(batch.status, batch.pause_reason, columns, reasons)


def letters_in(move: DateMove, column: str, place: Place = BEGINNING) -> Page[Delivery]:
    """The letters of one column of a change, a part at a time."""
    batch = batch_of_move(move)
    query = sa.select(Delivery).where(
        Delivery.batch_id == batch.id, Delivery.status.in_(COLUMNS[column])
    )
    return paginate(query, place, Delivery.id, size=SHORT_PAGE, words=OLDEST_FIRST)


def pause(move: DateMove, who: str) -> None:
    """Hold the letters that have not left, until `resume`. Refuses `NotSending`."""
    batch = batch_of_move(move)
    why = f"{who} paused it"
    if batch.status is not BatchStatus.RUNNING or not advance(
        batch, BatchStatus.PAUSED, who=who, why=why
    ):
        raise NotSending
    batch.pause_reason = why
    db.session.flush()


def resume(move: DateMove, who: str) -> None:
    """Let paused letters go on. Refuses `NotPaused`."""
    batch = batch_of_move(move)
    if batch.status is not BatchStatus.PAUSED or not advance(batch, BatchStatus.RUNNING, who=who):
        raise NotPaused
    batch.pause_reason = ""
    db.session.flush()
    rests.try_now(db.session())
    outbox.wake()
