"""What lies in an EPUB beside the book: left alone, named in a warning, never judged as a page."""

from pathlib import Path

import pytest

from store.catalog.gate.report import Report
from tests.catalog.files import book, fails, inspect, package, page, warns

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(120)
ACCOUNT = (
    b"<plist><dict><key>AppleID</key><string>author.private@icloud.example</string></dict></plist>"
)
USUAL = ["epub-no-accessibility"]


def said(report: Report, code: str) -> list[str]:
    return [one.sentence for one in report.warnings if one.code == code]


def test_what_macs_and_shops_leave_in_an_epub_is_named_and_not_judged(tmp_path: Path) -> None:
    files = {
        "__MACOSX/._content.opf": APPLE_DOUBLE,
        "__MACOSX/OEBPS/._a.xhtml": APPLE_DOUBLE,
        ".DS_Store": b"\0\0\0\x01Bud1" + bytes(60),
        "OEBPS/Thumbs.db": b"\xd0\xcf\x11\xe0" + bytes(60),
        "OEBPS/draft-old.xhtml": b"<html><p>Not & closed",
        "iTunesMetadata.plist": ACCOUNT,
        "META-INF/calibre_bookmarks.txt": b"encoding=json+base64:\nAAAA",
    }

    report = inspect(book(files), tmp_path)

    assert report.accepted
    assert "well formed" not in " ".join(one.sentence for one in report.warnings)
    private = said(report, "epub-private")
    assert [sentence.partition(" inside")[0] for sentence in private] == [
        "__MACOSX/._content.opf",
        "__MACOSX/OEBPS/._a.xhtml",
        "iTunesMetadata.plist",
        "META-INF/calibre_bookmarks.txt",
    ]
    assert all("holds private data (" in sentence for sentence in private)
    assert "an Apple account" in private[2]
    assert "author.private" not in str(report.to_json())
    assert ["(.DS_Store, OEBPS/Thumbs.db)" in one for one in said(report, "epub-leftovers")] == [
        True
    ]
    assert ["(OEBPS/draft-old.xhtml)" in one for one in said(report, "epub-unlisted")] == [True]


@pytest.mark.parametrize(
    ("name", "content", "codes"),
    [
        ("iTunesMetadata.plist", b"<plist/>", ["epub-leftovers"]),
        ("EPUB/._c1.xhtml", APPLE_DOUBLE, ["epub-private"]),
        ("EPUB/~$draft.docx", b"\x03Ada", ["epub-private"]),
        (".git/config", b"[user]", ["epub-private"]),
        ("META-INF/com.apple.ibooks.display-options.xml", b"<display_options/>", []),
        ("META-INF/odd.xml", b"<a", []),
        ("EPUB/empty/", b"", []),
        ("EPUB/old.ncx", b"<ncx", ["epub-unlisted"]),
        ("EPUB/old.opf", b"<package", ["epub-unlisted"]),
        ("EPUB/manuscript.docx", b"PK", ["epub-unlisted"]),
    ],
)
def test_each_file_that_is_no_part_of_the_book_is_told_by_its_kind(
    tmp_path: Path, name: str, content: bytes, codes: list[str]
) -> None:
    report = inspect(book({name: content}), tmp_path)

    assert fails(report) == []
    assert warns(report) == [*USUAL, *codes]


def test_columns_of_a_calibre_library_are_private(tmp_path: Path) -> None:
    opf = package(metadata='<meta name="calibre:user_metadata:#shelf" content="{}"/>')

    report = inspect(book({"EPUB/package.opf": opf}), tmp_path)

    assert "columns or notes of a calibre library" in said(report, "epub-private")[0]


def test_many_unlisted_files_are_one_warning(tmp_path: Path) -> None:
    files = {f"EPUB/old-{number}.txt": b"x" for number in range(30)}

    (sentence,) = said(inspect(book(files), tmp_path), "epub-unlisted")

    assert "EPUB/old-4.txt and 25 more)" in sentence


def test_a_page_that_another_leads_to_is_judged_though_it_is_not_listed(tmp_path: Path) -> None:
    """A reader may open it: a hostile page is not hidden by leaving it out of the list."""
    files = {
        "EPUB/c1.xhtml": page("<p><a href='more.xhtml?x=1#y'>More</a></p>"),
        "EPUB/more.xhtml": page("<a href='last.xhtml'>Last</a>"),
        "EPUB/last.xhtml": page("", head="<script src='https://x.example/a.js'></script>"),
    }

    report = inspect(book(files), tmp_path)

    assert fails(report) == ["epub-remote-script"]
    assert [one.partition(" inside")[0] for one in said(report, "epub-unlisted-used")] == [
        "EPUB/more.xhtml",
        "EPUB/last.xhtml",
    ]
