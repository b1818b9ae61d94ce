"""Web server and worker as children of one small process.

It knows the standard library alone: who imports the shop to watch over two processes that have it,
too, keeps 100 MB more for nothing. `store serve` judges the settings and becomes this program.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from types import FrameType

GRACE_SECONDS = 30
# Set in children, so that each knows whose death ends it.
PARENT = "COLOPHON_PARENT"


def become_parent(bind: str) -> None:
    """This process goes on as the parent of a shop that listens there, with nothing in its memory
    of what it was before; never returns."""
    os.execv(sys.executable, [sys.executable, "-m", "store.children", bind])  # noqa: S606


def is_free(bind: str) -> bool:
    """Whether this process could listen there: nothing else does, and the address is ours."""
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True


def serve(bind: str) -> int:
    """Web and worker as children of this process; one that dies ends both. Returns an exit code."""
    # The C library gives each thread a heap of its own, which Python's threads, one at work at a time,
    # have no use for.
    environment = (
        {"MALLOC_ARENA_MAX": "2"} | os.environ | {PARENT: str(os.getpid()), "STORE_BIND": bind}
    )
    children = [
        subprocess.Popen([sys.executable, "-m", "store.cli", command], env=environment)  # noqa: S603
        for command in ("web", "worker")
    ]
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    watch_parent()
    while not stopping.is_set() and all(child.poll() is None for child in children):
        stopping.wait(0.2)
    was_asked = stopping.is_set()
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS + 5
    for child in children:
        try:
            child.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
    return 0 if was_asked else 1


def watch_parent() -> None:
    """End this process when the command that started it is gone."""
    parent = os.environ.get(PARENT)
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="watch-parent").start()


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1]))
