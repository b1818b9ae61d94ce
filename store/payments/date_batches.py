"""The letters of a change of a date as their account shows them; paused, and set going again."""

from dataclasses import dataclass, field

import sqlalchemy as sa

from store.catalog.models import DateMove
from store.kit.errors import Refusal
from store.kit.paging import BEGINNING, OLDEST_FIRST, SHORT_PAGE, Page, Place, paginate
from store.mail import batches, counts
from store.mail.models import BatchStatus, Delivery
from store.payments.date_moves import batch_of_move


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
    """How far the letters of a change have come, at the same cost however many."""
    batch = batch_of_move(move)
    letters = counts.letters_of(batch)
    found, reasons = batches.in_columns((*key, people) for key, people in letters.items())
    none = dict.fromkeys(batches.COLUMNS.values(), 0)
    columns = none | found | {batches.LEFT_OUT: sum(reasons.values())}
    return Account(batch.status, batch.pause_reason, columns, reasons)


def letters_in(move: DateMove, column: str, place: Place = BEGINNING) -> Page[Delivery]:
    """The letters of one column of a change, a part at a time."""
    batch = batch_of_move(move)
    query = sa.select(Delivery).where(Delivery.batch_id == batch.id, batches.stands_in(column))
    return paginate(query, place, Delivery.id, size=SHORT_PAGE, words=OLDEST_FIRST)


def pause(move: DateMove, who: str) -> None:
    """Hold the letters that have not left, until `resume`. Refuses `NotSending`."""
    if not batches.pause(batch_of_move(move), who, f"{who} paused it"):
        raise NotSending


def resume(move: DateMove, who: str) -> None:
    """Let paused letters go on. Refuses `NotPaused`."""
    if not batches.resume(batch_of_move(move), who):
        raise NotPaused
