"""The whole way of a letter (claim, facts, words, send, record) beside others that send letters."""

import multiprocessing
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from flask import Flask

from bench import peers
from bench.figures import Figure, rounds
from bench.letters import drain, need_all_sent, owe_letters, sending_to
from bench.shops import KEY, postgresql, shop
from bench.sink import sink
from store import settings
from store.app import create_app
from store.serving import keep_for_good

CONNECTIONS = 4
LETTERS = 2_000
BARE_LETTERS = 8_000  # as long as ours take, or the machine's moods tell more than they do
PEER_LETTERS = 1_000
FAR_CONNECTIONS = 16
FAR_LETTERS = 640
ROUND_TRIP = 20


def measure() -> list[Figure]:
    """Letters a second of other senders with as many connections; PostgreSQL too."""
    with tempfile.TemporaryDirectory() as folder, sink() as port, sink(ROUND_TRIP) as far_port:
        figures = _on_sqlite(Path(folder), port)
        figures.append(_far_away("SQLite", Path(folder) / "far", far_port, ""))
        with postgresql() as server:
            figures.append(_beside_bare("PostgreSQL", Path(folder) / "pg", port, server))
            figures.append(_two_workers(Path(folder) / "pg", port, server))
            figures.append(_far_away("PostgreSQL", Path(folder) / "pg", far_port, server))
    return figures


def _on_sqlite(folder: Path, port: int) -> list[Figure]:
    figure = _beside_bare("SQLite", folder / "shop", port, "")
    with shop(folder / "shop", **sending_to(port, CONNECTIONS)) as app:
        size = CONNECTIONS, PEER_LETTERS
        office = rounds(
            3,
            lambda: _ours(app, *size),
            lambda: peers.post_office(port, *size, str(folder)),
        )
        loop = rounds(3, lambda: _ours(app, *size), lambda: peers.flask_mail_loop(port, *size))
    what = f"letters a second through the outbox, {CONNECTIONS} connections, SQLite"
    return [
        figure,
        Figure(what, "django-post-office with 4 threads, SQLite", office, 1.4, 3),
        Figure(what, "a Flask-Mail loop with 4 connections that records nothing", loop, 2, 5),
    ]


def _beside_bare(name: str, folder: Path, port: int, database: str) -> Figure:
    must, aim = (0.22, 0.30) if database else (0.28, 0.40)
    with shop(folder, **sending_to(port, CONNECTIONS, database)) as app:
        ratio = rounds(
            5,
            lambda: _ours(app, CONNECTIONS, LETTERS),
            lambda: peers.bare(port, CONNECTIONS, BARE_LETTERS),
        )
    return Figure(
        f"letters a second through the outbox, {CONNECTIONS} connections, {name}",
        f"a bare smtplib loop with {CONNECTIONS} connections (sink: bench/sink.py)",
        ratio,
        must,
        aim,
    )


def _far_away(name: str, folder: Path, port: int, database: str) -> Figure:
    size = FAR_CONNECTIONS, FAR_LETTERS
    with shop(folder, **sending_to(port, FAR_CONNECTIONS, database)) as app:
        ratio = rounds(3, lambda: _ours(app, *size), lambda: peers.bare(port, *size))
    return Figure(
        f"letters a second, {ROUND_TRIP} ms away, {FAR_CONNECTIONS} connections, {name}",
        f"a bare smtplib loop with {FAR_CONNECTIONS} connections (sink: bench/sink.py)",
        ratio,
        1.7,
        1.85,
    )


def _two_workers(folder: Path, port: int, database: str) -> Figure:
    given = {"env": "testing", "secret_key": KEY, "data_dir": folder}
    given |= sending_to(port, CONNECTIONS, database)
    with shop(folder, **given):
        ratio = rounds(3, lambda: _by_processes(2, given), lambda: _by_processes(1, given))
    return Figure(
        f"letters a second of two worker processes, {CONNECTIONS} connections each, PostgreSQL",
        "one such process (cores shared with sink and server)",
        ratio,
        None,
        1.3,
    )


def _ours(app: Flask, connections: int, letters: int) -> float:
    edition_id = owe_letters(letters)
    rate = letters / drain(app, connections)
    need_all_sent(edition_id, letters)
    return rate


def _by_processes(count: int, given: dict[str, Any]) -> float:
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(count + 1)
    workers = [spawn.Process(target=_work, args=(given, ready)) for _ in range(count)]
    for worker in workers:
        worker.start()
    edition_id = owe_letters(LETTERS)
    ready.wait(120)
    start = time.perf_counter()
    ready.wait(120)
    rate = LETTERS / (time.perf_counter() - start)
    for worker in workers:
        worker.join()
    need_all_sent(edition_id, LETTERS)
    return rate


def _work(given: dict[str, Any], ready: Barrier) -> None:
    app = create_app(settings.load({}, **given))
    keep_for_good()
    ready.wait(120)
    drain(app, CONNECTIONS)
    ready.wait(120)
