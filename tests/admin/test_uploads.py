"""Files through the upload door: refused by what they are, mended or warned of in words."""

import hashlib
import io
import unicodedata
import zipfile
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.editions import edition_by_number
from store.catalog.models import Asset, Publication
from store.kit.database import transaction
from tests.admin.sign_in import press
from tests.catalog.files import Entry, archive, book, book_entries
from tests.conftest import on_both_when_long
from tests.factories import a_publication, a_seller
from tests.pages import check_page

UPLOAD = "/admin/publications/send-early-years/upload"
EDITION = "/admin/publications/send-early-years/editions/1"


@pytest.fixture
def publication(app: Flask) -> Publication:
    with transaction():
        a_seller()
        publication: Publication = a_publication()
    return publication


def put(desk: FlaskClient, content: bytes, name: str) -> tuple[int, str]:
    """Status, and the words of the page that follows."""
    answer = press(
        desk,
        UPLOAD,
        {"files": (io.BytesIO(content), name), "notes": "Kept words"},
        content_type="multipart/form-data",
    )
    page = answer.text if answer.status_code == 422 else desk.get(answer.location).text
    check_page(page, path=UPLOAD if answer.status_code == 422 else EDITION)
    return answer.status_code, unescape(page)


def stored(publication: Publication) -> Asset:
    (asset,) = edition_by_number(publication, 1).assets
    return asset


def test_a_word_document_is_called_one_and_the_way_out_is_said(
    desk: FlaskClient, publication: Publication
) -> None:
    name = unicodedata.normalize("NFD", "Frühe Hilfe.epub")

    status, page = put(desk, archive([Entry(b"word/document.xml", b"<w/>")])[:-9], name)

    assert status == 422
    assert (
        "Frühe Hilfe.epub: The file must be a PDF or EPUB. This is a Word document (DOCX). "
        "Save it as PDF or EPUB, then upload that."
    ) in page
    assert "cut off" not in page
    assert "Kept words" in page


@on_both_when_long
@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        (book_entries()[1:], "was missing"),
        ([*book_entries()[1:], book_entries()[0]], "was not the first"),
        ([Entry(b"mimetype", b"application/epub+zip"), *book_entries()[1:]], "was compressed"),
        (
            [Entry(b"mimetype", b"application/epub+zip\n", stored=True), *book_entries()[1:]],
            "held more or other than its one word",
        ),
    ],
    ids=["missing", "last", "compressed", "line end"],
)
def test_an_epub_whose_mark_is_wrong_is_mended_with_a_warning(
    desk: FlaskClient, publication: Publication, entries: list[Entry], fault: str
) -> None:
    content = archive(entries)

    status, page = put(desk, content, "guide.epub")

    asset = stored(publication)
    got = desk.get(f"{EDITION}/files/epub").data
    assert status == 303
    assert f"marks the file as an EPUB (mimetype) {fault}, and some readers refuse" in page
    assert asset.uploaded_sha256 == hashlib.sha256(content).hexdigest()
    assert asset.sha256 == hashlib.sha256(got).hexdigest()
    assert asset.sha256 in page
    assert asset.uploaded_sha256 in page
    assert got[30:58] == b"mimetypeapplication/epub+zip"
    with zipfile.ZipFile(io.BytesIO(got)) as mended:
        assert mended.testzip() is None
        assert set(mended.namelist()) == {"mimetype", *(one.name.decode() for one in entries)}


def test_a_file_that_is_kept_as_it_came_shows_one_checksum(
    desk: FlaskClient, publication: Publication
) -> None:
    _, page = put(desk, book(), "guide.epub")

    assert "as it was uploaded" not in page


def test_private_data_and_drafts_are_said_before_the_release(
    desk: FlaskClient, publication: Publication
) -> None:
    files = {
        "__MACOSX/OEBPS/._a.xhtml": b"\x00\x05\x16\x07" + bytes(90),
        "iTunesMetadata.plist": b"<key>AppleID</key><string>author.private@icloud.example</string>",
        "META-INF/calibre_bookmarks.txt": b"x",
        "OEBPS/draft-old.xhtml": b"<p>unfinished",
    }

    status, page = put(desk, book(files), "guide.epub")

    assert status == 303
    first = page[page.index(" to mend · ") : page.index('id="notes"')]
    for words in (
        "iTunesMetadata.plist inside this EPUB holds private data (an Apple account)",
        "META-INF/calibre_bookmarks.txt inside this EPUB holds private data",
        "__MACOSX/OEBPS/._a.xhtml inside this EPUB holds private data",
        "(OEBPS/draft-old.xhtml).</b> Readers do not show them",
    ):
        assert words in first
    assert "author.private" not in page
