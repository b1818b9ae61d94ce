"""Who is owed an edition, and why not: the one query of rehearsal, release, net and coverage."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from store.catalog.models import Edition
from store.entitlements.copies import has_copy, has_withdrawn
from store.entitlements.models import Entitlement, NoticeStop
from store.kit import clock
from store.kit.columns import UtcDateTime
from store.mail.models import Batch, Delivery, Occasion

REFUNDED = "refunded"
SUSPENDED = "suspended"
TERM_OVER = "term over"
STOPPED = "asked us to stop"
IMPORTED = "imported as having it"
RECALLED = "recalled"
WITHDRAWN = "withdrawn"
# A customer with several entitlements counts once, with the best of them: 0 is owed the edition,
# 1 as well unless a copy has reached the customer before.
_STOPPED = 1
_RANKS = {2: TERM_OVER, 3: SUSPENDED, 4: REFUNDED}


def recipients(edition: Edition) -> sa.Select[Any]:
    """One row per customer whom the edition concerns: `customer_id`, `left_out` (a reason, or
    null where it is owed), `due_at` (UTC), `occasion` (why, where it is owed), `is_preorder` (it
    would be the first copy of one).

    Concerned is who held an entitlement when the edition was released (now, before the release)
    that did not come with this edition or a later one. A stop leaves out who has a copy already:
    it holds back news, and nothing that was bought and not yet delivered.
    """
    now = clock.now()
    best = _best_entitlements(edition, now).subquery("best")
    moment = sa.literal(now, UtcDateTime())
    waits = best.c.available_at > moment
    has = has_copy(best.c.customer_id, sa.literal(edition.publication_id))
    left_out = sa.case(
        (sa.and_(best.c.rank == _STOPPED, has), STOPPED),
        *((best.c.rank == rank, why) for rank, why in _RANKS.items()),
        else_=None,
    )
    occasion = sa.case(
        (
            has_withdrawn(best.c.customer_id, sa.literal(edition.publication_id)),
            Occasion.CORRECTION.value,
        ),
        (has, Occasion.RELEASED.value),
        (waits, Occasion.DAYS_OVER.value),
        else_=Occasion.FIRST_COPY.value,
    )
    return sa.select(
        best.c.customer_id,
        left_out.label("left_out"),
        sa.case((waits, best.c.available_at), else_=moment).label("due_at"),
        occasion.label("occasion"),
        sa.case((best.c.is_preorder == 0, 0), (has, 0), else_=1).label("is_preorder"),
    ).where(best.c.customer_id.is_not(None))


def missing(edition: Edition) -> sa.Select[Any]:
    """The rows of `recipients` for whom no delivery carries the edition."""
    chosen = recipients(edition).subquery("concerned")
    return sa.select(chosen).where(~_carried(edition, chosen.c.customer_id))


def imported_as_having(edition: Edition) -> sa.Select[int]:
    """Customers who came by import with this edition as theirs, and to whom nothing carried it."""
    return (
        sa.select(Entitlement.customer_id)
        .where(
            Entitlement.publication_id == edition.publication_id,
            Entitlement.order_line_id.is_(None),
            Entitlement.from_edition_id == edition.id,
            Entitlement.revoked_at.is_(None),
            ~_carried(edition, Entitlement.customer_id),
        )
        .distinct()
    )


def batch_of(session: Any, edition: Edition) -> Batch | None:
    """The batch of the edition's release; None before it."""
    query = sa.select(Batch).where(
        Batch.reason == "edition", Batch.subject_id == edition.id, Batch.number == 1
    )
    found: Batch | None = session.scalars(query).first()
    return found


def _best_entitlements(edition: Edition, now: datetime) -> sa.Select[*tuple[Any, ...]]:
    first = sa.orm.aliased(Edition, name="first_carried")
    rank = _rank(edition.released_at or now)
    is_owed = rank <= _STOPPED
    query = (
        sa.select(
            Entitlement.customer_id,
            sa.func.min(rank).label("rank"),
            sa.func.min(sa.case((is_owed, Entitlement.available_at))).label("available_at"),
            sa.func.max(sa.case((Entitlement.from_edition_id.is_(None), 1), else_=0)).label(
                "is_preorder"
            ),
        )
        .select_from(Entitlement)
        .outerjoin(first, first.id == Entitlement.from_edition_id)
        .outerjoin(
            NoticeStop,
            sa.and_(
                NoticeStop.customer_id == Entitlement.customer_id,
                NoticeStop.publication_id == Entitlement.publication_id,
            ),
        )
        .where(Entitlement.publication_id == edition.publication_id)
        .group_by(Entitlement.customer_id)
    )
    return query.where(_comes_after(edition, first))


def _comes_after(edition: Edition, first: Any) -> sa.ColumnElement[bool]:
    waits: sa.ColumnElement[bool] = Entitlement.from_edition_id.is_(None)
    if edition.released_at is not None:
        # Imported without a first edition, and after this one: to hear of the newest one only.
        # For what was ordered no times are compared; a pre-order is owed whatever is released.
        waits = sa.and_(
            waits,
            sa.or_(
                Entitlement.order_line_id.is_not(None),
                Entitlement.granted_at <= edition.released_at,
            ),
        )
    return sa.or_(waits, first.number < edition.number)


def _rank(at: datetime) -> sa.Case[int]:
    return sa.case(
        (Entitlement.revoked_at.is_not(None), 4),
        (Entitlement.suspended_at.is_not(None), 3),
        (Entitlement.updates_until < sa.literal(at, UtcDateTime()), 2),
        (NoticeStop.stopped_at.is_not(None), _STOPPED),
        else_=0,
    )


def _carried(edition: Edition, customer_id: Any) -> sa.Exists:
    return sa.exists().where(Delivery.customer_id == customer_id, Delivery.edition_id == edition.id)
