"""Links and pictures inside an EPUB: whether what a page or stylesheet names is there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from store.catalog.gate.epub_names import target_of
from store.catalog.gate.epub_package import Package
from store.catalog.gate.epub_pages import Link, Pages
from store.catalog.gate.epub_zip import Archive
from store.catalog.gate.notes import Notes

_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_URL = re.compile(
    r"""url\(\s*(?:"(?P<double>[^"\n]*)"|'(?P<single>[^'\n]*)'|(?P<bare>[^)\s"']*))\s*\)"""
    r"""|@import\s+["'](?P<imported>[^"'\n]*)["']""",
    re.IGNORECASE,
)
_WEB = frozenset({"http", "https"})
_LOOSE_FRAGMENTS = ("epubcfi(", "xywh=", "t=", "svgView(", "xpointer(")
Outcome = Literal["fine", "missing", "broken", "remote", "script"]


@dataclass(frozen=True)
class _Book:
    archive: Archive
    pages: Pages
    reached: set[str] = field(default_factory=set)


def follow_links(archive: Archive, package: Package, pages: Pages, notes: Notes) -> set[str]:
    """A finding with file and line for each address that leads nowhere, or out to the web. The
    answer is the names that something in the book leads to."""
    book = _Book(archive, pages)
    for name, page in pages.items():
        for link in page.links:
            _look_at(link, name, book, notes)
        for line, text in page.styles:
            _look_at_style(text, line, name, book, notes)
    for item in package.items.values():
        if item.media_type == "text/css" and item.name in archive.by_name:
            text = archive.read(item.name).decode("utf-8", "replace")
            _look_at_style(text, 1, item.name, book, notes)
    bad = ("epub-missing-picture", "epub-broken-link", "epub-item-missing", "epub-page-missing")
    notes.passes("epub-links", unless=(*bad, "epub-page-misspelt", "epub-item-misspelt"))
    return book.reached


def _look_at_style(text: str, first_line: int, name: str, book: _Book, notes: Notes) -> None:
    for line, url in named_in_style(text):
        _look_at(Link(first_line + line - 1, url, is_followed=False), name, book, notes)


def named_in_style(text: str) -> Iterator[tuple[int, str]]:
    """Line and address of everything that a stylesheet loads; comments do not count."""
    plain = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
    line, counted = 1, 0
    for found in _URL.finditer(plain):
        line += plain.count("\n", counted, found.start())
        counted = found.start()
        url = next((part for part in found.groups() if part is not None), "")
        yield line, url.strip()


def _look_at(link: Link, name: str, book: _Book, notes: Notes) -> None:
    outcome = _follow(link.url, name, book)
    if outcome == "remote" and link.is_followed:
        return
    missing = "epub-broken-link" if link.is_followed else "epub-missing-picture"
    code = {
        "missing": missing,
        "broken": "epub-broken-link",
        "remote": "epub-remote-content",
        "script": "epub-script",
    }.get(outcome)
    if code:
        notes.add(code, name=name, line=link.line, url=link.url)


def _follow(url: str, name: str, book: _Book) -> Outcome:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "broken"
    if parts.scheme in _WEB:
        return "remote" if parts.netloc.strip("/") else "broken"
    if parts.scheme:
        special: dict[str, Outcome] = {"file": "broken", "javascript": "script"}
        return special.get(parts.scheme, "fine")
    if parts.netloc:
        return "remote"
    return _find(url, name, book)


def _find(url: str, name: str, book: _Book) -> Outcome:
    named, fragment = target_of(url, name)
    target = book.archive.find(named)
    if target is None:
        return "missing"
    if target != name:
        book.reached.add(target)
    page = book.pages.get(target)
    if page is None or not fragment or fragment.startswith(_LOOSE_FRAGMENTS):
        return "fine"
    return "fine" if fragment in page.ids or unquote(fragment) in page.ids else "broken"
