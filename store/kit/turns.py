"""Threads of one process that want the same thing, each served behind those that came before."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A queue of threads: the first may go on, the others sleep until it is theirs."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._line: deque[threading.Event] = deque()

    @contextmanager
    def turn(self, deadline: float) -> Iterator[bool]:
        """Whether our turn came before the deadline (of `time.monotonic`); whatever happens
        within, the next one is let on afterwards."""
        mine = threading.Event()
        with self._mutex:
            self._line.append(mine)
            self._let_first_on()
        try:
            yield mine.wait(max(0.0, deadline - time.monotonic()))
        finally:
            with self._mutex:
                self._line.remove(mine)
                self._let_first_on()

    def waiting(self) -> int:
        """How many stand in the queue, with the one whose turn it is."""
        return len(self._line)

    def _let_first_on(self) -> None:
        if self._line:
            self._line[0].set()
