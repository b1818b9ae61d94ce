"""Owing letters: one row per letter and reason, told to the workers after the commit."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from store.kit import clock
from store.kit.config import config
from store.kit.database import UtcDateTime, after_commit, db, formatted, insert_into
from store.kit.errors import NotFound, Refusal
from store.kit.happenings import Happening, tell, tell_owed
from store.kit.jobs import ring
from store.kit.status import ForbiddenMove, advance, record_change
from store.mail import subjects
from store.mail.letters import seller
from store.mail.models import (
    PRIORITIES,
    Attempt,
    Batch,
    BatchStatus,
    Delivery,
    DeliveryStatus,
    Occasion,
    ReturnedLetter,
    deliveries,
    stands_at,
)

SOMEBODY_WAITS, NOTICE = PRIORITIES

_UNTRIED = {
    "status": DeliveryStatus.QUEUED,
    "reason": "",
    "tries": 0,
    "is_possibly_twice": False,
}

KEPT_FOR = timedelta(days=2)
FORGOTTEN = "its address is forgotten"
ON_HOLD = "letters to its address came back"
GIVEN_UP = "its address was given up"
# The rest has its turn with the next minute of the timetable.
_FORGOTTEN_AT_ONCE = 1000
# Letters that did not arrive: what a mail server, or the shop, said of one may quote its address.
_MISSED = (DeliveryStatus.FAILED, DeliveryStatus.BOUNCED, DeliveryStatus.HELD)

ALERT = "staff_alert"
_alert_recipients: Callable[[], list[str]] | None = None


def owe(
    kind: str,
    dedupe_key: str,
    *,
    customer_id: "int | sa.ScalarSelect[int] | None" = None,
    order_id: int | None = None,
    edition_id: int | None = None,
    link_id: int | None = None,
    batch_id: int | None = None,
    address: str | None = None,
    facts: dict[str, Any] | None = None,
    due_at: datetime | None = None,
    priority: int = NOTICE,
    occasion: Occasion | None = None,
    again_if_skipped: bool = False,
) -> bool:
    """Owe one letter, unless one with this dedupe key is owed already; says whether it is new.
    With `again_if_skipped` one that was left out is owed again, as what left it out may be over.
    The customer may be a query, so that nothing differs where it finds nobody.

    `priority` 0 goes first: somebody waits for it. Rings the bell after the commit.
    """
    now = clock.now()
    values: dict[str, Any] = {
        "kind": kind,
        "dedupe_key": dedupe_key,
        **_UNTRIED,
        "customer_id": customer_id,
        "order_id": order_id,
        "edition_id": edition_id,
        "link_id": link_id,
        "batch_id": batch_id,
        "address": address,
        "priority": priority,
        "occasion": occasion,
        "created_at": now,
        "due_at": due_at or now,
    }
    if facts is not None:
        values["facts"] = facts
    is_new = _insert(values, again_if_skipped=again_if_skipped)
    if is_new and values["due_at"] <= now:
        wake()
    return is_new


def _insert(values: dict[str, Any], *, again_if_skipped: bool) -> bool:
    if values["priority"] not in PRIORITIES:
        raise ValueError(f"no worker looks for letters of priority {values['priority']}")
    statement = insert_into(Delivery).values(values)
    if again_if_skipped:
        # A letter that stands is written too, as it was: work that is done only for one that was
        # left out takes time that somebody could measure.
        is_again = deliveries.c.status == DeliveryStatus.SKIPPED
        statement = statement.on_conflict_do_update(
            index_elements=["dedupe_key"],
            set_={
                name: sa.case((is_again, statement.excluded[name]), else_=deliveries.c[name])
                for name in values
                if name != "dedupe_key"
            },
        )
    else:
        statement = statement.on_conflict_do_nothing(index_elements=["dedupe_key"])
    row = db.session.execute(statement.returning(Delivery.created_at, Delivery.id)).first()
    if row is None or row[0] != values["created_at"]:
        return False
    _, _, what = values["dedupe_key"].partition(":")
    alert = what.partition(":")[0] or ALERT if values["kind"] == ALERT else ""
    tell_owed(row[1], values["kind"], values["order_id"], alert)
    return True


def owe_rows(kind: str, rows: sa.Select[Any]) -> int:
    """Owe a letter for every row of a query, whose columns are named as those of a delivery, due
    and left out as they say; whose dedupe key is owed already is passed over. Returns how many are
    new, in one statement however many. Rings the bell after the commit."""
    chosen = rows.subquery("owed")
    given = {column.key: column for column in chosen.c}
    values: dict[str, Any] = {
        "kind": sa.literal(kind),
        "status": sa.literal(DeliveryStatus.QUEUED.value),
        "reason": sa.literal(""),
        "priority": sa.literal(NOTICE),
        "created_at": sa.literal(clock.now(), UtcDateTime()),
        "tries": sa.literal(0),
        "is_possibly_twice": sa.false(),
        **given,
    }
    # SQLite takes the ON of the conflict for that of a join unless a WHERE stands between.
    query = sa.select(*values.values()).where(sa.text("true"))
    inserted = insert_into(Delivery).from_select(list(values), query, include_defaults=False)
    statement = inserted.on_conflict_do_nothing(index_elements=["dedupe_key"])
    statement = statement.execution_options(preserve_rowcount=True)
    db.session.flush()
    written = int(db.session.connection().execute(statement).rowcount)
    if written:
        tell(Happening.LETTERS_OWED, kind=kind, count=written)
        wake()
    return written


def hour_after_last(kind: str, customer_id: int) -> datetime:
    """When a letter of this kind may go to a customer: now, or an hour after the one before it."""
    theirs = sa.select(sa.func.max(Delivery.due_at)).where(
        Delivery.kind == kind,
        Delivery.customer_id == customer_id,
        Delivery.status != DeliveryStatus.SKIPPED,
    )
    last = db.session.scalar(theirs)
    return max(clock.now(), last + timedelta(hours=1)) if last else clock.now()


def wake() -> None:
    """Ask every connection of a worker to look at the outbox: after the commit, and once however
    many letters it owes."""
    if _ring_bells not in db.session().info.get("after_commit", []):
        after_commit(_ring_bells)


def _ring_bells() -> None:
    for _ in range(config().mail_connections):
        ring("send_letters")


class LetterUnknown(NotFound):
    """No letter has this number."""

    sentence = "There is no letter of this number."


class NotToBeSentAgain(Refusal):
    """A letter that is under way, waiting or handed over needs no second try."""

    sentence = "Only letters that failed, came back, are held or were left out can be sent again."


def letter_by_id(letter_id: int) -> Delivery:
    """One letter. Refuses (`LetterUnknown`)."""
    found = db.session.get(Delivery, letter_id) if letter_id < 2**31 else None
    if found is None:
        raise LetterUnknown
    return found


def send_again(letter_id: int, who: str) -> None:
    """Send a letter that did not leave, as a new message. Refuses (`LetterUnknown`,
    `NotToBeSentAgain`)."""
    try:
        retry(letter_by_id(letter_id), who)
    except ForbiddenMove:
        raise NotToBeSentAgain from None


def retry(delivery: Delivery, who: str) -> bool:
    """Send a letter that failed, came back, is held or was left out after all, as a new message;
    says whether we won. A copy that waits for the 14 days does so still.

    Raises `ForbiddenMove` for a letter that is under way or sent.
    """
    waits = delivery.occasion in (Occasion.DAYS_OVER, Occasion.RESENT)
    due_at = max(delivery.due_at, clock.now()) if waits else clock.now()
    if not advance(delivery, DeliveryStatus.QUEUED, who=who, why="sent again by hand"):
        return False
    for name, value in (_as_new() | {"due_at": due_at}).items():
        setattr(delivery, name, value)
    if delivery.occasion is not None:
        delivery.occasion = Occasion.RESENT
    if delivery.batch_id is not None:
        reopen_batches(Batch.id == delivery.batch_id, "a letter is sent again", who)
    # So it goes first, and a release that was recalled before does not hold it.
    delivery.priority = SOMEBODY_WAITS
    db.session.flush()
    wake()
    return True


def retry_failed(batch: Batch, who: str, *only: sa.ColumnElement[bool]) -> int:
    """Queue the failed letters of a batch again, or `only` these of it; returns how many."""
    of_batch = sa.and_(Delivery.batch_id == batch.id, *only)
    return len(_requeue(of_batch, DeliveryStatus.FAILED, who, "failed letters sent again"))


def release_held(
    customer_id: int, who: str, *only: sa.ColumnElement[bool], why: str = "the address was repaired"
) -> list[int]:
    """Queue what a customer missed, or `only` these of it: letters to the address on file that
    failed, came back or are held, or were left out as it was given up. Returns which."""
    theirs = sa.and_(Delivery.customer_id == customer_id, Delivery.address.is_(None), *only)
    given_up = sa.and_(theirs, Delivery.reason == GIVEN_UP)
    queued = _requeue(given_up, DeliveryStatus.SKIPPED, who, why)
    return [*queued, *(one for status in _MISSED for one in _requeue(theirs, status, who, why))]


def look_again(customer_id: int) -> None:
    """Take the claims from a customer's letters that have not begun to leave, in the transaction
    that changes a right, a stop, an address or a link: what a worker has read of them is out of
    date, so it cannot begin them, and they are read and written once more.

    Locks the customer's row, so called after those of orders and publications."""
    _unclaim(subjects.CUSTOMER, customer_id)


def look_again_at_edition(edition_id: int) -> None:
    """The same for every letter that carries an edition, in the transaction that withdraws it."""
    _unclaim(subjects.EDITION, edition_id)


def _unclaim(subject: sa.Column[int], row_id: int) -> None:
    db.session.flush()
    if subjects.take_claims(db.session.connection(), subject, row_id):
        wake()


def leave_out(reason: str, *which: sa.ColumnElement[bool]) -> int:
    """Leave out every letter of `which` that has not begun to leave, with the reason; returns how
    many. A worker that has claimed one looks at its status again before it sends."""
    unsent = (DeliveryStatus.QUEUED, DeliveryStatus.HELD)
    statement = (
        sa.update(Delivery)
        .where(*which, Delivery.status.in_(unsent))
        .values(status=DeliveryStatus.SKIPPED, reason=reason, claimed_by=None, claimed_at=None)
        .execution_options(synchronize_session=False)
    )
    db.session.flush()
    changed = db.session.connection().execute(statement).rowcount
    db.session.expire_all()
    return int(changed)


def release_waiting_for(prefix: str) -> int:
    """Queue the held letters whose reason begins like this, as what held them is mended. Returns
    how many."""
    which = Delivery.reason.startswith(prefix, autoescape=True)
    return len(_requeue(which, DeliveryStatus.HELD, "timetable", "the setting was mended"))


def _requeue(which: sa.ColumnElement[bool], old: DeliveryStatus, who: str, why: str) -> list[int]:
    session = db.session()
    statement = (
        sa.update(Delivery)
        .where(which, stands_at(old))
        .values(status=DeliveryStatus.QUEUED, **_as_new())
        .returning(Delivery.id)
        .execution_options(synchronize_session="fetch")
    )
    ids = session.scalars(statement).all()
    for delivery_id in ids:
        record_change(session, "deliveries", delivery_id, old, "queued", who=who, why=why)
    if ids:
        of_them = sa.select(Delivery.batch_id).where(Delivery.id.in_(ids))
        reopen_batches(Batch.id.in_(of_them), why, who)
        wake()
    return list(ids)


def reopen_batches(which: sa.ColumnElement[bool], why: str, who: str = "shop") -> None:
    """Let finished batches run again of which letters wait, so that they can be paused, recalled
    and braked."""
    finished = sa.select(Batch).where(which, Batch.status == BatchStatus.FINISHED)
    for batch in db.session.scalars(finished).all():
        if advance(batch, BatchStatus.RUNNING, who=who, why=why):
            batch.finished_at = None


def _as_new() -> dict[str, Any]:
    """A person's resend is a new message, due now, with its tries before it."""
    return {
        "reason": "",
        "message_id": None,
        "is_possibly_twice": False,
        "tries": 0,
        "sent_at": None,
        "due_at": clock.now(),
        "claimed_by": None,
        "claimed_at": None,
    }


def long_past() -> datetime:
    """What is older than this (UTC) is forgotten."""
    return clock.now() - KEPT_FOR


def forget_addresses(*which: sa.ColumnElement[bool]) -> None:
    """Blank the addresses of the letters of `which` that are not on their way, those of each try,
    and what was said to them, which may quote the address."""
    session = db.session()
    is_closed = Delivery.status.not_in(DeliveryStatus.open())
    chosen = sa.select(Delivery.id).where(*which, is_closed, Delivery.address.is_not(None))
    reason = sa.case((Delivery.status.in_(_MISSED), FORGOTTEN), else_=Delivery.reason)
    blanked = session.scalars(
        sa.update(Delivery)
        .where(Delivery.id.in_(chosen.limit(_FORGOTTEN_AT_ONCE)), is_closed)
        .values(address=None, reason=reason)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    ).all()
    if blanked:
        session.execute(
            sa.update(Attempt)
            .where(Attempt.delivery_id.in_(blanked))
            .values(address="", reply="")
            .execution_options(synchronize_session=False)
        )
        session.execute(
            sa.update(ReturnedLetter)
            .where(ReturnedLetter.delivery_id.in_(blanked))
            .values(address="", words="")
            .execution_options(synchronize_session=False)
        )
        session.expire_all()


def register_alert_recipients(addresses: Callable[[], list[str]]) -> None:
    """Say how the addresses of the staff who want alerts are found; a room above knows."""
    global _alert_recipients  # noqa: PLW0603 - set once, while the shop is put together
    _alert_recipients = addresses


def alert_staff(subject: str, text: str, dedupe_key: str, *, also: str = "") -> None:
    """Owe an alert to each owner, and to `also`, once per dedupe key. No personal data in it but
    the names of staff.

    Without owners it goes to STORE_ALERTS_TO, without that to the seller.
    """
    staff = _alert_recipients() if _alert_recipients else []
    owners = staff or config().alerts_to or [seller().email]
    for address in [*owners, *([also] if also else [])]:
        mark = hashlib.sha256(address.casefold().encode()).hexdigest()[:12]
        facts = {"subject": subject, "text": text}
        owe(ALERT, f"{ALERT}:{dedupe_key}:{mark}", address=address, facts=facts)


def is_alert(beginning: str, *values: Any) -> sa.ColumnElement[bool]:
    """Which deliveries are alerts whose dedupe key begins like this, "{}" standing for columns."""
    key = formatted(f"{ALERT}:{beginning}", *values)
    return sa.and_(Delivery.kind == ALERT, Delivery.dedupe_key.startswith(key))
