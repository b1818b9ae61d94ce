"""What is neither PDF nor EPUB is called what it is, with the way out, whatever state it is in."""

from pathlib import Path

import pytest

from tests.catalog.files import (
    CONTAINER,
    MIMETYPE,
    Entry,
    archive,
    book,
    book_entries,
    fails,
    inspect,
    pdf,
    picture,
)

ODF = b"application/vnd.oasis.opendocument."
TYPES = Entry(b"[Content_Types].xml", b"<Types/>")


def docx() -> bytes:
    return archive(
        [Entry(b"_rels/.rels", b"<R/>"), Entry(b"word/document.xml", b"<w/>" * 99), TYPES]
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (docx(), "a Word document (DOCX)"),
        (docx()[:-30], "a Word document (DOCX)"),
        (docx()[:90], "a Word document (DOCX)"),
        (docx() + bytes(70_000), "a Word document (DOCX)"),
        (archive([Entry(b"xl/workbook.xml", b"<w/>"), TYPES]), "an Excel workbook (XLSX)"),
        (archive([TYPES, Entry(b"ppt/a.xml", b"<w/>")]), "a PowerPoint presentation (PPTX)"),
        (archive([TYPES]), "a Word or other Office document"),
        (archive([Entry(b"mimetype", ODF + b"text", stored=True)]), "an OpenDocument text (ODT)"),
        (archive([Entry(b"mimetype", ODF + b"spreadsheet")]), "an OpenDocument spreadsheet (ODS)"),
        (
            archive([Entry(b"mimetype", b"application/x-something", stored=True)]),
            "another kind of document (application/x-something)",
        ),
        (
            archive([Entry(b"Index/Document.iwa", b"x")]),
            "an Apple Pages, Numbers or Keynote document",
        ),
        (
            archive([Entry(b"My book/META-INF/container.xml", CONTAINER)]),
            "a zip archive with the parts of an EPUB in a folder",
        ),
        (archive([Entry(b"1.jpg", b"x"), Entry(b"2.PNG", b"x")]), "a zip archive of pictures"),
        (archive([Entry(b"notes.txt", b"hello")]), "a zip archive"),
        (archive([Entry(b"notes.txt", b"hello")])[:-9], "a zip archive"),
        (b"PK\x05\x06" + bytes(18), "an empty zip archive"),
        (
            b"\xd0\xcf\x11\xe0" + bytes(100),
            "an Office document in the old format or with a password",
        ),
        (bytes(60) + b"BOOKMOBI" + bytes(60), "a Kindle book (MOBI or AZW3)"),
        (b"{\\rtf1\\ansi Dear all}", "a rich text document (RTF)"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"<html><p>Look at %PDF-1.7 and see</p></html>", "a web page"),
        (picture("PNG"), "a picture (PNG)"),
        (picture("JPEG"), "a picture (JPEG)"),
        (picture("WEBP"), "a picture (WebP)"),
        (picture("TIFF"), "a picture (TIFF)"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a picture (SVG)"),
        (b"\0\0\0\x18ftypheic", "a picture (HEIC)"),
        (b"Dear all, " + "größer wäre schöner ".encode() * 80, "a plain text"),
        (bytes(5000), "a file of zeros, as a broken copy leaves"),
        (b"\x00\x05\x16\x07" + bytes(80), "the hidden file that a Mac puts beside the real one"),
        (b"\x01\x02\x03\x04", "something else"),
    ],
)
def test_another_kind_of_file_is_refused_by_what_it_is(
    tmp_path: Path, content: bytes, what: str
) -> None:
    report = inspect(content, tmp_path)

    said = (
        f"The file must be a PDF or EPUB. This is {what}. Save it as PDF or EPUB, then upload that."
    )
    assert report.format is None
    assert [(one.code, one.sentence) for one in report.findings] == [("wrong-type", said)]


@pytest.mark.parametrize("name", ["The book.epub", "drafts/The book.PDF"])
def test_a_zip_archive_around_the_file_is_to_be_unpacked(tmp_path: Path, name: str) -> None:
    content = archive([Entry(name.encode(), book(), stored=True), Entry(b"read me.txt", b"x")])

    report = inspect(content, tmp_path)

    assert (report.format, fails(report)) == (None, ["wrong-type-packed"])
    assert report.failures[0].sentence == (
        f"The file must be a PDF or EPUB. This is a zip archive with {name} in it. Unpack it, then"
        " upload that file by itself."
    )


@pytest.mark.parametrize(
    "content",
    [book()[:-30], book()[:300], archive(book_entries()[1:])[:-30]],
    ids=["end", "most", "without mimetype"],
)
def test_only_an_epub_is_called_a_cut_off_epub(tmp_path: Path, content: bytes) -> None:
    assert fails(inspect(content, tmp_path)) == ["epub-truncated"]


def test_an_epub_within_an_epub_is_judged_as_the_outer_one(tmp_path: Path) -> None:
    entries = [*book_entries(), Entry(b"EPUB/word/x.epub", book(), stored=True)]

    assert inspect(archive(entries), tmp_path).accepted


@pytest.mark.parametrize("mark", [b"application/epub", b"\xef\xbb\xbf" + MIMETYPE, b"nonsense"])
def test_an_epub_with_a_wrong_mark_is_mended_not_renamed(tmp_path: Path, mark: bytes) -> None:
    entries = [Entry(b"mimetype", mark, stored=True), *book_entries()[1:]]

    report = inspect(archive(entries), tmp_path)

    assert (report.format, report.accepted, report.repaired is not None) == ("epub", True, True)


def test_a_pdf_named_in_a_zip_of_its_own_is_still_a_pdf(tmp_path: Path) -> None:
    assert inspect(pdf(), tmp_path, name="book.zip").format == "pdf"
