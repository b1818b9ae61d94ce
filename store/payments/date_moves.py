"""Moving the expected date of a publication: everybody who was promised the old one is told once, by
letters that are a batch of their own.
"""

from datetime import date
from typing import Any

import sqlalchemy as sa

from store.catalog.models import DateMove, Edition, EditionStatus, Publication, PublicationStatus
from store.catalog.publications import LATEST_YEAR, edit_publication, lock_publication
from store.kit import clock
from store.kit.config import config
from store.kit.database import UtcDateTime, db, formatted, transaction
from store.kit.errors import InvalidFields, Refusal
from store.kit.formatting import format_day
from store.kit.status import advance
from store.kit.text import clean_text
from store.mail import outbox
from store.mail.models import (
    Batch,
    BatchStatus,
    Delivery,
    DeliveryStatus,
    has_open_letters,
    stands_at,
)
from store.payments.promised import LEFT_OUT, concerned, count_promised

KIND = "date_moved"
# The reason of a batch; its subject is the change.
BATCH = "date"
MOVED_AGAIN = "the date was moved again"
PUBLISHED = "it was published"
LONGEST_REASON = 1000
# One letter a customer and change.
_KEY = f"{KIND}:{{}}:{{:010}}"


class NotWaiting(Refusal):
    """A publication of which an edition is out promises no date."""

    sentence = "An edition of this publication is out, so there is no date to move."


def change_date(publication: Publication, new_on: date | None, reason: str, who: str) -> DateMove:
    """Promise another date from now on, and owe a letter to everybody who was promised the old one,
    each once a change; what still waits of an earlier change is left out instead.

    Refuses `NotWaiting`, and (`InvalidFields`, by the names of this function) a date that has
    passed or is no other, and where anybody is told one without date or reason.
    """
    lock_publication(publication.id, alone=True)
    refuse_unfit(publication, new_on, reason)
    move = DateMove(
        publication_id=publication.id,
        number=_last_number(publication.id) + 1,
        old_on=publication.expected_on,
        new_on=new_on,
        reason=clean_text(reason),
        moved_at=clock.now(),
        moved_by=who,
    )
    db.session.add(move)
    edit_publication(publication, expected_on=new_on)
    db.session.flush()
    batch = Batch(
        reason=BATCH, subject_id=move.id, status=BatchStatus.RUNNING, created_at=clock.now()
    )
    db.session.add(batch)
    db.session.flush()
    _end_batches(_of_publication(publication.id, Batch.id != batch.id), MOVED_AGAIN, who)
    outbox.owe_rows(KIND, _owed(move, batch, concerned(publication.id)))
    return move


def refuse_unfit(publication: Publication, new_on: date | None, reason: str) -> None:
    """Refuse what `change_date` refuses. Writes nothing."""
    if is_out(publication.id):
        raise NotWaiting
    faults: dict[str, str] = {}
    today, is_promised = clock.today(config().zone), count_promised(publication.id) > 0
    if new_on is None and is_promised:
        faults["new_on"] = "Enter the new date: people wait for one."
    elif new_on is not None and new_on.year > LATEST_YEAR:
        faults["new_on"] = f"Enter a date before the end of {LATEST_YEAR}."
    elif new_on is not None and new_on < today:
        faults["new_on"] = f"{format_day(new_on)} has passed. Enter a day that is still to come."
    elif new_on == publication.expected_on:
        faults["new_on"] = "That is the date already. Enter another one."
    if is_promised and not clean_text(reason):
        faults["reason"] = "Say why, in a sentence or two: it stands in the letter as you write it."
    elif len(clean_text(reason)) > LONGEST_REASON:
        faults["reason"] = f"The reason can have at most {LONGEST_REASON:,} characters."
    if faults:
        raise InvalidFields(faults)


def change_details(publication: Publication, fields: dict[str, Any], who: str) -> None:
    """Edit a publication by a form that has its date among the rest: a date that nobody was
    promised is moved along. Refuses as `edit_publication`, and (`InvalidFields`) a date that
    somebody was."""
    given = dict(fields)
    new_on = given.pop("expected_on", publication.expected_on)
    edit_publication(publication, **given)
    if new_on == publication.expected_on:
        return
    if publication.status is PublicationStatus.DRAFT or is_out(publication.id):
        edit_publication(publication, expected_on=new_on)
    elif people := count_promised(publication.id):
        told = "1 person was" if people == 1 else f"{people:,} people were"
        sentence = f"{told} promised the date. Move it on its own page, which tells them."
        raise InvalidFields({"expected_on": sentence})
    else:
        change_date(publication, new_on, "", who)


def is_out(publication_id: int) -> bool:
    """Whether an edition can be had, so that no date is promised."""
    return bool(
        db.session.scalar(
            sa.select(
                sa.exists().where(
                    Edition.publication_id == publication_id,
                    Edition.status == EditionStatus.RELEASED,
                )
            )
        )
    )


def batch_of_move(move: DateMove) -> Batch:
    """The letters of a change."""
    query = sa.select(Batch).where(Batch.reason == BATCH, Batch.subject_id == move.id)
    return db.session.scalars(query).one()


def _last_number(publication_id: int) -> int:
    query = sa.select(sa.func.max(DateMove.number)).where(DateMove.publication_id == publication_id)
    return db.session.scalar(query) or 0


def _owed(move: DateMove, batch: Batch, people: sa.Select[Any]) -> sa.Select[Any]:
    rows = people.subquery("people")
    is_told = rows.c.left_out.is_(None)
    return sa.select(
        sa.case((is_told, DeliveryStatus.QUEUED.value), else_=DeliveryStatus.SKIPPED.value).label(
            "status"
        ),
        sa.func.coalesce(rows.c.left_out, "").label("reason"),
        formatted(_KEY, move.id, rows.c.customer_id).label("dedupe_key"),
        sa.literal(batch.id).label("batch_id"),
        rows.c.customer_id,
        sa.literal(move.moved_at, UtcDateTime()).label("due_at"),
    )


def _of_publication(publication_id: int, *only: sa.ColumnElement[bool]) -> sa.Select[int]:
    moves = sa.select(DateMove.id).where(DateMove.publication_id == publication_id)
    return sa.select(Batch.id).where(Batch.reason == BATCH, Batch.subject_id.in_(moves), *only)


def _end_batches(which: sa.Select[int], why: str, who: str) -> None:
    """Leave out what has not left of these batches, for good."""
    ids = list(db.session.scalars(which))
    if not ids:
        return
    outbox.leave_out(why, Delivery.batch_id.in_(ids))
    for batch in db.session.scalars(sa.select(Batch).where(Batch.id.in_(ids))).all():
        if batch.status.may_become(BatchStatus.RECALLED):
            advance(batch, BatchStatus.RECALLED, who=who, why=why)


def look_after_moves() -> None:
    """For the timetable: tell who was promised an older date and lacks the letter of the newest
    change, as their payment, their right or their order came to them late; and leave out what came
    back unsent after another change or the release. Opens its own transactions, none where there
    is nothing to do."""
    newest = sa.select(sa.func.max(DateMove.id)).group_by(DateMove.publication_id)
    for move in db.session.scalars(sa.select(DateMove).where(DateMove.id.in_(newest))).all():
        if is_out(move.publication_id):
            _end_in_transaction(move, PUBLISHED)
            continue
        _end_in_transaction(move, MOVED_AGAIN, Batch.subject_id != move.id)
        if db.session.execute(_missing(move).limit(1)).first() is not None:
            with transaction():
                _tell_missing(db.session.get_one(DateMove, move.id))


def _end_in_transaction(move: DateMove, why: str, *only: sa.ColumnElement[bool]) -> None:
    held = sa.select(Delivery.batch_id).where(
        stands_at(DeliveryStatus.HELD), Delivery.kind == KIND, Delivery.batch_id.is_not(None)
    )
    stray = sa.or_(has_open_letters(), Batch.id.in_(held))
    which = _of_publication(move.publication_id, stray, *only)
    if db.session.scalars(which.limit(1)).first() is not None:
        with transaction():
            _end_batches(which, why, "timetable")


def _tell_missing(move: DateMove) -> None:
    lock_publication(move.publication_id, alone=True)
    if is_out(move.publication_id) or _last_number(move.publication_id) != move.number:
        return
    batch = batch_of_move(move)
    for customer_id in db.session.scalars(_missing(move)).all():
        outbox.owe(
            KIND,
            _KEY.format(move.id, customer_id),
            customer_id=customer_id,
            batch_id=batch.id,
            again_if_skipped=True,
        )
    outbox.reopen_batches(Batch.id == batch.id, "somebody is told late", "timetable")


def _missing(move: DateMove) -> sa.Select[int]:
    """Whose promise stands and who has no letter of the change, nor one that was left out for a
    reason that holds still."""
    people = concerned(move.publication_id, move).subquery("people")
    batch = sa.select(Batch.id).where(Batch.reason == BATCH, Batch.subject_id == move.id)
    answered = sa.exists().where(
        Delivery.batch_id == batch.scalar_subquery(),
        Delivery.customer_id == people.c.customer_id,
        ~sa.and_(Delivery.status == DeliveryStatus.SKIPPED, Delivery.reason.in_(LEFT_OUT)),
    )
    return sa.select(people.c.customer_id).where(people.c.left_out.is_(None), ~answered)
