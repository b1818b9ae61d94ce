"""How long a page waits for somebody else's server: a few seconds in all, however often it asks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

PAGE_SECONDS = 3.0

# What is left to the page that is being answered; None outside pages, where there is time.
_left: ContextVar[float | None] = ContextVar("patience", default=None)


class OutOfPatience(Exception):
    """The page has waited as long as it may."""


def begin_page() -> None:
    """From here on, until `end_page`, this is a page that somebody looks at."""
    _left.set(PAGE_SECONDS)


def end_page(_fault: BaseException | None = None) -> None:
    """The answer is ready: nobody waits for this page any more."""
    _left.set(None)


def is_page() -> bool:
    """Whether somebody waits for a page."""
    return _left.get() is not None


@contextmanager
def waiting(at_most: float) -> Iterator[float]:
    """Ask another server: gives the seconds that it may take, at most `at_most`, and counts those
    that it took. Raises `OutOfPatience` where a page has none left."""
    left = _left.get()
    if left is not None and left <= 0:
        raise OutOfPatience
    begun = time.monotonic()
    try:
        yield at_most if left is None else min(left, at_most)
    finally:
        if left is not None:
            _left.set(left - (time.monotonic() - begun))
