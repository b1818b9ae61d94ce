"""What looks for few letters among many finds them by an index, on both databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from store.admin import home, letters
from store.distribution import recalling
from store.distribution.coverage import count_due_later, troubled_letters
from store.entitlements import fresh_links
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import claims, outbox, outcomes, worker
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus, deliveries, stands_at
from tests.conftest import on_both

# What a letter passes through on its way, and when each index holds a row of such a letter.
SERVED = {
    "ix_deliveries_queue": {"queued"},
    "ix_deliveries_claimed_at": {"queued", "sending"},
    "ix_deliveries_status_id": {"failed", "held", "skipped"},
}


@contextmanager
def _plans() -> Iterator[list[str]]:
    """How the database goes about each statement that names letters."""
    found: list[str] = []
    is_sqlite = db.engine.dialect.name == "sqlite"

    def explain(_c: Any, cursor: Any, statement: str, given: Any, *_rest: Any) -> None:
        if "deliveries" not in statement or statement.startswith(("EXPLAIN", "INSERT")):
            return
        how = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
        found.append(statement)
        if not is_sqlite:  # which reads a table of few rows as a whole, whatever its indexes
            cursor.execute("SET LOCAL enable_seqscan = off")
        for row in cursor.execute(how + statement, given).fetchall():
            line = str(row[-1])
            if ("SCAN deliveries" in line and "INDEX" not in line) or "Seq Scan on deliv" in line:
                found.append(f"ALL: {line}")

    sa.event.listen(db.engine, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", explain)


def _batch() -> Batch:
    now = clock.now()
    with transaction() as session:
        batch = Batch(reason="edition", subject_id=1, status=BatchStatus.RUNNING, created_at=now)
        session.add(batch)
        session.flush()
        for status in DeliveryStatus:
            session.add(
                Delivery(
                    kind="find_my_copies",
                    dedupe_key=status,
                    status=status,
                    batch_id=batch.id,
                    created_at=now,
                    due_at=now,
                )
            )
    return batch


def _looked_for() -> None:
    batch = db.session.scalars(sa.select(Batch)).one()
    home._failed()
    home._goes_out_next()
    home._needs_a_person()
    letters.letters_of(order_id=1)
    troubled_letters(batch, 1)
    count_due_later(batch)
    worker.release_mended()
    worker.sweep()
    recalling.settle_recalled()
    fresh_links.forget_unknown_addresses()
    for status in set(DeliveryStatus) - {DeliveryStatus.SENT}:  # most are, so a walk finds them
        db.session.scalars(sa.select(Delivery.id).where(stands_at(status))).all()
    with transaction() as session:
        batch = session.merge(batch)
        outbox.retry_failed(batch, "Olga")
        outcomes.finish_batches(session)
        claims.free_dead_claims(session)


@on_both
def test_few_letters_among_many_are_found_by_an_index(app: Flask) -> None:
    _batch()
    with _plans() as plans:
        _looked_for()
    assert len(plans) > 15
    assert [line for line in plans if line.startswith("ALL")] == []


@on_both
def test_control_a_status_without_an_index_looks_at_all(app: Flask) -> None:
    _batch()
    with _plans() as plans:
        db.session.scalars(sa.select(Delivery.id).where(Delivery.tries == 3)).all()
    assert [line for line in plans if line.startswith("ALL")]


def test_no_index_holds_a_status_that_it_does_not_serve() -> None:
    for index in deliveries.indexes:
        where = str(index.dialect_options["sqlite"]["where"])
        assert where == str(index.dialect_options["postgresql"]["where"])
        if "status" in where or "status" in index.columns or "claimed" in where:
            assert index.name in SERVED
    assert {index.name for index in deliveries.indexes} > set(SERVED)


@on_both
@pytest.mark.parametrize("status", DeliveryStatus)
def test_letters_of_one_status_are_those(app: Flask, status: DeliveryStatus) -> None:
    now = clock.now()
    with transaction() as session:
        for number, each in enumerate([*DeliveryStatus] * 2):
            is_claimed = each == DeliveryStatus.SENDING or number == 0
            session.add(
                Delivery(
                    kind="k",
                    dedupe_key=str(number),
                    status=each,
                    created_at=now,
                    due_at=now,
                    claimed_at=now if is_claimed else None,
                )
            )
    found = db.session.scalars(sa.select(Delivery).where(stands_at(status))).all()
    assert [delivery.status for delivery in found] == [status] * 2
