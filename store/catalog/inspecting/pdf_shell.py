"""The first and last bytes of a PDF: complete, and nothing else at the same time."""

import os
import struct
from pathlib import Path

from store.catalog.inspecting.notes import Notes
from store.catalog.inspecting.sniffing import holds_html

_ZIP_END = b"PK\x05\x06"
_ZIP_TAIL = 22 + 65535


def look_at_shell(path: Path, notes: Notes) -> None:
    """Refuse a PDF that is cut off, has something in front of it, or is a second kind of file."""
    with path.open("rb") as stream:
        first = stream.read(1024)
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _ZIP_TAIL))
        last = stream.read()
    if holds_html(first):
        notes.refuse("pdf-html")
    if not first.startswith(b"%PDF-"):
        notes.refuse("pdf-extra-before")
    if ends_as_zip(last):
        notes.refuse("pdf-zip")
    if b"%%EOF" not in last[-1024:]:
        notes.refuse("pdf-truncated")


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
