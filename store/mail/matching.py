"""Which letter a report is about, and taking it.

By a letter's mark alone, which nobody knows who has not had that letter. Where the provider vouches for
what it says, by what it calls the letter as well: its answer to the letter, which the attempt keeps,
said so.
"""

from collections.abc import Callable, Collection

import sqlalchemy as sa

from store.kit.database import db
from store.mail import returns
from store.mail.marks import marked_letter
from store.mail.models import Attempt, Delivery
from store.mail.reports import Report, read_report, read_stop
from store.mail.smtp import OutcomeKind

_customers_at: Callable[[str], Collection[int]] | None = None
_stop: Callable[[str], bool] | None = None


def register_customers(customers_at: Callable[[str], Collection[int]]) -> None:
    """Say how customers are found by an address; a room above knows."""
    global _customers_at  # noqa: PLW0603 - set once, while the shop is put together
    _customers_at = customers_at


def register_stop(stop: Callable[[str], bool]) -> None:
    """Say what the token of a stop link stops; a room above knows."""
    global _stop  # noqa: PLW0603 - set once, while the shop is put together
    _stop = stop


def take_message(octets: bytes, sent_to: str = "") -> bool:
    """Take what a message says that came back, or that asks for a stop, inside the caller's
    transaction; False where it says nothing new. `sent_to` as `read_report` has it."""
    token = read_stop(octets)
    if token is not None and _stop is not None:
        return _stop(token)
    report = read_report(octets, sent_to)
    return report is not None and take_report(report)


def take_report(report: Report, *, is_vouched: bool = False) -> bool:
    """Take what is said of a letter, inside the caller's transaction; False where it says nothing
    new, or of no letter. `is_vouched`: it comes from the provider that carried the letter."""
    delivery_id = marked_letter(report.marks)
    if delivery_id is None and is_vouched:
        delivery_id = _as_the_relay_calls_it(report)
    if delivery_id is None:
        return False
    return returns.take(
        delivery_id,
        report.kind,
        status=report.status,
        words=report.words,
        key=report.key,
    )


def _as_the_relay_calls_it(report: Report) -> int | None:
    """Among the letters of the customers at that address: an index on what servers answered would
    be written with every letter. Of a letter that was tried again since, only the last try counts."""
    if not (report.relay_ids and report.recipient and _customers_at):
        return None
    theirs = list(_customers_at(report.recipient))
    later = sa.orm.aliased(Attempt)
    is_last = ~sa.exists().where(later.delivery_id == Attempt.delivery_id, later.id > Attempt.id)
    query = (
        sa.select(Attempt.delivery_id, Attempt.reply)
        .join(Delivery, Delivery.id == Attempt.delivery_id)
        .where(Delivery.customer_id.in_(theirs), is_last)
        .where(Attempt.outcome == OutcomeKind.ACCEPTED)
        .order_by(Attempt.id.desc())
    )
    for delivery_id, reply in db.session.execute(query):
        if any(_names(reply, one) for one in report.relay_ids):
            return int(delivery_id)
    return None


def _names(reply: str, relay_id: str) -> bool:
    """Whether an answer holds such a name whole; a short one might be anything."""
    words = (word.strip("<>()[],;:=.\"'") for word in reply.replace("=", " ").split())
    return len(relay_id) >= 12 and relay_id in words
