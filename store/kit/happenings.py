"""What is worth a line of its own in the log, under a name that can be searched for and counted.

Facts are ids, counts, words of ours: never an address, a token, or what somebody typed. What happens
inside a transaction is told once that is committed.
"""

import logging
from enum import StrEnum
from typing import Any, TypedDict, Unpack

from flask import has_app_context

from store.kit.database import after_commit

log = logging.getLogger("store.events")


class Happening(StrEnum):
    """Every name there is; the operator's guide says what each means."""

    ALERT_OWED = "alert.owed"
    BACKUP_DONE = "backup.done"
    BACKUP_FAILED = "backup.failed"
    BATCH_FINISHED = "batch.finished"
    BATCH_PAUSED = "batch.paused"
    BATCH_RECALLED = "batch.recalled"
    BATCH_RESUMED = "batch.resumed"
    CHECKOUT_ENDED = "checkout.ended"
    DISPUTE_CHANGED = "dispute.changed"
    EDITION_WITHDRAWN = "edition.withdrawn"
    EVENT_APPLIED = "event.applied"
    EVENT_IGNORED = "event.ignored"
    EVENT_RECEIVED = "event.received"
    JOB_DONE = "job.done"
    JOB_FAILED = "job.failed"
    LETTER_CAME_BACK = "letter.came_back"
    LETTER_NOT_SENT = "letter.not_sent"
    LETTER_OWED = "letter.owed"
    LETTER_SENT = "letter.sent"
    LETTERS_OWED = "letters.owed"
    MAIL_LEAVES = "mail.leaves"
    MAIL_STANDS = "mail.stands"
    ORDER_CANCELLED = "order.cancelled"
    ORDER_EXPIRED = "order.expired"
    ORDER_PAID = "order.paid"
    ORDER_PLACED = "order.placed"
    PAGE_ANSWERED = "page.answered"
    PAGE_FAILED = "page.failed"
    REFUND_ASKED = "refund.asked"
    REFUND_DONE = "refund.done"
    REFUND_FAILED = "refund.failed"
    RELEASE_DONE = "release.done"
    RELEASE_SCHEDULED = "release.scheduled"
    RELEASE_TAKEN_BACK = "release.taken_back"
    RESTORE_DONE = "restore.done"
    SIGN_IN_DONE = "sign_in.done"
    SIGN_IN_REFUSED = "sign_in.refused"
    WEB_ENDED = "web.ended"
    WEB_STARTED = "web.started"
    WORKER_ENDED = "worker.ended"
    WORKER_STARTED = "worker.started"


class Facts(TypedDict, total=False):
    """What may stand beside a name."""

    alert: str  # which alert: the beginning of its key
    batch: int
    bytes: int
    by: str  # staff, customer, gateway, shop: never who
    cause: str
    checkout: int
    code: str  # of a mail server's answer
    count: int
    delivery: int
    dispute: int
    edition: int
    event_id: str  # as the gateway names it
    gateway: str
    gateway_event: int
    kind: str
    method: str
    ms: int
    order: str  # its reference
    order_id: int
    outcome: str
    refund: int
    rule: str  # of an address, with names in the place of what is in it
    staff: int
    status: int


_LEVELS = {
    Happening.BACKUP_FAILED: logging.ERROR,
    Happening.BATCH_PAUSED: logging.WARNING,
    Happening.JOB_FAILED: logging.ERROR,
    Happening.MAIL_STANDS: logging.WARNING,
    Happening.PAGE_FAILED: logging.ERROR,
    Happening.REFUND_FAILED: logging.WARNING,
}

# Moves of a status (`kit.status`) that are such a happening, and which fact their id is.
_MOVES = {
    ("batches", "finished"): (Happening.BATCH_FINISHED, "batch"),
    ("batches", "paused"): (Happening.BATCH_PAUSED, "batch"),
    ("batches", "recalled"): (Happening.BATCH_RECALLED, "batch"),
    ("batches", "running"): (Happening.BATCH_RESUMED, "batch"),
    ("checkouts", "completed"): (Happening.CHECKOUT_ENDED, "checkout"),
    ("checkouts", "expired"): (Happening.CHECKOUT_ENDED, "checkout"),
    ("checkouts", "failed"): (Happening.CHECKOUT_ENDED, "checkout"),
    ("editions", "draft"): (Happening.RELEASE_TAKEN_BACK, "edition"),
    ("editions", "released"): (Happening.RELEASE_DONE, "edition"),
    ("editions", "scheduled"): (Happening.RELEASE_SCHEDULED, "edition"),
    ("editions", "withdrawn"): (Happening.EDITION_WITHDRAWN, "edition"),
    ("gateway_events", "applied"): (Happening.EVENT_APPLIED, "gateway_event"),
    ("gateway_events", "ignored"): (Happening.EVENT_IGNORED, "gateway_event"),
    ("orders", "cancelled"): (Happening.ORDER_CANCELLED, "order_id"),
    ("orders", "expired"): (Happening.ORDER_EXPIRED, "order_id"),
    ("orders", "paid"): (Happening.ORDER_PAID, "order_id"),
    ("refunds", "failed"): (Happening.REFUND_FAILED, "refund"),
    ("refunds", "succeeded"): (Happening.REFUND_DONE, "refund"),
}


def tell(happening: Happening, *, fault: Any = None, **facts: Unpack[Facts]) -> None:
    """One line about it: after the commit where a transaction is open. With `fault` (as `exc_info` of
    logging) its traceback follows."""
    level = _LEVELS.get(happening, logging.INFO)
    if not log.isEnabledFor(level):
        return
    told = {"event": happening.value, **facts}

    def say() -> None:
        log.log(level, "", extra={"facts": told}, exc_info=fault)

    if fault is None and has_app_context():
        after_commit(say)
    else:
        say()


def tell_now(happening: Happening, **facts: Unpack[Facts]) -> None:
    """The same where no transaction can be open, or for what is so whether it is committed or not."""
    level = _LEVELS.get(happening, logging.INFO)
    if log.isEnabledFor(level):
        log.log(level, "", extra={"facts": {"event": happening.value, **facts}})


def tell_move(entity: str, row_id: int, to: str, *, who: str) -> None:
    """The same for a move of a status, where it has a name; `who` is cut to what sort they are of."""
    found = _MOVES.get((entity, to))
    if found is not None:
        happening, fact = found
        facts: Facts = {fact: row_id, "outcome": to, "by": sort_of(who)}  # type: ignore[misc]
        tell(happening, **facts)


def tell_owed(delivery_id: int, kind: str, order_id: int | None, alert: str) -> None:
    """One letter is owed; of an order, if it is of one. An `alert` is to staff."""
    facts: Facts = {"delivery": delivery_id, "kind": kind}
    if alert:
        facts["alert"] = alert
    if order_id is not None:
        facts["order_id"] = order_id
    tell(Happening.ALERT_OWED if alert else Happening.LETTER_OWED, **facts)


def sort_of(who: str) -> str:
    """What sort of somebody did a thing: a member of staff is not named in the log."""
    return "staff" if "@" in who else who.partition(":")[0].replace(" ", "_")
