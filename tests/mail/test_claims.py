"""Claims: who sends which letter, and what becomes of those of the dead."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from store.kit import clock
from store.kit.database import db, transaction
from store.mail import claims, outbox, worker
from store.mail.claims import LEASE, Claim
from store.mail.ledger import ledger
from store.mail.models import (
    PRIORITIES,
    Attempt,
    Batch,
    BatchStatus,
    Delivery,
    DeliveryStatus,
)
from tests.conftest import Clock, on_both, on_postgresql
from tests.counted import counted_otherwise
from tests.serving import until

from .shops import a_batch, a_shop, attempts, deliveries, delivery, owe_to, readers, statuses

ANNA, BEN = "anna@reader.example", "ben@reader.example"
HERE = claims.worker_name()


@pytest.fixture
def shop(database_url: str, tmp_path: Path, frozen: Clock) -> Iterator[Flask]:
    with a_shop(database_url, tmp_path, mail_connections=4) as app:
        yield app


def claim(name: str = HERE) -> list[Claim]:
    return ledger().claim(None, name)


def start(one: Claim) -> int | None:
    return ledger().begin(None, one, "<m@shop.example.org>", ANNA)


def claimed_rows() -> int:
    return len([row for row in deliveries().values() if row.claimed_at])


@contextmanager
def a_dead_process() -> Iterator[str]:
    """The name that a worker had whose process is gone."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = f"{claims._process_name(child.pid)}:1"
    child.kill()
    child.communicate()
    yield name


@on_both
@pytest.mark.parametrize(
    ("queued", "claimed"), [(0, 0), (1, 1), (8, 2), (20, 5), (41, 11), (160, 40)]
)
def test_a_claim_is_a_fair_part_of_what_waits(shop: Flask, queued: int, claimed: int) -> None:
    owe_to(*readers(queued))

    assert len(claim()) == claimed == claimed_rows()


@on_both
@pytest.mark.parametrize(("queued", "claimed"), [(1, 1), (8, 1), (9, 2)])
def test_of_what_somebody_waits_for_each_connection_takes_a_few(
    shop: Flask, queued: int, claimed: int
) -> None:
    """A server that thinks for minutes about one of them holds few others."""
    owe_to(*readers(queued), priority=outbox.SOMEBODY_WAITS)
    owe_to(ANNA)

    assert len(claim()) == claimed == claimed_rows()


def test_a_claim_is_never_larger_than_a_hundred(shop: Flask) -> None:
    owe_to(*readers(999))

    assert len(claim()) == 100 == claimed_rows()


def test_with_a_pace_nobody_sits_on_more_than_it_may_send(
    database_url: str, tmp_path: Path, frozen: Clock
) -> None:
    with a_shop(database_url, tmp_path, mail_rate=0.3):
        owe_to(*readers(100))
        assert len(claim()) == 3


@on_postgresql
def test_a_claim_keeps_to_its_limit_with_nested_loops_forced(shop: Flask) -> None:
    owe_to(*readers(400))
    with transaction() as session:
        for off in ("hashjoin", "mergejoin", "hashagg", "sort", "bitmapscan"):
            session.execute(sa.text(f"SET LOCAL enable_{off} = off"))
        values = {"now": clock.now(), "claimed": clock.now(), "worker": HERE}
        assert (
            len(
                session.execute(
                    claims._timed(claims._claim_sql(50, PRIORITIES, False)), values
                ).all()
            )
            == 50
        )

    assert claimed_rows() == 50


@on_postgresql
def test_control_written_with_in_the_claim_takes_the_whole_table(shop: Flask) -> None:
    owe_to(*readers(400))
    with transaction() as session:
        naive = claims._claim_sql(50, PRIORITIES, False).replace("= ANY(ARRAY(", "IN (")
        naive = naive.replace(")) RETURNING", ") RETURNING")
        for off in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "indexscan"):
            session.execute(sa.text(f"SET LOCAL enable_{off} = off"))
        values = {"now": clock.now(), "claimed": clock.now(), "worker": HERE}
        plan = session.execute(claims._timed("EXPLAIN " + naive), values).scalars().all()
        found = session.execute(claims._timed(naive), values).all()

    assert len(found) == 400, plan


# How each database says that of the queue only what is due was looked at.
ONLY_DUE = re.compile(
    r"INDEX ix_deliveries_queue \(priority=\? AND due_at<\?\)|Index Cond: \(\(priority = \d\) AND \(due_at"
)


def plan_of(sql: str) -> str:
    is_sqlite = db.engine.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
    with transaction() as session:
        if not is_sqlite:
            session.execute(sa.text("SET LOCAL enable_seqscan = off"))
        values = {"now": clock.now()}
        if ":worker" in sql:
            values |= {"claimed": clock.now(), "worker": HERE}
        return "\n".join(
            str(row[-1]) for row in session.execute(claims._timed(explain + sql), values)
        )


@on_both
def test_only_what_is_due_is_looked_at(shop: Flask) -> None:
    """Not the letters that wait for their 14 days to be over."""
    owe_to(*readers(30))
    owe_to(*readers(300)[30:], due_at=clock.now() + timedelta(days=14))
    db.session.execute(sa.text("ANALYZE"))
    db.session.commit()
    is_sqlite = db.engine.dialect.name == "sqlite"
    for sql in (
        claims._claim_sql(20, PRIORITIES, is_sqlite),
        claims._due(1, PRIORITIES, is_sqlite),
        claims._count_sql(PRIORITIES, is_sqlite),
    ):
        plan = plan_of(sql)
        assert len(ONLY_DUE.findall(plan)) == len(PRIORITIES), plan
        assert "TEMP B-TREE" not in plan, plan


@on_both
def test_control_without_the_priority_all_that_waits_is_looked_at(shop: Flask) -> None:
    owe_to(*readers(300))
    is_sqlite = db.engine.dialect.name == "sqlite"
    queue = "deliveries INDEXED BY ix_deliveries_queue" if is_sqlite else "deliveries"
    plan = plan_of(
        f"SELECT id FROM {queue} WHERE {claims._CLAIMABLE} ORDER BY priority, due_at, id"
    )
    assert not ONLY_DUE.search(plan), plan


@on_both
def test_what_somebody_waits_for_is_claimed_first(shop: Flask, frozen: Clock) -> None:
    owe_to(*readers(3))
    frozen.advance(seconds=5)
    owe_to(ANNA, priority=outbox.SOMEBODY_WAITS)
    frozen.advance(seconds=5)
    owe_to(BEN, priority=outbox.SOMEBODY_WAITS)
    names = {row.id: row.address for row in deliveries().values()}

    assert [names[one.delivery_id] for one in claim()] == [ANNA]
    assert [names[one.delivery_id] for one in claim()] == [BEN]
    assert [names[one.delivery_id] for _ in range(3) for one in claim()] == readers(3)


def test_a_letter_that_no_worker_would_look_for_is_not_owed(shop: Flask) -> None:
    with pytest.raises(ValueError, match="priority 2"):
        owe_to(ANNA, priority=2)


@on_both
def test_paused_and_recalled_batches_are_not_claimed(shop: Flask) -> None:
    stopped = (BatchStatus.PAUSED, BatchStatus.RECALLED, BatchStatus.FINISHED)
    for number, status in enumerate(stopped):
        batch_id = a_batch(status=status, subject_id=number)
        owe_to(f"{status}@reader.example", batch_id=batch_id)
    owe_to(ANNA)
    taken = {db.session.get_one(Delivery, one.delivery_id).address for one in claim() + claim()}

    assert taken == {ANNA, "finished@reader.example"}


@on_postgresql
def test_a_worker_does_not_spin_while_another_holds_what_is_due(
    shop: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, look = [], worker.Drain._claim
    monkeypatch.setattr(worker.Drain, "_claim", lambda drain: looked.append(drain) or look(drain))
    owe_to(ANNA)
    with db.engine.connect() as other:
        other.execute(sa.select(Delivery.id).with_for_update())

        assert worker.send_due_letters(seconds=1) == 0
        assert len(looked) == 1
    worker.wake_when_due()
    assert worker.send_due_letters() == 1


@on_both
def test_a_batch_paused_after_the_claim_sends_nothing_more(shop: Flask) -> None:
    batch_id = a_batch()
    owe_to(ANNA, batch_id=batch_id)
    [one] = claim()
    with transaction() as session:
        session.get_one(Batch, batch_id).status = BatchStatus.PAUSED

    assert start(one) is None
    row = delivery(ANNA)
    assert (row.status, row.claimed_by) == (DeliveryStatus.QUEUED, None)
    assert attempts(ANNA) == []


@on_both
def test_what_another_worker_claimed_meanwhile_is_left_to_it(shop: Flask) -> None:
    owe_to(ANNA)
    [one] = claim()
    with transaction() as session:
        session.execute(sa.update(Delivery).values(claimed_by="elsewhere:1.1:1"))

    assert start(one) is None
    with transaction() as session:
        assert not claims.settle_unsent(session, one, DeliveryStatus.HELD, "why")
        claims.release(session, [one])
    assert delivery(ANNA).claimed_by == "elsewhere:1.1:1"


@on_both
def test_a_dead_workers_letters_are_freed_and_the_one_under_way_is_marked(shop: Flask) -> None:
    owe_to(ANNA)
    with a_dead_process() as dead:
        [under_way] = claim(dead)
        start(under_way)
        owe_to(BEN)
        claim(dead)
        worker.sweep()

    anna, ben = delivery(ANNA), delivery(BEN)
    assert (anna.status, anna.is_possibly_twice, anna.claimed_at) == ("queued", True, None)
    assert (ben.status, ben.is_possibly_twice, ben.claimed_at) == ("queued", False, None)
    assert anna.message_id == "<m@shop.example.org>"
    assert [(one.outcome, one.ended_at) for one in attempts(ANNA)] == [("unknown", clock.now())]


@on_both
def test_the_living_keep_their_claims_until_the_lease_is_over(shop: Flask, frozen: Clock) -> None:
    owe_to(ANNA)
    [one] = claim()
    start(one)
    worker.sweep()
    assert delivery(ANNA).status == DeliveryStatus.SENDING

    frozen.set(clock.now() + LEASE)
    worker.sweep()
    assert delivery(ANNA).status == DeliveryStatus.SENDING
    frozen.advance(seconds=1)
    worker.sweep()
    assert (delivery(ANNA).status, delivery(ANNA).is_possibly_twice) == ("queued", True)


def test_the_lease_begins_again_when_the_letter_begins(shop: Flask, frozen: Clock) -> None:
    owe_to(ANNA)
    [one] = claim()
    frozen.set(clock.now() + LEASE - timedelta(seconds=1))
    start(one)
    frozen.advance(seconds=30)
    worker.sweep()

    assert delivery(ANNA).status == DeliveryStatus.SENDING


@pytest.mark.parametrize(
    ("name", "dead"),
    [
        (HERE, False),
        ("another-host:1.1:1", False),
        (HERE.replace(f":{os.getpid()}.", f":{os.getpid()}.9"), True),  # the pid was used again
        ("nonsense", False),
    ],
    ids=["this process", "another host", "the pid used again", "no name of ours"],
)
def test_who_is_dead_is_told_by_host_pid_and_start(name: str, dead: bool) -> None:
    assert claims.is_dead(name) is dead


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(),
    reason="elsewhere nothing tells that a process has ended and was not asked for",
)
def test_a_worker_that_ended_is_dead_before_anybody_asked_for_its_end() -> None:
    """Whose parent never asks, as the first process of a container may not, is seen for good."""

    def fields() -> list[str]:
        told = Path(f"/proc/{ended.pid}/stat").read_text()
        return told.rpartition(")")[2].split()

    with subprocess.Popen(["sleep", "60"]) as ended:
        host, _, _ = HERE.partition(":")
        name = f"{host}:{ended.pid}.{fields()[19]}:1"
        assert not claims.is_dead(name)
        ended.kill()
        until(lambda: fields()[0] == "Z", "it has ended")
        assert claims.is_dead(name)


@on_both
@pytest.mark.parametrize("threads", [8])
def test_no_letter_is_claimed_by_two(shop: Flask, threads: int) -> None:
    owe_to(*readers(200))
    taken: list[int] = []
    ready = threading.Barrier(threads)

    def take(number: int) -> None:
        with shop.app_context():
            ready.wait()
            while claims := claim(f"host:{number}.1:1"):
                taken.extend(one.delivery_id for one in claims)

    workers = [threading.Thread(target=take, args=(n,)) for n in range(threads)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()

    assert sorted(taken) == sorted(row.id for row in deliveries().values())


class ClaimHistory(RuleBasedStateMachine):
    """Claims, starts, answers, deaths and sweeps in any order: each letter stays accounted for."""

    shop: Flask
    frozen: Clock

    @initialize()
    def _begin(self) -> None:
        with transaction() as session:
            for table in (Attempt, Delivery):
                session.execute(sa.delete(table))
        batches = db.session.scalars(sa.select(Batch.id)).all()
        owe_to(*readers(6), batch_id=batches[0] if batches else a_batch())
        self.held: dict[str, list[Claim]] = {}
        self.under_way: dict[int, Claim] = {}

    @rule(name=st.sampled_from(["far:1.1:1", "far:2.1:1"]))
    def claims(self, name: str) -> None:
        taken = claim(name)
        others = [one.delivery_id for claims in self.held.values() for one in claims]
        assert not {one.delivery_id for one in taken} & {*others, *self.under_way}
        self.held.setdefault(name, []).extend(taken)

    @rule(name=st.sampled_from(["far:1.1:1", "far:2.1:1"]))
    def starts(self, name: str) -> None:
        if self.held.get(name):
            one = self.held[name].pop(0)
            assert start(one) is not None
            self.under_way[one.delivery_id] = one

    @rule(name=st.sampled_from(["far:1.1:1", "far:2.1:1"]))
    def gives_back(self, name: str) -> None:
        with transaction() as session:
            claims.release(session, self.held.pop(name, []))

    @rule()
    def the_lease_ends(self) -> None:
        self.frozen.set(clock.now() + LEASE + clock.MINUTE)
        worker.sweep()
        doubtful = list(self.under_way)
        self.held, self.under_way = {}, {}
        db.session.remove()
        marked = sa.select(Delivery.id).where(Delivery.is_possibly_twice)
        assert set(doubtful) <= set(db.session.scalars(marked))

    @invariant()
    def every_letter_is_queued_or_under_way(self) -> None:
        assert set(statuses()) <= {"queued", "sending"}
        assert sum(statuses().values()) == 6
        assert statuses().get("sending", 0) == len(self.under_way)
        held = sum(len(claims) for claims in self.held.values())
        assert claimed_rows() == held + len(self.under_way)
        assert counted_otherwise() == {}


@on_both
def test_no_history_of_claims_loses_a_letter(shop: Flask, frozen: Clock) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    ClaimHistory.shop, ClaimHistory.frozen = shop, frozen
    few = hypothesis_settings(max_examples=12, stateful_step_count=20, deadline=None)
    run_state_machine_as_test(ClaimHistory, settings=few)
