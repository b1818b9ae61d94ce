"""The newest other edition for all who waited for one that is taken back: one statement for a
hundred customers or a hundred thousand. What it owes is what `owe_what_was_missed` owes each."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from store.catalog.models import Edition, EditionStatus
from store.entitlements.copies import (
    NOTICE,
    held_since,
    is_recalled,
    leave_older_out,
    notice_key_of,
)
from store.entitlements.models import Entitlement
from store.kit import clock
from store.kit.columns import UtcDateTime
from store.mail import outbox
from store.mail.models import Delivery, DeliveryStatus, Occasion

# Whose first copy was left out has had none, whatever the letter would have said.
_NO_FIRST_COPY = (Occasion.RELEASED, Occasion.RESENT)


def owe_instead(publication_id: int, left_out: sa.ColumnElement[bool]) -> int:
    """Owe every customer of the notices `left_out` the newest edition of the publication that a
    standing right of theirs opens, for the reason of the newest of those notices. Nothing where a
    letter has brought it, nor news of a recalled release. Returns how many are new.

    None of these customers has a copy. Called under the publication's lock.
    """
    offered = _offered(publication_id, left_out).subquery("offered")
    who, edition_id = offered.c.customer_id, offered.c.edition_id
    moment = sa.literal(clock.now(), UtcDateTime())
    waits = offered.c.available_at > moment
    key = notice_key_of(edition_id, who, _earlier_notices(edition_id, who))
    owed = sa.select(
        key.label("dedupe_key"),
        who.label("customer_id"),
        edition_id.label("edition_id"),
        sa.case((waits, Occasion.DAYS_OVER.value), else_=offered.c.occasion).label("occasion"),
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
    """`access.editions_within`, as part of a query."""
    other, older = aliased(Edition), aliased(Edition)
    newer_stands = (
        sa.exists()
        .correlate_except(other)
        .where(
            other.publication_id == right.publication_id,
            other.status == EditionStatus.RELEASED,
            _within(right, first, other),
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
        _within(right, first, edition),
        sa.and_(is_gone, edition.number == last_sound, ~newer_stands),
    )


def _within(right: Any, first: Any, edition: Any) -> sa.ColumnElement[bool]:
    return sa.and_(
        sa.or_(right.from_edition_id.is_(None), edition.number >= first.number),
        sa.or_(right.updates_until.is_(None), edition.released_at <= right.updates_until),
    )


def _earlier_notices(edition_id: Any, customer_id: Any) -> sa.ScalarSelect[int]:
    earlier = aliased(Delivery)
    return (
        sa.select(sa.func.count())
        .select_from(earlier)
        .where(
            earlier.edition_id == edition_id,
            earlier.customer_id == customer_id,
            earlier.kind == NOTICE,
        )
        .correlate_except(earlier)
        .scalar_subquery()
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
