"""The zip archive of an EPUB read strictly: one reading of it only, nothing hidden, nothing that
overlaps, no name that reaches outside; and put in order where its mimetype entry is not."""

import os
import re
import stat
import struct
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from store.catalog.gate.kinds import MIMETYPE, ZIP_END, ZIP_LOCAL, last_place
from store.catalog.gate.report import Notebook, Stop

MIB = 1024 * 1024
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_MOST_ENTRIES = 20_000
_LARGEST_TOTAL = 1024 * MIB
_LARGEST_RATIO = 200
_RATIO_FROM = MIB
_CHUNK = 256 * 1024
_DESCRIBED = 0x0008
_LOCKED = 0x0041
_LOCATOR = 20
_UNIX = 3
_VERSION = 20
_EARLIEST_DATE = 0x21
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f:*?"<>|]')
_DRIVE = re.compile(r"[A-Za-z]:/")


@dataclass(frozen=True)
class Entry:
    """One file of the archive, as the central directory has it; `data_at` from its own header."""

    name: str
    raw_name: bytes
    made_by: int
    flags: int
    method: int
    time: int
    date: int
    crc: int
    packed: int
    size: int
    attributes: int
    at: int
    data_at: int
    local_extra: int


class Archive:
    """An archive whose layout was found sound; `entries` in the order of their bytes."""

    def __init__(self, stream: BinaryIO, entries: list[Entry]) -> None:
        self.stream = stream
        self.entries = entries
        self.by_name = {entry.name: entry for entry in entries}
        # Unique, as names that differ only in this were refused.
        self._by_composed = {composed(entry.name): entry.name for entry in entries}
        self._by_folded = {folded(entry.name): entry.name for entry in entries}

    def find(self, name: str) -> str | None:
        """The entry of this name however its accents are written, as the archive spells it."""
        return name if name in self.by_name else self._by_composed.get(composed(name))

    def nearly(self, name: str) -> str | None:
        """The entry whose name differs in capital letters alone."""
        return self._by_folded.get(folded(name))

    def packed_chunks(self, entry: Entry) -> Iterator[bytes]:
        """The entry's bytes as they stand in the archive."""
        self.stream.seek(entry.data_at)
        left = entry.packed
        while left:
            chunk = self.stream.read(min(left, _CHUNK))
            if not chunk:
                raise zlib.error("cut off")
            left -= len(chunk)
            yield chunk

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """The entry's content, never more than it declares; zlib.error where it is damaged."""
        if entry.method == 0:
            yield from self.packed_chunks(entry)
        else:
            yield from self._inflated(entry)

    def _inflated(self, entry: Entry) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-15)
        left = entry.size
        for packed in self.packed_chunks(entry):
            waiting = packed
            while waiting and not inflater.eof:
                found = inflater.decompress(waiting, min(_CHUNK, left + 1))
                left -= len(found)
                if left < 0:
                    raise zlib.error("more than declared")
                yield found
                waiting = inflater.unconsumed_tail
            if inflater.eof and (inflater.unused_data or waiting):
                raise zlib.error("data behind the end")
        if not inflater.eof or left:
            raise zlib.error("less than declared")

    def read(self, name: str) -> bytes:
        """The whole content of one entry."""
        return b"".join(self.chunks(self.by_name[name]))


def open_archive(stream: BinaryIO, notebook: Notebook) -> Archive:
    """Read the layout of the archive and refuse every ambiguity in it."""
    directory_at, entries = _read_directory(stream, notebook)
    _look_at_names(entries, notebook)
    if sum(entry.size for entry in entries) > _LARGEST_TOTAL:
        notebook.add("epub-too-large", name="more than 1 GB in all")
    for entry in entries:
        if entry.size > _RATIO_FROM and entry.size > _LARGEST_RATIO * max(1, entry.packed):
            notebook.add("epub-too-large", name=entry.name)
    _look_at_layout(stream, entries, directory_at, notebook)
    if notebook.has_failed:
        raise Stop
    return Archive(stream, entries)


def verify_contents(archive: Archive, notebook: Notebook) -> None:
    """Unpack everything once: real sizes and checksums must be the declared ones."""
    for entry in archive.entries:
        crc = 0
        try:
            for chunk in archive.chunks(entry):
                crc = zlib.crc32(chunk, crc)
        except zlib.error:
            notebook.add("epub-entry-damaged", name=entry.name)
            continue
        if crc != entry.crc:
            notebook.add("epub-entry-damaged", name=entry.name)


def _read_directory(stream: BinaryIO, notebook: Notebook) -> tuple[int, list[Entry]]:
    size, count, length, start = _find_end(stream, notebook)
    if count > _MOST_ENTRIES:
        notebook.refuse("epub-too-many-entries", count=f"{count:,}", limit=f"{_MOST_ENTRIES:,}")
    if start + length != size:
        notebook.refuse("epub-extra-data")
    stream.seek(start)
    directory = stream.read(length)
    entries, at = [], 0
    for _ in range(count):
        entry, at = _read_entry(stream, directory, at, notebook)
        entries.append(entry)
    if at != length:
        notebook.refuse("epub-extra-data")
    return start, sorted(entries, key=lambda entry: entry.at)


def _find_end(stream: BinaryIO, notebook: Notebook) -> tuple[int, int, int, int]:
    """Where the end record stands, then count, length and start of the directory."""
    size = stream.seek(0, os.SEEK_END)
    at = last_place(stream, b"PK\x05\x06", size - ZIP_END.size + 1)
    if at is None:
        notebook.refuse("epub-truncated")
    stream.seek(max(0, at - _LOCATOR))
    locator, record = stream.read(at - stream.tell()), stream.read(ZIP_END.size)
    _, disk, first_disk, here, count, length, start, comment = ZIP_END.unpack(record)
    behind = size - at - ZIP_END.size - comment
    if behind:
        # Only the true record tells where it stands itself; another one is of an archive within.
        is_its_own = behind > 0 and start + length == at
        if is_its_own:
            notebook.refuse("epub-extra-after", count=f"{behind:,}")
        notebook.refuse("epub-truncated")
    if locator.startswith(b"PK\x06\x07") or 0xFFFF in (here, count):
        notebook.refuse("epub-zip64")
    if disk or first_disk or here != count or not count:
        notebook.refuse("epub-damaged", what="its archive is in several parts or empty")
    return at, count, length, start


def _read_entry(
    stream: BinaryIO, directory: bytes, at: int, notebook: Notebook
) -> tuple[Entry, int]:
    if len(directory) - at < _CENTRAL.size:
        notebook.refuse("epub-damaged", what="the directory of its archive is cut off")
    (mark, made_by, _, flags, method, time, date, crc, packed, size, names, extras, comments,
     disk, _, attributes, header_at) = _CENTRAL.unpack_from(directory, at)  # fmt: skip
    end = at + _CENTRAL.size + names + extras + comments
    if mark != b"PK\x01\x02" or end > len(directory) or disk:
        notebook.refuse("epub-damaged", what="the directory of its archive is broken")
    raw_name = directory[at + _CENTRAL.size : at + _CENTRAL.size + names]
    # EPUB names are UTF-8; another byte shows as U+FFFD, which no name may hold.
    name = raw_name.decode("utf-8", "replace")
    extra = directory[at + _CENTRAL.size + names : end - comments]
    if 0xFFFFFFFF in (packed, size, header_at) or _has_zip64(extra):
        notebook.refuse("epub-zip64")
    stream.seek(header_at)
    local = stream.read(ZIP_LOCAL.size)
    if len(local) < ZIP_LOCAL.size or not local.startswith(b"PK\x03\x04"):
        notebook.refuse("epub-headers-disagree", name=name)
    *_, local_names, local_extra = ZIP_LOCAL.unpack(local)
    entry = Entry(
        name, raw_name, made_by, flags, method, time, date, crc, packed, size, attributes,
        header_at, header_at + ZIP_LOCAL.size + local_names + local_extra, local_extra,
    )  # fmt: skip
    _compare(stream, local, entry, notebook)
    return entry, end


def _compare(stream: BinaryIO, local: bytes, entry: Entry, notebook: Notebook) -> None:
    """The entry's own header must say what the directory says."""
    _, _, flags, method, _, _, crc, packed, size, names, extras = ZIP_LOCAL.unpack(local)
    written = stream.read(names)
    if _has_zip64(stream.read(extras)):
        notebook.refuse("epub-zip64")
    figures = (crc, packed, size)
    said_later = bool(flags & _DESCRIBED) and figures == (0, 0, 0)
    declared = (entry.crc, entry.packed, entry.size)
    same = (flags, method, written) == (entry.flags, entry.method, entry.raw_name)
    if not same or not (said_later or figures == declared):
        notebook.refuse("epub-headers-disagree", name=entry.name)
    if flags & _LOCKED:
        notebook.add("epub-encrypted", name=entry.name)
    if method not in (0, 8):
        notebook.add("epub-method", name=entry.name)
    elif method == 0 and entry.packed != entry.size:
        notebook.refuse("epub-headers-disagree", name=entry.name)


def _look_at_names(entries: list[Entry], notebook: Notebook) -> None:
    """Refuse names that climb, start at a root or drive, collide, or are links."""
    seen: set[str] = set()
    for entry in entries:
        if why := _fault_of_name(entry):
            notebook.add("epub-name", name=entry.name, why=why)
        key = folded(entry.name).rstrip("/")
        if key in seen:
            notebook.add("epub-name-twice", name=entry.name)
        seen.add(key)


def _fault_of_name(entry: Entry) -> str:
    """Why this is no plain relative path on every system; empty where it is one."""
    parts = entry.name.removesuffix("/").split("/")
    kind = stat.S_IFMT(entry.attributes >> 16)
    is_link = entry.made_by >> 8 == _UNIX and kind not in (0, stat.S_IFREG, stat.S_IFDIR)
    if is_link or "\\" in entry.name or any(part in ("", ".", "..") for part in parts):
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


def _look_at_layout(
    stream: BinaryIO, entries: list[Entry], directory_at: int, notebook: Notebook
) -> None:
    """Entries stand one after another from the first byte to the directory."""
    if entries[0].at != 0:
        notebook.add("epub-extra-data")
    ends = [entry.at for entry in entries[1:]] + [directory_at]
    for entry, next_at in zip(entries, ends, strict=True):
        gap = next_at - entry.data_at - entry.packed
        if gap < 0:
            notebook.add("epub-overlap", name=entry.name)
        elif entry.flags & _DESCRIBED:
            stream.seek(entry.data_at + entry.packed)
            figures = struct.pack("<3L", entry.crc, entry.packed, entry.size)
            if stream.read(min(gap, 17)) not in (figures, b"PK\x07\x08" + figures):
                notebook.add("epub-headers-disagree", name=entry.name)
        elif gap:
            notebook.add("epub-extra-data")


def _has_zip64(extra: bytes) -> bool:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            return True
        at += 4 + length
    return False


def composed(name: str) -> str:
    """The one spelling (NFC) under which names are compared; a Mac writes accents apart."""
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """What names share that are one on systems that know no capitals."""
    return composed(name).casefold()


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
        directory = [_write_entry(out, mimetype, [MIMETYPE])]
        directory += [
            _write_entry(out, entry, archive.packed_chunks(entry))
            for entry in archive.entries
            if not _is_mark(entry)
        ]
        start = out.tell()
        out.writelines(directory)
        count, length = len(directory), out.tell() - start
        out.write(ZIP_END.pack(b"PK\x05\x06", 0, 0, count, count, length, start, 0))


def _write_entry(out: BinaryIO, entry: Entry, packed: Iterable[bytes]) -> bytes:
    """Write header and bytes; the answer is the entry's record for the directory."""
    at = out.tell()
    flags = entry.flags & ~_DESCRIBED
    shared = (flags, entry.method, entry.time, entry.date, entry.crc, entry.packed, entry.size)
    names = len(entry.raw_name)
    out.write(ZIP_LOCAL.pack(b"PK\x03\x04", _VERSION, *shared, names, 0) + entry.raw_name)
    out.writelines(packed)
    record = _CENTRAL.pack(
        b"PK\x01\x02", entry.made_by, _VERSION, *shared, names, 0, 0, 0, 0, entry.attributes, at
    )
    return record + entry.raw_name
