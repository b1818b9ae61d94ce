"""Whether a zip archive is meant to be an EPUB, and what it is where not. Read leniently: an
archive that is cut off or odd must still be called what it is."""

import os
import re
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from store.catalog.gate.limits import MIB
from store.catalog.gate.notes import Notes

MIMETYPE = b"application/epub+zip"
CONTAINER = "META-INF/container.xml"
_END = struct.Struct("<4s4H2LH")
_LOCAL = struct.Struct("<4s5H3L2H")
_LOOKED_AT = 4 * MIB
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
    (r"word/", "a Word document (DOCX)"),
    (r"xl/", "an Excel workbook (XLSX)"),
    (r"ppt/", "a PowerPoint presentation (PPTX)"),
    (r"FixedDocSeq\.fdseq", "an XPS document"),
    (r"\[Content_Types\]\.xml|docProps/", "a Word or other Office document"),
    (r"Index/Document\.iwa|Index\.zip|index\.apxl", "an Apple Pages, Numbers or Keynote document"),
    (r"AndroidManifest\.xml", "an Android program"),
    (r"[^/]+/META-INF/container\.xml", "a zip archive with the parts of an EPUB in a folder"),
    (r".*\.opf", "a zip archive with parts of an EPUB, but without META-INF/container.xml"),
    (r"META-INF/MANIFEST\.MF", "a Java program (JAR)"),
    (r".*\.fb2", "an FB2 book in a zip archive"),
)
_BOOK_INSIDE = re.compile(r"(?!__MACOSX/).*\.(?:epub|pdf)", re.IGNORECASE)
_PICTURE = re.compile(r".*(?:/|\.jpe?g|\.png|\.gif|\.webp|comicinfo\.xml)", re.IGNORECASE)


def look_at_kind(stream: BinaryIO, notes: Notes) -> None:
    """Refuse an archive that is no EPUB by what it is; one that is meant to be one passes."""
    names = _names(stream)
    says = _mimetype(stream)
    if says in _BY_MIMETYPE:
        notes.refuse("wrong-type", what=_BY_MIMETYPE[says])
    if MIMETYPE.decode() in says or CONTAINER in names:
        return
    for pattern, what in _BY_NAME:
        if any(re.fullmatch(pattern if pattern[-1] != "/" else f"{pattern}.*", n) for n in names):
            notes.refuse("wrong-type", what=what)
    if says:
        notes.refuse("wrong-type", what=f"another kind of document ({says})")
    inside = next((name for name in names if _BOOK_INSIDE.fullmatch(name)), None)
    if inside:
        notes.refuse("wrong-type-packed", name=inside)
    is_comic = bool(names) and all(_PICTURE.fullmatch(name) for name in names)
    notes.refuse("wrong-type", what="a zip archive of pictures" if is_comic else "a zip archive")


def _names(stream: BinaryIO) -> list[str]:
    """Names as the directory has them, or as the entries themselves where there is none."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _LOOKED_AT))
    tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if at >= 0 and len(tail) - at >= _END.size:
        length = _END.unpack_from(tail, at)[5]
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
        if at < 0 or len(head) - at < _LOCAL.size:
            return
        *_, packed, _, names, extras = _LOCAL.unpack_from(head, at)
        begin = at + _LOCAL.size
        yield head[begin : begin + names].decode("utf-8", "replace")
        at = head.find(b"PK\x03\x04", begin + names + extras + packed)


def _mimetype(stream: BinaryIO) -> str:
    """What the mimetype entry says, where it is the first; empty where there is none."""
    stream.seek(0)
    head = stream.read(_LOCAL.size + 8 + 65535 + _LONGEST_MIMETYPE)
    if len(head) < _LOCAL.size:
        return ""
    _, _, _, method, _, _, _, packed, _, names, extras = _LOCAL.unpack_from(head)
    if head[_LOCAL.size : _LOCAL.size + names] != b"mimetype":
        return ""
    begin = _LOCAL.size + names + extras
    held = head[begin : begin + min(packed or _LONGEST_MIMETYPE, _LONGEST_MIMETYPE)]
    if not packed:
        held = held.partition(b"PK")[0]  # its length stands behind it
    if method == 8:
        try:
            held = zlib.decompressobj(-15).decompress(held, _LONGEST_MIMETYPE)
        except zlib.error:
            return ""
    return held.decode("ascii", "replace").strip("\ufeff\ufffd \t\r\n")
