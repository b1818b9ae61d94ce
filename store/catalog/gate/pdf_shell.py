"""The first and last bytes of a PDF: complete, and nothing else at the same time."""

import os
import re
import struct
from pathlib import Path
from typing import BinaryIO

from store.catalog.gate.limits import MIB
from store.catalog.gate.notes import Notes
from store.catalog.gate.sniffing import describe, holds_html

_ZIP_END = b"PK\x05\x06"
_ZIP_TAIL = 22 + 65535
_MARK = b"%%EOF"
# Acrobat and qpdf look for the mark in about the last kilobyte, pdfium in the last four.
_FARTHEST = 1024
_STEP = MIB
# The beginning of an object: an update of the file, whose own end mark did not arrive.
_OBJECT = re.compile(rb"(?:^|[\r\n])\d+ \d+ obj\b")


def look_at_shell(path: Path, notes: Notes) -> None:
    """Refuse a PDF that is cut off, has something in front or behind, or is a second kind of file.
    What only speaks of PDF in its first bytes is called what it is."""
    with path.open("rb") as stream:
        first = stream.read(1024)
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _ZIP_TAIL))
        last = stream.read()
        end = _end_mark(stream, size)
        behind = _behind(stream, end, size) if end is not None else b""
    if not first.startswith(b"%PDF-") and (end is None or b"startxref" not in last):
        notes.refuse("wrong-type", what=describe(first))
    if holds_html(first):
        notes.refuse("pdf-html")
    if not first.startswith(b"%PDF-"):
        notes.refuse("pdf-extra-before")
    if ends_as_zip(last):
        notes.refuse("pdf-zip")
    if end is None or _OBJECT.search(behind):
        notes.refuse("pdf-truncated")
    if size - end > _FARTHEST:
        notes.refuse("pdf-extra-after", count=f"{size - end:,}")


def _end_mark(stream: BinaryIO, size: int) -> int | None:
    """Where the last end mark ends; None where there is none. Looked for through the whole file,
    to tell what is cut off from what has something behind it."""
    end = size
    while end > 0:
        begin = max(0, end - _STEP)
        stream.seek(begin)
        # A mark may stand across the border of two pieces.
        at = stream.read(end - begin + len(_MARK) - 1).rfind(_MARK)
        if at >= 0:
            return begin + at + len(_MARK)
        end = begin
    return None


def _behind(stream: BinaryIO, end: int, size: int) -> bytes:
    stream.seek(end)
    return stream.read(min(size - end, _STEP))


def ends_as_zip(last: bytes) -> bool:
    """Whether a zip directory ends exactly at the end of these last bytes of a file."""
    at = last.find(_ZIP_END)
    while at >= 0:
        if len(last) >= at + 22:
            (comment,) = struct.unpack_from("<H", last, at + 20)
            if at + 22 + comment == len(last):
                return True
        at = last.find(_ZIP_END, at + 1)
    return False
