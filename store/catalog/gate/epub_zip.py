"""A zip archive read strictly: one reading of it only, nothing hidden, nothing overlapping."""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from store.catalog.gate.epub_names import composed, folded, look_at_names
from store.catalog.gate.limits import MIB
from store.catalog.gate.notes import Notes, Stop

_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
_MOST_ENTRIES = 20_000
_LARGEST_TOTAL = 1024 * MIB
_LARGEST_RATIO = 200
_RATIO_FROM = MIB
_CHUNK = 256 * 1024
_DESCRIBED = 0x0008
_LOCKED = 0x0041
_LOCATOR = 20


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


def open_archive(stream: BinaryIO, notes: Notes) -> Archive:
    """Read the layout of the archive and refuse every ambiguity in it."""
    directory_at, entries = _read_directory(stream, notes)
    look_at_names(entries, notes)
    _look_at_sizes(entries, notes)
    _look_at_layout(stream, entries, directory_at, notes)
    if notes.has_failed:
        raise Stop
    return Archive(stream, entries)


def verify_contents(archive: Archive, notes: Notes) -> None:
    """Unpack everything once: real sizes and checksums must be the declared ones."""
    for entry in archive.entries:
        crc = 0
        try:
            for chunk in archive.chunks(entry):
                crc = zlib.crc32(chunk, crc)
        except zlib.error:
            notes.add("epub-entry-damaged", name=entry.name)
            continue
        if crc != entry.crc:
            notes.add("epub-entry-damaged", name=entry.name)


def _read_directory(stream: BinaryIO, notes: Notes) -> tuple[int, list[Entry]]:
    size, count, length, start = _find_end(stream, notes)
    if count > _MOST_ENTRIES:
        notes.refuse("epub-too-many-entries", count=f"{count:,}", limit=f"{_MOST_ENTRIES:,}")
    if start + length != size:
        notes.refuse("epub-extra-data")
    stream.seek(start)
    directory = stream.read(length)
    entries, at = [], 0
    for _ in range(count):
        entry, at = _read_entry(stream, directory, at, notes)
        entries.append(entry)
    if at != length:
        notes.refuse("epub-extra-data")
    return start, sorted(entries, key=lambda entry: entry.at)


def _find_end(stream: BinaryIO, notes: Notes) -> tuple[int, int, int, int]:
    """Where the end record stands, then count, length and start of the directory."""
    size = stream.seek(0, os.SEEK_END)
    at = _last_record(stream, size)
    if at is None:
        notes.refuse("epub-truncated")
    stream.seek(max(0, at - _LOCATOR))
    locator, record = stream.read(at - stream.tell()), stream.read(_END.size)
    _, disk, first_disk, here, count, length, start, comment = _END.unpack(record)
    behind = size - at - _END.size - comment
    if behind:
        # Only the true record tells where it stands itself; another one is of an archive within.
        is_its_own = behind > 0 and start + length == at
        if is_its_own:
            notes.refuse("epub-extra-after", count=f"{behind:,}")
        notes.refuse("epub-truncated")
    if locator.startswith(b"PK\x06\x07") or 0xFFFF in (here, count):
        notes.refuse("epub-zip64")
    if disk or first_disk or here != count or not count:
        notes.refuse("epub-damaged", what="its archive is in several parts or empty")
    return at, count, length, start


def _last_record(stream: BinaryIO, size: int) -> int | None:
    """Where the last end record begins, looked for through the whole file, to tell what is cut
    off from what has something behind it."""
    end = size
    while end > 0:
        begin = max(0, end - MIB)
        stream.seek(begin)
        at = stream.read(end - begin + _END.size - 1).rfind(b"PK\x05\x06")
        if at >= 0 and begin + at + _END.size <= size:
            return begin + at
        end = begin
    return None


def _read_entry(stream: BinaryIO, directory: bytes, at: int, notes: Notes) -> tuple[Entry, int]:
    if len(directory) - at < _CENTRAL.size:
        notes.refuse("epub-damaged", what="the directory of its archive is cut off")
    (mark, made_by, _, flags, method, time, date, crc, packed, size, names, extras, comments,
     disk, _, attributes, header_at) = _CENTRAL.unpack_from(directory, at)  # fmt: skip
    end = at + _CENTRAL.size + names + extras + comments
    if mark != b"PK\x01\x02" or end > len(directory) or disk:
        notes.refuse("epub-damaged", what="the directory of its archive is broken")
    raw_name = directory[at + _CENTRAL.size : at + _CENTRAL.size + names]
    name = _decoded(raw_name)
    extra = directory[at + _CENTRAL.size + names : end - comments]
    if 0xFFFFFFFF in (packed, size, header_at) or _has_zip64(extra):
        notes.refuse("epub-zip64")
    stream.seek(header_at)
    local = stream.read(LOCAL.size)
    if len(local) < LOCAL.size or not local.startswith(b"PK\x03\x04"):
        notes.refuse("epub-headers-disagree", name=name)
    *_, local_names, local_extra = LOCAL.unpack(local)
    entry = Entry(
        name, raw_name, made_by, flags, method, time, date, crc, packed, size, attributes,
        header_at, header_at + LOCAL.size + local_names + local_extra, local_extra,
    )  # fmt: skip
    _compare(stream, local, entry, notes)
    return entry, end


def _compare(stream: BinaryIO, local: bytes, entry: Entry, notes: Notes) -> None:
    """The entry's own header must say what the directory says."""
    _, _, flags, method, _, _, crc, packed, size, names, extras = LOCAL.unpack(local)
    written = stream.read(names)
    if _has_zip64(stream.read(extras)):
        notes.refuse("epub-zip64")
    figures = (crc, packed, size)
    said_later = bool(flags & _DESCRIBED) and figures == (0, 0, 0)
    declared = (entry.crc, entry.packed, entry.size)
    same = (flags, method, written) == (entry.flags, entry.method, entry.raw_name)
    if not same or not (said_later or figures == declared):
        notes.refuse("epub-headers-disagree", name=entry.name)
    if flags & _LOCKED:
        notes.add("epub-encrypted", name=entry.name)
    if method not in (0, 8):
        notes.add("epub-method", name=entry.name)
    elif method == 0 and entry.packed != entry.size:
        notes.refuse("epub-headers-disagree", name=entry.name)


def _look_at_sizes(entries: list[Entry], notes: Notes) -> None:
    if sum(entry.size for entry in entries) > _LARGEST_TOTAL:
        notes.add("epub-too-large", name="more than 1 GB in all")
    for entry in entries:
        if entry.size > _RATIO_FROM and entry.size > _LARGEST_RATIO * max(1, entry.packed):
            notes.add("epub-too-large", name=entry.name)


def _look_at_layout(
    stream: BinaryIO, entries: list[Entry], directory_at: int, notes: Notes
) -> None:
    """Entries stand one after another from the first byte to the directory."""
    if entries[0].at != 0:
        notes.add("epub-extra-data")
    ends = [entry.at for entry in entries[1:]] + [directory_at]
    for entry, next_at in zip(entries, ends, strict=True):
        gap = next_at - entry.data_at - entry.packed
        if gap < 0:
            notes.add("epub-overlap", name=entry.name)
        elif entry.flags & _DESCRIBED:
            stream.seek(entry.data_at + entry.packed)
            if not _is_descriptor(stream.read(min(gap, 17)), entry):
                notes.add("epub-headers-disagree", name=entry.name)
        elif gap:
            notes.add("epub-extra-data")


def _is_descriptor(behind: bytes, entry: Entry) -> bool:
    figures = struct.pack("<3L", entry.crc, entry.packed, entry.size)
    return behind in (figures, b"PK\x07\x08" + figures)


def _has_zip64(extra: bytes) -> bool:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            return True
        at += 4 + length
    return False


def _decoded(raw_name: bytes) -> str:
    """EPUB names are UTF-8; another byte shows as U+FFFD, which no name may hold."""
    return raw_name.decode("utf-8", "replace")
