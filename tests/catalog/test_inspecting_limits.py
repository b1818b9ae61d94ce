"""A file that eats time or memory stops its own checker, and nothing else."""

import sys
import time
import zlib
from pathlib import Path

import psutil
import pytest

from store.catalog.inspecting import Limits
from tests.catalog.making import book, fails, inspect, page, pdf, stream

MIB = 1024 * 1024
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
    assert time.monotonic() - began < 5


def test_the_processor_limit_ends_a_child_that_computes_too_long(
    tmp_path: Path, slow_file: bytes
) -> None:
    report = inspect(slow_file, tmp_path, limits=Limits(cpu_seconds=1))

    assert fails(report) == ["checker-out-of-time"]


@not_on_macos
@pytest.mark.parametrize(
    ("space", "refused"), [(150 * MIB, True), (200 * MIB, True), (Limits().address_space, False)]
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


@not_on_macos
def test_a_pdf_whose_page_swells_to_a_gibibyte_is_refused(tmp_path: Path) -> None:
    squeezer = zlib.compressobj(1)
    once = b"".join(squeezer.compress(b"0 0 m " * 174_763) for _ in range(1024))
    twice = zlib.compress(once + squeezer.flush(), 9)
    began = time.monotonic()

    report = inspect(_with_contents(twice), tmp_path)

    assert len(twice) < 200_000
    assert set(fails(report)) & {"checker-out-of-memory", "checker-stopped", "checker-out-of-time"}
    assert time.monotonic() - began < 25


def _with_contents(packed: bytes) -> bytes:
    filters = b"/Filter [/FlateDecode /FlateDecode]"
    return pdf(stream(packed, filters), page=b"/Contents 6 0 R")


def test_a_child_that_was_stopped_leaves_no_process_behind(
    tmp_path: Path, slow_file: bytes
) -> None:
    inspect(slow_file, tmp_path, limits=Limits(wall_seconds=0.5))

    left = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    assert [line for line in left if "store.catalog.inspecting.child" in line] == []
