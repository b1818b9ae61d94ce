"""The verdicts on the sample files and the hostile set that this repository carries, and on
documents made at run time."""

import resource
import time
import zipfile
from pathlib import Path

import pytest

from store.catalog.gate.inspection import inspect_file
from store.catalog.gate.report import Report
from tests.catalog.documents import MADE, gibibyte_bomb, zeros
from tests.catalog.files import archive, book_entries, fails, inspect, warns

HERE = Path(__file__).parent
HOSTILE = HERE / "hostile"
SHIPPED = {
    path.name: path
    for folder in (HOSTILE, HERE / "samples", HERE.parents[1] / "store/demo/sample")
    for path in sorted(folder.iterdir())
    if path.suffix != ".md"
}
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
REFUSED = {name for name, codes in EXPECTED_CODES.items() if codes} | {"password.pdf", "bomb.epub"}
REPAIRED = {"epub-mimetype-deflated.epub", "epub-2.epub"}


@pytest.mark.parametrize("name", [*SHIPPED, *MADE])
def test_each_sample_gets_its_verdict_within_ten_seconds_of_work(tmp_path: Path, name: str) -> None:
    path = SHIPPED.get(name, tmp_path / name)
    if name in MADE:
        path.write_bytes(MADE[name][0]())
    work = tmp_path / "work"
    work.mkdir()
    before = _worked()

    report = inspect_file(path, work, max_bytes=100_000_000)

    assert _worked() - before < 10
    assert report.accepted is (name not in REFUSED)
    assert all("checker" not in code for code in fails(report))
    assert (report.cover_png is not None) or report.format == "epub" or not report.accepted
    assert ("epub-repaired" in warns(report)) is (name in REPAIRED)
    assert ("pdf-signed" in warns(report)) is (name == "signed.pdf")
    if name in MADE:
        _, fact, value = MADE[name]
        codes = {finding.code for finding in report.findings}
        assert value in codes if fact == "code" else report.facts[fact] == value


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


@pytest.mark.long
def test_a_bomb_is_refused_by_its_directory_before_anything_is_unpacked(tmp_path: Path) -> None:
    report = inspect(gibibyte_bomb(), tmp_path)

    assert fails(report) == ["epub-too-large", "epub-too-large"]


def test_a_bomb_that_declares_a_small_size_is_stopped_while_unpacking(tmp_path: Path) -> None:
    bomb = zeros(1 << 28)
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


def _packed(path: Path) -> dict[str, tuple[int, bytes]]:
    """Compression method and bytes of each entry as they stand in the file."""
    held, whole = {}, path.read_bytes()
    with zipfile.ZipFile(path) as found:
        for info in found.infolist():
            names, extras = whole[info.header_offset + 26], whole[info.header_offset + 28]
            at = info.header_offset + 30 + names + extras
            held[info.filename] = (info.compress_type, whole[at : at + info.compress_size])
    return held
