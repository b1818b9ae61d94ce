"""Claims to the public are made from what is there, never from a mark."""

import re
from pathlib import Path

import pytest

from store.catalog.gate.languages import is_language
from store.catalog.gate.report import Report
from tests.catalog.files import (
    PICTURE_ITEM,
    book,
    inspect,
    package,
    page,
    pdf,
    picture,
    raw_pdf,
    stream,
    warns,
)

MARKED = b"/MarkInfo << /Marked true >>"
ELEMENT = b"<< /S /P /Pg 3 0 R /K 0 >>"
UA = b"""<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:stRef='http://ns.adobe.com/xap/1.0/sType/ResourceRef#'
 xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'
 xmlns:pdfuaid='http://www.aiim.org/pdfua/ns/id/'><rdf:Description rdf:about=''>
<pdfuaid:part>1</pdfuaid:part>%s</rdf:Description></rdf:RDF></x:xmpmeta>"""


def tagging(report: Report) -> list[str]:
    """The one finding on tags."""
    return [one.code for one in report.findings if re.match("pdf-(un)?tag", one.code)]


@pytest.mark.parametrize(
    ("catalog", "tree", "code"),
    [
        (b"", b"null", "pdf-untagged"),
        (b"/StructTreeRoot 6 0 R", b"<< /K %s >>" % ELEMENT, "pdf-untagged"),
        (b"/MarkInfo << /Marked false >> /StructTreeRoot 6 0 R", b"<< /K %s >>" % ELEMENT,
         "pdf-untagged"),
        (MARKED, b"null", "pdf-tags-empty"),
        (MARKED + b"/StructTreeRoot 6 0 R", b"null", "pdf-tags-empty"),
        (MARKED + b"/StructTreeRoot 6 0 R", b"<< /Type /StructTreeRoot >>", "pdf-tags-empty"),
        (MARKED + b"/StructTreeRoot 6 0 R", b"<< /K [] >>", "pdf-tags-empty"),
        (MARKED + b"/StructTreeRoot 6 0 R", b"<< /K << /S /Document >> >>", "pdf-tags-empty"),
        (MARKED + b"/StructTreeRoot 6 0 R", b"<< /K << /S /P /K 0 >> >>", "pdf-tags-empty"),
        (MARKED + b"/StructTreeRoot 6 0 R", b"<< /K << /S /P /Pg 5 0 R /K 0 >> >>",
         "pdf-tags-empty"),
        (MARKED + b"/StructTreeRoot 6 0 R", b"<< /K [6 0 R] >>", "pdf-tags-empty"),
        (MARKED + b"/StructTreeRoot 6 0 R", b"<< /K %s >>" % ELEMENT, "pdf-tagged"),
        (MARKED + b"/StructTreeRoot 6 0 R", b"<< /K [<< /Pg 3 0 R /K [<< /S /H1 /K [1] >>] >>] >>",
         "pdf-tagged"),
        (MARKED + b"/StructTreeRoot 6 0 R",
         b"<< /K << /S /P /K << /Type /MCR /Pg 3 0 R /MCID 0 >> >> >>", "pdf-tagged"),
    ],
)  # fmt: skip
def test_a_pdf_is_tagged_where_its_tags_reach_its_pages(
    tmp_path: Path, catalog: bytes, tree: bytes, code: str
) -> None:
    report = inspect(pdf(tree, catalog=catalog), tmp_path)

    assert tagging(report) == [code]
    assert report.facts["tagged"] is (code == "pdf-tagged")


@pytest.mark.parametrize(("reached", "code"), [(4, "pdf-tags-partly"), (5, "pdf-tagged")])
def test_tags_that_reach_less_than_half_of_the_pages_are_no_claim(
    tmp_path: Path, reached: int, code: str
) -> None:
    kids = b" ".join(b"%d 0 R" % (number + 3) for number in range(10))
    tags = b" ".join(b"<< /S /P /Pg %d 0 R /K 0 >>" % (number + 3) for number in range(reached))
    content = raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R %s /StructTreeRoot << /K [%s] >> >>" % (MARKED, tags),
            b"<< /Type /Pages /Kids [%s] /Count 10 /MediaBox [0 0 595 842] >>" % kids,
            *[b"<< /Type /Page /Parent 2 0 R >>"] * 10,
        ]
    )

    report = inspect(content, tmp_path)

    assert (tagging(report), report.facts["tagged"]) == ([code], code == "pdf-tagged")


@pytest.mark.parametrize(
    ("outlines", "entry", "has"),
    [
        (b"null", b"null", False),
        (b"<< /Type /Outlines /Count 0 >>", b"null", False),
        (b"<< /First 7 0 R /Last 7 0 R >>", b"null", False),
        (b"<< /First 7 0 R /Last 7 0 R >>", b"<< /Title () /Dest [3 0 R /Fit] >>", False),
        (b"<< /First 7 0 R /Last 7 0 R >>", b"<< /Title (One) >>", False),
        (b"<< /First 7 0 R /Last 7 0 R >>", b"<< /Title (One) /Next 7 0 R >>", False),
        (b"<< /First 7 0 R /Last 7 0 R >>", b"<< /Title (One) /Dest [3 0 R /Fit] >>", True),
        (b"<< /First 7 0 R >>", b"<< /Title (Part) /First << /Title (A) /A << /S /GoTo >> >> >>", True),
    ],
)  # fmt: skip
def test_bookmarks_are_entries_that_lead_somewhere(
    tmp_path: Path, outlines: bytes, entry: bytes, has: bool
) -> None:
    report = inspect(pdf(outlines, entry, catalog=b"/Outlines 6 0 R"), tmp_path)

    assert report.facts["bookmarks"] is has
    assert ("pdf-bookmarks" in {one.code for one in report.findings}) is has


@pytest.mark.parametrize(
    ("tag", "is_one"),
    [
        ("en", True), ("en-GB", True), ("EN-gb", True), ("zh-Hant-TW", True), ("cy", True),
        ("gsw-CH", True), ("es-419", True), ("de-1996", True), ("en-GB-x-school", True),
        ("", False), ("English", False), ("en_GB", False), ("xy", False), ("und", False),
        ("zxx", False), ("x-default", False), ("en-", False), ("12", False),
    ],
)  # fmt: skip
def test_a_language_is_named_by_its_code(tag: str, is_one: bool) -> None:
    assert is_language(tag) is is_one


@pytest.mark.parametrize(
    ("catalog", "codes", "language"),
    [
        (b"/Lang (en-GB)", {"pdf-language"}, "en-GB"),
        (b"/Lang (English)", {"pdf-odd-language"}, ""),
        (b"/Lang ()", {"pdf-no-language"}, ""),
    ],
)
def test_a_pdf_has_the_language_that_its_tag_names(
    tmp_path: Path, catalog: bytes, codes: set[str], language: str
) -> None:
    report = inspect(pdf(catalog=catalog), tmp_path)

    assert {one.code for one in report.findings if "language" in one.code} == codes
    assert report.facts["language"] == language


def test_a_claim_to_the_standard_for_accessible_pdf_needs_what_it_asks_for(tmp_path: Path) -> None:
    catalog = b"/Metadata 6 0 R /Lang (en) " + MARKED

    report = inspect(pdf(stream(UA % b""), catalog=catalog), tmp_path)

    said = [one.sentence for one in report.warnings if one.code == "pdf-ua-unfounded"]
    assert len(said) == 1
    assert "but lacks tags that reach its pages and a title." in said[0]
    assert report.facts["pdfua"] == ""


def test_a_folder_of_the_authors_machine_in_the_metadata_is_said(tmp_path: Path) -> None:
    path = b"<stRef:filePath>file:///Users/ada/Desktop/castle.psd</stRef:filePath>"

    report = inspect(pdf(stream(UA % path), catalog=b"/Metadata 6 0 R"), tmp_path)

    said = [one.sentence for one in report.warnings if one.code == "pdf-author-path"]
    assert ["(/Users/ada/Desktop/castle.psd)" in one for one in said] == [True]


def claiming(*features: str, more: str = "") -> bytes:
    listed = "".join(
        f'<meta property="schema:accessibilityFeature">{feature}</meta>' for feature in features
    )
    return package(metadata=listed + more, items=PICTURE_ITEM.format("p.png"))


def looked_at(tmp_path: Path, opf: bytes, body: str) -> tuple[object, list[str]]:
    files = {"EPUB/package.opf": opf, "EPUB/c1.xhtml": page(body), "EPUB/p.png": picture()}
    report = inspect(book(files), tmp_path)
    facts = report.facts["accessibility"]
    assert isinstance(facts, dict)
    said = [one.sentence for one in report.warnings if one.code == "epub-claim-unfounded"]
    return facts.get("accessibilityFeature"), said


@pytest.mark.parametrize(
    ("feature", "holding", "lacking"),
    [
        ("alternativeText", "<img src='p.png' alt='A castle'/><img src='p.png' alt=''/>",
         "<img src='p.png' alt='A castle'/><img src='p.png'/>"),
        ("alternativeText", "<img src='p.png' aria-label='A castle'/>",
         "<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("alternativeText", "<svg xmlns='http://www.w3.org/2000/svg'><title>A castle</title></svg>",
         "<p>No picture at all.</p>"),
        ("alternativeText", "<img src='p.png' alt='A'/><img src='p.png' role='presentation'/>",
         "<img src='p.png' alt=''/>"),
        ("structuralNavigation", "<h2>Two</h2>", "<p class='h2'>Two</p>"),
        ("MathML", "<math xmlns='http://www.w3.org/1998/Math/MathML'/>", "<p>2+2</p>"),
        ("pageBreakMarkers", "<span role='doc-pagebreak'/>", "<p>1</p>"),
        ("pageNavigation", None, "<nav><ol/></nav>"),
        ("longDescription", "<p id='d'>x</p><img src='p.png' alt='' aria-details='d'/>", "<p>x</p>"),
        ("captions", "<video><track kind='captions'/></video>", "<video/>"),
        ("tableOfContents", "<p>The list of the book has entries.</p>", None),
    ],
)  # fmt: skip
def test_an_epubs_claim_is_passed_on_only_where_its_content_bears_it_out(
    tmp_path: Path, feature: str, holding: str | None, lacking: str | None
) -> None:
    if holding is not None:
        assert looked_at(tmp_path, claiming(feature), holding) == ([feature], [])
    if lacking is not None:
        held, said = looked_at(tmp_path, claiming(feature), lacking)
        assert (held, len(said)) == ([], 1)
        assert said[0].startswith(f"The EPUB claims “{feature}”, but ")


def test_a_standard_that_the_first_picture_breaks_is_not_passed_on(tmp_path: Path) -> None:
    standard = "EPUB Accessibility 1.1 - WCAG 2.2 Level AA"
    opf = claiming(more=f'<meta property="dcterms:conformsTo">{standard}</meta>')
    files = {"EPUB/package.opf": opf, "EPUB/c1.xhtml": page("<img src='p.png'/>")}

    report = inspect(book(files | {"EPUB/p.png": picture()}), tmp_path)

    assert report.facts["accessibility"] == {}
    assert "1 of its pictures has no text to stand for it" in str(report.warnings)


def test_a_table_of_contents_without_entries_is_none(tmp_path: Path) -> None:
    nav = page('<nav xmlns:epub="http://www.idpf.org/2007/ops" epub:type="toc"><ol/></nav>')

    report = inspect(book({"EPUB/nav.xhtml": nav}), tmp_path)

    assert (report.facts["bookmarks"], "epub-no-contents" in warns(report)) == (False, True)


def test_a_language_that_is_none_is_said_with_what_stands_there(tmp_path: Path) -> None:
    opf = package().replace(b">en-GB<", b">British English<")

    report = inspect(book({"EPUB/package.opf": opf}), tmp_path)

    assert "epub-odd-language" in warns(report)
    assert report.facts["language"] == ""
