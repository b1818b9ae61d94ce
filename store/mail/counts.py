"""How many letters of a batch stand where, however many it has: triggers add to these rows in the
transaction that moves a letter (migration 0026), each connection to its own, and reading sums them.

A letter counts as `left` once it is claimed. What is claimed and has not gone yet is few, and found
by an index of its own, so that handing a letter over changes no count.
"""

import logging
from collections import Counter

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from store.kit.database import Base, db, insert_into, transaction
from store.mail.models import Batch, Delivery, DeliveryStatus

log = logging.getLogger(__name__)

_LEFT = "left"
_UNDER_WAY = "under way"
# Of so many connections the rows are put together.
_MOST_SLOTS = 40
_OPEN = [status.value for status in DeliveryStatus.open()]

Counts = Counter[tuple[DeliveryStatus, str]]


class BatchCount(Base):
    """What one connection has added to the letters of a batch at one status; of those that were
    left out by their reason."""

    __tablename__ = "batch_counts"

    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("batches.id"), primary_key=True)
    slot: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    status: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    reason: Mapped[str] = mapped_column(sa.String(300), primary_key=True)
    number: Mapped[int]


def letters_of(batch: Batch) -> Counts:
    """How many letters of a batch have each status; those that are under way count as queued."""
    under_way = sa.select(
        sa.literal(_UNDER_WAY).label("status"),
        sa.literal("").label("reason"),
        sa.func.count().label("number"),
    ).where(
        # The condition of their index to the letter.
        sa.text("claimed_at IS NOT NULL"),
        Delivery.batch_id + 0 == batch.id,
        Delivery.status.in_(_OPEN),
    )
    # One statement, so that both are of one moment.
    found: Counter[tuple[str, str]] = Counter()
    for status, reason, number in db.session.execute(sa.union_all(_kept(batch.id), under_way)):
        found[status, reason] = int(number)
    moving = found.pop((_UNDER_WAY, ""), 0)
    found[DeliveryStatus.SENT, ""] = found.pop((_LEFT, ""), 0) - moving
    found[DeliveryStatus.QUEUED, ""] += moving
    return Counter({(DeliveryStatus(key[0]), key[1]): many for key, many in found.items() if many})


def mend(batch_id: int) -> dict[str, int]:
    """Compare the counts of a batch with its letters, every one of them, and put right what
    differs; returns by how much. Opens a transaction of its own where there is something to write.
    """
    if not _differences(batch_id):
        _put_together(batch_id)
        return {}
    with transaction() as session:
        # Who mends at the same time waits; who moves letters does not, and changes no difference.
        session.execute(
            sa.select(Batch.id).where(Batch.id == batch_id).with_for_update(key_share=True)
        )
        wrong = _differences(batch_id)
        for status, reason, number in wrong:
            _add(batch_id, status, reason, number)
    if wrong:
        log.error("batch %s: its counts were wrong and are mended: %s", batch_id, wrong)
    return {f"{status} {reason}".strip(): number for status, reason, number in wrong}


def _kept(batch_id: int) -> sa.Select[str, str, int]:
    return (
        sa.select(
            BatchCount.status, BatchCount.reason, sa.func.sum(BatchCount.number).label("number")
        )
        .where(BatchCount.batch_id == batch_id)
        .group_by(BatchCount.status, BatchCount.reason)
    )


def _differences(batch_id: int) -> list[tuple[str, str, int]]:
    """What is to be added to each count; one statement, as letters move meanwhile."""
    is_claimed = sa.and_(Delivery.claimed_at.is_not(None), Delivery.status.in_(_OPEN))
    status = sa.case(
        (sa.or_(Delivery.status == DeliveryStatus.SENT, is_claimed), _LEFT),
        (Delivery.status == DeliveryStatus.SENDING, DeliveryStatus.QUEUED.value),
        else_=sa.cast(Delivery.status, sa.String(20)),
    ).label("status")
    reason = sa.case((Delivery.status == DeliveryStatus.SKIPPED, Delivery.reason), else_="")
    rows = sa.select(status, reason.label("reason"), sa.literal(1).label("number")).where(
        Delivery.batch_id == batch_id
    )
    kept = sa.select(BatchCount.status, BatchCount.reason, -BatchCount.number).where(
        BatchCount.batch_id == batch_id
    )
    both = sa.union_all(rows, kept).subquery("both_sides")
    number = sa.func.sum(both.c.number)
    found = db.session.execute(
        sa.select(both.c.status, both.c.reason, number)
        .group_by(both.c.status, both.c.reason)
        .having(number != 0)
        .order_by(both.c.status, both.c.reason)
    )
    return [(row[0], row[1], int(row[2])) for row in found]


def _add(batch_id: int, status: str, reason: str, number: int) -> None:
    statement = insert_into(BatchCount).values(
        batch_id=batch_id, slot=0, status=status, reason=reason, number=number
    )
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=["batch_id", "slot", "status", "reason"],
            set_={"number": BatchCount.number + statement.excluded.number},
        )
    )


def _put_together(batch_id: int) -> None:
    """Of many connections' rows make one; a connection that adds to its own just now keeps them."""
    slots = sa.select(sa.func.count(BatchCount.slot.distinct())).where(
        BatchCount.batch_id == batch_id
    )
    if (db.session.scalar(slots) or 0) <= _MOST_SLOTS:
        return
    with transaction() as session:
        session.execute(
            sa.select(Batch.id).where(Batch.id == batch_id).with_for_update(key_share=True)
        )
        rows = session.scalars(
            sa.select(BatchCount)
            .where(BatchCount.batch_id == batch_id, BatchCount.slot != 0)
            .with_for_update(skip_locked=True)
        ).all()
        sums: Counter[tuple[str, str]] = Counter()
        for row in rows:
            sums[row.status, row.reason] += row.number
            session.delete(row)
        session.flush()
        for (status, reason), number in sums.items():
            _add(batch_id, status, reason, number)
