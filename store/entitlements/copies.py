"""What has reached a customer, and the one notice that carries what has not.

Why a notice is owed is written on it (`Occasion`) by whoever owes it; the letter's sentences follow
from that and are never guessed from what is missing.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from store.catalog.models import Edition, EditionStatus
from store.entitlements.access import editions_within
from store.entitlements.models import REFUNDED, Entitlement
from store.entitlements.stops import is_stopped
from store.kit import clock
from store.kit.columns import formatted
from store.kit.database import db
from store.mail import outbox
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus, Occasion

NOTICE = "edition_notice"
CONFIRMATION = "order_confirmation"
NEWER = "a newer edition came out"
CONFIRMED = "came with the order’s confirmation"

# Nothing had reached the customer before: no stop holds these back.
FIRST_COPIES = frozenset({Occasion.FIRST_COPY, Occasion.DAYS_OVER, Occasion.ASKED})
UNSENT = (DeliveryStatus.QUEUED, DeliveryStatus.HELD)
_HANDED_OVER = (DeliveryStatus.SENT, DeliveryStatus.SENDING)
_NOTICE_KEY, _NOTICE_KEY_AGAIN = "edition:{}:{}", "edition:{}:{}:{}"


def notice_key(edition_id: int, customer_id: int, number: int = 0) -> str:
    """What makes a notice of an edition one per customer, however often they bought; those owed
    again are numbered from 1."""
    if number:
        return _NOTICE_KEY_AGAIN.format(edition_id, customer_id, number)
    return _NOTICE_KEY.format(edition_id, customer_id)


def notice_key_of(edition_id: Any, customer_id: Any, number: Any = None) -> sa.ColumnElement[str]:
    """The same, of columns."""
    first = formatted(_NOTICE_KEY, edition_id, customer_id)
    if number is None:
        return first
    again = formatted(_NOTICE_KEY_AGAIN, edition_id, customer_id, number)
    return sa.case((number > 0, again), else_=first)


def confirmation_key(order_id: int, why: str = "") -> str:
    """What makes an order's confirmation one; of those sent again, one for each reason."""
    return f"{CONFIRMATION}:{order_id}:{why}" if why else f"{CONFIRMATION}:{order_id}"


def has_copy(customer_id: Any, publication_id: Any) -> sa.ColumnElement[bool]:
    """Whether an edition that still stands has reached a customer under a right that stands, as
    part of another query: handed over by letter, on its way with a confirmation, or had elsewhere
    before an import. A withdrawn edition is no copy, nor is one that came before a refund."""
    edition, letter, right = aliased(Edition), aliased(Delivery), aliased(Entitlement)
    by_letter = (
        sa.exists()
        .correlate_except(edition, letter)
        .where(
            edition.publication_id == publication_id,
            edition.status == EditionStatus.RELEASED,
            letter.edition_id == edition.id,
            letter.customer_id == customer_id,
            letter.created_at >= held_since(customer_id, publication_id),
            sa.or_(
                letter.status.in_(_HANDED_OVER),
                sa.and_(letter.kind == CONFIRMATION, letter.status == DeliveryStatus.QUEUED),
            ),
        )
    )
    elsewhere = (
        sa.exists()
        .correlate_except(right)
        .where(
            right.customer_id == customer_id,
            right.publication_id == publication_id,
            is_elsewhere(right),
        )
    )
    return sa.or_(by_letter, elsewhere)


def is_elsewhere(right: Any) -> sa.ColumnElement[bool]:
    """Whether a right stands for a copy from before an import: with an edition, or with one that
    was out by then."""
    edition = aliased(Edition)
    was_out = (
        sa.exists()
        .correlate_except(edition)
        .where(
            edition.publication_id == right.publication_id,
            edition.status == EditionStatus.RELEASED,
            edition.released_at < right.granted_at,
        )
    )
    is_imported = right.order_line_id.is_(None)
    return sa.and_(is_imported, sa.or_(right.from_edition_id.is_not(None), was_out))


def handed_over(publication_id: int) -> sa.Select[Any]:
    """What `has_copy` and `has_withdrawn` ask, for all customers of a publication at once, one row
    each: `sound_at`, when a letter with an edition that stands was last owed that has come or comes;
    the numbers of the newest edition handed over that stands and that was withdrawn, and when."""
    is_sound = Edition.status == EditionStatus.RELEASED
    is_gone = Edition.status == EditionStatus.WITHDRAWN
    has_come = Delivery.status.in_(_HANDED_OVER)
    comes = sa.and_(Delivery.kind == CONFIRMATION, Delivery.status == DeliveryStatus.QUEUED)

    def newest(value: Any, *when: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
        return sa.func.max(sa.case((sa.and_(*when), value)))

    return (
        sa.select(
            Delivery.customer_id,
            newest(Delivery.created_at, is_sound).label("sound_at"),
            newest(Edition.number, is_sound, has_come).label("sound_number"),
            newest(Edition.number, is_gone, has_come).label("gone_number"),
            newest(Delivery.created_at, is_gone, has_come).label("gone_at"),
        )
        .join(Edition, Edition.id == Delivery.edition_id)
        .where(
            Edition.publication_id == publication_id,
            Delivery.customer_id.is_not(None),
            sa.or_(has_come, comes),
        )
        .group_by(Delivery.customer_id)
    )


def held_since(customer_id: Any, publication_id: Any) -> sa.ScalarSelect[datetime]:
    """Since when a customer has had a right to a publication that was not taken back, as part of
    another query: what came before does not count."""
    right = aliased(Entitlement)
    return (
        sa.select(sa.func.min(right.granted_at))
        .where(
            right.customer_id == customer_id,
            right.publication_id == publication_id,
            right.revoked_at.is_(None),
        )
        .correlate_except(right)
        .scalar_subquery()
    )


def has_withdrawn(customer_id: Any, publication_id: Any) -> sa.ColumnElement[bool]:
    """Whether the newest edition that was handed over to a customer has been withdrawn since, as
    part of another query: what comes next puts that right."""
    gone, sound = aliased(Edition), aliased(Edition)
    had, since = aliased(Delivery), aliased(Delivery)
    put_right = (
        sa.exists()
        .correlate_except(sound, since)
        .where(
            sound.publication_id == publication_id,
            sound.status == EditionStatus.RELEASED,
            sound.number > gone.number,
            since.edition_id == sound.id,
            since.customer_id == customer_id,
            since.status.in_(_HANDED_OVER),
        )
    )
    return (
        sa.exists()
        .correlate_except(gone, had)
        .where(
            gone.publication_id == publication_id,
            gone.status == EditionStatus.WITHDRAWN,
            had.edition_id == gone.id,
            had.customer_id == customer_id,
            had.created_at >= held_since(customer_id, publication_id),
            had.status.in_(_HANDED_OVER),
            ~put_right,
        )
    )


def owe_copy(edition_id: int, customer_id: int, due_at: datetime, occasion: Occasion) -> bool:
    """Owe a customer the letter with an edition that no release owes them, due at `due_at` (UTC);
    says whether it is new. One letter carries it however often they bought: what was left out
    (a refund, a term that was over) stays as it was counted, and does not stand for the copy."""
    edition = db.session.get_one(Edition, edition_id)
    since = held_since(customer_id, edition.publication_id)
    theirs = sa.select(Delivery.status, Delivery.created_at >= since).where(
        Delivery.customer_id == customer_id,
        Delivery.edition_id == edition_id,
        Delivery.kind == NOTICE,
    )
    found = db.session.execute(theirs).all()
    if any(status is not DeliveryStatus.SKIPPED and is_of_now for status, is_of_now in found):
        return False
    return outbox.owe(
        NOTICE,
        notice_key(edition_id, customer_id, len(found)),
        customer_id=customer_id,
        edition_id=edition_id,
        due_at=due_at,
        occasion=occasion,
    )


def owe_what_was_missed(customer_id: int, publication_id: int, occasion: Occasion) -> None:
    """Owe a customer whose right stands the newest edition that it opens, unless a letter has
    brought it, the release was recalled, or it would be mere news to who stopped that."""
    found = _offered(customer_id, publication_id)
    if found is None:
        return
    edition, available_at = found
    if _is_carried(edition, customer_id):
        return
    if _has_copy_now(customer_id, publication_id) and (
        occasion in FIRST_COPIES or is_stopped(customer_id, publication_id)
    ):
        return
    now = clock.now()
    if available_at > now:
        occasion = Occasion.DAYS_OVER
    if owe_copy(edition.id, customer_id, max(available_at, now), occasion):
        leave_older_out(publication_id, [customer_id])


def settle_notices(customer_id: int, publication_id: int) -> None:
    """After a right ended or rests: leave out what waited for it. Who has another right is owed the
    first copy when that one opens."""
    theirs = (
        Delivery.customer_id == customer_id,
        Delivery.kind == NOTICE,
        Delivery.edition_id.in_(
            sa.select(Edition.id).where(Edition.publication_id == publication_id)
        ),
    )
    rights = db.session.scalars(
        sa.select(Entitlement).where(
            Entitlement.customer_id == customer_id,
            Entitlement.publication_id == publication_id,
            Entitlement.revoked_at.is_(None),
        )
    ).all()
    standing = [
        right.available_at
        for right in rights
        if right.suspended_at is None and right.held_at is None
    ]
    if not rights:
        outbox.leave_out(REFUNDED, *theirs)
    elif standing:
        is_early: sa.ColumnElement[bool] = Delivery.due_at < min(standing)
        if _has_copy_now(customer_id, publication_id):
            is_early = sa.or_(is_early, Delivery.occasion == Occasion.DAYS_OVER)
        outbox.leave_out(REFUNDED, *theirs, Delivery.occasion.in_(FIRST_COPIES), is_early)
        owe_what_was_missed(customer_id, publication_id, Occasion.FIRST_COPY)


def send_missed(customer_id: int, who: str) -> int:
    """Queue what a customer missed, after the address was repaired (see `release_held`): of several
    first copies of a publication the newest alone. Returns how many were queued."""
    queued = outbox.release_held(customer_id, who)
    theirs = sa.select(Entitlement.publication_id).where(Entitlement.customer_id == customer_id)
    for publication_id in db.session.scalars(theirs.distinct()).all():
        queued -= leave_older_out(publication_id, [customer_id])
    return queued


def leave_older_out(publication_id: int, customer_ids: Collection[int] | None = None) -> int:
    """Of several notices that wait for customers without a copy, leave all but that of the newest
    edition out; returns how many. What a person sends again stays."""
    older, newer = aliased(Edition), aliased(Edition)
    other = aliased(Delivery)
    replaced = (
        sa.exists()
        .correlate_except(older, newer, other)
        .where(
            older.id == Delivery.edition_id,
            older.publication_id == publication_id,
            newer.publication_id == publication_id,
            newer.number > older.number,
            other.edition_id == newer.id,
            other.customer_id == Delivery.customer_id,
            other.kind == NOTICE,
            other.status.in_(UNSENT),
        )
    )
    which = [
        Delivery.kind == NOTICE,
        Delivery.edition_id.in_(
            sa.select(Edition.id).where(
                Edition.publication_id == publication_id,
                Edition.released_at.is_not(None),
                Edition.number < _newest_number(publication_id),
            )
        ),
        Delivery.occasion != Occasion.RESENT,
        replaced,
        ~has_copy(Delivery.customer_id, sa.literal(publication_id)),
    ]
    if customer_ids is not None:
        which.append(Delivery.customer_id.in_(customer_ids))
    return outbox.leave_out(NEWER, *which)


def _newest_number(publication_id: int) -> sa.ScalarSelect[int]:
    edition = aliased(Edition)
    return (
        sa.select(sa.func.max(edition.number))
        .where(edition.publication_id == publication_id, edition.status == EditionStatus.RELEASED)
        .scalar_subquery()
    )


def _has_copy_now(customer_id: int, publication_id: int) -> bool:
    return bool(db.session.scalar(sa.select(has_copy(customer_id, publication_id))))


def is_recalled(edition_id: Any) -> sa.ColumnElement[bool]:
    """Whether the release of an edition was recalled, as part of another query."""
    return sa.exists().where(
        Batch.reason == "edition",
        Batch.subject_id == edition_id,
        Batch.status == BatchStatus.RECALLED,
    )


def _offered(customer_id: int, publication_id: int) -> tuple[Edition, datetime] | None:
    """The newest edition that a standing right opens, and from when on; of a recalled release only
    what was bought as it is."""
    standing = db.session.execute(
        sa.select(Edition, is_recalled(Edition.id))
        .where(Edition.publication_id == publication_id, Edition.status == EditionStatus.RELEASED)
        .order_by(Edition.number.desc())
    ).all()
    editions = [edition for edition, _ in standing]
    recalled = {edition.id for edition, was_recalled in standing if was_recalled}
    rights = db.session.scalars(
        sa.select(Entitlement).where(
            Entitlement.customer_id == customer_id,
            Entitlement.publication_id == publication_id,
            Entitlement.revoked_at.is_(None),
            Entitlement.suspended_at.is_(None),
            Entitlement.held_at.is_(None),
        )
    ).all()
    found = [
        (edition, right.available_at)
        for right in rights
        for edition in editions_within(right, editions)
        if edition.id not in recalled or edition.id == right.from_edition_id
    ]
    return max(found, key=lambda one: (one[0].number, -one[1].timestamp()), default=None)


def _is_carried(edition: Edition, customer_id: int) -> bool:
    query = sa.select(Delivery.id).where(
        Delivery.customer_id == customer_id,
        Delivery.edition_id == edition.id,
        Delivery.status != DeliveryStatus.SKIPPED,
        Delivery.created_at >= held_since(customer_id, edition.publication_id),
    )
    return db.session.scalars(query.limit(1)).first() is not None
