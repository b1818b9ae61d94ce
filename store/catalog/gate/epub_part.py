"""Some documents of an EPUB as a book of their own. It is built up: every element, attribute and file that comes along
is named here, so that nothing of what is left out is in it.

Links to what is left out become their words. Style sheets come along without what they load; scripts, films, fonts and
drawings (SVG) do not, but the words that describe a picture.
"""

import re
import uuid
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

from lxml import etree

from store.catalog.gate.epub_archive import Archive, folded, open_archive
from store.catalog.gate.epub_package import Package, read_package, read_xml, target_of
from store.catalog.gate.kinds import CONTAINER, MIMETYPE
from store.catalog.gate.languages import is_language
from store.catalog.gate.pieces import BookPart, NoPart
from store.catalog.gate.report import Notebook, Stop, shorten
from store.catalog.gate.xml import Tree


def _named(text: str) -> frozenset[str]:
    return frozenset(text.split())


_XHTML = "http://www.w3.org/1999/xhtml"
_OPS = "http://www.idpf.org/2007/ops"
_MATHML = "http://www.w3.org/1998/Math/MathML"
_TYPE = f"{{{_OPS}}}type"
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_DC = "{http://purl.org/dc/elements/1.1/}"
_ELEMENTS = _named(
    "a abbr article aside b bdi bdo blockquote br caption cite code col colgroup dd del dfn div dl dt "
    "em figcaption figure footer h1 h2 h3 h4 h5 h6 header hr i ins kbd li main mark ol p pre q rp rt "
    "ruby s samp section small span strong sub sup table tbody td tfoot th thead time tr u ul var"
)
# Without what stands in them; of every other element what stands in it comes along.
_LEFT_OUT = _named(
    "applet audio base button canvas datalist embed frame frameset head iframe input link meta nav "
    "noembed noscript object param progress script select source style svg template textarea title "
    "track video"
)
_ATTRIBUTES = _named(
    "id class lang dir title role colspan rowspan scope headers start type value datetime aria-label "
    "aria-labelledby aria-hidden"
) | {_XML_LANG, _TYPE}
_OF_FORMULAS = _named("id display alttext mathvariant")
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_WEB = frozenset({"http", "https", "mailto"})
_COMMENTS = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_LOADED = re.compile(r"@import[^;]*;?|url\(\s*(?:\"[^\"\n]*\"|'[^'\n]*'|[^)]*)\s*\)", re.IGNORECASE)
_MODIFIED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_NAV, _OPF = "sample-contents.xhtml", "sample.opf"
_LONGEST_TITLE = 160
_HEADINGS = ("h1", "h2", "h3")
_UNREADABLE = "This EPUB could not be read."
T = TypeVar("T")


def contents_of(source: Path) -> list[BookPart]:
    """The documents of the book that have words, in its order, under the names that its table of contents gives
    them. Raises NoPart."""
    return _opened(source, lambda book: list(book.parts()))


def build(source: Path, target: Path, numbers: set[int]) -> None:
    """Write a book of the documents with these numbers. Raises NoPart."""
    _opened(source, lambda book: _Part(book, numbers).write(target))


def _opened(source: Path, work: "Callable[[_Book], T]") -> T:
    notebook = Notebook()
    with source.open("rb") as stream:
        try:
            archive = open_archive(stream, notebook)
            return work(_Book(archive, read_package(archive, notebook), notebook))
        except (Stop, KeyError):
            raise NoPart(_UNREADABLE) from None


class _Book:
    """The whole book."""

    def __init__(self, archive: Archive, package: Package, notebook: Notebook) -> None:
        self.archive, self.package = archive, package
        self._notebook = notebook
        self.items = {item.name: item for item in package.items.values()}
        self._named = dict(self._names())
        self._ids: dict[str, set[str]] = {}

    def parts(self) -> Iterator[BookPart]:
        for number, name in enumerate(self.package.spine, 1):
            item = self.items[name]
            if item.is_contents or item.media_type != "application/xhtml+xml":
                continue
            root = self.page(name)
            words = len(" ".join(_body(root).itertext()).split()) if root is not None else 0
            if root is not None and words:
                yield BookPart(number, self._title(name, root), words)

    def page(self, name: str) -> Tree | None:
        return read_xml(self.archive, name, self._notebook, is_page=True)

    def ids(self, name: str) -> set[str]:
        """The places of a document that a link in the part can lead to."""
        if name not in self._ids:
            root = self.page(name)
            there = _body(root).iter("{*}*") if root is not None else ()
            kept = (one for one in there if etree.QName(one).localname.lower() in _ELEMENTS)
            self._ids[name] = {str(one.get("id")) for one in kept if one.get("id")}
        return self._ids[name]

    def said(self, name: str) -> str:
        """What the package says of the book under this name, first."""
        found = (
            " ".join("".join(one.itertext()).split()) for one in self.package.root.iter(_DC + name)
        )
        return shorten(next((one for one in found if one), ""))

    def _title(self, name: str, root: Tree) -> str:
        headings = (one for tag in _HEADINGS for one in root.iter(f"{{*}}{tag}"))
        found = [_words(one) for one in (*headings, *root.iter("{*}title"))]
        title = self._named.get(name) or next((one for one in found if one), "")
        return title[:_LONGEST_TITLE] or "Without a title"

    def _names(self) -> Iterator[tuple[str, str]]:
        """By document what the table of contents calls it; the first entry of each counts, so that comes last."""
        found = []
        for item in self.items.values():
            root = self.page(item.name) if item.is_contents else None
            if root is None:
                continue
            lists = [one for one in root.iter("{*}nav") if "toc" in str(one.get(_TYPE, "")).split()]
            links = (link for one in lists or [root] for link in one.iter("{*}a", "{*}content"))
            for link in links:
                href = str(link.get("href") or link.get("src") or "")
                told = link if link.get("href") else next(link.getparent().iter("{*}text"), None)
                target, _ = _target(href, item.name)
                found.append((self.archive.find(target) or target, _words(told)))
        return reversed(found)


@dataclass
class _Part:
    """The book that is made: of each document the new text, and the files that it shows."""

    book: _Book
    numbers: set[int]
    pictures: set[str] = field(default_factory=set)
    styles: set[str] = field(default_factory=set)

    def write(self, target: Path) -> None:
        parts = list(self.book.parts())
        chosen = [one for one in parts if one.number in self.numbers]
        if not chosen or len(chosen) < len(self.numbers):
            raise NoPart("Choose chapters of this EPUB.")
        if len(chosen) == len(parts):
            raise NoPart("A sample is a part. Leave some chapters out.")
        names = {self.book.package.spine[one.number - 1]: one for one in chosen}
        pages = {name: self._page(name, set(names)) for name in names}
        files = {name: page.encode() for name, page in pages.items()}
        files |= {name: self._style(name) for name in self.styles}
        files |= {name: self.book.archive.read(name) for name in self.pictures}
        if {folded(one) for one in files} & {_NAV, _OPF, "mimetype", CONTAINER.casefold()}:
            raise NoPart(
                "A file in this EPUB has a name that a sample needs. Make the part yourself and upload it."
            )
        files[_NAV] = self._contents(names).encode()
        files[_OPF] = self._package(list(names)).encode()
        _write(target, files)

    def _page(self, name: str, chosen: set[str]) -> str:
        root = self.book.page(name)
        if root is None:
            raise NoPart(_UNREADABLE)
        made = _Writer(self.book, name, chosen, self.pictures).made(root)
        links = []
        for link in root.iter("{*}link"):
            style = self.book.archive.find(_target(str(link.get("href", "")), name)[0])
            kind = self.book.items[style].media_type if style in self.book.items else ""
            if style and kind == "text/css" and "stylesheet" in str(link.get("rel", "")).split():
                self.styles.add(style)
                links.append(
                    f'<link rel="stylesheet" type="text/css" href="{escape(_quoted(style, name))}"/>'
                )
        language = str(root.get("lang") or root.get(_XML_LANG) or "")
        return _document(_title_of(root), language, "".join(links), made)

    def _style(self, name: str) -> bytes:
        text = self.book.archive.read(name).decode("utf-8", "replace")
        return _LOADED.sub("none", _COMMENTS.sub("", text)).encode()

    def _contents(self, names: dict[str, BookPart]) -> str:
        entries = "".join(
            f'<li><a href="{escape(quote(name))}">{escape(one.title)}</a></li>'
            for name, one in names.items()
        )
        nav = f'<nav epub:type="toc" id="toc"><h1>Contents</h1><ol>{entries}</ol></nav>'
        return _document("Contents", self.book.said("language"), "", f"<body>{nav}</body>")

    def _package(self, pages: list[str]) -> str:
        said = self.book.said
        title = escape(f"{said('title') or 'A book'} (free sample)")
        known = f"{said('identifier')} {sorted(self.numbers)} {title}"
        facts = [
            f'<dc:identifier id="id">{uuid.uuid5(uuid.NAMESPACE_URL, known).urn}</dc:identifier>'
        ]
        facts += [f"<dc:title>{title}</dc:title>"]
        language = said("language")
        facts += [f"<dc:language>{language if is_language(language) else 'en'}</dc:language>"]
        facts += [
            f"<dc:{one}>{escape(said(one))}</dc:{one}>"
            for one in ("creator", "publisher")
            if said(one)
        ]
        facts += [f'<meta property="dcterms:modified">{self._modified()}</meta>']
        items = [(_NAV, "application/xhtml+xml", ' properties="nav"')]
        items += [(name, "application/xhtml+xml", self._holds(name)) for name in pages]
        items += [(name, "text/css", "") for name in sorted(self.styles)]
        items += [(name, self.book.items[name].media_type, "") for name in sorted(self.pictures)]
        manifest = "".join(
            f'<item id="i{number}" href="{escape(quote(name))}" media-type="{kind}"{more}/>'
            for number, (name, kind, more) in enumerate(items)
        )
        spine = "".join(f'<itemref idref="i{number}"/>' for number in range(1, len(pages) + 1))
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<package xmlns="http://www.idpf.org/2007/opf" version="3.0"'
            ' unique-identifier="id"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
            f"{''.join(facts)}</metadata><manifest>{manifest}</manifest><spine>{spine}</spine></package>"
        )

    def _holds(self, name: str) -> str:
        root = self.book.page(name)
        has_formulas = root is not None and next(root.iter(f"{{{_MATHML}}}math"), None) is not None
        return ' properties="mathml"' if has_formulas else ""

    def _modified(self) -> str:
        found = (
            str(one.text or "").strip()
            for one in self.book.package.root.iter("{*}meta")
            if one.get("property") == "dcterms:modified"
        )
        return next((one for one in found if _MODIFIED.fullmatch(one)), "2000-01-01T00:00:00Z")


@dataclass
class _Writer:
    """Writes the body of one document again, of what is named above."""

    book: _Book
    name: str
    chosen: set[str]
    pictures: set[str]

    def made(self, root: Tree) -> str:
        body = etree.Element(f"{{{_XHTML}}}body", nsmap={None: _XHTML, "epub": _OPS})
        self._fill(body, _body(root))
        return str(etree.tostring(body, encoding="unicode"))

    def _fill(self, made: Tree, whole: Tree) -> None:
        _say(made, whole.text)
        for child in whole:
            self._take(made, child)
            _say(made, child.tail)

    def _take(self, made: Tree, child: Tree) -> None:
        if not isinstance(child.tag, str):
            _say(made, _entity(child))
            return
        space, _, tag = child.tag.rpartition("}")
        tag = tag.lower()
        if space == f"{{{_MATHML}":
            kept = {key: str(child.get(key)) for key in _OF_FORMULAS if child.get(key)}
            self._fill(etree.SubElement(made, child.tag, kept, nsmap={None: _MATHML}), child)
        elif tag == "img":
            self._picture(made, child)
        elif tag in _ELEMENTS:
            one = etree.SubElement(made, f"{{{_XHTML}}}{tag}", self._attributes(child, tag))
            self._fill(one, child)
        elif tag not in _LEFT_OUT:
            self._fill(made, child)

    def _attributes(self, element: Tree, tag: str) -> dict[str, str]:
        kept = {str(key): str(value) for key, value in element.attrib.items() if key in _ATTRIBUTES}
        if tag == "a" and (href := self._leads(str(element.get("href", "")))):
            kept["href"] = href
        return kept

    def _leads(self, href: str) -> str:
        """The address of a link that works in the part; empty where it leads to what is left out."""
        try:
            parts = urlsplit(href.strip())
        except ValueError:
            return ""
        if parts.scheme in _WEB:
            return href.strip() if parts.netloc or parts.scheme == "mailto" else ""
        if parts.scheme or parts.netloc or not href.strip():
            return ""
        target, fragment = target_of(href.strip(), self.name)
        target = self.book.archive.find(target) or ""
        if target not in self.chosen:
            return ""
        there = "" if target == self.name else _quoted(target, self.name)
        return there + (f"#{quote(fragment)}" if fragment in self.book.ids(target) else "")

    def _picture(self, made: Tree, element: Tree) -> None:
        name = self.book.archive.find(_target(str(element.get("src", "")), self.name)[0])
        words = " ".join(str(element.get("alt", "")).split())
        if name and name in self.book.items and self.book.items[name].media_type in _PICTURES:
            self.pictures.add(name)
            kept = {"src": _quoted(name, self.name), "alt": words} | self._attributes(
                element, "img"
            )
            etree.SubElement(made, f"{{{_XHTML}}}img", kept)
        elif words:
            _say(made, f"[Picture: {words}]")


def _body(root: Tree) -> Tree:
    found = next(root.iter("{*}body"), None)
    return root if found is None else found


def _words(element: Tree | None) -> str:
    return " ".join("".join(element.itertext()).split()) if element is not None else ""


def _title_of(root: Tree) -> str:
    return next((words for one in root.iter("{*}title") if (words := _words(one))), "") or "Sample"


def _entity(node: Tree) -> str:
    """What a plain abbreviation of the document stands for; the gate knows no others."""
    if node.tag is not etree.Entity:
        return ""
    declared = node.getroottree().docinfo.internalDTD
    known = (
        {one.name: one.content or "" for one in declared.iterentities()}
        if declared is not None
        else {}
    )
    return str(known.get(node.name, ""))


def _say(element: Tree, words: str | None) -> None:
    """Words behind what the element holds so far."""
    if not words:
        return
    if len(element):
        element[-1].tail = (element[-1].tail or "") + words
    else:
        element.text = (element.text or "") + words


def _target(href: str, base: str) -> tuple[str, str]:
    try:
        parts = urlsplit(href)
        return ("", "") if parts.scheme or parts.netloc or not href else target_of(href, base)
    except ValueError:
        return "", ""


def _quoted(name: str, base: str) -> str:
    """The address of a file as it is written in another one."""
    up = "../" * base.count("/")
    return quote(up + name)


def _document(title: str, language: str, head: str, body: str) -> str:
    said = f' lang="{language}" xml:lang="{language}"' if is_language(language) else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html>\n'
        f'<html xmlns="{_XHTML}" xmlns:epub="{_OPS}"{said}><head><meta charset="utf-8"/>'
        f"<title>{escape(title)}</title>{head}</head>{body}</html>"
    )


def _write(target: Path, files: dict[str, bytes]) -> None:
    place = (
        '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        f'<rootfiles><rootfile full-path="{_OPF}" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(zipfile.ZipInfo("mimetype"), MIMETYPE)
        for name, content in {CONTAINER: place.encode(), **files}.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
