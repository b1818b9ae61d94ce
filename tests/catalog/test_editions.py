"""Editions: files come in through the gate, change while drafts, and never afterwards."""

import hashlib
import io
from pathlib import Path

import pytest
from flask import Flask

from store.catalog import editions, uploads
from store.catalog.models import Asset, Edition, EditionStatus
from store.catalog.released import ReleasedFile
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, transaction
from store.kit.errors import InvalidFields
from store.kit.storage import Storage, storage
from tests.conftest import on_both, on_both_when_long
from tests.factories import a_publication, a_released_edition, an_asset, an_edition

SAMPLE = Path(__file__).parents[2] / "store" / "demo" / "sample"
PDF, EPUB = SAMPLE / "edition-1.pdf", SAMPLE / "edition-1.epub"
HOSTILE = Path(__file__).parent / "hostile"


def _left_in(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file()]


def test_a_good_file_is_stored_under_its_checksum_with_its_cover(app: Flask) -> None:
    received = uploads.receive_file(PDF)
    data = PDF.read_bytes()
    assert received.format == "pdf"
    assert received.sha256 == received.uploaded_sha256 == hashlib.sha256(data).hexdigest()
    assert storage().read(f"assets/{received.sha256}") == data
    assert storage().read(f"covers/{received.cover_sha256}").startswith(b"\x89PNG")
    assert received.facts["pages"] > 0
    assert _left_in(config().data_dir / "work") == []


def test_a_stream_is_taken_like_a_path(app: Flask) -> None:
    assert uploads.receive_file(io.BytesIO(EPUB.read_bytes())) == uploads.receive_file(EPUB)


def test_the_content_decides_whatever_the_file_is_called(app: Flask, tmp_path: Path) -> None:
    for name in ("Guide.EPUB", "guide", "Frühe Hilfe.pdf", "Frühe Hilfe.pdf"):
        path = tmp_path / name
        path.write_bytes(EPUB.read_bytes())
        assert uploads.receive_file(path).format == "epub"


def test_an_epub_whose_layout_the_gate_repairs_keeps_both_checksums(app: Flask) -> None:
    odd = HOSTILE / "epub-mimetype-deflated.epub"
    received = uploads.receive_file(odd)
    assert received.uploaded_sha256 == hashlib.sha256(odd.read_bytes()).hexdigest()
    stored = storage().read(f"assets/{received.sha256}")
    assert hashlib.sha256(stored).hexdigest() == received.sha256 != received.uploaded_sha256


def test_a_refused_file_says_why_and_leaves_nothing(app: Flask) -> None:
    with pytest.raises(uploads.FileRefused) as refused:
        uploads.receive_file(HOSTILE / "pdf-javascript-openaction.pdf", name="guide.pdf")
    assert refused.value.sentence.startswith("guide.pdf: ")
    assert "script" in refused.value.sentence
    assert _left_in(config().data_dir / "work") == _left_in(config().data_dir / "files") == []


def test_a_path_that_leads_nowhere_is_refused_in_words(app: Flask, tmp_path: Path) -> None:
    with pytest.raises(uploads.FileRefused, match="could not be uploaded"):
        uploads.receive_file(tmp_path / "none.pdf")


def test_of_a_file_that_is_too_large_little_is_copied(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = app.extensions["colophon.settings"]
    small = settings.model_copy(update={"max_upload": 1_000_000})
    monkeypatch.setitem(app.extensions, "colophon.settings", small)

    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            Endless.given += size
            return b"%PDF" + b" " * (size - 4)

    with pytest.raises(uploads.FileRefused, match="1 MB or smaller"):
        uploads.receive_file(Endless())  # type: ignore[arg-type]
    assert Endless.given < 2_000_000


def test_an_upload_that_breaks_off_leaves_nothing(app: Flask) -> None:
    class Broken(io.RawIOBase):
        pieces = iter([PDF.read_bytes()[:1000]])

        def read(self, size: int = -1) -> bytes:
            try:
                return next(self.pieces)
            except StopIteration:
                raise ConnectionResetError from None

    with pytest.raises(ConnectionResetError):
        uploads.receive_file(Broken())  # type: ignore[arg-type]
    assert _left_in(config().data_dir / "work") == _left_in(config().data_dir / "files") == []


def test_what_a_dead_process_left_is_cleared_away_after_an_hour(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = config().data_dir / "work" / "upload-dead"
    folder.mkdir(parents=True)
    (folder / "upload").write_bytes(b"%PDF")
    uploads.forget_broken_uploads()
    assert folder.exists()
    written = folder.stat().st_mtime
    monkeypatch.setattr(uploads.time, "time", lambda: written + 3601)
    uploads.forget_broken_uploads()
    assert not folder.exists()


def test_the_same_file_again_is_not_written_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads.receive_file(PDF)
    written: list[str] = []
    monkeypatch.setattr(Storage, "put_file", lambda self, key, path: written.append(key))
    uploads.receive_file(PDF)
    assert written == []


@on_both_when_long
def test_uploads_make_one_draft_and_replace_its_formats(app: Flask) -> None:
    first, second = uploads.receive_file(PDF), uploads.receive_file(SAMPLE / "edition-2.pdf")
    book = uploads.receive_file(EPUB)
    with transaction():
        publication = a_publication()
        edition = editions.upload_edition(publication, [first], notes="One", severity="law")
        again = editions.upload_edition(publication, [second, book], label="Spring")
    assert again is edition
    assert (edition.number, edition.notes, edition.severity, edition.label) == (
        1,
        "One",
        "law",
        "Spring",
    )
    assert [asset.format for asset in edition.assets] == ["pdf", "epub"]
    assert edition.assets[0].sha256 == second.sha256


@on_both_when_long
def test_after_a_release_an_upload_begins_the_next_number(app: Flask) -> None:
    received = uploads.receive_file(PDF)
    with transaction():
        publication = a_publication()
        a_released_edition(publication, 1)
        edition = editions.upload_edition(publication, [received])
        assert editions.edition_before(edition) is editions.edition_by_number(publication, 1)
    assert (edition.number, edition.status) == (2, EditionStatus.DRAFT)
    with pytest.raises(editions.EditionUnknown):
        editions.edition_by_number(publication, 3)


@on_both_when_long
@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (EditionStatus.RELEASED, editions.EditionAlreadyReleased),
        (EditionStatus.WITHDRAWN, editions.EditionAlreadyReleased),
        (EditionStatus.SCHEDULED, editions.EditionScheduled),
    ],
)
def test_only_a_draft_can_be_changed(
    app: Flask, status: EditionStatus, refusal: type[Exception]
) -> None:
    received = uploads.receive_file(PDF)
    with transaction():
        edition = an_edition(a_publication(), status=status)
    with pytest.raises(refusal), transaction():
        editions.put_asset(edition, received)
    with pytest.raises(refusal), transaction():
        editions.edit_edition(edition, notes="Other")


@on_both
def test_a_release_that_came_between_is_seen_although_the_row_was_read_before(app: Flask) -> None:
    received = uploads.receive_file(PDF)
    with transaction():
        edition = an_edition(a_publication())
    with transaction():
        assert edition.status == EditionStatus.DRAFT
        db.session.execute(
            Edition.__table__.update().values(status="released")  # type: ignore[attr-defined]
        )
        with pytest.raises(editions.EditionAlreadyReleased):
            editions.put_asset(edition, received)


def test_an_upload_of_nothing_or_of_two_pdfs_makes_no_edition(app: Flask) -> None:
    received = uploads.receive_file(PDF)
    with transaction():
        publication = a_publication()
    for files in ([], [received, received]):
        with pytest.raises(editions.UploadRefused), transaction():
            editions.upload_edition(publication, files)
    with pytest.raises(InvalidFields), transaction():
        editions.upload_edition(publication, [received], severity="grave")
    assert editions.editions_of(publication) == []


def test_files_have_names_that_people_can_read(app: Flask) -> None:
    with transaction():
        asset: Asset = an_asset(an_edition(a_publication(), 2), "epub")
    name = editions.asset_filename(asset)
    assert name == "send-early-years-edition-2.epub"
    assert editions.asset_named(name) == ("send-early-years", 2, "epub")
    assert editions.asset_named("send-early-years-edition-02.epub") is None
    assert editions.media_type("epub") == "application/epub+zip"


@pytest.mark.parametrize(
    ("title", "plain", "whole"),
    [
        ("Führung in der Kita: Größe", "Fuhrung in der Kita Grosse", "Führung in der Kita Größe"),
        ("L’École, Łódź & Ærø", "L'Ecole, Lodz & Aero", "L’École, Łódź & Ærø"),
        ('../a\\b "c"; d%e\r\nX: y', "a b c d e X y", "a b c d e X y"),
        ("数学入门", "guide", "数学入门"),
        ("ü" * 70 + " " + "ü" * 70, "u" * 70, "ü" * 70),
    ],
)
def test_a_saved_file_bears_its_title_with_its_letters_and_its_edition(
    title: str, plain: str, whole: str
) -> None:
    file = ReleasedFile("guide", 2, "pdf", 1, "", 1, clock.now(), {}, None, title)
    assert editions.download_names(file) == (f"{plain}, edition 2.pdf", f"{whole}, edition 2.pdf")
