"""What looks for few letters among many finds them by an index, on both databases."""

import pytest
import sqlalchemy as sa
from flask import Flask

from store.admin import home, letters
from store.distribution import live, recalling
from store.entitlements import fresh_links
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import claims, outbox, outcomes, worker
from store.mail.counts import letters_of
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus, deliveries, stands_at
from tests.conftest import on_both
from tests.plans import plans
from tests.statements import statements

# What a letter passes through on its way, and when each index holds a row of such a letter.
SERVED = {
    "ix_deliveries_queue": {"queued"},
    "ix_deliveries_claimed_at": {"queued", "sending"},
    "ix_deliveries_status_id": {"failed", "held", "skipped", "bounced"},
}


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
    home._waiting_letters()
    home._on_their_way()
    letters.letters_of(order_id=1)
    live.count_due_later(batch)
    letters_of(batch)
    worker.release_mended()
    worker.sweep()
    recalling.settle_recalled()
    fresh_links.forget_unknown_addresses()
    for status in set(DeliveryStatus) - {DeliveryStatus.SENT}:  # most are, so a walk finds them
        db.session.scalars(sa.select(Delivery.id).where(stands_at(status))).all()
    with transaction() as session:
        batch = session.merge(batch)
        outbox.retry_failed(batch, "Olga")
        claims.free_dead_claims(session)
    outcomes.finish_batches()


@on_both
def test_few_letters_among_many_are_found_by_an_index(app: Flask) -> None:
    _batch()
    with plans("deliveries") as seen:
        _looked_for()
    assert len(seen.statements) > 15
    assert seen.of_all_rows == []


@on_both
@pytest.mark.parametrize("status", BatchStatus)
def test_only_for_a_running_batch_are_letters_read_and_none_to_write(
    app: Flask, status: BatchStatus
) -> None:
    _batch()
    with transaction() as session:
        session.scalars(sa.select(Batch)).one().status = status
    with statements() as told:
        assert outcomes.finish_batches() == 0
    assert sum("deliveries" in one for one in told) == (status == BatchStatus.RUNNING)
    assert not [one for one in told if one.startswith(("BEGIN IMMEDIATE", "UPDATE"))]


@on_both
def test_control_a_batch_of_which_nothing_waits_is_finished(app: Flask) -> None:
    _batch()
    with transaction() as session:
        session.execute(sa.update(Delivery).values(status=DeliveryStatus.SENT))
    assert outcomes.finish_batches() == 1
    assert db.session.scalars(sa.select(Batch.status)).one() == BatchStatus.FINISHED


@on_both
def test_a_finished_batch_of_which_a_letter_waits_runs_on(app: Flask) -> None:
    _batch()
    with transaction() as session:
        session.scalars(sa.select(Batch)).one().status = BatchStatus.FINISHED
    worker.sweep()
    assert db.session.scalars(sa.select(Batch.status)).one() == BatchStatus.RUNNING


@on_both
def test_control_the_status_of_open_letters_alone_looks_at_all(app: Flask) -> None:
    _batch()
    for status in DeliveryStatus.open():
        with plans("deliveries") as seen:
            is_there = Delivery.status == sa.literal_column(f"'{status}'")
            db.session.scalars(sa.select(Delivery.id).where(is_there)).all()
        assert seen.of_all_rows, status


def test_no_index_holds_a_status_that_it_does_not_serve() -> None:
    found = {}
    for index in deliveries.indexes:
        where = str(index.dialect_options["sqlite"]["where"])
        assert where == str(index.dialect_options["postgresql"]["where"])
        if "status" in where or "status" in index.columns or "claimed" in where:
            found[index.name] = {status for status in DeliveryStatus if f"'{status}'" in where}
        if where == "claimed_at IS NOT NULL":
            found[index.name] = {DeliveryStatus.QUEUED, DeliveryStatus.SENDING}
    assert found == SERVED


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


@on_both
@pytest.mark.parametrize("word", ["status", "occasion"])
def test_a_word_that_no_letter_knows_is_refused(app: Flask, word: str) -> None:
    batch_id = _batch().id
    unknown = sa.update(deliveries).where(deliveries.c.batch_id == batch_id)
    unknown = unknown.values({word: sa.literal_column("'lost'")})
    with pytest.raises(sa.exc.IntegrityError), transaction() as session:
        session.execute(unknown)


def test_no_check_of_letters_has_a_list() -> None:
    """SQLite makes a table of it for each row."""
    checks = [one for one in deliveries.constraints if isinstance(one, sa.CheckConstraint)]
    assert len(checks) == 3
    assert not [one for one in checks if " IN " in str(one.sqltext)]
