"""The counts of releases beside their letters, row by row and not by the triggers."""

from collections import Counter

import sqlalchemy as sa

from store.kit.database import db
from store.mail.counts import letters_of
from store.mail.models import Batch, Delivery, DeliveryStatus

ACTS = ("insert", "update", "delete")


def counted_otherwise() -> dict[int, tuple[dict[str, int], dict[str, int]]]:
    """What is kept and what there is, of each batch where the two differ; ends the read."""
    db.session.rollback()
    found: dict[int, Counter[str]] = {}
    for row in db.session.scalars(sa.select(Delivery).where(Delivery.batch_id.is_not(None))):
        is_under_way = row.status is DeliveryStatus.SENDING
        status = DeliveryStatus.QUEUED if is_under_way else row.status
        reason = row.reason if status is DeliveryStatus.SKIPPED else ""
        found.setdefault(row.batch_id or 0, Counter())[f"{status} {reason}"] += 1
    differing = {}
    for batch in db.session.scalars(sa.select(Batch)):
        kept = {f"{status} {reason}": n for (status, reason), n in letters_of(batch).items()}
        there = dict(found.get(batch.id, Counter()))
        if kept != there:
            differing[batch.id] = (kept, there)
    db.session.rollback()
    return differing


def count_no_more() -> None:
    """Take the triggers away."""
    db.session.rollback()
    on = "" if db.engine.dialect.name == "sqlite" else " ON deliveries"
    with db.engine.begin() as connection:
        for act in ACTS:
            connection.exec_driver_sql(f"DROP TRIGGER deliveries_counted_{act}{on}")
