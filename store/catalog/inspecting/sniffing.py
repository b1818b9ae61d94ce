"""What a file is by its first bytes; its name and declared type are never asked."""

from typing import Literal

_PDF = b"%PDF-"
_ZIP = b"PK\x03\x04"
_OFFICE = (b"[Content_Types].xml", b"_rels/.rels", b"docProps/", b"word/")
_PAGES = (b"<!doctype html", b"<html", b"<script")

_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xd0\xcf\x11\xe0", "an old Word or Office document"),
    (0, b"{\\rtf", "a rich text document"),
    (60, b"BOOKMOBI", "a Kindle (MOBI) book"),
    (0, b"\x89PNG", "a picture"),
    (0, b"\xff\xd8\xff", "a picture"),
    (0, b"GIF8", "a picture"),
    (0, b"MZ", "a Windows program"),
    (0, b"\x7fELF", "a program"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive"),
    (0, b"\x1f\x8b", "a compressed file"),
)


def kind_of(first: bytes) -> Literal["pdf", "zip"] | None:
    """Which inspector a file's first kilobyte calls for; None: neither PDF nor EPUB."""
    if is_office(first):
        return None
    if first.startswith(_ZIP):
        return "zip"
    return "pdf" if _PDF in first[:1024] else None


def describe(first: bytes) -> str:
    """What a file that is neither PDF nor EPUB seems to be, for a sentence."""
    if is_office(first):
        return "a Word or other Office document"
    for offset, mark, words in _OTHERS:
        if first[offset : offset + len(mark)] == mark:
            return words
    return "a web page" if holds_html(first) else "something else"


def is_office(first: bytes) -> bool:
    """Whether this zip archive starts the way Word, Excel and PowerPoint write theirs."""
    return first.startswith(_ZIP) and first[30:60].startswith(_OFFICE)


def holds_html(first: bytes) -> bool:
    """Whether a browser that guesses could take this for a web page."""
    lower = first[:1024].lower()
    return any(mark in lower for mark in _PAGES)
