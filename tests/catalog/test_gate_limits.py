"""A file that eats time or memory stops its own checker, and nothing else."""

import resource
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from store.catalog.gate.inspection import Limits
from tests.catalog.files import (
    archive,
    book,
    book_entries,
    changed,
    fails,
    inspect,
    page,
    pdf,
    stream,
)

MIB = 1024 * 1024
PROMISED = 1_400_000_000
not_on_macos = pytest.mark.skipif(
    sys.platform == "darwin", reason="the address space cannot be limited there"
)


@pytest.fixture(scope="module")
def slow_file() -> bytes:
    """A sound PDF that takes some seconds to draw: forms within forms, 24 wide and 5 deep."""
    content, forms = b"0 0 9 9 re f", list[bytes]()
    resources = b""
    for number in range(10, 5, -1):
        head = b"/Type /XObject /Subtype /Form /BBox [0 0 595 842] %s" % resources
        forms.insert(0, stream(content, head))
        content, resources = b"/F Do " * 24, b"/Resources << /XObject << /F %d 0 R >> >>" % number
    return pdf(*forms, page=resources, content=b"/F Do")


def test_a_file_that_takes_time_is_taken_within_the_usual_limits(
    tmp_path: Path, slow_file: bytes
) -> None:
    """The control of the next two: it is the limit that refuses, not the file."""
    assert fails(inspect(slow_file, tmp_path)) == []


def test_the_clock_ends_a_child_that_takes_too_long(tmp_path: Path, slow_file: bytes) -> None:
    began = time.monotonic()

    report = inspect(slow_file, tmp_path, limits=Limits(wall_seconds=1.0))

    assert fails(report) == ["checker-out-of-time"]
    assert time.monotonic() - began < 30


def test_the_processor_limit_ends_a_child_that_computes_too_long(
    tmp_path: Path, slow_file: bytes
) -> None:
    report = inspect(slow_file, tmp_path, limits=Limits(cpu_seconds=1))

    assert fails(report) == ["checker-out-of-time"]


@not_on_macos
@pytest.mark.parametrize(
    ("space", "refused"),
    [
        pytest.param(150 * MIB, True, marks=pytest.mark.long),
        (200 * MIB, True),
        pytest.param(Limits().address_space, False, marks=pytest.mark.long),
    ],
)
def test_the_memory_limit_ends_a_child_that_swells(
    tmp_path: Path, space: int, refused: bool
) -> None:
    """With its control: under the usual limit the same file passes."""
    words = "".join(f"<p id='p{number}'>{number}</p>" for number in range(250_000))
    content = book({"EPUB/c1.xhtml": page(words)})

    found = fails(inspect(content, tmp_path, limits=Limits(address_space=space)))

    assert bool(found) is refused
    assert set(found) <= {"checker-out-of-memory", "checker-stopped"}


@pytest.mark.long
@not_on_macos
def test_a_pdf_whose_page_swells_to_a_gibibyte_is_refused(tmp_path: Path) -> None:
    squeezer = zlib.compressobj(1)
    once = b"".join(squeezer.compress(b"0 0 m " * 174_763) for _ in range(1024))
    twice = zlib.compress(once + squeezer.flush(), 9)
    began = time.monotonic()

    report = inspect(_with_contents(twice), tmp_path)

    assert len(twice) < 200_000
    assert set(fails(report)) & {"checker-out-of-memory", "checker-stopped", "checker-out-of-time"}
    assert time.monotonic() - began < 60


def _with_contents(packed: bytes) -> bytes:
    filters = b"/Filter [/FlateDecode /FlateDecode]"
    return pdf(stream(packed, filters), page=b"/Contents 6 0 R")


def swelling(piece: bytes, count: int, head: bytes = b"") -> bytes:
    """So many copies of the piece behind the head, as a deflated stream."""
    squeezer = zlib.compressobj(1)
    copies = (squeezer.compress(piece) for _ in range(count))
    return b"".join([squeezer.compress(head), *copies, squeezer.flush()])


def object_stream() -> bytes:
    """A PDF whose object 9 lies in a stream that swells to two gigabytes."""
    packed = swelling(b"(x) " * 250_000, 2000, head=b"9 0 [")
    entries = b"/Type /ObjStm /N 1 /First 4 /Filter /FlateDecode"
    body = pdf(stream(packed, entries), page=b"/A 9 0 R")
    # The table is continued by a stream, which says where object 9 is: in 6, the first one there.
    head = b"/Type /XRef /Size 11 /Root 1 0 R /W [1 4 1] /Index [9 2] /Prev %d"
    before = int(body.rpartition(b"startxref")[2].split()[0])
    table = b"\x02\0\0\0\x06\0" + b"\x01" + len(body).to_bytes(4, "big") + b"\0"
    section = b"10 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n"
    return body + section % (stream(table, head % before), len(body))


def picture_of_a_gigabyte() -> bytes:
    size = b"/Type /XObject /Subtype /Image /Width 14000 /Height 14000 /BitsPerComponent 16"
    packed = swelling(bytes(MIB), 1200)
    held = stream(packed, size + b"/ColorSpace /DeviceRGB /Filter /FlateDecode")
    resources = b"/Resources << /XObject << /I 6 0 R >> >>"
    return pdf(held, page=resources, content=b"595 0 0 842 0 0 cm /I Do")


def huge_page() -> bytes:
    start, _, end = page("@").partition(b"@")
    piece = b"".join(b"<p class='p%d'>%d</p>" % (number, number * 7919) for number in range(40_000))
    content = start + piece * 130 + end
    squeezer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = squeezer.compress(content) + squeezer.flush()
    entries = changed(
        book_entries(), "EPUB/c1.xhtml", packed=packed, size=len(content), crc=zlib.crc32(content)
    )
    return archive(entries)


@not_on_macos
@pytest.mark.parametrize(
    ("make", "refused"),
    [
        (object_stream, True),
        pytest.param(picture_of_a_gigabyte, False, marks=pytest.mark.long),
        pytest.param(huge_page, True, marks=pytest.mark.long),
    ],
)
def test_a_child_never_holds_more_memory_than_promised_and_the_answer_is_a_sentence(
    tmp_path: Path, make: Callable[[], bytes], refused: bool
) -> None:
    began = time.monotonic()

    report = inspect(make(), tmp_path)

    held = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert held <= PROMISED
    assert Limits().address_space <= PROMISED
    assert bool(fails(report)) is refused
    assert set(fails(report)) <= {"checker-out-of-memory", "checker-stopped"}
    assert all(one.sentence.endswith("then upload the new file.") for one in report.failures)
    assert time.monotonic() - began < 60


def test_a_child_that_was_stopped_leaves_no_process_behind(
    tmp_path: Path, slow_file: bytes
) -> None:
    inspect(slow_file, tmp_path, limits=Limits(wall_seconds=0.5))

    left = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    assert [line for line in left if "store.catalog.gate.inspection" in line] == []
