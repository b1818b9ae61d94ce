"""Files damaged at random places: always a verdict, never a fault of our own."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from store.catalog.gate.inspection import judge
from tests.catalog.files import CONTAINER, NAV, book, package, page, pdf, stream

TOKENS = (b"<< ", b" [ ", b"null", b"(x) ", b"1e99", b"-999", b"&a;", b"</p>")
PARTS = {
    "META-INF/container.xml": CONTAINER,
    "EPUB/package.opf": package(),
    "EPUB/nav.xhtml": NAV,
    "EPUB/c1.xhtml": page('<p><a href="nav.xhtml#y">k</a><img src="q.png" alt=""/></p>'),
}


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The bytes with one to ten places changed, cut out or added to."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 3, 10))):
        at = chance.randrange(len(changed))
        way = chance.randrange(4)
        if way == 0:
            changed[at] = chance.randrange(256)
        elif way == 1:
            del changed[at : at + chance.randrange(1, 30)]
        elif way == 2:
            changed[at:at] = bytes(chance.randrange(32, 127) for _ in range(5))
        else:
            changed[at : at + 4] = chance.choice(TOKENS)
    return bytes(changed)


def damaged_pdf(chance: random.Random) -> bytes:
    whole = pdf(stream(b"<x/>"), catalog=b"/Lang (en) /Metadata 6 0 R /MarkInfo << /Marked true >>")
    return b"%PDF-" + damaged(whole[5:], chance)


def damaged_archive(chance: random.Random) -> bytes:
    return b"PK\x03\x04" + damaged(book(PARTS)[4:], chance)


def damaged_part(chance: random.Random) -> bytes:
    name = chance.choice(list(PARTS))
    return book(PARTS | {name: damaged(PARTS[name], chance)})


@pytest.mark.parametrize("make", [damaged_pdf, damaged_archive, damaged_part])
def test_a_file_damaged_anywhere_gets_a_verdict(
    tmp_path: Path, make: Callable[[random.Random], bytes]
) -> None:
    chance = random.Random(20260101)
    path = tmp_path / "upload"
    accepted = 0
    for _ in range(250):
        path.write_bytes(make(chance))

        report = judge("pdf" if make is damaged_pdf else "epub", path, tmp_path)

        assert report.findings
        accepted += report.accepted
    assert accepted < 250
