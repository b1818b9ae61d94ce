"""The one notice that carries an edition to a customer: owed, left out, owed instead of another, or
once more news is asked for.

Why a notice is owed is written on it (`Occasion`) by the code that owes it; the letter's sentences
follow from that and are never guessed from what is missing.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from store.catalog.models import Edition, EditionStatus
from store.entitlements.models import REFUNDED, Entitlement, News, NoticeStop
from store.entitlements.received import NOTICE, fetched_of, has_copy, held_since
from store.entitlements.shelves import editions_within, opens
from store.kit import clock
from store.kit.database import UtcDateTime, db, formatted
from store.mail import outbox
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus, Occasion

NEWER = "a newer edition came out"

# Nothing had reached the customer before: no stop holds these back.
FIRST_COPIES = frozenset({Occasion.FIRST_COPY, Occasion.DAYS_OVER, Occasion.ASKED})
# A customer whose first copy was left out has had none, whatever the letter would have said.
_NO_FIRST_COPY = (Occasion.RELEASED, Occasion.RESENT)
UNSENT = (DeliveryStatus.QUEUED, DeliveryStatus.HELD)
# Zeros before the customer's number: a release writes its keys in their order, each beside the one
# before. Notices owed by earlier versions have none, and keep their keys: no rule reads one, and
# none relies on a key of an edition that was owed before (`_is_carried`, `missing` and the number
# of those owed again look at the rows).
_NOTICE_KEY, _NOTICE_KEY_AGAIN = "edition:{}:{:010}", "edition:{}:{:010}:{}"


def notice_key(edition_id: int, customer_id: int, number: int = 0) -> str:
    """What makes a notice of an edition one per customer, however often they bought; those owed
    again are numbered from 1."""
    if number:
        return _NOTICE_KEY_AGAIN.format(edition_id, customer_id, number)
    return _NOTICE_KEY.format(edition_id, customer_id)


def notice_key_of(edition_id: Any, customer_id: Any, number: Any = None) -> sa.ColumnElement[str]:
    """`notice_key`, computed by the database from columns."""
    first = formatted(_NOTICE_KEY, edition_id, customer_id)
    if number is None:
        return first
    again = formatted(_NOTICE_KEY_AGAIN, edition_id, customer_id, number)
    return sa.case((number > 0, again), else_=first)


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
    brought it, the release was recalled, or it would be mere news, which they did not ask for."""
    found = _offered_now(customer_id, publication_id)
    if not found:
        return
    edition, available_at = found[0]
    if db.session.scalar(sa.select(_is_carried(edition.id, customer_id, publication_id))):
        return
    if _has_copy_now(customer_id, publication_id) and (
        occasion in FIRST_COPIES or _is_held_back(edition, customer_id)
    ):
        return
    now = clock.now()
    if available_at > now:
        occasion = Occasion.DAYS_OVER
    if owe_copy(edition.id, customer_id, max(available_at, now), occasion):
        leave_older_out(publication_id, [customer_id])


def owe_held_back(customer_id: int, publication_id: int, news: News) -> bool:
    """Owe a customer who asks for more news than before the newest edition of it that their choice
    held back; says whether there is one. None that has come or a newer one has, by letter or fetched,
    that came with their import, or whose release was recalled. Nothing was held back of who has no copy."""
    if not _has_copy_now(customer_id, publication_id):
        return False
    left_out, fetched = _left_out(customer_id, publication_id), fetched_of(customer_id)
    for edition, available_at in _offered_now(customer_id, publication_id):
        occasions = left_out.get(edition.id)
        if occasions is None or edition.id in fetched:
            break
        is_correction = Occasion.CORRECTION in occasions
        if news is News.EVERY or edition.matters or is_correction:
            now = clock.now()
            occasion = Occasion.CORRECTION if is_correction else Occasion.RELEASED
            if available_at > now:
                occasion = Occasion.DAYS_OVER
            return owe_copy(edition.id, customer_id, max(available_at, now), occasion)
    return False


def _left_out(customer_id: int, publication_id: int) -> dict[int | None, set[Occasion | None]]:
    """The editions of which every letter to a customer was left out, with why each was owed."""
    since = held_since(customer_id, publication_id)
    rows = db.session.execute(
        sa.select(
            Delivery.edition_id,
            Delivery.occasion,
            sa.and_(
                # What was left out as the address was given up goes once that is mended.
                sa.or_(
                    Delivery.status != DeliveryStatus.SKIPPED, Delivery.reason == outbox.GIVEN_UP
                ),
                Delivery.created_at >= since,
            ),
        )
        .join(Edition, Edition.id == Delivery.edition_id)
        .where(Delivery.customer_id == customer_id, Edition.publication_id == publication_id)
    ).all()
    carried = {edition_id for edition_id, _, has_come in rows if has_come}
    found: dict[int | None, set[Occasion | None]] = {}
    for edition_id, occasion, _ in rows:
        if edition_id not in carried:
            found.setdefault(edition_id, set()).add(occasion)
    return found


def _offered_now(customer_id: int, publication_id: int) -> list[tuple[Edition, datetime]]:
    """The editions that standing rights open, newest first, and from when on each is theirs; of a
    recalled release only what was bought as it is."""
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
    found: dict[Edition, datetime] = {}
    for right in rights:
        for edition in editions_within(right, editions):
            if edition.id not in recalled or edition.id == right.from_edition_id:
                found[edition] = min(right.available_at, found.get(edition, right.available_at))
    return sorted(found.items(), key=lambda one: one[0].number, reverse=True)


def owe_instead(publication_id: int, left_out: sa.ColumnElement[bool]) -> int:
    """Owe every customer of the notices `left_out` the newest edition of the publication that a
    standing right of theirs opens, for the reason of the newest of those notices. Nothing where a
    letter has brought it, nor news of a recalled release. Returns how many are new.

    What it owes is what `owe_what_was_missed` owes each, in one statement for a hundred customers
    or a hundred thousand. None of them has a copy. Called under the publication's lock.
    """
    offered = _offered(publication_id, left_out).subquery("offered")
    who, edition_id = offered.c.customer_id, offered.c.edition_id
    moment = sa.literal(clock.now(), UtcDateTime())
    waits = offered.c.available_at > moment
    letter = aliased(Delivery)
    earlier = (
        sa.select(sa.func.count())
        .select_from(letter)
        .where(letter.edition_id == edition_id, letter.customer_id == who, letter.kind == NOTICE)
        .correlate_except(letter)
        .scalar_subquery()
    )
    owed = sa.select(
        notice_key_of(edition_id, who, earlier).label("dedupe_key"),
        who.label("customer_id"),
        edition_id.label("edition_id"),
        # Who waited for the 14 days of a later purchase, and need not for this one, has a first copy.
        sa.case(
            (waits, Occasion.DAYS_OVER.value),
            (offered.c.occasion == Occasion.DAYS_OVER.value, Occasion.FIRST_COPY.value),
            else_=offered.c.occasion,
        ).label("occasion"),
        sa.case((waits, offered.c.available_at), else_=moment).label("due_at"),
    ).where(offered.c.place == 1, ~_is_carried(edition_id, who, publication_id))
    written = outbox.owe_rows(NOTICE, owed)
    if written:
        leave_older_out(publication_id)
    return written


def _offered(publication_id: int, left_out: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """What standing rights open to the customers of those notices, from when it is theirs, and why
    the newest notice was owed; a customer's newest edition is in place 1. Of a recalled release
    only what was bought as it is."""
    right, edition, first = aliased(Entitlement), aliased(Edition), aliased(Edition)
    occasion = sa.case(
        (Delivery.occasion.in_(_NO_FIRST_COPY), Occasion.FIRST_COPY.value),
        else_=sa.cast(Delivery.occasion, sa.String(20)),
    )
    # One join by indices: to number the notices apart is a loop of all by all.
    newest_first = sa.func.row_number().over(
        partition_by=right.customer_id,
        order_by=(edition.number.desc(), right.available_at, Delivery.id.desc()),
    )
    return (
        sa.select(
            right.customer_id,
            edition.id.label("edition_id"),
            right.available_at,
            occasion.label("occasion"),
            newest_first.label("place"),
        )
        .select_from(Delivery)
        .join(right, right.customer_id == Delivery.customer_id)
        .join(edition, edition.publication_id == right.publication_id)
        .outerjoin(first, first.id == right.from_edition_id)
        .where(
            left_out,
            right.publication_id == publication_id,
            right.revoked_at.is_(None),
            right.suspended_at.is_(None),
            right.held_at.is_(None),
            edition.status == EditionStatus.RELEASED,
            sa.or_(~is_recalled(edition.id), edition.id == right.from_edition_id),
            _opens(right, first, edition),
        )
    )


def _opens(right: Any, first: Any, edition: Any) -> sa.ColumnElement[bool]:
    """`shelves.editions_within`, as part of a query."""
    other, older = aliased(Edition), aliased(Edition)
    newer_stands = (
        sa.exists()
        .correlate_except(other)
        .where(
            other.publication_id == right.publication_id,
            other.status == EditionStatus.RELEASED,
            opens(right, first, other),
        )
    )
    last_sound = (
        sa.select(sa.func.max(older.number))
        .where(
            older.publication_id == right.publication_id,
            older.status == EditionStatus.RELEASED,
            older.number < first.number,
        )
        .correlate_except(older)
        .scalar_subquery()
    )
    is_gone = first.status == EditionStatus.WITHDRAWN
    return sa.or_(
        opens(right, first, edition),
        sa.and_(is_gone, edition.number == last_sound, ~newer_stands),
    )


def settle_notices(customer_id: int, publication_id: int) -> None:
    """After a right ended or rests: leave out what waited for it. A customer with another right
    is owed the first copy when that one opens."""
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


def leave_older_out(publication_id: int, customer_ids: Collection[int] | None = None) -> int:
    """Of several notices that wait for customers without a copy, leave all but that of the newest
    edition out; returns how many. What a person sends again stays."""
    older, newer, newest = aliased(Edition), aliased(Edition), aliased(Edition)
    other = aliased(Delivery)
    newest_number = (
        sa.select(sa.func.max(newest.number))
        .where(newest.publication_id == publication_id, newest.status == EditionStatus.RELEASED)
        .scalar_subquery()
    )
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
                Edition.number < newest_number,
            )
        ),
        Delivery.occasion != Occasion.RESENT,
        replaced,
        ~has_copy(Delivery.customer_id, sa.literal(publication_id)),
    ]
    if customer_ids is not None:
        which.append(Delivery.customer_id.in_(customer_ids))
    return outbox.leave_out(NEWER, *which)


def is_recalled(edition_id: Any) -> sa.ColumnElement[bool]:
    """Whether the release of an edition was recalled, as part of another query."""
    return sa.exists().where(
        Batch.reason == "edition",
        Batch.subject_id == edition_id,
        Batch.status == BatchStatus.RECALLED,
    )


def _is_carried(edition_id: Any, customer_id: Any, publication_id: int) -> sa.ColumnElement[bool]:
    letter = aliased(Delivery)
    return (
        sa.exists()
        .correlate_except(letter)
        .where(
            letter.edition_id == edition_id,
            letter.customer_id == customer_id,
            letter.status != DeliveryStatus.SKIPPED,
            letter.created_at >= held_since(customer_id, publication_id),
        )
    )


def _is_held_back(edition: Edition, customer_id: int) -> bool:
    """Whether a customer asked not to hear of this edition, as news."""
    query = sa.select(NoticeStop.id).where(
        NoticeStop.customer_id == customer_id,
        NoticeStop.publication_id == edition.publication_id,
        NoticeStop.stopped_at.is_not(None),
    )
    if edition.matters:
        query = query.where(NoticeStop.matters_pass.is_(False))
    return db.session.scalars(query).first() is not None


def _has_copy_now(customer_id: int, publication_id: int) -> bool:
    return bool(db.session.scalar(sa.select(has_copy(customer_id, publication_id))))
