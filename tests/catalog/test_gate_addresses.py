"""An address in an EPUB is an address: query, fragment and encoding are no part of a name."""

import unicodedata
from pathlib import Path

import pytest

from tests.catalog.files import CONTAINER, book, fails, inspect, package, page, warns

COMPOSED = unicodedata.normalize("NFC", "Frühe Hilfe.xhtml")
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


def item(href: str) -> bytes:
    """A package whose reading order has one more page at this address."""
    listed = f'<item id="c2" href="{href}" media-type="application/xhtml+xml"/>'
    return package(items=listed).replace(b"</spine>", b'<itemref idref="c2"/></spine>')


@pytest.mark.parametrize(
    ("href", "name"),
    [
        ("a.xhtml", "EPUB/a.xhtml"),
        ("a.xhtml#x", "EPUB/a.xhtml"),
        ("a.xhtml?x=1", "EPUB/a.xhtml"),
        ("a.xhtml?x=1&amp;y=b/c#x", "EPUB/a.xhtml"),
        ("./part/../a.xhtml", "EPUB/a.xhtml"),
        ("/EPUB/a.xhtml", "EPUB/a.xhtml"),
        ("../a.xhtml", "a.xhtml"),
        ("a%20b.xhtml", "EPUB/a b.xhtml"),
        ("a b.xhtml", "EPUB/a b.xhtml"),
        ("a%23b.xhtml", "EPUB/a#b.xhtml"),
        ("a%2520b.xhtml", "EPUB/a%20b.xhtml"),
        ("Fr%C3%BChe%20Hilfe.xhtml", f"EPUB/{COMPOSED}"),
        (COMPOSED, f"EPUB/{DECOMPOSED}"),
        (DECOMPOSED, f"EPUB/{COMPOSED}"),
        ("Fru%CC%88he%20Hilfe.xhtml", f"EPUB/{COMPOSED}"),
    ],
)
def test_a_page_is_found_by_its_address_from_list_and_link(
    tmp_path: Path, href: str, name: str
) -> None:
    files = {
        "EPUB/package.opf": item(href),
        name: page("<p id='x'>Here.</p>"),
        "EPUB/c1.xhtml": page(f"<p><a href='{href.partition('#')[0]}#x'>x</a></p>"),
    }

    report = inspect(book(files), tmp_path)

    assert (fails(report), warns(report)) == ([], ["epub-no-accessibility"])
    assert (report.facts["documents"], report.facts["words"]) == (2, 3)


def test_a_type_with_a_parameter_is_the_type(tmp_path: Path) -> None:
    opf = package().replace(b'"application/xhtml+xml"', b'"application/xhtml+xml; charset=utf-8"')

    assert fails(inspect(book({"EPUB/package.opf": opf, "EPUB/c1.xhtml": b"<p>"}), tmp_path)) == [
        "epub-not-well-formed"
    ]


def test_a_package_file_whose_name_has_accents_is_found(tmp_path: Path) -> None:
    container = CONTAINER.replace(b"EPUB/package.opf", "EPUB/bücher.opf".encode())
    name = unicodedata.normalize("NFD", "EPUB/bücher.opf")
    files = {"META-INF/container.xml": container, "EPUB/package.opf": None, name: package()}

    assert fails(inspect(book(files), tmp_path)) == []


def test_a_page_listed_in_other_capitals_is_said_to_be_so(tmp_path: Path) -> None:
    report = inspect(
        book({"EPUB/package.opf": item("A.XHTML"), "EPUB/a.xhtml": page("")}), tmp_path
    )

    assert [(one.code, one.sentence) for one in report.failures] == [
        (
            "epub-page-misspelt",
            (
                "The page EPUB/A.XHTML is named in the contents list, but the file in the book is called"
                " EPUB/a.xhtml. Readers tell capital letters apart and would not find it. Write both the"
                " same, then export again."
            ),
        )
    ]


@pytest.mark.parametrize(
    "body", ["<a href='gone.xhtml?x=1#y'>x</a>", "<a href='c1.xhtml?a#b'>x</a>"]
)
def test_an_address_that_leads_nowhere_is_still_said(tmp_path: Path, body: str) -> None:
    found = warns(inspect(book({"EPUB/c1.xhtml": page(body)}), tmp_path))

    assert found == ["epub-broken-link", "epub-no-accessibility"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../x.txt", "it could overwrite files elsewhere"),
        ("C:/x.txt", "it could overwrite files elsewhere"),
        ("EPUB/What?.xhtml", "the EPUB standard and Windows forbid ? in names"),
        ("EPUB/a\x01.txt", "the EPUB standard and Windows forbid a control character in names"),
    ],
)
def test_a_name_that_is_refused_says_why(tmp_path: Path, name: str, why: str) -> None:
    report = inspect(book({name: b"x"}), tmp_path)

    assert fails(report) == ["epub-name"]
    assert f"is not allowed: {why}." in report.failures[0].sentence
