"""The archive of an EPUB put in order: mimetype first and stored, all else copied as it is."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from store.catalog.gate.epub_kind import MIMETYPE
from store.catalog.gate.epub_zip import LOCAL, Archive, Entry

_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_DESCRIBED = 0x0008
_EARLIEST_DATE = 0x21
_VERSION = 20


def out_of_order(archive: Archive) -> str:
    """What is wrong with the mimetype entry, which the standard asks for as the first one, stored,
    at byte 38 and with nothing but the type in it; empty where all is right."""
    first, marks = archive.entries[0], [one for one in archive.entries if _is_mark(one)]
    if not marks:
        return "was missing"
    if first.raw_name != b"mimetype":
        return "was not the first"
    if first.method != 0:
        return "was compressed"
    if archive.read("mimetype") != MIMETYPE:
        return "held more or other than its one word"
    return "had a field too many" if first.local_extra or len(marks) > 1 else ""


def _is_mark(entry: Entry) -> bool:
    return entry.name.lower() == "mimetype"


def repair(archive: Archive, target: Path) -> None:
    """Write the same entries behind a proper mimetype; packed bytes are copied, never repacked."""
    mimetype = Entry(
        "mimetype", b"mimetype", _VERSION, 0, 0, 0, _EARLIEST_DATE, zlib.crc32(MIMETYPE),
        len(MIMETYPE), len(MIMETYPE), 0, 0, 0, 0,
    )  # fmt: skip
    with target.open("wb") as out:
        directory = [_write(out, mimetype, [MIMETYPE])]
        directory += [
            _write(out, entry, archive.packed_chunks(entry))
            for entry in archive.entries
            if not _is_mark(entry)
        ]
        start = out.tell()
        out.writelines(directory)
        count, length = len(directory), out.tell() - start
        out.write(_END.pack(b"PK\x05\x06", 0, 0, count, count, length, start, 0))


def _write(out: BinaryIO, entry: Entry, packed: Iterable[bytes]) -> bytes:
    """Write header and bytes; the answer is the entry's record for the directory."""
    at = out.tell()
    flags = entry.flags & ~_DESCRIBED
    shared = (flags, entry.method, entry.time, entry.date, entry.crc, entry.packed, entry.size)
    names = len(entry.raw_name)
    out.write(LOCAL.pack(b"PK\x03\x04", _VERSION, *shared, names, 0) + entry.raw_name)
    out.writelines(packed)
    record = _CENTRAL.pack(
        b"PK\x01\x02", entry.made_by, _VERSION, *shared, names, 0, 0, 0, 0, entry.attributes, at
    )
    return record + entry.raw_name
