"""Whether a batch is to stop: not by how many of its letters were refused, which chance decides in
an old list, but by how surely more are refused than such a list explains.

Each answer moves the evidence by the logarithm of its likelihood ratio, and never below nothing
(Page's test), so it may be asked after each letter without chance adding up. That is slow where the
share is no more than foul, so the first letters are counted as well: decision 25 has the figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import log
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from store.kit.status import StatusChange
from store.mail.answers import Cause, Step, judge
from store.mail.models import Batch, BatchStatus, Delivery, attempts
from store.mail.smtp import OutcomeKind

# Odds of some eight thousand to one.
_ENOUGH = 9.0
# An older answer moves nothing any more.
_LATEST = 200
# Of all tries of the shop, among which those of the batch are looked for.
_LATEST_OF_ALL = 2 * _LATEST
_FINAL = [str(OutcomeKind.ACCEPTED), str(OutcomeKind.REFUSED)]


@dataclass(frozen=True)
class Bound:
    """Tells a share of refusals that means nothing from one that does."""

    usual: float
    foul: float
    # What is the matter with a whole list shows at its beginning, so some is believed before.
    believed_before: float = 0.0
    # So many refusals among so many first letters are enough by themselves.
    of_the_first: tuple[tuple[int, int], ...] = ()

    def is_passed(self, refusals: Sequence[bool], *, from_the_beginning: bool) -> bool:
        """Whether the evidence was ever enough; the answers in the order in which they came."""
        if from_the_beginning and any(
            sum(refusals[:letters]) >= refused for refused, letters in self.of_the_first
        ):
            return True
        more, less = log(self.foul / self.usual), log((1 - self.foul) / (1 - self.usual))
        evidence = self.believed_before if from_the_beginning else 0.0
        for is_refused in refusals:
            evidence = max(0.0, evidence + (more if is_refused else less))
            if evidence >= _ENOUGH:
                return True
        return False


# Of those whose server does not say that it is the address, so that it may be us.
UNCLEAR = Bound(usual=0.05, foul=0.40, believed_before=_ENOUGH / 2)
# Of all letters, whatever the server says of their addresses.
REFUSED = Bound(usual=0.15, foul=0.40, believed_before=3.5, of_the_first=((12, 47), (13, 50)))
# The same once a person has let the letters go on all the same: only where next to none is taken.
KNOWN_TO_BE_OLD = Bound(usual=0.50, foul=0.90)

_TOO_MANY = "too many letters were refused for good"


class Answers(NamedTuple):
    """How the latest letters of a batch went, in order, from when it was last set running."""

    refused: list[bool]
    unclear: list[bool]
    # Whose letters were refused in words that may have meant us.
    doubtful: list[int]
    from_the_beginning: bool
    # It has paused for its many refusals before, and a person let it go on.
    is_known_to_be_old: bool = False

    def why_to_stop(self) -> str:
        """In words for staff; empty where letters may go on."""
        if UNCLEAR.is_passed(self.unclear, from_the_beginning=self.from_the_beginning):
            return "letters were refused, and the mail server does not say that their addresses are wrong"
        of_all = KNOWN_TO_BE_OLD if self.is_known_to_be_old else REFUSED
        if of_all.is_passed(self.refused, from_the_beginning=self.from_the_beginning):
            return f"{_TOO_MANY}, {sum(self.refused)} of the last {len(self.refused)}"
        return ""


def answers_of(session: Session, batch_id: int) -> Answers:
    """The latest answers to letters of a batch; one statement beside that for its moves."""
    start = _start(session, batch_id)
    # Bounded before the batch is asked for, or all tries there ever were are walked through.
    latest = sa.select(attempts).order_by(attempts.c.id.desc()).limit(_LATEST_OF_ALL)
    tries = latest.cte("tries")
    query = (
        sa.select(
            tries.c.delivery_id,
            tries.c.outcome,
            tries.c.reply,
            sa.select(sa.func.count()).select_from(tries).scalar_subquery().label("looked_at"),
            sa.select(sa.func.min(tries.c.started_at)).scalar_subquery().label("since"),
        )
        .join(Delivery, Delivery.id == tries.c.delivery_id)
        .where(Delivery.batch_id == batch_id, tries.c.outcome.in_(_FINAL))
        .order_by(tries.c.id.desc())
        .limit(_LATEST)
    )
    if start.is_a_later_one:
        query = query.where(tries.c.ended_at > start.at)
    rows = session.execute(query).all()[::-1]
    refused = [row.outcome == OutcomeKind.REFUSED for row in rows]
    unclear = [
        is_refused and is_unclear(row.reply) for row, is_refused in zip(rows, refused, strict=True)
    ]
    doubtful = [row.delivery_id for row, is_one in zip(rows, unclear, strict=True) if is_one]
    # Letters of others may have pushed its first ones out of sight.
    sees_all = bool(rows) and (rows[0].looked_at < _LATEST_OF_ALL or rows[0].since <= start.at)
    return Answers(
        refused,
        unclear,
        doubtful,
        from_the_beginning=sees_all and len(rows) < _LATEST,
        is_known_to_be_old=start.is_known_to_be_old,
    )


class _Start(NamedTuple):
    """When the letters of a batch last began to go."""

    at: datetime
    is_a_later_one: bool
    is_known_to_be_old: bool


def _start(session: Session, batch_id: int) -> _Start:
    moves = session.execute(
        sa.select(StatusChange.at, StatusChange.to_status, StatusChange.why).where(
            StatusChange.entity == "batches", StatusChange.entity_id == batch_id
        )
    ).all()
    is_known_to_be_old = any(
        move.to_status == BatchStatus.PAUSED and move.why.startswith(_TOO_MANY) for move in moves
    )
    later = [move.at for move in moves if move.to_status == BatchStatus.RUNNING]
    created = sa.select(Batch.created_at).where(Batch.id == batch_id)
    at = max(later) if later else session.execute(created).scalar_one()
    return _Start(at, bool(later), is_known_to_be_old)


def is_unclear(reply: str) -> bool:
    """Whether a refusal, as it was written down, says nothing of the reader's address."""
    code = reply[:3]
    return code.isdigit() and judge(Step.RCPT, int(code), reply).cause is Cause.UNWANTED
