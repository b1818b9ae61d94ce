"""Worker processes say that they are there, and when they last looked after what falls due."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask

from store import serving, tasks
from store.cli import main
from store.kit import jobs
from store.kit.database import db, transaction
from store.kit.pulse import Pulse
from store.mail import heartbeats
from store.mail.heartbeats import Heartbeat
from tests.conftest import SECRET, Clock, on_both
from tests.serving import until


def another_worker(**given: object) -> None:
    """A row as the worker of another machine writes it."""
    now = heartbeats.shared_now_of(db.session())
    values = {"host": "other", "pid": 7, "version": "0", "started_at": now, "seen_at": now}
    with transaction() as session:
        session.add(Heartbeat(**(values | given)))


@on_both
def test_a_worker_is_one_row_that_it_keeps_and_two_machines_are_two(
    app: Flask, frozen: Clock
) -> None:
    assert heartbeats.workers().at_work == 0
    heartbeats.beat()
    assert heartbeats.workers().ran_at is None  # it is there, and has looked after nothing yet
    tasks.tick()
    frozen.advance(seconds=20)
    heartbeats.beat()
    seen = heartbeats.workers()
    assert (seen.at_work, seen.seen_at) == (1, seen.now)
    assert seen.ran_at is not None
    assert abs(seen.now - seen.ran_at) < timedelta(seconds=60)
    another_worker()
    assert heartbeats.workers().at_work == 2
    assert db.session.scalars(sa.select(sa.func.count()).select_from(Heartbeat)).one() == 2


@on_both
def test_one_that_is_killed_is_silent_and_one_that_ends_in_order_says_so(
    app: Flask, frozen: Clock
) -> None:
    heartbeats.beat()
    another_worker()
    frozen.advance(minutes=4)
    heartbeats.beat()
    seen = heartbeats.workers()
    assert (seen.at_work, [host for host, _ in seen.silent_hosts]) == (1, ["other"])
    another_worker(pid=8)  # started again there
    assert heartbeats.workers().silent_hosts == ()
    heartbeats.end()
    assert heartbeats.workers().at_work == 1
    frozen.advance(minutes=4)
    another_worker(host="third")
    assert [host for host, _ in heartbeats.workers().silent_hosts] == ["other"]


def test_old_rows_go_while_a_worker_is_there(app: Flask, frozen: Clock) -> None:
    another_worker()
    frozen.advance(hours=2)
    assert heartbeats.workers().seen_at is not None  # the last ones stay, to say since when
    heartbeats.beat()
    assert db.session.scalars(sa.select(Heartbeat.host)).all() == [heartbeats.host_name()]
    assert heartbeats.workers().silent_hosts == ()


def test_a_worker_whose_row_is_gone_writes_another(app: Flask, frozen: Clock) -> None:
    heartbeats.beat()
    with transaction() as session:
        session.execute(sa.delete(Heartbeat))
    heartbeats.beat()
    assert heartbeats.workers().at_work == 1


def test_the_timetable_is_late_once_a_worker_has_been_there_for_five_minutes_without(
    app: Flask, frozen: Clock
) -> None:
    another_worker(ran_at=frozen.at)
    frozen.advance(minutes=30)
    heartbeats.beat()  # the first after half an hour: its first pass is under way
    assert not heartbeats.workers().is_late
    for _ in range(4):
        frozen.advance(minutes=2)
        heartbeats.beat()
    assert heartbeats.workers().is_late


def test_a_pass_by_hand_counts_as_looked_after(app: Flask, tmp_path: Path) -> None:
    environment = {
        "STORE_ENV": "testing",
        "STORE_SECRET_KEY": SECRET,
        "STORE_DATA_DIR": str(tmp_path),
    }
    assert CliRunner().invoke(main, ["tick"], env=environment).exit_code == 0
    assert heartbeats.workers().ran_at is not None


@on_both
def test_passes_by_hand_are_no_worker(app: Flask) -> None:
    for _ in range(2):
        heartbeats.note_pass_by_hand()
    seen = heartbeats.workers()
    assert (seen.at_work, seen.seen_at, seen.ran_at is None) == (0, None, False)
    assert db.session.scalars(sa.select(Heartbeat.pid)).all() == [0]


def test_a_thread_that_works_long_keeps_no_worker_silent_and_all_of_them_do(app: Flask) -> None:
    pulse = Pulse()
    with pulse.at_work():
        assert pulse.is_moving(2, stuck_seconds=0.0)  # the other thread is free
        with pulse.at_work():
            assert pulse.is_moving(2)  # both at work, and the second has just begun
            assert not pulse.is_moving(2, stuck_seconds=0.0)
    assert pulse.is_moving(2, stuck_seconds=0.0)


def test_a_worker_whose_threads_are_all_stuck_writes_no_sign_of_life(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    beats, let_go, stuck = [], threading.Event(), threading.Semaphore(0)
    monkeypatch.setattr("store.mail.heartbeats.beat", lambda: beats.append(1))
    monkeypatch.setattr("store.mail.heartbeats.EVERY_SECONDS", 0.01)
    monkeypatch.setattr("store.kit.pulse.Pulse.is_moving", _impatient(Pulse.is_moving))

    def job() -> None:
        stuck.release()
        let_go.wait(60)

    jobs.register(app, job)
    huey, rung = app.extensions["colophon.huey"], app.extensions["colophon.jobs"]["job"]
    threads = [threading.Thread(target=huey.execute, args=(rung.s(),)) for _ in range(2)]
    with beating(app, len(threads)):
        until(lambda: beats, "it beats")
        threads[0].start()
        assert stuck.acquire(timeout=60)
        seen = len(beats)
        until(lambda: len(beats) > seen + 2, "it beats while one job runs long")
        threads[1].start()
        assert stuck.acquire(timeout=60)
        until(lambda: "at the same work" in caplog.text, "it says that all are stuck")
        seen = len(beats)
        assert not threading.Event().wait(0.1)
        assert len(beats) == seen
        let_go.set()
        until(lambda: len(beats) > seen, "it beats again")
    for thread in threads:
        thread.join()


def test_control_without_that_question_a_stuck_worker_says_that_it_is_well(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[int] = []
    monkeypatch.setattr("store.mail.heartbeats.beat", lambda: beats.append(1))
    monkeypatch.setattr("store.mail.heartbeats.EVERY_SECONDS", 0.01)
    monkeypatch.setattr("store.kit.pulse.Pulse.is_moving", lambda *_given: True)
    with jobs.pulse_of(app).at_work(), beating(app, 1):
        until(lambda: len(beats) > 5, "it beats on")


@contextmanager
def beating(app: Flask, threads: int) -> Iterator[None]:
    """A worker of so many threads gives its sign of life meanwhile."""
    ended = serving.keep_beating(app, threads)
    try:
        yield
    finally:
        ended.set()
        until(
            lambda: "heartbeat" not in {thread.name for thread in threading.enumerate()},
            "nothing beats any more",
        )


def _impatient(is_moving: object) -> object:
    """The same question with no patience at all."""

    def ask(self: Pulse, threads: int) -> bool:
        return bool(is_moving(self, threads, stuck_seconds=0.0))  # type: ignore[operator]

    return ask
