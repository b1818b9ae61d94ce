"""Names of files inside an EPUB: none may reach outside it, none may hide another."""

import posixpath
import re
import stat
import unicodedata
from collections.abc import Iterable
from typing import Protocol
from urllib.parse import unquote, urlsplit

from store.catalog.gate.notes import Notes

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f:*?"<>|]')
_DRIVE = re.compile(r"[A-Za-z]:/")
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
        if why := _fault_of(entry):
            notes.add("epub-name", name=entry.name, why=why)
        key = folded(entry.name).rstrip("/")
        if key in seen:
            notes.add("epub-name-twice", name=entry.name)
        seen.add(key)


def target_of(url: str, base: str) -> tuple[str, str]:
    """The name (composed) that an address in the file `base` leads to, and its fragment; the query
    is not part of a name. Only for addresses without scheme and host."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    if path.startswith("/"):
        name = path.lstrip("/")
    else:
        name = posixpath.join(posixpath.dirname(base), path) if path else base
    return composed(posixpath.normpath(name)), parts.fragment


def composed(name: str) -> str:
    """The one spelling (NFC) under which names are compared; a Mac writes accents apart."""
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """What names share that are one on systems that know no capitals."""
    return composed(name).casefold()


def _fault_of(entry: Named) -> str:
    """Why this is no plain relative path on every system; empty where it is one."""
    parts = entry.name.removesuffix("/").split("/")
    if _is_link(entry) or "\\" in entry.name or any(part in ("", ".", "..") for part in parts):
        return "it could overwrite files elsewhere"
    if "\ufffd" in entry.name:
        return "it is not written in UTF-8"
    if _DRIVE.match(entry.name):
        return "it could overwrite files elsewhere"
    found = _FORBIDDEN.search(entry.name)
    if found is None:
        return ""
    named = found[0] if found[0].isprintable() else "a control character"
    return f"the EPUB standard and Windows forbid {named} in names"


def _is_link(entry: Named) -> bool:
    mode = entry.attributes >> 16
    return entry.made_by >> 8 == _UNIX and stat.S_IFMT(mode) not in (
        0,
        stat.S_IFREG,
        stat.S_IFDIR,
    )
