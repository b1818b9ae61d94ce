"""Files in an EPUB that are no part of the book: private data, leftovers, old drafts."""

import re
from pathlib import PurePosixPath

from store.catalog.gate.epub_package import Package
from store.catalog.gate.epub_zip import Archive
from store.catalog.gate.limits import MIB
from store.catalog.gate.notes import Notes

_NAMED = 5
_APPLE_DOUBLE = (b"\x00\x05\x16\x07", b"\x00\x05\x16\x00")
_ACCOUNT = re.compile(rb"apple-?id|accountinfo|username|downloadinfo|purchasedate", re.IGNORECASE)
_READING = re.compile(r"META-INF/.*(bookmark|annotation)", re.IGNORECASE)
_LOCK = re.compile(r"~\$|\.~lock\.")
_HISTORY = frozenset({".git", ".svn", ".hg"})
_LEFT_BEHIND = re.compile(
    r"\.DS_Store|Thumbs\.db|desktop\.ini|ehthumbs\.db|\.directory|\.localized|Icon\r"
    r"|iTunesMetadata(?:-original)?\.plist|.*\.(?:bak|tmp|orig|swp)|.*~",
    re.IGNORECASE,
)
_CALIBRE = ("calibre:user_metadata", "calibre:annotation")


def look_at_extras(archive: Archive, package: Package, reached: set[str], notes: Notes) -> None:
    """Warnings only: no reading app opens these, so none is judged as a page.

    `reached` are the names that something in the book leads to.
    """
    listed = {item.name for item in package.items.values()} | {package.name}
    leftovers, unlisted = [], []
    for entry in archive.entries:
        name = entry.name
        if name.endswith("/") or name in listed:
            continue
        if what := _private(archive, name):
            notes.add("epub-private", name=name, what=what)
        elif name.startswith("__MACOSX/") or _LEFT_BEHIND.fullmatch(PurePosixPath(name).name):
            leftovers.append(name)
        elif name in reached:
            notes.add("epub-unlisted-used", name=name)
        elif name.lower() != "mimetype" and not name.lower().startswith("meta-inf/"):
            unlisted.append(name)
    if leftovers:
        notes.add("epub-leftovers", names=_some(leftovers))
    if unlisted:
        notes.add("epub-unlisted", names=_some(unlisted))
    if any(str(meta.get("name") or meta.get("property") or "").startswith(_CALIBRE)
           for meta in package.root.iter("{*}meta")):  # fmt: skip
        notes.add("epub-private", name=package.name, what="columns or notes of a calibre library")


def _private(archive: Archive, name: str) -> str:
    """What a file tells of the person who made the book; empty where nothing is known of it."""
    path = PurePosixPath(name)
    if path.name.lower().startswith("itunesmetadata") and path.suffix.lower() == ".plist":
        return "an Apple account" if _ACCOUNT.search(_beginning(archive, name)) else ""
    if _READING.match(name):
        return "bookmarks and notes of a reading app"
    if path.name.startswith("._") and _beginning(archive, name).startswith(_APPLE_DOUBLE):
        return "what a Mac keeps about a file, such as where it was downloaded"
    if _LOCK.match(path.name):
        return "the name of the person who had a document open"
    return "the history of the author's files" if _HISTORY & set(path.parts) else ""


def _beginning(archive: Archive, name: str) -> bytes:
    held = b""
    for chunk in archive.chunks(archive.by_name[name]):
        held += chunk
        if len(held) > MIB:
            break
    return held


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
