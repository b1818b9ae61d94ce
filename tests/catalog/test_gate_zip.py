"""The archive around an EPUB: one reading only, nothing hidden, nothing that swells or climbs."""

import struct
import zipfile
from pathlib import Path

import pytest

from tests.catalog.files import (
    MIMETYPE,
    Entry,
    archive,
    book,
    book_entries,
    changed,
    fails,
    inspect,
    warns,
)

PAGE = "EPUB/c1.xhtml"
SYMLINK = 0o120777 << 16


def test_a_sound_archive_passes(tmp_path: Path) -> None:
    report = inspect(book(), tmp_path)

    assert fails(report) == []
    assert (report.facts["entries"], report.repaired) == (5, None)


@pytest.mark.parametrize(
    "name",
    [
        "../outside.txt",
        "EPUB/../../outside.txt",
        "/etc/passwd",
        "EPUB\\evil.txt",
        "C:/evil.txt",
        "EPUB/nul\0byte",
        "EPUB//twice",
        "./EPUB/here",
        "EPUB/new\nline",
    ],
)
def test_a_name_that_could_leave_the_book_is_refused(tmp_path: Path, name: str) -> None:
    content = archive([*book_entries(), Entry(name.encode(), b"x")])

    assert fails(inspect(content, tmp_path)) == ["epub-name"]


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    content = archive([*book_entries(), Entry(b"EPUB/caf\xe9.txt", b"x", flags=0)])

    assert fails(inspect(content, tmp_path)) == ["epub-name"]


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    link = Entry(b"EPUB/link", b"/etc/passwd", attributes=SYMLINK)

    assert fails(inspect(archive([*book_entries(), link]), tmp_path)) == ["epub-name"]


@pytest.mark.parametrize(
    "name", ["EPUB/C1.xhtml", "epub/c1.XHTML", "EPUB/c1.xhtml", "EPUB/c1.xhtml/"]
)
def test_two_names_that_are_one_on_some_systems_are_refused(tmp_path: Path, name: str) -> None:
    content = archive([*book_entries(), Entry(name.encode(), b"")])

    assert fails(inspect(content, tmp_path)) == ["epub-name-twice"]


def test_composed_and_decomposed_spellings_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = [Entry("EPUB/fr\u00fch".encode(), b"a"), Entry("EPUB/fru\u0308h".encode(), b"b")]

    content = archive([*book_entries(), *twice])

    assert fails(inspect(content, tmp_path)) == ["epub-name-twice"]


def test_an_entry_that_lies_inside_another_is_refused(tmp_path: Path) -> None:
    inner = archive([Entry(b"EPUB/inner.txt", b"x", stored=True)])[:45]
    entries = book_entries()
    outer_at = len(archive(entries)) - _directory_length(entries)
    data_at = outer_at + 30 + len("EPUB/outer.bin")
    outer = Entry(b"EPUB/outer.bin", inner, stored=True)
    hidden = Entry(b"EPUB/inner.txt", b"x", stored=True, at=data_at)

    assert fails(inspect(archive([*entries, outer, hidden]), tmp_path)) == ["epub-overlap"]


def _directory_length(entries: list[Entry]) -> int:
    return 22 + sum(46 + len(entry.name) for entry in entries)


def test_headers_that_name_an_entry_differently_are_refused(tmp_path: Path) -> None:
    entries = changed(book_entries(), PAGE, central_name=b"EPUB/c2.xhtml")

    assert fails(inspect(archive(entries), tmp_path)) == ["epub-headers-disagree"]


def test_an_entry_header_that_disagrees_about_the_size_is_refused(tmp_path: Path) -> None:
    content = bytearray(book())
    at = content.index(PAGE.encode()) - 30
    content[at + 22 : at + 26] = struct.pack("<L", 1)

    assert fails(inspect(bytes(content), tmp_path)) == ["epub-headers-disagree"]


@pytest.mark.parametrize("size", [1, 5000])
def test_a_declared_size_that_is_not_the_real_one_is_refused(tmp_path: Path, size: int) -> None:
    entries = changed(book_entries(), PAGE, size=size)

    assert fails(inspect(archive(entries), tmp_path)) == ["epub-entry-damaged"]


def test_a_wrong_checksum_is_refused_by_name(tmp_path: Path) -> None:
    report = inspect(archive(changed(book_entries(), PAGE, crc=1)), tmp_path)

    assert [finding.sentence for finding in report.failures] == [
        "EPUB/c1.xhtml inside this EPUB is damaged. Export the book again, then upload the new file."
    ]


def test_bytes_that_are_not_deflate_are_refused(tmp_path: Path) -> None:
    entries = changed(book_entries(), PAGE, packed=b"\xff" * 40)

    assert fails(inspect(archive(entries), tmp_path)) == ["epub-entry-damaged"]


def test_data_hidden_behind_the_end_of_a_packed_entry_is_refused(tmp_path: Path) -> None:
    (page,) = (entry for entry in book_entries() if entry.name == PAGE.encode())
    packed = page.figures()[0] + b"hidden"

    content = archive(changed(book_entries(), PAGE, packed=packed))

    assert fails(inspect(content, tmp_path)) == ["epub-entry-damaged"]


def test_data_between_the_entries_is_refused(tmp_path: Path) -> None:
    content = archive(changed(book_entries(), PAGE, behind=b"between"))

    assert fails(inspect(content, tmp_path)) == ["epub-extra-data"]


@pytest.mark.parametrize("after", [b"trailing", bytes(70_000), b"x" * 3_000_000])
def test_what_stands_behind_the_end_is_said_and_not_called_cut_off(
    tmp_path: Path, after: bytes
) -> None:
    report = inspect(archive(book_entries(), after=after), tmp_path)

    assert fails(report) == ["epub-extra-after"]
    assert f"stand {len(after):,} more bytes" in report.failures[0].sentence


def test_a_cut_off_book_that_holds_an_archive_is_called_cut_off(tmp_path: Path) -> None:
    inner = Entry(b"EPUB/inner.zip", book(), stored=True)
    content = archive([*book_entries(), inner, Entry(b"EPUB/z.bin", b"z" * 500, stored=True)])

    assert fails(inspect(content[:-700], tmp_path)) == ["epub-truncated"]


def test_an_archive_with_something_in_front_is_no_epub(tmp_path: Path) -> None:
    content = archive(book_entries(), before=b"<html>")

    assert fails(inspect(content, tmp_path)) == ["wrong-type"]


def test_an_archive_in_front_of_the_archive_is_refused(tmp_path: Path) -> None:
    content = archive(book_entries(), before=book())

    assert fails(inspect(content, tmp_path)) == ["epub-extra-data"]


def test_an_entry_whose_figures_follow_its_bytes_is_taken(tmp_path: Path) -> None:
    """What programs write that do not know a file's size beforehand."""
    content = bytearray(archive(_described()))
    at = content.index(PAGE.encode()) - 30
    content[at + 14 : at + 26] = bytes(12)

    assert fails(inspect(bytes(content), tmp_path)) == []


def test_figures_behind_an_entry_that_disagree_are_refused(tmp_path: Path) -> None:
    entries = changed(_described(), PAGE, behind=b"PK\x07\x08" + bytes(12))

    assert fails(inspect(archive(entries), tmp_path)) == ["epub-headers-disagree"]


def _described() -> list[Entry]:
    (page,) = (entry for entry in book_entries() if entry.name == PAGE.encode())
    packed, _, size, crc = page.figures()
    behind = b"PK\x07\x08" + struct.pack("<3L", crc, len(packed), size)
    return changed(book_entries(), PAGE, flags=0x0808, behind=behind)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"method": 9}, "epub-method"),
        ({"method": 12}, "epub-method"),
        ({"flags": 0x0801}, "epub-encrypted"),
        ({"extra": b"\x01\x00\x08\x00" + bytes(8)}, "epub-zip64"),
    ],
)
def test_what_readers_cannot_open_is_refused(
    tmp_path: Path, values: dict[str, object], code: str
) -> None:
    entries = changed(book_entries(), PAGE, **values)

    assert fails(inspect(archive(entries), tmp_path)) == [code]


@pytest.mark.parametrize(("size", "refused"), [(1 << 20, []), ((1 << 20) + 1, ["epub-too-large"])])
def test_a_ratio_above_two_hundred_counts_from_one_mebibyte(
    tmp_path: Path, size: int, refused: list[str]
) -> None:
    content = archive([*book_entries(), Entry(b"EPUB/zeros.bin", bytes(size))])

    assert fails(inspect(content, tmp_path)) == refused


@pytest.mark.parametrize("cut", [1, 22, 200])
def test_an_archive_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    assert fails(inspect(book()[:-cut], tmp_path)) == ["epub-truncated"]


def test_twenty_thousand_entries_are_the_most(tmp_path: Path) -> None:
    more = [Entry(b"EPUB/%d" % number, packed=b"\x03\x00") for number in range(20_000)]

    assert fails(inspect(archive([*book_entries(), *more]), tmp_path)) == ["epub-too-many-entries"]


@pytest.mark.parametrize(
    "entries",
    [
        [*book_entries()[1:], book_entries()[0]],
        book_entries()[1:],
        changed(book_entries(), "mimetype", stored=False),
        changed(book_entries(), "mimetype", content=MIMETYPE + b"\r\n"),
        changed(book_entries(), "mimetype", extra=b"UT\x05\x00\x01\x00\x00\x00\x00"),
    ],
    ids=["last", "left out", "deflated", "line end", "extra field"],
)
def test_a_mimetype_out_of_place_is_put_right(tmp_path: Path, entries: list[Entry]) -> None:
    report = inspect(archive(entries), tmp_path)

    assert (report.accepted, "epub-repaired" in warns(report)) == (True, True)
    assert report.repaired is not None
    with zipfile.ZipFile(report.repaired) as found:
        assert (found.testzip(), found.namelist()[0]) == (None, "mimetype")
    again = inspect(report.repaired.read_bytes(), tmp_path, name="again")
    assert (again.accepted, again.repaired) == (True, None)
    assert again.facts["words"] == report.facts["words"]


def test_a_broken_directory_is_refused(tmp_path: Path) -> None:
    content = book().replace(b"PK\x01\x02", b"PK\x01\x03", 1)

    assert fails(inspect(content, tmp_path)) == ["epub-damaged"]
