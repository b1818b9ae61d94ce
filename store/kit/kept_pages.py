"""Pages that are kept as they were written, for as long as what they are made of stays the same."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import cast

from flask import current_app

MOST_PAGES = 64
LONGEST_PAGE = 256 * 1024  # bytes


class KeptPages:
    """The pages of one process that were asked for last, each beside all that it was made of.

    Who asks for a page has just read what it is made of now; a kept one is given only where that
    is equal. So nothing is ever thrown out because something changed, and nobody has to know what
    changes a page.
    """

    def __init__(self, most: int = MOST_PAGES, longest: int = LONGEST_PAGE) -> None:
        self._most, self._longest = most, longest
        self._pages: OrderedDict[str, tuple[object, bytes]] = OrderedDict()
        self._mutex = Lock()

    def __len__(self) -> int:
        return len(self._pages)

    def page(self, name: str, made_of: object, write: Callable[[], str]) -> bytes:
        """The page of this name made of this, kept or written now. `write` may use nothing else that
        changes; what it raises is kept by nobody."""
        with self._mutex:
            before, page = self._pages.get(name, (None, b""))
            if name in self._pages:
                self._pages.move_to_end(name)
        if before is not None and before == made_of:
            return page
        page = write().encode()
        with self._mutex:
            self._pages.pop(name, None)
            if len(page) <= self._longest:
                self._pages[name] = (made_of, page)
            while len(self._pages) > self._most:
                self._pages.popitem(last=False)
        return page


def kept_pages() -> KeptPages:
    """Those of the application at work."""
    return cast(KeptPages, current_app.extensions["colophon.kept_pages"])
