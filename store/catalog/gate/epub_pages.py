"""Every XML file that readers open, read once: well formed, its words, links and scripts, and what
in it bears out a claim. What no reader opens is never judged."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

from store.catalog.gate.epub_features import count_features
from store.catalog.gate.epub_names import target_of
from store.catalog.gate.epub_package import Item, Package
from store.catalog.gate.epub_xml import read_xml
from store.catalog.gate.epub_zip import Archive
from store.catalog.gate.notes import Notes
from store.catalog.gate.sentences import shorten
from store.catalog.gate.xml import Tree

_LINKING = ("href", "src", "{http://www.w3.org/1999/xlink}href", "poster", "data")
_SAMPLE = 600
_PAGE_ENDINGS = (".xhtml", ".html", ".htm")
_DATA_BLOCKS = frozenset({"application/ld+json", "application/json", "text/plain"})


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


def read_pages(archive: Archive, package: Package, notes: Notes) -> Pages:
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
        root = read_xml(archive, name, notes, is_page=item.is_page)
        if root is None:
            continue
        pages[name] = _read(root, name, item, notes)
        for target in _pages_linked(archive, pages[name], name):
            if target not in listed and target not in seen:
                seen.add(target)
                waiting.append(target)
    judged = len(waiting)
    notes.passes("epub-well-formed", ("epub-not-well-formed", "epub-entities"), documents=judged)
    return pages


def _pages_linked(archive: Archive, page: Page, name: str) -> Iterator[str]:
    for link in page.links:
        if link.is_followed and (target := _inside(archive, link.url, name)):
            yield target


def _inside(archive: Archive, url: str, name: str) -> str | None:
    try:
        parts = urlsplit(url)
        target = None if parts.scheme or parts.netloc else archive.find(target_of(url, name)[0])
    except ValueError:
        return None
    return target if target and target.lower().endswith(_PAGE_ENDINGS) else None


def _read(root: Tree, name: str, item: Item, notes: Notes) -> Page:
    page = Page()
    if item.is_page or item.is_contents:
        page.features = count_features(root)
    for element in root.iter("{*}*"):
        line = element.sourceline or 1
        kind = element.tag.rpartition("}")[2].lower()
        identifier = element.get("id")
        if identifier:
            page.ids.add(identifier)
        page.links.extend(_links(element, kind, line))
        if kind == "script":
            _look_at_script(element, name, line, notes)
        elif kind == "style" and element.text:
            page.styles.append((line, element.text))
    if item.is_page:
        text = " ".join(_texts(root))
        page.words = len(text.split())
        page.sample = shorten_sample(text)
    return page


def shorten_sample(text: str) -> str:
    """The first words, on one line."""
    return " ".join(shorten(word) for word in text[:_SAMPLE].split())


def _texts(root: Tree) -> Iterator[str]:
    for body in root.iter("{*}body"):
        found = body.xpath(".//text()[not(ancestor::*[local-name()='script'])]")
        yield from (str(text) for text in found)


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


def _look_at_script(element: Tree, name: str, line: int, notes: Notes) -> None:
    source = str(element.get("src") or element.get("{http://www.w3.org/1999/xlink}href") or "")
    if "//" in source:
        notes.add("epub-remote-script", name=name, line=line, url=source)
    elif str(element.get("type", "")).lower() not in _DATA_BLOCKS:
        notes.add("epub-script", name=name, line=line)
