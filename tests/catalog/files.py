"""Files for the upload gate's tests, made at run time: sound ones, and ones that lie."""

import binascii
import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from store.catalog.gate.inspection import Limits, inspect_file
from store.catalog.gate.report import Report

PICTURE_ITEM = '<item id="p" href="{}" media-type="image/png"/>'

MIMETYPE = b"application/epub+zip"
CONTAINER = b"""<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="EPUB/package.opf" media-type="application/oebps-package+xml"/>
</rootfiles></container>"""
NAV = b"""<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops">
<head><title>Contents</title></head><body><nav epub:type="toc"><ol>
<li><a href="c1.xhtml">One</a></li></ol></nav></body></html>"""


def package(*, items: str = "", metadata: str = "", before: str = "") -> bytes:
    """A package file with one page; more items and metadata as given."""
    return f"""{before}<package xmlns="http://www.idpf.org/2007/opf" version="3.0"
unique-identifier="id"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">urn:isbn:9780306406157</dc:identifier><dc:title>A small book</dc:title>
<dc:creator>Ada Author</dc:creator><dc:language>en-GB</dc:language>
<meta property="dcterms:modified">2026-01-01T00:00:00Z</meta>{metadata}</metadata>
<manifest><item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="c1" href="c1.xhtml" media-type="application/xhtml+xml"/>{items}</manifest>
<spine><itemref idref="c1"/></spine></package>""".encode()


def page(body: str, *, head: str = "", before: str = "") -> bytes:
    """An XHTML page; the body starts on its line 3."""
    return f"""{before}<html xmlns="http://www.w3.org/1999/xhtml" lang="en">
<head><title>One</title>{head}</head><body>
{body}
</body></html>""".encode()


@dataclass
class Entry:
    """One entry of an archive; what its headers say may differ from what it is."""

    name: bytes
    content: bytes = b""
    stored: bool = False
    central_name: bytes | None = None
    flags: int = 0x0800
    method: int | None = None
    size: int | None = None
    crc: int | None = None
    attributes: int = 0
    extra: bytes = b""
    packed: bytes | None = None
    at: int | None = None
    behind: bytes = b""

    def figures(self) -> tuple[bytes, int, int, int]:
        """Packed bytes, method, size and checksum as the headers will have them."""
        method = (0 if self.stored else 8) if self.method is None else self.method
        squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
        deflated = squeezer.compress(self.content) + squeezer.flush()
        packed = (
            self.packed if self.packed is not None else self.content if self.stored else deflated
        )
        size = len(self.content) if self.size is None else self.size
        return packed, method, size, binascii.crc32(self.content) if self.crc is None else self.crc


def archive(entries: Sequence[Entry], *, before: bytes = b"", after: bytes = b"") -> bytes:
    """A zip archive exactly as told."""
    out, directory = io.BytesIO(before), b""
    out.seek(0, io.SEEK_END)
    for entry in entries:
        at = out.tell() if entry.at is None else entry.at
        packed, method, size, crc = entry.figures()
        shared = struct.pack("<HHHHLLL", entry.flags, method, 0, 0x5C21, crc, len(packed), size)
        if entry.at is None:
            names = struct.pack("<HH", len(entry.name), len(entry.extra))
            out.write(b"PK\x03\x04" + struct.pack("<H", 20) + shared + names)
            out.write(entry.name + entry.extra + packed + entry.behind)
        name = entry.name if entry.central_name is None else entry.central_name
        rest = struct.pack("<HHHHHLL", len(name), 0, 0, 0, 0, entry.attributes, at)
        directory += b"PK\x01\x02" + struct.pack("<HH", 0x0314, 20) + shared + rest + name
    start = out.tell()
    out.write(directory)
    count = len(entries)
    end = struct.pack("<HHHHLLH", 0, 0, count, count, len(directory), start, 0)
    out.write(b"PK\x05\x06" + end + after)
    return out.getvalue()


def book_entries(files: Mapping[str, bytes | None] | None = None) -> list[Entry]:
    """The entries of a sound small book, with files added, replaced or (None) left out."""
    contents: dict[str, bytes | None] = {
        "META-INF/container.xml": CONTAINER,
        "EPUB/package.opf": package(),
        "EPUB/nav.xhtml": NAV,
        "EPUB/c1.xhtml": page("<p id='start'>Once upon a time.</p>"),
    }
    contents.update(files or {})
    kept = [Entry(name.encode(), held) for name, held in contents.items() if held is not None]
    return [Entry(b"mimetype", MIMETYPE, stored=True), *kept]


def book(files: Mapping[str, bytes | None] | None = None) -> bytes:
    """A sound small EPUB with these files added or replaced."""
    return archive(book_entries(files))


def changed(entries: list[Entry], name: str, **values: Any) -> list[Entry]:
    """The same entries, one of them with other header values."""
    return [replace(e, **values) if e.name == name.encode() else e for e in entries]


def pdf(*more: bytes, catalog: bytes = b"", page: bytes = b"", content: bytes = b"") -> bytes:
    """A PDF of one page; further objects are numbered from 6."""
    content = content or b"BT /F1 24 Tf 72 700 Td (Good morning) Tj ET"
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog,
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 595 842] >>",
            b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> %s >>"
            % page,
            stream(content),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            *more,
        ]
    )


def stream(content: bytes, entries: bytes = b"") -> bytes:
    """A stream object."""
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), entries, content)


def raw_pdf(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """Number the objects from 1, the first being the catalog, and write a right table of offsets."""
    out, offsets = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    rows = b"".join(b"%010d 00000 n \n" % at for at in offsets)
    table = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, rows)
    end = b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n"
    return out + table + end % (len(objects) + 1, trailer, len(out))


def picture(kind: str = "PNG", size: tuple[int, int] = (900, 1200)) -> bytes:
    """A plain picture file."""
    out = io.BytesIO()
    Image.new("RGB", size, "navy").save(out, kind)
    return out.getvalue()


def inspect(
    content: bytes, folder: Path, *, name: str = "upload", limits: Limits | None = None
) -> Report:
    """Put the bytes through the public door."""
    path = folder / name
    path.write_bytes(content)
    work = folder / "work"
    work.mkdir(exist_ok=True)
    return inspect_file(path, work, max_bytes=100_000_000, limits=limits or Limits())


def fails(report: Report) -> list[str]:
    """The codes of what forbids the file."""
    return [finding.code for finding in report.failures]


def warns(report: Report) -> list[str]:
    """The codes of what staff should read."""
    return [finding.code for finding in report.warnings]
