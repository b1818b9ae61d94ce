"""Bind the sample as EPUB 3 with the metadata that EPUB Accessibility 1.1 asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from edition import Edition
from markdown_it.token import Token
from reading import Chapter, markdown

STYLE = Path(__file__).with_name("book.css")
# The oldest moment a zip can hold: the same bytes whenever it is made.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)

PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" \
lang="{language}" xml:lang="{language}">
<head>
<meta charset="utf-8"/>
<title>{title}</title>
<link rel="stylesheet" type="text/css" href="book.css"/>
</head>
<body>
{body}
</body>
</html>
"""

CONTAINER = """<?xml version="1.0" encoding="UTF-8"?>
<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">
<rootfiles>
<rootfile full-path="EPUB/package.opf" media-type="application/oebps-package+xml"/>
</rootfiles>
</container>
"""

PACKAGE = """<?xml version="1.0" encoding="UTF-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" \
xml:lang="{language}" prefix="a11y: http://www.idpf.org/epub/vocab/package/a11y/#">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
{metadata}
</metadata>
<manifest>
<item id="cover-image" href="cover.png" media-type="image/png" properties="cover-image"/>
<item id="style" href="book.css" media-type="text/css"/>
{items}
</manifest>
<spine>
{spine}
</spine>
</package>
"""

SUMMARY = (
    "All of it is text with headings, lists and tables that carry column headings; the only "
    "picture is the cover, which is described. Letters, colours and spacing follow the "
    "reader's own settings."
)
ACCESSIBILITY = (
    ("schema:accessMode", "textual"),
    ("schema:accessMode", "visual"),
    ("schema:accessModeSufficient", "textual"),
    ("schema:accessibilityFeature", "alternativeText"),
    ("schema:accessibilityFeature", "displayTransformability"),
    ("schema:accessibilityFeature", "readingOrder"),
    ("schema:accessibilityFeature", "structuralNavigation"),
    ("schema:accessibilityFeature", "tableOfContents"),
    ("schema:accessibilityHazard", "none"),
    ("schema:accessibilitySummary", SUMMARY),
    ("dcterms:conformsTo", "EPUB Accessibility 1.1 - WCAG 2.2 Level AA"),
)


@dataclass(frozen=True)
class Leaf:
    """One file of the book, in reading order."""

    name: str
    title: str
    body: str
    properties: str = ""

    def manifest_item(self) -> str:
        properties = f' properties="{self.properties}"' if self.properties else ""
        return (
            f'<item id="{self.name}" href="{self.name}.xhtml" '
            f'media-type="application/xhtml+xml"{properties}/>'
        )


def bind_epub(edition: Edition, chapters: list[Chapter], cover: bytes) -> bytes:
    """The edition as EPUB 3; the same edition gives the same entries on every machine."""
    leaves = _leaves(edition, chapters)
    packed = BytesIO()
    with ZipFile(packed, "w") as book:
        _add(book, "mimetype", b"application/epub+zip", ZIP_STORED)
        _add(book, "META-INF/container.xml", CONTAINER.encode())
        _add(book, "EPUB/package.opf", _package(edition, leaves).encode())
        for leaf in leaves:
            page = PAGE.format(language=edition.language, title=escape(leaf.title), body=leaf.body)
            _add(book, f"EPUB/{leaf.name}.xhtml", page.encode())
        _add(book, "EPUB/book.css", STYLE.read_bytes())
        _add(book, "EPUB/cover.png", cover, ZIP_STORED)
    return packed.getvalue()


def _add(book: ZipFile, name: str, content: bytes, method: int = ZIP_DEFLATED) -> None:
    entry = ZipInfo(name, ZIP_DATE)
    entry.compress_type = method
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    book.writestr(entry, content)


def _leaves(edition: Edition, chapters: list[Chapter]) -> list[Leaf]:
    alt = f"Cover: {edition.title}, {edition.subtitle}. Edition {edition.number}."
    cover = (
        '<section epub:type="cover" aria-label="Cover">\n'
        f'<img class="cover" src="cover.png" role="doc-cover" alt="{escape(alt)}"/>\n</section>'
    )
    title = (
        '<section class="title" epub:type="titlepage" aria-labelledby="title">\n'
        f'<p class="label">{edition.label}</p>\n'
        f'<h1 id="title" epub:type="title">{escape(edition.title)}</h1>\n'
        f'<p class="subtitle" role="doc-subtitle">{escape(edition.subtitle)}</p>\n'
        f"<p>Edition {edition.number}</p>\n<p>{escape(edition.publisher)}</p>\n</section>"
    )
    body = [_chapter_leaf(chapter) for chapter in chapters]
    colophon = Leaf(
        "colophon", "Colophon", _section("colophon", "Colophon", _render(edition.colophon()))
    )
    contents = Leaf("nav", "Contents", _navigation([*body, colophon]), "nav")
    front = [Leaf("cover", "Cover", cover), Leaf("title", edition.full_title, title)]
    return [*front, contents, *body, colophon]


def _chapter_leaf(chapter: Chapter) -> Leaf:
    kind = "chapter" if chapter.number else "preface"
    label = f'<span class="label">Chapter {chapter.number}</span> ' if chapter.number else ""
    title = f"{chapter.number} {chapter.title}" if chapter.number else chapter.title
    return Leaf(chapter.name, title, _section(kind, chapter.title, _render(chapter.tokens), label))


def _section(kind: str, title: str, content: str, label: str = "") -> str:
    return (
        f'<section epub:type="{kind}" role="doc-{kind}" aria-labelledby="heading">\n'
        f'<h1 id="heading">{label}{escape(title)}</h1>\n{content}</section>'
    )


def _render(tokens: list[Token]) -> str:
    for token in tokens:
        if token.type.startswith("blockquote"):
            token.tag = "div"
        if token.type == "blockquote_open":
            token.attrs = {"class": "note", "role": "note"}
        if token.type == "th_open":
            token.attrSet("scope", "col")
    reader = markdown()
    return reader.renderer.render(tokens, reader.options, {})


def _navigation(leaves: list[Leaf]) -> str:
    entries = "\n".join(
        f'<li><a href="{leaf.name}.xhtml">{escape(leaf.title)}</a></li>' for leaf in leaves
    )
    first = leaves[0].name
    return (
        '<nav epub:type="toc" role="doc-toc" id="toc" aria-labelledby="heading">\n'
        f'<h1 id="heading">Contents</h1>\n<ol>\n{entries}\n</ol>\n</nav>\n'
        '<nav epub:type="landmarks" aria-label="Landmarks" hidden="hidden">\n<ol>\n'
        '<li><a epub:type="cover" href="cover.xhtml">Cover</a></li>\n'
        '<li><a epub:type="toc" href="#toc">Contents</a></li>\n'
        f'<li><a epub:type="bodymatter" href="{first}.xhtml">Start of the text</a></li>\n'
        "</ol>\n</nav>"
    )


def _package(edition: Edition, leaves: list[Leaf]) -> str:
    return PACKAGE.format(
        language=edition.language,
        metadata="\n".join(_metadata(edition)),
        items="\n".join(leaf.manifest_item() for leaf in leaves),
        spine="\n".join(f'<itemref idref="{leaf.name}"/>' for leaf in leaves),
    )


def _metadata(edition: Edition) -> Iterator[str]:
    yield f'<dc:identifier id="id">{edition.identifier}</dc:identifier>'
    titles = (
        ("main", edition.title),
        ("subtitle", edition.subtitle),
        ("edition", f"Sample, edition {edition.number}"),
    )
    for order, (kind, title) in enumerate(titles, 1):
        yield f'<dc:title id="{kind}">{escape(title)}</dc:title>'
        yield f'<meta refines="#{kind}" property="title-type">{kind}</meta>'
        yield f'<meta refines="#{kind}" property="display-seq">{order}</meta>'
    yield f"<dc:language>{edition.language}</dc:language>"
    yield f"<dc:creator>{escape(edition.publisher)}</dc:creator>"
    yield f"<dc:publisher>{escape(edition.publisher)}</dc:publisher>"
    yield f"<dc:description>{escape(edition.summary)}</dc:description>"
    for subject in edition.subjects:
        yield f"<dc:subject>{escape(subject)}</dc:subject>"
    yield "<dc:rights>May be copied, changed and shared under the MIT licence.</dc:rights>"
    modified = edition.modified.strftime("%Y-%m-%dT%H:%M:%SZ")
    yield f'<meta property="dcterms:modified">{modified}</meta>'
    yield f'<meta property="schema:bookEdition">{edition.number}</meta>'
    for name, value in ACCESSIBILITY:
        yield f'<meta property="{name}">{escape(value)}</meta>'
    yield f'<meta property="a11y:certifiedBy">{escape(edition.publisher)}</meta>'
