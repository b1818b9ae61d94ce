"""How threads of one process wait for a store that does not answer: some of them at once, so that pages go on;
and once it has kept one waiting, one at a time, while all others are told at once."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# How long it is left alone, and how long a thread waits for its turn while the store is well.
AGAIN_SECONDS, TURN_SECONDS = 5.0, 1.0
# What fails sooner than this keeps no thread, and is asked again at once.
SILENCE_SECONDS = 1.0


class StoreAway(OSError):
    """The store does not answer, or refuses us; in words that hold no key."""


class Patience:
    """That of all threads together: `at_once` of them may wait for the store's first word."""

    def __init__(self, at_once: int) -> None:
        self._turns = threading.BoundedSemaphore(at_once)
        self._mutex = threading.Lock()
        self._again_at: float | None = None  # while it is silent: when one may ask again

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around one question. Raises StoreAway, at once where the store was silent a moment ago."""
        self._must_not_be_silent()
        if not self._turns.acquire(timeout=TURN_SECONDS):
            raise StoreAway("too many wait for the store")
        began = time.monotonic()
        try:
            yield
        except StoreAway:
            if time.monotonic() - began >= SILENCE_SECONDS:
                self._again_at = time.monotonic() + AGAIN_SECONDS
            raise
        except FileNotFoundError:
            self._again_at = None
            raise
        else:
            self._again_at = None
        finally:
            self._turns.release()

    def _must_not_be_silent(self) -> None:
        with self._mutex:
            again_at, now = self._again_at, time.monotonic()
            if again_at is None:
                return
            if now < again_at:
                raise StoreAway("the store did not answer a moment ago")
            self._again_at = now + AGAIN_SECONDS  # we try; others do not until we know
