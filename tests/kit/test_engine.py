"""Many writers at once: they wait in turn, no thread holds two connections, and none is refused."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.app import create_app
from store.kit import database, engine, limits
from store.kit.database import NestedTransaction, db, transaction
from store.kit.engine import SPARE_CONNECTIONS, Turns, engine_options
from store.kit.limits import is_turn
from store.kit.tokens import new_reference
from store.orders.models import Order
from tests import factories
from tests.conftest import make_settings, on_both
from tests.serving import until
from tests.stocked import Stocked, stock
from tests.test_routes import PUBLIC_GETS, PUBLIC_POSTS

THREADS = 16


@contextmanager
def held_lock(folder: Path) -> Iterator[None]:
    """Another process's long transaction, as far as SQLite can tell."""
    other = sqlite3.connect(folder / "colophon.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


class NoTurns(Turns):
    """Everybody stands in the queue and asks at once, as it was before."""

    @contextmanager
    def turn(self, deadline: float) -> Iterator[bool]:
        self._line.append(threading.Lock())
        yield True


def test_turns_come_in_the_order_of_coming_and_go_on_after_a_fault() -> None:
    turns, served = Turns(), []
    begun = threading.Event()

    def come(name: int) -> None:
        with turns.turn(time.monotonic() + 60) as is_ours:
            assert is_ours
            begun.wait(60)
            served.append(name)
            if name == 2:
                raise OSError("in the middle of a turn")

    with ThreadPoolExecutor(8) as pool:
        done = []
        for name in range(8):
            done.append(pool.submit(come, name))
            until(lambda name=name: turns.waiting() == name + 1, "it stands in the queue")
        begun.set()
    assert served == list(range(8))
    assert [one.exception() is not None for one in done] == [name == 2 for name in range(8)]


def test_who_gives_up_waiting_leaves_the_queue() -> None:
    turns = Turns()
    with turns.turn(time.monotonic() + 60), ThreadPoolExecutor(1) as pool:

        def give_up() -> bool:
            with turns.turn(time.monotonic() + 0.01) as is_ours:
                return is_ours

        assert pool.submit(give_up).result(60) is False
        assert turns.waiting() == 1
    assert turns.waiting() == 0


@pytest.mark.parametrize(("turns", "at_once"), [(Turns, 1), (NoTurns, THREADS)])
def test_one_thread_of_a_process_asks_for_the_lock_while_the_others_sleep(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    turns: type[Turns],
    at_once: int,
) -> None:
    monkeypatch.setattr(engine, "Turns", turns)
    asking, most = set(), [0]
    real = engine._ask_for_lock

    def watched(*given: Any) -> bool:
        if not threading.current_thread().name.startswith("writer"):
            return real(*given)  # another shop of this run
        asking.add(threading.get_ident())
        most[0] = max(most[0], len(asking))
        try:
            return real(*given)
        finally:
            asking.discard(threading.get_ident())

    monkeypatch.setattr(engine, "_ask_for_lock", watched)
    app = create_app(make_settings(tmp_path, database_url=database_url))
    came = threading.Barrier(THREADS + 1)

    def write() -> None:
        with app.app_context():
            came.wait(60)
            with transaction() as session:
                session.execute(sa.text("UPDATE pace SET id = id"))

    with ThreadPoolExecutor(THREADS, thread_name_prefix="writer") as pool:
        with held_lock(tmp_path):
            done = [pool.submit(write) for _ in range(THREADS)]
            came.wait(60)
            with app.app_context():
                queue = engine._turns_of[db.engine]
            until(lambda: queue.waiting() == THREADS, "all stand in the queue")
            until(lambda: most[0] >= at_once, "so many ask")
        assert [one.result(60) for one in done] == [None] * THREADS
    assert most[0] == at_once
    _close(app)


@pytest.mark.long
def test_patience_is_counted_over_the_whole_wait(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOCK_PATIENCE_SECONDS", 3.0)
    app = create_app(make_settings(tmp_path, database_url=database_url))

    def write() -> float:
        start = time.monotonic()
        with app.app_context(), pytest.raises(sa.exc.OperationalError), transaction():
            pass
        return time.monotonic() - start

    with ThreadPoolExecutor(THREADS) as pool, held_lock(tmp_path):
        took = [one.result(90) for one in [pool.submit(write) for _ in range(THREADS)]]
    # Turn after turn of 3 seconds each would make 48 of the last.
    assert max(took) < 30
    _close(app)


@pytest.mark.parametrize("url", ["sqlite:///x.db", "postgresql+psycopg://host/shop"])
def test_the_pool_has_a_connection_for_all_that_threads_hold_and_some_to_spare(
    tmp_path: Path, url: str
) -> None:
    assert engine_options(url, 16)["pool_size"] == 16 + SPARE_CONNECTIONS == 20
    few = make_settings(tmp_path, web_threads=2, mail_connections=3)
    many = make_settings(tmp_path, web_threads=2, mail_connections=30)
    assert (few.most_connections, many.most_connections) == (9, 63)
    assert make_settings(tmp_path).most_connections == 16


@pytest.mark.parametrize("gives_back", [True, False])
def test_as_many_orders_as_threads_wait_for_a_held_lock_and_all_are_taken(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gives_back: bool
) -> None:
    if not gives_back:  # the control: each thread keeps one connection and asks for a second
        _keep_connections(monkeypatch)

    def of_threads(url: str, threads: int) -> dict[str, Any]:
        return engine_options(url, threads) | {
            "pool_size": threads,
            "max_overflow": 0,
            "pool_timeout": 2,
        }

    monkeypatch.setattr("store.app.engine_options", of_threads)
    app = create_app(make_settings(tmp_path, database_url=database_url))
    app.testing = False  # a fault is a page, as on a server
    with app.app_context():
        with transaction():
            factories.a_seller()
            factories.a_publication()
        db.session.remove()
    came = threading.Barrier(THREADS + 1)

    def order(number: int) -> int:
        form = {
            "step": "place",
            "form_key": new_reference(),
            "email": f"reader{number}@reader.example",
            "seen_amount": "1250",
            "seen_currency": "GBP",
        }
        client = app.test_client()
        came.wait(60)
        return client.post("/publications/send-early-years/order", data=form).status_code

    with ThreadPoolExecutor(THREADS) as pool:
        with held_lock(tmp_path):
            done = [pool.submit(order, number) for number in range(THREADS)]
            came.wait(60)
            with app.app_context():
                queue, connections = engine._turns_of[db.engine], db.engine.pool
            if gives_back:
                until(lambda: queue.waiting() == THREADS, "all wait for the lock")
            else:
                until(lambda: connections.checkedout() == THREADS, "no connection is left")  # type: ignore[attr-defined]
        codes = [one.result(60) for one in done]
    assert (codes == [303] * THREADS) is gives_back, codes
    if gives_back:
        with app.app_context():
            assert db.session.scalar(sa.select(sa.func.count()).select_from(Order)) == THREADS
    _close(app)


@on_both
def test_no_door_holds_two_connections_at_once(app: Flask, client: FlaskClient) -> None:
    shop = stock(app)
    assert _most_held(app, lambda: _knock_everywhere(shop, client)) == 1


def test_a_second_connection_would_be_seen(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = stock(app)
    _keep_connections(monkeypatch)
    assert _most_held(app, lambda: _knock_everywhere(shop, client)) == 2


def test_a_count_inside_a_transaction_is_refused(app: Flask) -> None:
    with transaction(), pytest.raises(NestedTransaction):
        is_turn("x", 60)


def _keep_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if counts did not wait for the session's connection to be given back."""
    for room in (database, limits):
        monkeypatch.setattr(room, "give_connection_back", lambda: None)


def _knock_everywhere(shop: Stocked, client: FlaskClient) -> None:
    """Each request in a context of its own, as on a server."""
    for rule in PUBLIC_GETS:
        with client.application.app_context():
            client.get(shop.path(rule))
    for rule, fields in PUBLIC_POSTS.items():
        step = {"step": "place", "seen_amount": "1250"} if rule.endswith("/order") else {}
        with client.application.app_context():
            client.post(shop.path(rule), data=fields | step)


def _most_held(app: Flask, act: Callable[[], None]) -> int:
    """The most connections that this thread holds at one time."""
    held, most = [0], [0]

    def out(*_: object) -> None:
        held[0] += 1
        most[0] = max(most[0], held[0])

    def back(*_: object) -> None:
        held[0] -= 1

    db.session.remove()
    sa.event.listen(db.engine, "checkout", out)
    sa.event.listen(db.engine, "checkin", back)
    act()
    return most[0]


def _close(app: Flask) -> None:
    with app.app_context():
        app.extensions["colophon.huey"].storage.close()
        db.session.remove()
        db.engine.dispose()
