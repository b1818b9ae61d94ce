"""Names of files inside an EPUB: none may reach outside it, none may hide another."""

import re
import stat
import unicodedata
from collections.abc import Iterable
from typing import Protocol

from store.catalog.inspecting.notes import Notes

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|\ufffd]')
_UNIX = 3


class Named(Protocol):
    """What is looked at of an entry."""

    @property
    def name(self) -> str: ...
    @property
    def made_by(self) -> int: ...
    @property
    def attributes(self) -> int: ...


def look_at_names(entries: Iterable[Named], notes: Notes) -> None:
    """Refuse names that climb, start at a root or drive, collide, or are links."""
    seen: set[str] = set()
    for entry in entries:
        if not is_safe(entry.name) or _is_link(entry):
            notes.add("epub-name", name=entry.name)
        folded = unicodedata.normalize("NFC", entry.name).casefold().rstrip("/")
        if folded in seen:
            notes.add("epub-name-twice", name=entry.name)
        seen.add(folded)


def is_safe(name: str) -> bool:
    """Whether this is a plain relative path, on every system."""
    parts = name.removesuffix("/").split("/")
    return not _FORBIDDEN.search(name) and not any(part in ("", ".", "..") for part in parts)


def _is_link(entry: Named) -> bool:
    mode = entry.attributes >> 16
    return entry.made_by >> 8 == _UNIX and stat.S_IFMT(mode) not in (
        0,
        stat.S_IFREG,
        stat.S_IFDIR,
    )
