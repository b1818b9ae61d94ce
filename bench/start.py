"""One machine's shop as `store serve` starts it: how soon it is ready, and what memory it takes."""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.figures import Figure
from bench.pages import free_port, processor_seconds
from bench.parallel import timed
from bench.shops import KEY, shop
from bench.stock import SLUG, links, stock
from store.entitlements.links import token_of

STARTS = 3
CLIENTS = 4
REQUESTS = 100


def measure() -> list[Figure]:
    """The middle of some starts; memory after pages of each kind were read in each process."""
    with tempfile.TemporaryDirectory() as folder:
        with shop(Path(folder)):
            stock(REQUESTS)
            paths = [f"/library/{token_of(link)}" for link in links(REQUESTS)]
        paths += ["/", f"/publications/{SLUG}", f"/publications/{SLUG}/order", "/terms"] * 25
        took, held = zip(*(_start(Path(folder), paths) for _ in range(STARTS)), strict=True)
    kinds = "web server, its two processes and the worker, PSS"
    return [
        Figure(
            "`store serve` is ready",
            "",
            statistics.median(seconds for seconds, _ in took),
            5,
            3,
            at_least=False,
            unit="s",
            detail=f"{statistics.median(work for _, work in took):.1f} s of processor time",
        ),
        Figure(
            f"memory of `store serve`: parent, {kinds}",
            "",
            statistics.median(held),
            330,
            280,
            at_least=False,
            unit="MB",
        ),
    ]


def _start(folder: Path, paths: list[str]) -> tuple[tuple[float, float], float]:
    """Seconds until ready, and of processor time; MB after these pages were read."""
    with _served(folder) as (parent, port):
        start = time.perf_counter()
        while not _is_ready(port):
            if parent.poll() is not None:
                raise RuntimeError("the shop did not start")
            time.sleep(0.02)
        seconds, work = time.perf_counter() - start, processor_seconds(parent.pid)
        _read(port, paths)
        return (seconds, work), _megabytes(parent.pid)


@contextmanager
def _served(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    given = {
        "STORE_ENV": "testing",
        "STORE_SECRET_KEY": KEY,
        "STORE_DATA_DIR": str(folder),
        "STORE_BIND": f"127.0.0.1:{port}",
        "STORE_BASE_URL": f"http://127.0.0.1:{port}",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STORE_")}
    words = [sys.executable, "-m", "store.cli", "serve"]
    process = subprocess.Popen(words, env=kept | given, stderr=subprocess.DEVNULL)
    try:
        yield process, port
    finally:
        process.terminate()
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def _read(port: int, paths: list[str]) -> None:
    waiting, lock = iter(paths), threading.Lock()

    def read() -> None:
        while True:
            with lock:
                path = next(waiting, None)
            if path is None:
                return
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                answer.read()

    timed([read] * CLIENTS)


def _family(number: int) -> list[psutil.Process]:
    parent = psutil.Process(number)
    return [parent, *parent.children(recursive=True)]


def _megabytes(number: int) -> float:
    return sum(one.memory_full_info().pss for one in _family(number)) / 1_000_000
