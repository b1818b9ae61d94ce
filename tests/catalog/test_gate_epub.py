"""What is inside an EPUB: protection, pages, links, scripts, metadata, cover."""

import io
from pathlib import Path

import pytest
from PIL import Image

from tests.catalog.files import (
    CONTAINER,
    PICTURE_ITEM,
    book,
    fails,
    inspect,
    package,
    page,
    picture,
    warns,
)

CSS_ITEM = '<item id="css" href="style.css" media-type="text/css"/>'
NCX_ITEM = '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
ENCRYPTION = """<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"
 xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>
<enc:EncryptionMethod Algorithm="{}"/></enc:EncryptedData></encryption>"""
NESTED = '<!DOCTYPE html [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE html [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
ACCESSIBILITY = """
<meta property="schema:accessMode">textual</meta><meta property="schema:accessMode">visual</meta>
<meta property="schema:accessModeSufficient">textual</meta>
<meta property="schema:accessibilityFeature">alternativeText</meta>
<meta property="schema:accessibilityHazard">none</meta>
<meta property="schema:accessibilitySummary">Every picture is described.</meta>
<meta property="dcterms:conformsTo">EPUB Accessibility 1.1 - WCAG 2.2 Level AA</meta>
<meta property="a11y:certifiedBy">A. Checker</meta>"""


@pytest.mark.parametrize(
    ("files", "refused"),
    [
        ({"META-INF/rights.xml": b"<rights/>"}, ["epub-drm"]),
        ({"META-INF/license.lcpl": b"{}"}, ["epub-drm"]),
        (
            {
                "META-INF/encryption.xml": ENCRYPTION.format(
                    "http://www.w3.org/2001/04/xmlenc#aes128-cbc"
                ).encode()
            },
            ["epub-drm"],
        ),
        (
            {
                "META-INF/encryption.xml": ENCRYPTION.format(
                    "http://www.idpf.org/2008/embedding"
                ).encode()
            },
            [],
        ),
        (
            {
                "META-INF/encryption.xml": ENCRYPTION.format(
                    "http://ns.adobe.com/pdf/enc#RC"
                ).encode()
            },
            [],
        ),
    ],
)
def test_copy_protection_is_refused_and_obfuscated_fonts_are_not(
    tmp_path: Path, files: dict[str, bytes], refused: list[str]
) -> None:
    assert fails(inspect(book(files), tmp_path)) == refused


def test_a_page_that_is_not_well_formed_is_refused_with_file_and_line(tmp_path: Path) -> None:
    content = book({"EPUB/c1.xhtml": page("<p>Good.</p>\n<!-- one -- two -->")})

    report = inspect(content, tmp_path)

    assert [finding.code for finding in report.failures] == ["epub-not-well-formed"]
    said = report.failures[0].sentence
    assert said.startswith("EPUB/c1.xhtml, line 4: Double hyphen within comment")
    assert "Kindle and Google Play refuse such a book" in said


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("EPUB/c1.xhtml", page("<p>One<br></p>")),
        ("EPUB/c1.xhtml", page("<p>Fish & chips</p>")),
        ("EPUB/c1.xhtml", page("<p>A&nbsp;b</p>", before="<!DOCTYPE html>")),
        ("EPUB/nav.xhtml", b""),
        ("EPUB/toc.ncx", b"<ncx>"),
    ],
)
def test_every_page_and_contents_file_has_to_be_well_formed(
    tmp_path: Path, name: str, content: bytes
) -> None:
    opf = package(items=NCX_ITEM if name.endswith("ncx") else "")

    found = fails(inspect(book({"EPUB/package.opf": opf, name: content}), tmp_path))

    assert found == ["epub-not-well-formed"]


@pytest.mark.parametrize("name", ["EPUB/package.opf", "META-INF/container.xml"])
def test_a_package_or_container_file_that_is_not_well_formed_is_refused(
    tmp_path: Path, name: str
) -> None:
    found = fails(inspect(book({name: b"<package>"}), tmp_path))

    assert found == ["epub-not-well-formed", "epub-no-package"]


def test_a_blank_spelled_as_epub_2_allows_is_no_fault(tmp_path: Path) -> None:
    doctype = (
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN"'
        ' "http://www.w3.org/TR/xhtml11/DTD/xhtml11.dtd">'
    )

    assert inspect(
        book({"EPUB/c1.xhtml": page("<p>A&nbsp;b</p>", before=doctype)}), tmp_path
    ).accepted


@pytest.mark.parametrize(
    "files",
    [
        {"EPUB/package.opf": package(before='<!DOCTYPE package [<!ENTITY a "ha">]>')},
        {"META-INF/container.xml": CONTAINER.replace(b"<container", b'<!DOCTYPE c [<!ENTITY a "b">]><container')},
        {"EPUB/c1.xhtml": page("<p>&b;</p>", before=NESTED)},
        {"EPUB/c1.xhtml": page("<p>&a;</p>", before=OUTSIDE)},
    ],
)  # fmt: skip
def test_entities_of_its_own_are_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    report = inspect(book(files), tmp_path)

    assert fails(report)[0] == "epub-entities"


def test_a_stylesheet_that_names_a_missing_picture_warns_with_file_and_line(
    tmp_path: Path,
) -> None:
    css = (
        b"/* url(not-this.png) */\nbody { color: black }\nh1 { background: url('img/gone.png') }\n"
    )

    report = inspect(
        book({"EPUB/package.opf": package(items=CSS_ITEM), "EPUB/style.css": css}), tmp_path
    )

    assert report.accepted
    said = [one.sentence for one in report.warnings if one.code == "epub-missing-picture"]
    assert len(said) == 1
    assert said[0].startswith("EPUB/style.css, line 3: names img/gone.png, which is not in the")
    assert "Kindle (error E999) and Google Play may refuse it" in said[0]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("<a href='http:////x.example'>x</a>", "epub-broken-link"),
        ("<a href='gone.xhtml'>x</a>", "epub-broken-link"),
        ("<a href='#gone'>x</a>", "epub-broken-link"),
        ("<a href='nav.xhtml#gone'>x</a>", "epub-broken-link"),
        ("<a href='file:///C:/x.doc'>x</a>", "epub-broken-link"),
        ("<a href='http://[::1'>x</a>", "epub-broken-link"),
        ("<img src='gone.png' alt=''/>", "epub-missing-picture"),
        ("<img src='https://x.example/a.png' alt=''/>", "epub-remote-content"),
        ("<a href='javascript:alert(1)'>x</a>", "epub-script"),
        ("<script>1</script>", "epub-script"),
    ],
)
def test_a_page_that_leads_nowhere_or_out_warns_with_file_and_line(
    tmp_path: Path, body: str, code: str
) -> None:
    report = inspect(book({"EPUB/c1.xhtml": page(f"<p>Before.</p>\n{body}")}), tmp_path)

    assert report.accepted
    warned = [one for one in report.warnings if one.code != "epub-no-accessibility"]
    assert [one.code for one in warned] == [code]
    assert warned[0].sentence.startswith("EPUB/c1.xhtml, line 4: ")


@pytest.mark.parametrize(
    "body",
    [
        "<a href='nav.xhtml'>x</a>",
        "<p id='a'/><a href='#a'>x</a>",
        "<a href='c1.xhtml#a' id='a'>x</a>",
        "<a href='https://example.org/'>x</a>",
        "<a href='mailto:ada@example.org'>x</a>",
        "<img src='data:image/png;base64,AA==' alt=''/>",
        "<img src='a%20b.png' alt=''/>",
        "<script type='application/ld+json'>{}</script>",
    ],
)
def test_a_link_that_works_is_not_complained_of(tmp_path: Path, body: str) -> None:
    opf = package(items=PICTURE_ITEM.format("a%20b.png"))
    files = {"EPUB/package.opf": opf, "EPUB/c1.xhtml": page(body), "EPUB/a b.png": picture()}

    assert warns(inspect(book(files), tmp_path)) == ["epub-no-accessibility"]


@pytest.mark.parametrize("url", ["https://x.example/a.js", "//x.example/a.js"])
def test_a_script_from_another_host_is_refused(tmp_path: Path, url: str) -> None:
    content = book({"EPUB/c1.xhtml": page("", head=f"<script src='{url}'></script>")})

    assert fails(inspect(content, tmp_path)) == ["epub-remote-script"]


def test_a_page_of_the_reading_order_that_is_missing_is_refused(tmp_path: Path) -> None:
    assert "epub-page-missing" in fails(inspect(book({"EPUB/c1.xhtml": None}), tmp_path))


def test_another_listed_file_that_is_missing_is_a_warning(tmp_path: Path) -> None:
    report = inspect(book({"EPUB/package.opf": package(items=CSS_ITEM)}), tmp_path)

    assert (report.accepted, "epub-item-missing" in warns(report)) == (True, True)


def test_a_book_without_a_reading_order_is_refused(tmp_path: Path) -> None:
    opf = package().replace(b'<itemref idref="c1"/>', b"")

    assert fails(inspect(book({"EPUB/package.opf": opf}), tmp_path)) == ["epub-no-spine"]


def test_a_container_that_names_no_package_is_refused(tmp_path: Path) -> None:
    files = {"META-INF/container.xml": CONTAINER.replace(b"package.opf", b"gone.opf")}

    assert fails(inspect(book(files), tmp_path)) == ["epub-no-package"]


def test_what_the_book_says_of_itself_is_read(tmp_path: Path) -> None:
    opf = package(metadata=ACCESSIBILITY, items=PICTURE_ITEM.format("a.png"))
    body = page("<p>Once upon a time.</p><img src='a.png' alt='A castle'/>")
    files = {"EPUB/package.opf": opf, "EPUB/c1.xhtml": body, "EPUB/a.png": picture()}

    report = inspect(book(files), tmp_path)

    assert warns(report) == []
    assert report.facts == {
        "entries": 6,
        "title": "A small book",
        "author": "Ada Author",
        "language": "en-GB",
        "publisher": "",
        "identifier": "urn:isbn:9780306406157",
        "isbn": "9780306406157",
        "modified": "2026-01-01T00:00:00Z",
        "epub_version": "3.0",
        "documents": 1,
        "bookmarks": True,
        "headings": 0,
        "pictures": {"described": 1, "undescribed": 0},
        "fixed_layout": False,
        "accessibility": {
            "accessMode": ["textual", "visual"],
            "accessModeSufficient": ["textual"],
            "accessibilityFeature": ["alternativeText"],
            "accessibilityHazard": ["none"],
            "accessibilitySummary": "Every picture is described.",
            "conformsTo": "EPUB Accessibility 1.1 - WCAG 2.2 Level AA",
            "certifiedBy": "A. Checker",
        },
        "words": 5,
        "text_sample": "Once upon a time.",
    }


def test_missing_title_language_and_identifier_get_advice(tmp_path: Path) -> None:
    opf = package()
    for name in (b"title", b"language", b"identifier"):
        start = opf.index(b"<dc:" + name)
        end = opf.index(b"</dc:" + name + b">") + len(name) + 6
        opf = opf[:start] + opf[end:]

    found = warns(inspect(book({"EPUB/package.opf": opf}), tmp_path))

    assert found == [
        "epub-no-title",
        "epub-no-language",
        "epub-no-identifier",
        "epub-no-accessibility",
    ]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_the_cover_is_re_encoded_as_png(tmp_path: Path, kind: str) -> None:
    item = '<item id="cover" href="cover" media-type="image/x" properties="cover-image"/>'
    files = {"EPUB/package.opf": package(items=item), "EPUB/cover": picture(kind)}

    report = inspect(book(files), tmp_path)

    assert report.cover_png is not None
    with Image.open(io.BytesIO(report.cover_png)) as cover:
        assert (cover.format, cover.size) == ("PNG", (640, 853))


def test_an_epub_2_cover_is_found(tmp_path: Path) -> None:
    item = '<item id="c" href="cover.jpg" media-type="image/jpeg"/>'
    opf = package(items=item, metadata='<meta name="cover" content="c"/>')

    report = inspect(book({"EPUB/package.opf": opf, "EPUB/cover.jpg": picture("JPEG")}), tmp_path)

    assert report.cover_png is not None


@pytest.mark.parametrize("cover", [b"no picture", picture(size=(9000, 9000))], ids=["junk", "huge"])
def test_a_cover_that_cannot_be_read_is_only_a_warning(tmp_path: Path, cover: bytes) -> None:
    item = '<item id="c" href="c.png" media-type="image/png" properties="cover-image"/>'
    files = {"EPUB/package.opf": package(items=item), "EPUB/c.png": cover}

    report = inspect(book(files), tmp_path)

    assert (report.accepted, report.cover_png) == (True, None)
    assert "cover-unreadable" in warns(report)


def test_a_book_without_a_table_of_contents_gets_advice(tmp_path: Path) -> None:
    opf = package().replace(b' properties="nav"', b"")

    report = inspect(book({"EPUB/package.opf": opf}), tmp_path)

    assert (report.accepted, "epub-no-contents" in warns(report)) == (True, True)
