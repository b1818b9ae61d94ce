"""The shop as real processes: started, watched and ended by tests."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

PATIENCE_SECONDS = 60
T = TypeVar("T")


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(data_dir: Path, port: int, **given: str) -> dict[str, str]:
    """What the shop is told: nothing of this process's own STORE_* variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STORE_")}
    return kept | {
        "STORE_ENV": "demo",
        "STORE_DATA_DIR": str(data_dir),
        "STORE_BASE_URL": f"http://127.0.0.1:{port}",
        # What goes wrong alone, so that a test may say that nothing did.
        "STORE_LOG_LEVEL": "warning",
        **given,
    }


def store(
    *words: str, env: dict[str, str], cwd: Path | None = None, program: str = "store.cli"
) -> "subprocess.Popen[str]":
    """A `store` command under way, its words on both streams together."""
    return subprocess.Popen(
        [sys.executable, "-m", program, *words],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(ask: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Ask again until the answer is true; fail with `what` where it never is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"never within {seconds:.0f} s: {what}")


def answers(port: int, path: str = "/healthz") -> int:
    """The status of a page, 0 while nothing listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as page:
            return int(page.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return 0


def below(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Every process that this one started, directly or not."""
    return psutil.Process(process.pid).children(recursive=True)


def child(process: "subprocess.Popen[str]", word: str) -> psutil.Process:
    """The child whose command line ends in, or holds, the word `web` or `worker`."""
    found = [one for one in psutil.Process(process.pid).children() if word in one.cmdline()]
    assert len(found) == 1, [one.cmdline() for one in found]
    return found[0]


def megabytes(*processes: int) -> float:
    """What these processes hold of the machine's memory, what they share counted once in all."""
    found = 0.0
    for number in processes:
        lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        found += sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))
    return found


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all of them have ended."""
    return not [
        one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE
    ]


@contextmanager
def serving(data_dir: Path, port: int, **given: str) -> Iterator["subprocess.Popen[str]"]:
    """`store serve` on a migrated data folder, answering; whatever is left of it ends afterwards."""
    shop = store("serve", "--port", str(port), env=environment(data_dir, port, **given))
    family: list[psutil.Process] = []
    try:
        until(lambda: answers(port) == 200 or shop.poll() is not None, "the shop answers")
        assert shop.poll() is None, shop.communicate()[0]
        until(lambda: len(below(shop)) >= 4, "web, its two workers and the worker run")
        family = below(shop)
        yield shop
    finally:
        for one in [*family, *(below(shop) if shop.poll() is None else [])]:
            if one.is_running():
                one.kill()
        shop.kill()
        shop.wait()
        if shop.stdout:
            shop.stdout.close()
