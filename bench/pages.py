"""The publication page beside a bare Flask route on the same server."""

import http.client
import multiprocessing
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from flask import Flask

from bench.figures import Figure, rounds
from bench.shops import KEY, add_publication, shop
from store import serving, settings
from store.catalog.models import Publication
from store.kit.database import db

REQUESTS = 1_000
CLIENTS = 4


def measure() -> list[Figure]:
    """Requests a second, and processor time a request."""
    with tempfile.TemporaryDirectory() as folder:
        with shop(Path(folder)):
            add_publication(10)
            path = f"/publications/{db.session.query(Publication.slug).scalar()}"
        ours = settings.load({}, env="testing", secret_key=KEY, data_dir=Path(folder))
        with (
            served(run_shop, ours) as (shop_port, shop_pid),
            served(_run_bare, None) as (bare_port, bare_pid),
        ):
            speed = rounds(5, lambda: _load(shop_port, path), lambda: _load(bare_port, "/"))
            work = rounds(
                3,
                lambda: _work(shop_pid, shop_port, path),
                lambda: _work(bare_pid, bare_port, "/"),
            )
    reference = "a bare Flask route on the same server"
    return [
        Figure("publication page, requests a second", reference, speed, 0.25),
        Figure("publication page, processor time", reference, work, 4.5, at_least=False),
    ]


def run_shop(given: settings.Settings, port: int) -> None:
    """The shop as `store web` serves it."""
    serving.run_web(given, f"127.0.0.1:{port}")


def _run_bare(_given: None, port: int) -> None:
    app = Flask("bare")
    app.add_url_rule("/", view_func=lambda: "hello")
    serving.WebServer(lambda: app, f"127.0.0.1:{port}").run()


@contextmanager
def served(target: object, given: object) -> Iterator[tuple[int, int]]:
    """A server in a process of its own: `target(given, port)`; yields port and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=target, args=(given, port))
    process.start()
    try:
        _wait(port)
        yield port, process.pid or 0
    finally:
        process.terminate()
        process.join()


def _wait(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server did not start")


def _load(port: int, path: str) -> float:
    def fetch() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for _ in range(REQUESTS // CLIENTS):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path} answered {answer.status}")
        connection.close()

    threads = [threading.Thread(target=fetch) for _ in range(CLIENTS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return REQUESTS / (time.perf_counter() - start)


def _work(pid: int, port: int, path: str) -> float:
    before = _processor_seconds(pid)
    _load(port, path)
    return _processor_seconds(pid) - before


def _processor_seconds(pid: int) -> float:
    parent = psutil.Process(pid)
    times = [process.cpu_times() for process in (parent, *parent.children(recursive=True))]
    return sum(each.user + each.system for each in times)
