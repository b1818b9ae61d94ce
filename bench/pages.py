"""Pages of the storefront beside a bare Flask route on the same server: the publication has a
released edition with a file and one paid order a reader."""

import http.client
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from pathlib import Path

import psutil
import sqlalchemy as sa
from flask import Flask

from bench.figures import Figure, rounds
from bench.parallel import timed
from bench.shops import KEY, shop
from bench.stock import SLUG, links, stock
from store import serving, settings
from store.catalog.models import Asset
from store.entitlements.doors import download_path
from store.entitlements.links import token_of
from store.entitlements.models import Download, Link
from store.kit.database import db

REQUESTS = 1_000
CLIENTS = 4
ROUNDS = 3
BARE = "a bare Flask route on the same server"


def measure() -> list[Figure]:
    """Requests a second, and processor time a request."""
    with tempfile.TemporaryDirectory() as folder:
        with shop(Path(folder)) as app:
            # A transfer is counted once, so each request of a round needs a link of its own.
            stock(REQUESTS * ROUNDS)
            found = links(REQUESTS * ROUNDS)
            libraries = [f"/library/{token_of(link)}" for link in found[:REQUESTS]]
            orders = [f"/orders/{token_of(link)}" for link in links(REQUESTS, "order")]
            downloads = _downloads(found)
        ours = settings.load({}, env="testing", secret_key=KEY, data_dir=Path(folder))
        with (
            served(run_shop, ours) as (shop_port, shop_pid),
            served(run_bare, None) as (bare_port, bare_pid),
        ):
            page = [f"/publications/{SLUG}"]
            speed = rounds(5, lambda: _load(shop_port, page), lambda: _load(bare_port, ["/"]))

            def work(paths: Iterator[list[str]]) -> tuple[float, float]:
                took: list[float] = []

                def ours() -> float:
                    took.append(_work(shop_pid, shop_port, next(paths)))
                    return took[-1]

                ratio = rounds(ROUNDS, ours, lambda: _work(bare_pid, bare_port, ["/"]))
                return ratio, statistics.median(took) / REQUESTS

            figures = [
                Figure("publication page, requests a second", BARE, speed, 0.35, 0.45),
                _processor("publication page", work(repeat(page)), 2.5, 2),
                _processor("order form", work(repeat([f"{page[0]}/order"])), None, None),
                _processor("order page", work(repeat(orders)), None, None),
                _processor("library", work(repeat(libraries)), 7, 5),
                _processor("download with its row", work(iter(downloads)), 6, 4),
            ]
        with app.app_context():
            rows = db.session.scalar(sa.select(sa.func.count()).select_from(Download))
            db.session.remove()
            db.engine.dispose()
        if rows != REQUESTS * ROUNDS:
            raise RuntimeError(f"{rows} downloads were recorded")
    return figures


def _processor(
    what: str, measured: tuple[float, float], must: float | None, aim: float | None
) -> Figure:
    ratio, seconds = measured
    said = f"{seconds * 1000:.2f} ms"
    return Figure(f"{what}, processor time", BARE, ratio, must, aim, at_least=False, detail=said)


def _downloads(found: list[Link]) -> list[list[str]]:
    """The paths of each round."""
    file = db.session.scalars(sa.select(Asset)).one()
    paths = [download_path(link, file) for link in found]
    return [paths[start : start + REQUESTS] for start in range(0, len(paths), REQUESTS)]


def run_shop(given: settings.Settings, port: int) -> None:
    """The shop as `store web` serves it."""
    serving.run_web(given, f"127.0.0.1:{port}")


def run_bare(_given: None, port: int) -> None:
    """A route that does nothing, served as the shop is."""
    app = Flask("bare")
    app.add_url_rule("/", view_func=lambda: "hello")
    serving.WebServer(lambda: app, f"127.0.0.1:{port}").run()


@contextmanager
def served(target: Callable[..., None], given: object) -> Iterator[tuple[int, int]]:
    """A server in a process of its own: `target(given, port)`; yields port and process id."""
    port = free_port()
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=_without_its_log, args=(target, given, port))
    process.start()
    try:
        wait_for(port)
        yield port, process.pid or 0
    finally:
        process.terminate()
        process.join()


def _without_its_log(target: Callable[..., None], given: object, port: int) -> None:
    """It is written, as it is by a shop, and a table of figures is no place for it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    target(given, port)


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Come back once something listens there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server did not start")


def _load(port: int, paths: list[str]) -> float:
    """Requests a second; the paths are asked for in turn."""

    def fetch(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for number in range(first, REQUESTS, CLIENTS):
            path = paths[number % len(paths)]
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path} answered {answer.status}")
        connection.close()

    return REQUESTS / timed([partial(fetch, first) for first in range(CLIENTS)])


def _work(pid: int, port: int, paths: list[str]) -> float:
    before = processor_seconds(pid)
    _load(port, paths)
    return processor_seconds(pid) - before


def processor_seconds(pid: int) -> float:
    """What a process and all below it have worked."""
    parent = psutil.Process(pid)
    times = [process.cpu_times() for process in (parent, *parent.children(recursive=True))]
    return sum(each.user + each.system for each in times)
