"""What a file is by its first bytes; its name and declared type are never asked."""

import codecs
import re
from typing import Literal

_PDF = re.compile(rb"%PDF-\d")
_ZIP = b"PK\x03\x04"
_PAGES = (b"<!doctype html", b"<html", b"<script")
_TEXT = re.compile(r"[^\x00-\x08\x0e-\x1f\x7f]+")

_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xd0\xcf\x11\xe0", "an Office document in the old format or with a password"),
    (0, b"{\\rtf", "a rich text document (RTF)"),
    (60, b"BOOKMOBI", "a Kindle book (MOBI or AZW3)"),
    (60, b"TEXtREAd", "an old Palm or Kindle book"),
    (0, b"\xeaDRMION\xee", "a Kindle book with copy protection"),
    (0, b"CONT\x02\x00", "a Kindle book (KFX)"),
    (0, b"\x89PNG", "a picture (PNG)"),
    (0, b"\xff\xd8\xff", "a picture (JPEG)"),
    (0, b"GIF8", "a picture (GIF)"),
    (8, b"WEBP", "a picture (WebP)"),
    (0, b"II*\x00", "a picture (TIFF)"),
    (0, b"MM\x00*", "a picture (TIFF)"),
    (0, b"8BPS", "a Photoshop picture"),
    (4, b"ftypheic", "a picture (HEIC)"),
    (4, b"ftypmif1", "a picture (HEIC)"),
    (4, b"ftypavif", "a picture (AVIF)"),
    (4, b"ftyp", "a film or sound file"),
    (0, b"\x06\x06\xed\xf5\xd8\x1d\x46\xe5", "an InDesign document"),
    (0, b"AT&TFORM", "a DjVu document"),
    (0, b"ITSF", "a Windows help file (CHM)"),
    (0, b"ITOLITLS", "a Microsoft Reader book (LIT)"),
    (0, b"MZ", "a Windows program"),
    (0, b"\x7fELF", "a program"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive"),
    (0, b"\x1f\x8b", "a compressed file (gzip)"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x00\x05\x16\x07", "the hidden file that a Mac puts beside the real one"),
    (0, b"\x00\x05\x16\x00", "the hidden file that a Mac puts beside the real one"),
)
_MARKUP = (
    (b"<svg", "a picture (SVG)"),
    (b"<fictionbook", "an FB2 book"),
    (b"<?xml", "an XML file"),
)


def kind_of(first: bytes) -> Literal["pdf", "zip"] | None:
    """Which inspector a file's first kilobyte calls for; None: neither PDF nor EPUB."""
    if first.startswith(_ZIP):
        return "zip"
    return "pdf" if _PDF.search(first[:1024]) else None


def describe(first: bytes) -> str:
    """What a file that is neither PDF nor EPUB seems to be, for a sentence."""
    for offset, mark, words in _OTHERS:
        if first[offset : offset + len(mark)] == mark:
            return words
    if holds_html(first):
        return "a web page"
    lower = first.lower()
    named = (words for mark, words in _MARKUP if mark in lower)
    return next(named, "a plain text" if _is_text(first) else _nothing_known(first))


def holds_html(first: bytes) -> bool:
    """Whether a browser that guesses could take this for a web page."""
    lower = first[:1024].lower()
    return any(mark in lower for mark in _PAGES)


def _is_text(first: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(first)  # the last sign may be cut
    except UnicodeDecodeError:
        return False
    return bool(_TEXT.fullmatch(text))


def _nothing_known(first: bytes) -> str:
    return (
        "a file of zeros, as a broken copy leaves" if not first.strip(b"\0") else "something else"
    )
