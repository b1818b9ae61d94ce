"""The verdicts on the sample files and on the hostile set that this repository carries."""

import json
import resource
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from store.catalog.gate.inspection import inspect_file
from store.catalog.gate.report import Report
from tests.catalog.making import Entry, archive, book_entries, fails, inspect, warns

SAMPLES = Path(__file__).parents[2] / "../shared/samples"
HOSTILE = Path(__file__).parent / "hostile"
EXPECTED_CODES = {
    "epub-drm-adept.epub": ["epub-drm", "epub-drm"],
    "epub-mimetype-deflated.epub": [],
    "epub-ok-minimal.epub": [],
    "epub-path-traversal.epub": ["epub-name"],
    "epub-truncated.epub": ["epub-truncated"],
    "pdf-encrypted-owner-only-aes256.pdf": ["pdf-restricted"],
    "pdf-javascript-openaction.pdf": ["pdf-javascript"],
    "pdf-truncated-half.pdf": ["pdf-truncated"],
    "pdf-unbalanced-q.pdf": [],
    # Deliberate: what every reader would have to repair is refused with the way out.
    "pdf-xref-offsets-all-wrong.pdf": ["pdf-damaged"],
    "polyglot-pdf-then-zip.pdf": ["pdf-zip"],
}
NOT_ACCEPTED = {"reject", "normalise"}


def manifest() -> list[Any]:
    listed = SAMPLES / "MANIFEST.json"
    if not listed.is_file():
        reason = "the sample folder is not beside the repository"
        return [pytest.param({}, marks=pytest.mark.skip(reason=reason), id="no samples")]
    rows = json.loads(listed.read_text())["files"]
    return [pytest.param(row, id=row["file"]) for row in rows]


@pytest.mark.parametrize("row", manifest())
def test_each_sample_gets_its_verdict_within_ten_seconds_of_work(
    tmp_path: Path, row: dict[str, str]
) -> None:
    before = _worked()

    report = inspect_file(SAMPLES / row["file"], tmp_path, max_bytes=100_000_000)

    assert _worked() - before < 10
    assert report.accepted is (row["expect"] not in NOT_ACCEPTED)
    assert all("checker" not in code for code in fails(report))
    assert (report.cover_png is not None) or report.format == "epub" or not report.accepted
    if row["expect"] == "repair":
        assert "epub-repaired" in warns(report)
    if "signed" in row:
        assert "pdf-signed" in warns(report)


def _worked() -> float:
    """The processor's seconds of the checkers so far, which others at work do not lengthen."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def test_the_hostile_set_is_all_there() -> None:
    found = {path.name for path in HOSTILE.iterdir()} - {"LICENCE.md"}

    assert found == set(EXPECTED_CODES)


@pytest.mark.parametrize("name", EXPECTED_CODES)
def test_each_hostile_file_is_refused_for_its_own_reason(tmp_path: Path, name: str) -> None:
    report = inspect_file(HOSTILE / name, tmp_path, max_bytes=100_000_000)

    assert fails(report) == EXPECTED_CODES[name]


def test_a_bomb_is_refused_by_its_directory_before_anything_is_unpacked(tmp_path: Path) -> None:
    report = inspect(archive([*book_entries(), _zeros(1 << 30)]), tmp_path)

    assert fails(report) == ["epub-too-large", "epub-too-large"]


def test_a_bomb_that_declares_a_small_size_is_stopped_while_unpacking(tmp_path: Path) -> None:
    bomb = _zeros(1 << 28)
    bomb.size = 1000
    began = time.monotonic()

    report = inspect(archive([*book_entries(), bomb]), tmp_path)

    assert fails(report) == ["epub-entry-damaged"]
    assert time.monotonic() - began < 30


def test_a_deflated_mimetype_is_repaired_without_packing_anything_again(tmp_path: Path) -> None:
    source = HOSTILE / "epub-mimetype-deflated.epub"

    report = inspect_file(source, tmp_path, max_bytes=100_000_000)

    assert (report.accepted, "epub-repaired" in warns(report)) == (True, True)
    assert report.repaired == tmp_path / "repaired.epub"
    assert report.repaired.read_bytes()[30:58] == b"mimetypeapplication/epub+zip"
    before, after = _packed(source), _packed(report.repaired)
    assert next(iter(after)) == "mimetype"
    del before["mimetype"], after["mimetype"]
    assert after == before


def test_a_repaired_file_passes_without_a_remark_about_its_layout(tmp_path: Path) -> None:
    first = inspect_file(HOSTILE / "epub-mimetype-deflated.epub", tmp_path, max_bytes=100_000)
    assert first.repaired is not None

    second: Report = inspect(first.repaired.read_bytes(), tmp_path)

    assert (second.accepted, second.repaired) == (True, None)
    assert "epub-repaired" not in warns(second)
    assert second.facts == first.facts


def _zeros(size: int) -> Entry:
    """An entry of so many zero bytes, packed in pieces so that making it takes no memory."""
    squeezer, packed, crc = zlib.compressobj(9, zlib.DEFLATED, -15), [], 0
    block = bytes(1 << 20)
    for _ in range(size >> 20):
        packed.append(squeezer.compress(block))
        crc = zlib.crc32(block, crc)
    packed.append(squeezer.flush())
    return Entry(b"EPUB/big.bin", packed=b"".join(packed), size=size, crc=crc)


def _packed(path: Path) -> dict[str, tuple[int, bytes]]:
    """Compression method and bytes of each entry as they stand in the file."""
    held, whole = {}, path.read_bytes()
    with zipfile.ZipFile(path) as found:
        for info in found.infolist():
            names, extras = whole[info.header_offset + 26], whole[info.header_offset + 28]
            at = info.header_offset + 30 + names + extras
            held[info.filename] = (info.compress_type, whole[at : at + info.compress_size])
    return held
