"""The commit between two letters: shared on SQLite, and nobody's fault is another's."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from store.kit import kept_statements
from store.kit.database import db, transaction
from store.kit.shared_commit import SharedCommit, shared_commit
from store.mail import claims
from store.mail.claims import Claim
from store.mail.ledger import SharedLedger, Taken, ledger
from store.mail.models import Attempt, Delivery, DeliveryStatus
from store.mail.smtp import OutcomeKind
from tests.conftest import on_both, on_postgresql
from tests.kit.test_engine import held_lock
from tests.serving import until

from .shops import a_shop, attempts, delivery, owe_to, readers, statuses

FOUR = readers(4)


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    with a_shop(database_url, tmp_path, mail_connections=4) as app:
        yield app


def begin(claim: Claim, address: Any, taken: Taken | None = None) -> int | None:
    return ledger().begin(taken, claim, "<m@shop.example.org>", address)


def claimed() -> list[Claim]:
    owe_to(*FOUR)
    return [one for _ in FOUR for one in ledger().claim(None, claims.new_name())]


def take_claims_away() -> None:
    with transaction() as session:
        session.execute(sa.update(Delivery).values(claimed_by=None, claimed_at=None))


def together(shop: Flask, folder: Path, addresses: list[Any]) -> list["Future[int | None]"]:
    """Begin letters on four connections that all wait for the same lock."""
    ours, shared = claimed(), shared_commit()
    assert isinstance(ledger(), SharedLedger)

    def in_shop(claim: Claim, address: Any) -> int | None:
        with shop.app_context():
            return begin(claim, address)

    with ThreadPoolExecutor(4) as pool:
        with held_lock(folder):
            begun = [pool.submit(in_shop, *one) for one in zip(ours, addresses, strict=True)]
            until(lambda: shared.waiting() == 4, "all four wait")
        for one in begun:
            one.exception(60)
    return begun


def test_all_connections_that_wait_share_one_commit(
    shop: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[str] = []
    real = SharedCommit._commit

    def counted(shared: SharedCommit, driver: Any) -> None:
        commits.append(threading.current_thread().name)
        real(shared, driver)

    monkeypatch.setattr(SharedCommit, "_commit", counted)
    begun = together(shop, tmp_path, list(FOUR))

    assert len({one.result() for one in begun} - {None}) == 4
    assert len(commits) == 5, "each is claimed, and one commit begins all four"
    assert statuses() == {"sending": 4}


def test_a_fault_among_them_is_told_to_whom_it_concerns(shop: Flask, tmp_path: Path) -> None:
    begun = together(shop, tmp_path, [FOUR[0], None, FOUR[2], FOUR[3]])

    with pytest.raises(sa.exc.IntegrityError):
        begun[1].result()
    assert all(begun[place].result() for place in (0, 2, 3))
    assert statuses() == {"sending": 3, "queued": 1}
    assert not attempts(FOUR[1])


def test_a_commit_that_fails_is_tried_for_each_alone(
    shop: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[int] = []
    real = SharedCommit._commit

    def at_commit(shared: SharedCommit, driver: Any) -> None:
        if threading.current_thread() is not threading.main_thread() and not broken:
            broken.append(1)
            raise sqlite3.OperationalError("disk full")
        real(shared, driver)

    monkeypatch.setattr(SharedCommit, "_commit", at_commit)
    begun = together(shop, tmp_path, list(FOUR))

    assert broken
    assert len({one.result() for one in begun} - {None}) == 4
    assert [len(attempts(to)) for to in FOUR] == [1, 1, 1, 1]


@on_both
def test_the_last_is_written_down_whether_the_next_may_begin_or_not(shop: Flask) -> None:
    first, second, third, _ = claimed()
    attempt_id = begin(first, FOUR[0])
    assert attempt_id
    with transaction() as session:
        claims.release(session, [second])

    assert begin(second, FOUR[1], Taken(first, attempt_id, "250 taken")) is None

    assert delivery(FOUR[0]).status is DeliveryStatus.SENT
    assert [(one.outcome, one.reply) for one in attempts(FOUR[0])] == [("accepted", "250 taken")]
    assert delivery(FOUR[1]).status is DeliveryStatus.QUEUED
    assert begin(third, FOUR[2])


@on_postgresql
@pytest.mark.parametrize(("waiting", "next_ones"), [(FOUR, 1), (FOUR[:1], 0)])
def test_a_claim_and_the_last_outcome_are_one_statement(
    shop: Flask, monkeypatch: pytest.MonkeyPatch, waiting: list[str], next_ones: int
) -> None:
    """Each that writes is a commit of its own."""
    owe_to(*waiting)
    (first,) = ledger().claim(None, claims.new_name())
    attempt_id = begin(first, FOUR[0])
    assert attempt_id
    said: list[str] = []
    real = kept_statements._in_psycopg
    monkeypatch.setattr(kept_statements, "_in_psycopg", lambda sql: said.append(sql) or real(sql))

    again = ledger().claim(Taken(first, attempt_id, "250 taken"), claims.new_name())

    assert len([sql for sql in said if "UPDATE" in sql]) == 1
    assert len(again) == next_ones
    assert delivery(FOUR[0]).status is DeliveryStatus.SENT


@on_both
def test_a_letter_claimed_again_by_the_same_worker_does_not_leave_as_it_was_read(
    shop: Flask,
) -> None:
    first = claimed()[0]
    take_claims_away()
    again = ledger().claim(None, claims.new_name())

    assert begin(first, FOUR[0]) is None
    assert begin(again[0], FOUR[0])


@on_both
def test_control_under_the_same_name_it_would(shop: Flask) -> None:
    owe_to(*FOUR)
    first = ledger().claim(None, "worker")[0]
    take_claims_away()
    ledger().claim(None, "worker")

    assert begin(first, FOUR[0])


@on_both
def test_a_fault_of_the_driver_is_told_in_our_words(shop: Flask) -> None:
    first = claimed()[0]

    with pytest.raises(sa.exc.IntegrityError) as refused:
        begin(first, None)

    assert FOUR[0] not in str(refused.value)
    assert begin(first, FOUR[0]), "the connection is as good as before"


@on_postgresql
@pytest.mark.parametrize("is_at_hand", [True, False], ids=["at hand", "control"])
def test_while_a_thread_sends_its_steps_go_over_one_connection(
    shop: Flask, is_at_hand: bool
) -> None:
    first, second, *_ = claimed()
    taken: list[int] = []

    def take(*_given: object) -> None:
        taken.append(1)

    with ledger().at_hand() if is_at_hand else nullcontext():
        sa.event.listen(db.engine, "checkout", take)
        try:
            assert begin(first, FOUR[0])
            assert begin(second, FOUR[1])
        finally:
            sa.event.remove(db.engine, "checkout", take)

    assert len(taken) == (0 if is_at_hand else 2)
    db.session.remove()
    assert db.engine.pool.checkedout() == 0, "and it is given back"  # type: ignore[attr-defined]


@on_both
def test_the_steps_of_a_thread_that_has_many_are_those_of_one_that_has_one(shop: Flask) -> None:
    """Its later steps are planned at the server, and said in another way."""
    with ledger().at_hand():
        taken = None
        for letter, address in zip(claimed(), FOUR, strict=True):
            attempt = ledger().begin(taken, letter, f"<{letter.delivery_id}@x.example>", address)
            assert attempt is not None
            assert delivery(address).status is DeliveryStatus.SENDING
            taken = Taken(letter, attempt, "250 2.0.0 it’s taken")
        assert ledger().claim(taken, "nobody") == []
    db.session.remove()
    told = sa.select(Attempt.address, Attempt.outcome, Attempt.reply).order_by(Attempt.id)
    tries = db.session.execute(told)
    assert tries.all() == [
        (address, OutcomeKind.ACCEPTED, "250 2.0.0 it’s taken") for address in FOUR
    ]
    assert {delivery(address).status for address in FOUR} == {DeliveryStatus.SENT}
    db.session.remove()
