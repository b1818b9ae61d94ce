"""Writing what a release owes: one statement for a hundred customers or a hundred thousand."""

import logging
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus
from store.distribution.recipients import RECALLED, batch_of, missing
from store.entitlements.models import Entitlement
from store.entitlements.notices import leave_older_out, notice_key_of
from store.entitlements.received import NOTICE
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, transaction
from store.mail import outbox
from store.mail.models import Batch, BatchStatus

log = logging.getLogger(__name__)

# The net looks at the newest edition of each publication, and at others for this long.
_WATCHED = timedelta(days=7)


def owe_notices(edition: Edition, batch: Batch, chosen: sa.Select[Any]) -> int:
    """Write a delivery for every row of `chosen` (see `recipients`), the left-out ones with their
    reason; who has one already is passed over. Of an older edition that still waits for a customer
    without a copy the letter is left out: the newest alone is owed. Returns how many were written."""
    rows = chosen.subquery("chosen")
    left_out: sa.ColumnElement[Any] = rows.c.left_out
    if batch.status == BatchStatus.RECALLED:
        left_out = sa.func.coalesce(left_out, sa.literal(RECALLED))
    owed = sa.select(
        sa.case((left_out.is_(None), "queued"), else_="skipped").label("status"),
        rows.c.occasion,
        sa.func.coalesce(left_out, "").label("reason"),
        notice_key_of(edition.id, rows.c.customer_id).label("dedupe_key"),
        sa.literal(batch.id).label("batch_id"),
        rows.c.customer_id,
        sa.literal(edition.id).label("edition_id"),
        rows.c.due_at,
    )
    written = outbox.owe_rows(NOTICE, owed)
    leave_older_out(edition.publication_id)
    return written


def begin_terms(edition: Edition, released_at: datetime) -> None:
    """Pre-orders wait for their first edition: from now on their months of editions count."""
    waiting = (
        Entitlement.publication_id == edition.publication_id,
        Entitlement.updates_until.is_(None),
        Entitlement.updates_months.is_not(None),
    )
    zone = config().zone
    day = released_at.astimezone(zone).date()
    for months in db.session.scalars(
        sa.select(Entitlement.updates_months).where(*waiting).distinct()
    ).all():
        until = clock.end_of(clock.add_months(day, months or 0), zone)
        db.session.execute(
            sa.update(Entitlement)
            .where(*waiting, Entitlement.updates_months == months)
            .values(updates_until=until)
            .execution_options(synchronize_session=False)
        )


def owe_missing() -> int:
    """The second net, for the timetable: owe a notice to whoever lacks one that the invariant
    demands. Opens its own transactions, and none where nobody is missing."""
    owed = 0
    for edition_id in db.session.scalars(_watched()).all():
        if _anybody_missing(edition_id):
            owed += _owe_missing_of(edition_id)
    return owed


def _anybody_missing(edition_id: int) -> bool:
    edition = db.session.get_one(Edition, edition_id)
    return db.session.execute(missing(edition).limit(1)).first() is not None


def _owe_missing_of(edition_id: int) -> int:
    with transaction() as session:
        edition = session.get_one(Edition, edition_id)
        batch = batch_of(session, edition)
        if batch is None or edition.status != EditionStatus.RELEASED:
            return 0
        owed = owe_notices(edition, batch, missing(edition))
        if owed:
            log.warning("edition %s: %d deliveries were missing and are owed", edition_id, owed)
            outbox.wake()
    return owed


def _watched() -> sa.Select[int]:
    other = sa.orm.aliased(Edition)
    newer = sa.exists().where(
        other.publication_id == Edition.publication_id,
        other.status == EditionStatus.RELEASED,
        other.number > Edition.number,
    )
    recent = Edition.released_at > clock.now() - _WATCHED
    return sa.select(Edition.id).where(
        Edition.status == EditionStatus.RELEASED, sa.or_(recent, ~newer)
    )
