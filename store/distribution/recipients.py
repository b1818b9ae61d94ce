"""Who is owed an edition, and why not: the one query of rehearsal, release, net and coverage."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from store.catalog.models import Edition
from store.entitlements.models import HELD, REFUNDED, SUSPENDED, Entitlement, NoticeStop
from store.entitlements.received import handed_over, has_copy, has_withdrawn, is_elsewhere
from store.kit import clock
from store.kit.database import UtcDateTime, db
from store.kit.mailboxes import ERASED
from store.mail.models import Batch, Delivery, Occasion

TERM_OVER = "term over"
STOPPED = "asked us to stop"
MATTERS_ONLY = "asked for what matters only"
IMPORTED = "imported as having it"
RECALLED = "recalled"
WITHDRAWN = "withdrawn"
# A customer with several entitlements counts once, with the best of them: 0 is owed the edition,
# 1 and 2 as well unless a copy has reached the customer before.
_STOPPED, _MATTERS = 1, 2
_RANKS = {3: TERM_OVER, 4: HELD, 5: SUSPENDED, 6: REFUNDED, 7: ERASED}


def recipients(edition: Edition) -> sa.Select[Any]:
    """One row per customer whom the edition concerns: `customer_id`, `left_out` (a reason, or
    null where it is owed), `due_at` (UTC), `occasion` (why, where it is owed), `is_first` (they
    have no copy yet).

    Concerned is who held an entitlement when the edition was released (now, before the release)
    that did not come with this edition or a later one. A stop leaves out who has a copy already:
    it holds back news, and nothing that was bought and not yet delivered. A wish for what matters
    alone holds back what does not, unless it replaces what was sent to them and is withdrawn.
    """
    best = _best_entitlements(edition, clock.now()).subquery("best")
    letters = handed_over(edition.publication_id).subquery("letters")
    has = sa.or_(best.c.had_elsewhere == 1, letters.c.sound_at >= best.c.since)
    gone = sa.and_(
        letters.c.gone_at >= best.c.since,
        letters.c.gone_number > sa.func.coalesce(letters.c.sound_number, 0),
    )
    joined = sa.outerjoin(best, letters, letters.c.customer_id == best.c.customer_id)
    return _told(best, has, gone).select_from(joined)


def concerned(edition: Edition) -> sa.Select[Any]:
    """The same rows, where few of them are asked for: what has reached a customer is looked up one
    by one, and not counted for all."""
    best = _best_entitlements(edition, clock.now()).subquery("best")
    who, of_which = best.c.customer_id, sa.literal(edition.publication_id)
    return _told(best, has_copy(who, of_which), has_withdrawn(who, of_which))


def _told(
    best: sa.Subquery, has: sa.ColumnElement[bool], gone: sa.ColumnElement[bool]
) -> sa.Select[Any]:
    """`has`: a copy has reached the customer; `gone`: the newest that did was withdrawn."""
    moment = sa.literal(clock.now(), UtcDateTime())
    waits = best.c.available_at > moment
    left_out = sa.case(
        (sa.and_(best.c.rank == _STOPPED, has), STOPPED),
        (sa.and_(best.c.rank == _MATTERS, gone), None),
        (sa.and_(best.c.rank == _MATTERS, has), MATTERS_ONLY),
        *((best.c.rank == rank, why) for rank, why in _RANKS.items()),
        else_=None,
    )
    occasion = sa.case(
        (gone, Occasion.CORRECTION.value),
        (has, Occasion.RELEASED.value),
        (waits, Occasion.DAYS_OVER.value),
        else_=Occasion.FIRST_COPY.value,
    )
    return sa.select(
        best.c.customer_id,
        left_out.label("left_out"),
        sa.case((waits, best.c.available_at), else_=moment).label("due_at"),
        occasion.label("occasion"),
        sa.case((has, 0), else_=1).label("is_first"),
    ).where(best.c.customer_id.is_not(None))


def missing(edition: Edition) -> sa.Select[Any]:
    """The rows of `recipients` for whom no delivery carries the edition."""
    chosen = concerned(edition).subquery("concerned")
    return sa.select(chosen).where(~_carried(edition, chosen.c.customer_id))


def imported_as_having(edition: Edition) -> sa.Select[int]:
    """Customers who came by import with this edition as theirs, bought then or since brought in by
    the order's day with an older one, and to whom nothing carried it."""
    first = sa.orm.aliased(Edition, name="first_carried")
    has_it = Entitlement.from_edition_id == edition.id
    if edition.released_at is not None:
        at = sa.literal(edition.released_at, UtcDateTime())
        older = sa.or_(Entitlement.from_edition_id.is_(None), first.number < edition.number)
        until = Entitlement.updates_until
        in_term = sa.or_(until.is_(None), until >= at)
        has_it = sa.or_(has_it, sa.and_(Entitlement.granted_at > at, older, in_term))
    return (
        sa.select(Entitlement.customer_id)
        .outerjoin(first, first.id == Entitlement.from_edition_id)
        .where(
            Entitlement.publication_id == edition.publication_id,
            Entitlement.order_line_id.is_(None),
            has_it,
            Entitlement.revoked_at.is_(None),
            ~_carried(edition, Entitlement.customer_id),
        )
        .distinct()
    )


def batch_of(edition: Edition) -> Batch | None:
    """The batch of the edition's release; None before it."""
    query = sa.select(Batch).where(
        Batch.reason == "edition", Batch.subject_id == edition.id, Batch.number == 1
    )
    return db.session.scalars(query).first()


def _best_entitlements(edition: Edition, now: datetime) -> sa.Select[*tuple[Any, ...]]:
    first = sa.orm.aliased(Edition, name="first_carried")
    at = edition.released_at or now
    rank = _rank(edition, at)
    # `rank <= _MATTERS`, which the database would compute twice.
    is_owed = sa.and_(
        Entitlement.revoked_at.is_(None),
        Entitlement.suspended_at.is_(None),
        Entitlement.held_at.is_(None),
        sa.or_(Entitlement.updates_until.is_(None), ~_is_over(at)),
    )
    query = (
        sa.select(
            Entitlement.customer_id,
            sa.func.min(rank).label("rank"),
            sa.func.min(sa.case((is_owed, Entitlement.available_at))).label("available_at"),
            sa.func.min(sa.case((Entitlement.revoked_at.is_(None), Entitlement.granted_at))).label(
                "since"
            ),
            sa.func.max(
                sa.case((is_elsewhere(Entitlement, edition.publication_id), 1), else_=0)
            ).label("had_elsewhere"),
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
    is_news = sa.or_(Entitlement.from_edition_id.is_(None), first.number < edition.number)
    if edition.released_at is None:
        return is_news
    # An import after its release has the edition too, and tells of it only where that was asked
    # for. For what was ordered no times are compared.
    return sa.and_(
        is_news,
        sa.or_(
            Entitlement.order_line_id.is_not(None),
            Entitlement.granted_at <= edition.released_at,
        ),
    )


def _rank(edition: Edition, at: datetime) -> sa.Case[int]:
    of_choice = 0 if edition.matters else _MATTERS
    return sa.case(
        (Entitlement.revoked_reason == ERASED, 7),
        (Entitlement.revoked_at.is_not(None), 6),
        (Entitlement.suspended_at.is_not(None), 5),
        (Entitlement.held_at.is_not(None), 4),
        (_is_over(at), 3),
        (NoticeStop.stopped_at.is_(None), 0),
        (NoticeStop.matters_pass, of_choice),
        else_=_STOPPED,
    )


def _is_over(at: datetime) -> sa.ColumnElement[bool]:
    return Entitlement.updates_until < sa.literal(at, UtcDateTime())


def _carried(edition: Edition, customer_id: Any) -> sa.Exists:
    return sa.exists().where(Delivery.customer_id == customer_id, Delivery.edition_id == edition.id)
