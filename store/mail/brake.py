"""Whether a batch is to stop: not by how many of its letters were refused, which chance decides in
an old list, but by how surely more are refused than such a list explains.

Each answer moves the evidence by the logarithm of its likelihood ratio, and never below nothing
(Page's test), so it may be asked after each letter without chance adding up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from store.kit.status import StatusChange
from store.mail.answers import Cause, Step, judge
from store.mail.models import BatchStatus, Delivery, attempts
from store.mail.smtp import OutcomeKind

# Odds of some eight thousand to one.
_ENOUGH = 9.0
# What is the matter with a whole list shows at its beginning, so half of it is believed before.
_BELIEVED_BEFORE = _ENOUGH / 2
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

    def is_passed(self, refusals: Sequence[bool], *, from_the_beginning: bool) -> bool:
        """Whether the evidence was ever enough; the answers in the order in which they came."""
        more, less = log(self.foul / self.usual), log((1 - self.foul) / (1 - self.usual))
        evidence = _BELIEVED_BEFORE if from_the_beginning else 0.0
        for is_refused in refusals:
            evidence = max(0.0, evidence + (more if is_refused else less))
            if evidence >= _ENOUGH:
                return True
        return False


# Of all letters, whatever the server says of their addresses.
REFUSED = Bound(usual=0.15, foul=0.40)
# Of those whose server does not say that it is the address, so that it may be us.
UNCLEAR = Bound(usual=0.05, foul=0.40)


class Answers(NamedTuple):
    """How the latest letters of a batch went, in order, from when it was last set running."""

    refused: list[bool]
    unclear: list[bool]
    # Whose letters were refused in words that may have meant us.
    doubtful: list[int]
    from_the_beginning: bool

    def why_to_stop(self) -> str:
        """In words for staff; empty where letters may go on."""
        if UNCLEAR.is_passed(self.unclear, from_the_beginning=self.from_the_beginning):
            return "letters were refused, and the mail server does not say that their addresses are wrong"
        if REFUSED.is_passed(self.refused, from_the_beginning=self.from_the_beginning):
            return "too many letters were refused for good"
        return ""


def answers_of(session: Session, batch_id: int) -> Answers:
    """The latest answers to letters of a batch; one statement beside that for its last start."""
    resumed_at = session.scalar(
        sa.select(sa.func.max(StatusChange.at)).where(
            StatusChange.entity == "batches",
            StatusChange.entity_id == batch_id,
            StatusChange.to_status == BatchStatus.RUNNING,
        )
    )
    # Bounded before the batch is asked for, or all tries there ever were are walked through.
    tries = sa.select(attempts).order_by(attempts.c.id.desc()).limit(_LATEST_OF_ALL).subquery()
    query = (
        sa.select(tries.c.delivery_id, tries.c.outcome, tries.c.reply)
        .join(Delivery, Delivery.id == tries.c.delivery_id)
        .where(Delivery.batch_id == batch_id, tries.c.outcome.in_(_FINAL))
        .order_by(tries.c.id.desc())
        .limit(_LATEST)
    )
    if resumed_at is not None:
        query = query.where(tries.c.ended_at > resumed_at)
    rows = session.execute(query).all()[::-1]
    refused = [row.outcome == OutcomeKind.REFUSED for row in rows]
    unclear = [
        is_refused and is_unclear(row.reply) for row, is_refused in zip(rows, refused, strict=True)
    ]
    doubtful = [row.delivery_id for row, is_one in zip(rows, unclear, strict=True) if is_one]
    return Answers(refused, unclear, doubtful, from_the_beginning=len(rows) < _LATEST)


def is_unclear(reply: str) -> bool:
    """Whether a refusal, as it was written down, says nothing of the reader's address."""
    code = reply[:3]
    return code.isdigit() and judge(Step.RCPT, int(code), reply).cause is Cause.UNWANTED
