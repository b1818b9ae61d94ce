"""Whether the threads of a worker get anywhere: one of them is free, or some job began or ended lately.

A job may take long, and the others go on beside it; where every thread has been at the same work for
minutes, nothing that falls due is looked after any more, though the process is there.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# Longer than any job takes by itself; only somebody else's server that keeps all of them waiting, or
# a lock that nobody lets go, lasts longer.
STUCK_SECONDS = 300.0


class Pulse:
    """What the threads of one process are at."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy = 0
        self._moved_at = time.monotonic()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Around each job of a thread."""
        self._move(1)
        try:
            yield
        finally:
            self._move(-1)

    def is_moving(self, threads: int, stuck_seconds: float = STUCK_SECONDS) -> bool:
        """Whether one of so many threads is free, or a job began or ended within that time."""
        with self._lock:
            still = time.monotonic() - self._moved_at
            return self._busy < threads or still < stuck_seconds

    def _move(self, by: int) -> None:
        with self._lock:
            self._busy += by
            self._moved_at = time.monotonic()
