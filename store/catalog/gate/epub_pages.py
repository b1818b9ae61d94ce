"""Every XML file that readers open, read once: well formed, its words, links and scripts, and what
in it bears out a claim; then whether every link and picture leads somewhere. What no reader opens
is never judged."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from store.catalog.gate.epub_archive import Archive
from store.catalog.gate.epub_package import Item, Package, read_xml, target_of
from store.catalog.gate.report import Notebook, shorten
from store.catalog.gate.xml import Tree

_XLINK = "{http://www.w3.org/1999/xlink}href"
_LINKING = ("href", "src", _XLINK, "poster", "data")
_SAMPLE = 600
_PAGE_ENDINGS = (".xhtml", ".html", ".htm")
_DATA_BLOCKS = frozenset({"application/ld+json", "application/json", "text/plain"})
_TYPE = "{http://www.idpf.org/2007/ops}type"
_SSML = "{http://www.w3.org/2001/10/synthesis}"
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_DESCRIBING = ("aria-describedby", "aria-details", "longdesc")
_NAMING = ("aria-label", "aria-labelledby", "title")
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_URL = re.compile(
    r"""url\(\s*(?:"(?P<double>[^"\n]*)"|'(?P<single>[^'\n]*)'|(?P<bare>[^)\s"']*))\s*\)"""
    r"""|@import\s+["'](?P<imported>[^"'\n]*)["']""",
    re.IGNORECASE,
)
_WEB = frozenset({"http", "https"})
_LOOSE_FRAGMENTS = ("epubcfi(", "xywh=", "t=", "svgView(", "xpointer(")
_Outcome = Literal["fine", "missing", "broken", "remote", "script"]


@dataclass(frozen=True)
class Link:
    """One address named in a file, with the line it stands on."""

    line: int
    url: str
    is_followed: bool


@dataclass
class Page:
    """What was read from one file."""

    links: list[Link] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    words: int = 0
    sample: str = ""
    styles: list[tuple[int, str]] = field(default_factory=list)
    features: Counter[str] = field(default_factory=Counter)


Pages: TypeAlias = dict[str, Page]


def read_pages(archive: Archive, package: Package, notebook: Notebook) -> Pages:
    """The pages by name; each that is not well formed is a finding with its line.

    They are those of the contents list and those that one of them leads to.
    """
    listed = {item.name: item for item in package.items.values()}
    pages: Pages = {}
    waiting = [entry.name for entry in archive.entries if entry.name in listed]
    waiting = [name for name in waiting if listed[name].is_xml and name != package.name]
    seen = set(waiting)
    for name in waiting:  # grows on the way
        item = listed.get(name, Item(name, "application/xhtml+xml", frozenset()))
        root = read_xml(archive, name, notebook, is_page=item.is_page)
        if root is None:
            continue
        pages[name] = _read(root, name, item, notebook)
        for target in _pages_linked(archive, pages[name], name):
            if target not in listed and target not in seen:
                seen.add(target)
                waiting.append(target)
    judged = len(waiting)
    notebook.passes("epub-well-formed", ("epub-not-well-formed", "epub-entities"), documents=judged)
    return pages


def _pages_linked(archive: Archive, page: Page, name: str) -> Iterator[str]:
    """The pages inside the book that this page leads to; what is not readable as an address waits
    for `follow_links`."""
    for link in page.links:
        if not link.is_followed:
            continue
        try:
            parts = urlsplit(link.url)
            inside = not parts.scheme and not parts.netloc
            target = archive.find(target_of(link.url, name)[0]) if inside else None
        except ValueError:
            continue
        if target and target.lower().endswith(_PAGE_ENDINGS):
            yield target


def _read(root: Tree, name: str, item: Item, notebook: Notebook) -> Page:
    page = Page()
    has_features = item.is_page or item.is_contents
    for element in root.iter("{*}*"):
        line = element.sourceline or 1
        kind = element.tag.rpartition("}")[2].lower()
        if has_features:
            page.features.update(_features_of(element, kind))
        if identifier := element.get("id"):
            page.ids.add(identifier)
        page.links.extend(_links(element, kind, line))
        if kind == "script":
            _judge_script(element, name, line, notebook)
        elif kind == "style" and element.text:
            page.styles.append((line, element.text))
    if item.is_page:
        text = _text_of(root)
        page.words = len(text.split())
        page.sample = " ".join(shorten(word) for word in text[:_SAMPLE].split())
    return page


def _text_of(root: Tree) -> str:
    """What a reader sees of a page: the text of its body, without that of scripts."""
    inside = ".//text()[not(ancestor::*[local-name()='script'])]"
    return " ".join(str(one) for body in root.iter("{*}body") for one in body.xpath(inside))


def _judge_script(element: Tree, name: str, line: int, notebook: Notebook) -> None:
    """A finding for a script in the book or on the web; a block of data, which no app runs, is none."""
    source = str(element.get("src") or element.get(_XLINK) or "")
    if "//" in source:
        notebook.add("epub-remote-script", name=name, line=line, url=source)
    elif str(element.get("type", "")).lower() not in _DATA_BLOCKS:
        notebook.add("epub-script", name=name, line=line)


def _links(element: Tree, kind: str, line: int) -> Iterator[Link]:
    """Addresses the reader follows (a, area) or loads by itself (pictures, styles, media)."""
    if kind == "script" or (kind == "link" and "stylesheet" not in element.get("rel", "")):
        return
    if kind not in {"object", "param"} and element.get("data"):
        element.attrib.pop("data")
    for attribute in _LINKING:
        url = element.get(attribute)
        if url is not None:
            yield Link(line, str(url).strip(), kind in {"a", "area", "content", "reference"})


def _features_of(element: Tree, kind: str) -> list[str]:
    """By name: a picture described, left undescribed or marked as mere ornament, a heading, a page
    break, a formula, a film, captions, marks for speech, each entry of contents and page list."""
    types = f"{element.get(_TYPE, '')} {element.get('role', '')}".split()
    found = [name for name, is_there in (
        ("headings", kind in _HEADINGS),
        ("page-breaks", "pagebreak" in types or "doc-pagebreak" in types),
        ("formulas", kind == "math"),
        ("film", kind in {"video", "audio"}),
        ("captions", kind == "track" and element.get("kind") in {None, "captions", "subtitles"}),
        ("speech", any(str(name).startswith(_SSML) for name in element.attrib)),
        ("long-descriptions", any(element.get(name) for name in _DESCRIBING)),
        ("contents", kind == "navpoint"),
        ("page-list", kind == "pagetarget"),
    ) if is_there]  # fmt: skip
    if kind == "nav":
        entries = sum(1 for one in element.iter("{*}a") if one.get("href"))
        found += ["contents"] * entries if "toc" in types else []
        found += ["page-list"] * entries if "page-list" in types else []
    if kind in {"img", "svg"}:
        found.append(_picture(element, kind))
    return found


def _picture(element: Tree, kind: str) -> str:
    if element.get("role") in {"presentation", "none"} or element.get("aria-hidden") == "true":
        return "ornaments"
    named = any(str(element.get(name, "")).strip() for name in _NAMING)
    if kind == "svg":
        titled = any(str(one.text or "").strip() for one in element.iter("{*}title", "{*}desc"))
        return "described" if named or titled else "undescribed"
    words = element.get("alt")
    if named or str(words or "").strip():
        return "described"
    return "undescribed" if words is None else "ornaments"


def count_features(package: Package, pages: Pages) -> Counter[str]:
    """The features of all pages; of contents and page list only what readers take them from."""
    total: Counter[str] = Counter()
    lists: Counter[str] = Counter()
    contents = {item.name for item in package.items.values() if item.is_contents}
    for name, page in pages.items():
        total.update(page.features)
        if name in contents:
            lists.update(page.features)
    total["contents"], total["page-list"] = lists["contents"], lists["page-list"]
    return total


@dataclass(frozen=True)
class _Book:
    archive: Archive
    pages: Pages
    reached: set[str] = field(default_factory=set)


def follow_links(archive: Archive, package: Package, pages: Pages, notebook: Notebook) -> set[str]:
    """A finding with file and line for each address that leads nowhere, or out to the web. The
    answer is the names that something in the book leads to."""
    book = _Book(archive, pages)
    for name, page in pages.items():
        for link in page.links:
            _look_at(link, name, book, notebook)
        for line, text in page.styles:
            _look_at_style(text, line, name, book, notebook)
    for item in package.items.values():
        if item.media_type == "text/css" and item.name in archive.by_name:
            text = archive.read(item.name).decode("utf-8", "replace")
            _look_at_style(text, 1, item.name, book, notebook)
    bad = ("epub-missing-picture", "epub-broken-link", "epub-item-missing", "epub-page-missing")
    notebook.passes("epub-links", unless=(*bad, "epub-page-misspelt", "epub-item-misspelt"))
    return book.reached


def _look_at_style(text: str, first_line: int, name: str, book: _Book, notebook: Notebook) -> None:
    """Everything that a stylesheet loads; comments do not count."""
    plain = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
    line, counted = first_line, 0
    for found in _URL.finditer(plain):
        line += plain.count("\n", counted, found.start())
        counted = found.start()
        url = next((part for part in found.groups() if part is not None), "")
        _look_at(Link(line, url.strip(), is_followed=False), name, book, notebook)


def _look_at(link: Link, name: str, book: _Book, notebook: Notebook) -> None:
    outcome = _follow(link.url, name, book)
    if outcome == "remote" and link.is_followed:
        return
    code = {
        "missing": "epub-broken-link" if link.is_followed else "epub-missing-picture",
        "broken": "epub-broken-link",
        "remote": "epub-remote-content",
        "script": "epub-script",
    }.get(outcome)
    if code:
        notebook.add(code, name=name, line=link.line, url=link.url)


def _follow(url: str, name: str, book: _Book) -> _Outcome:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "broken"
    if parts.scheme in _WEB:
        return "remote" if parts.netloc.strip("/") else "broken"
    if parts.scheme:
        special: dict[str, _Outcome] = {"file": "broken", "javascript": "script"}
        return special.get(parts.scheme, "fine")
    if parts.netloc:
        return "remote"
    named, fragment = target_of(url, name)
    target = book.archive.find(named)
    if target is None:
        return "missing"
    if target != name:
        book.reached.add(target)
    page = book.pages.get(target)
    if page is None or not fragment or fragment.startswith(_LOOSE_FRAGMENTS):
        return "fine"
    return "fine" if fragment in page.ids or unquote(fragment) in page.ids else "broken"
