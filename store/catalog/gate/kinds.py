"""What a file is by its content; its name and declared type are never asked."""

import codecs
import os
import re
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from store.catalog.gate.report import Format, Notebook

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
MIMETYPE = b"application/epub+zip"
CONTAINER = "META-INF/container.xml"
ZIP_END = struct.Struct("<4s4H2LH")
ZIP_LOCAL = struct.Struct("<4s5H3L2H")
_STEP = 1024 * 1024
_LOOKED_AT = 4 * 1024 * 1024
_MOST_NAMES = 5000
_LONGEST_MIMETYPE = 200

_BY_MIMETYPE = {
    "application/vnd.oasis.opendocument.text": "an OpenDocument text (ODT)",
    "application/vnd.oasis.opendocument.spreadsheet": "an OpenDocument spreadsheet (ODS)",
    "application/vnd.oasis.opendocument.presentation": "an OpenDocument presentation (ODP)",
    "application/vnd.adobe.indesign-idml-package": "an InDesign document (IDML)",
    "application/x-ibooks+zip": "an iBooks Author book",
}
_BY_NAME = (
    (r"word/.*", "a Word document (DOCX)"),
    (r"xl/.*", "an Excel workbook (XLSX)"),
    (r"ppt/.*", "a PowerPoint presentation (PPTX)"),
    (r"FixedDocSeq\.fdseq", "an XPS document"),
    (r"\[Content_Types\]\.xml|docProps/.*", "a Word or other Office document"),
    (r"Index/Document\.iwa|Index\.zip|index\.apxl", "an Apple Pages, Numbers or Keynote document"),
    (r"AndroidManifest\.xml", "an Android program"),
    (r"[^/]+/META-INF/container\.xml", "a zip archive with the parts of an EPUB in a folder"),
    (r".*\.opf", "a zip archive with parts of an EPUB, but without META-INF/container.xml"),
    (r"META-INF/MANIFEST\.MF", "a Java program (JAR)"),
    (r".*\.fb2", "an FB2 book in a zip archive"),
)
_BOOK_INSIDE = re.compile(r"(?!__MACOSX/).*\.(?:epub|pdf)", re.IGNORECASE)
_PICTURE = re.compile(r".*(?:/|\.jpe?g|\.png|\.gif|\.webp|comicinfo\.xml)", re.IGNORECASE)


def kind_of(first: bytes) -> Format | None:
    """As what a file is to be inspected, by its first kilobyte; None: neither PDF nor EPUB."""
    if first.startswith(_ZIP):
        return "epub"
    return "pdf" if _PDF.search(first[:1024]) else None


def describe(first: bytes) -> str:
    """What a file that is neither PDF nor EPUB seems to be, for a sentence."""
    for offset, mark, words in _OTHERS:
        if first[offset : offset + len(mark)] == mark:
            return words
    if holds_html(first):
        return "a web page"
    lower = first.lower()
    for mark, words in _MARKUP:
        if mark in lower:
            return words
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(first)  # the last sign may be cut
    except UnicodeDecodeError:
        text = ""
    if _TEXT.fullmatch(text):
        return "a plain text"
    return "something else" if first.strip(b"\0") else "a file of zeros, as a broken copy leaves"


def holds_html(first: bytes) -> bool:
    """Whether a browser that guesses could take this for a web page."""
    lower = first[:1024].lower()
    return any(mark in lower for mark in _PAGES)


def last_place(stream: BinaryIO, mark: bytes, end: int) -> int | None:
    """Where the mark begins for the last time before `end`; None where it is nowhere. Looked for
    through the whole file, to tell what is cut off from what has something behind it."""
    while end > 0:
        begin = max(0, end - _STEP)
        stream.seek(begin)
        # A mark may stand across the border of two pieces.
        at = stream.read(end - begin + len(mark) - 1).rfind(mark)
        if at >= 0:
            return begin + at
        end = begin
    return None


def refuse_other_archives(stream: BinaryIO, notebook: Notebook) -> None:
    """Refuse a zip archive that is no EPUB by what it is; one that is meant to be an EPUB passes.

    Read leniently: an archive that is cut off or odd must still be called what it is.
    """
    names = _names(stream)
    says = _mimetype(stream)
    if says in _BY_MIMETYPE:
        notebook.refuse("wrong-type", what=_BY_MIMETYPE[says])
    if MIMETYPE.decode() in says or CONTAINER in names:
        return
    for pattern, what in _BY_NAME:
        if any(re.fullmatch(pattern, name) for name in names):
            notebook.refuse("wrong-type", what=what)
    if says:
        notebook.refuse("wrong-type", what=f"another kind of document ({says})")
    inside = next((name for name in names if _BOOK_INSIDE.fullmatch(name)), None)
    if inside:
        notebook.refuse("wrong-type-packed", name=inside)
    is_comic = bool(names) and all(_PICTURE.fullmatch(name) for name in names)
    notebook.refuse("wrong-type", what="a zip archive of pictures" if is_comic else "a zip archive")


def _names(stream: BinaryIO) -> list[str]:
    """Names as the directory has them, or as the entries themselves where there is none."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _LOOKED_AT))
    tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if at >= 0 and len(tail) - at >= ZIP_END.size:
        length = ZIP_END.unpack_from(tail, at)[5]
        found = list(_listed(tail, max(0, at - length) if length <= at else 0, at))
        if found:
            return found
    stream.seek(0)
    return list(_walked(stream.read(_LOOKED_AT)))


def _listed(tail: bytes, start: int, end: int) -> Iterator[str]:
    at = tail.find(b"PK\x01\x02", start, end)
    for _ in range(_MOST_NAMES):
        if at < 0 or end - at < 46:
            return
        names, extras, comments = struct.unpack_from("<3H", tail, at + 28)
        yield tail[at + 46 : at + 46 + names].decode("utf-8", "replace")
        at = tail.find(b"PK\x01\x02", at + 46 + names + extras + comments, end)


def _walked(head: bytes) -> Iterator[str]:
    at = 0
    for _ in range(_MOST_NAMES):
        if at < 0 or len(head) - at < ZIP_LOCAL.size:
            return
        *_, packed, _, names, extras = ZIP_LOCAL.unpack_from(head, at)
        begin = at + ZIP_LOCAL.size
        yield head[begin : begin + names].decode("utf-8", "replace")
        at = head.find(b"PK\x03\x04", begin + names + extras + packed)


def _mimetype(stream: BinaryIO) -> str:
    """What the mimetype entry says, where it is the first; empty where there is none."""
    stream.seek(0)
    head = stream.read(ZIP_LOCAL.size + 8 + 65535 + _LONGEST_MIMETYPE)
    if len(head) < ZIP_LOCAL.size:
        return ""
    _, _, _, method, _, _, _, packed, _, names, extras = ZIP_LOCAL.unpack_from(head)
    if head[ZIP_LOCAL.size : ZIP_LOCAL.size + names] != b"mimetype":
        return ""
    begin = ZIP_LOCAL.size + names + extras
    held = head[begin : begin + min(packed or _LONGEST_MIMETYPE, _LONGEST_MIMETYPE)]
    if not packed:
        held = held.partition(b"PK")[0]  # its length stands behind it
    if method == 8:
        try:
            held = zlib.decompressobj(-15).decompress(held, _LONGEST_MIMETYPE)
        except zlib.error:
            return ""
    return held.decode("ascii", "replace").strip("\ufeff\ufffd \t\r\n")
