"""The package file (OPF) of an EPUB: manifest, reading order, metadata, cover."""

import posixpath
from dataclasses import dataclass
from urllib.parse import unquote

from store.catalog.inspecting.epub_xml import read_xml
from store.catalog.inspecting.epub_zip import Archive
from store.catalog.inspecting.notes import Notes
from store.catalog.inspecting.xml import Tree

_PAGE_TYPES = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})
_XML_TYPES = _PAGE_TYPES | {
    "application/x-dtbncx+xml",
    "image/svg+xml",
    "application/smil+xml",
    "application/pls+xml",
}


@dataclass(frozen=True)
class Item:
    """One line of the manifest; `name` is its path in the archive."""

    name: str
    media_type: str
    properties: frozenset[str]

    @property
    def is_page(self) -> bool:
        """Whether readers show it as a page."""
        return self.media_type in _PAGE_TYPES

    @property
    def is_xml(self) -> bool:
        """Whether it has to be well formed."""
        return self.media_type in _XML_TYPES


@dataclass(frozen=True)
class Package:
    """What the package file says, with paths as the archive has them."""

    name: str
    root: Tree
    items: dict[str, Item]
    spine: list[str]
    cover: str
    has_contents: bool


def read_package(archive: Archive, name: str, notes: Notes) -> Package:
    """Read it, and compare what it names with what is there."""
    root = read_xml(archive, name, notes)
    if root is None:
        notes.refuse("epub-no-package")
    items = {str(found.get("id", "")): _item(name, found) for found in root.iter("{*}item")}
    references = [str(found.get("idref", "")) for found in root.iter("{*}itemref")]
    spine = [items[reference].name for reference in references if reference in items]
    if not spine:
        notes.refuse("epub-no-spine", name=name)
    _look_for_items(archive, items, set(spine), notes)
    has_contents = any(
        "nav" in item.properties or item.media_type == "application/x-dtbncx+xml"
        for item in items.values()
    )
    if not has_contents:
        notes.add("epub-no-contents")
    return Package(name, root, items, spine, _cover(root, items), has_contents)


def _item(package_name: str, found: Tree) -> Item:
    href = str(found.get("href", ""))
    remote = "://" in href
    path = posixpath.join(posixpath.dirname(package_name), unquote(href))
    return Item(
        href if remote else posixpath.normpath(path),
        str(found.get("media-type", "")).strip().lower(),
        frozenset(str(found.get("properties", "")).split()),
    )


def _look_for_items(
    archive: Archive, items: dict[str, Item], spine: set[str], notes: Notes
) -> None:
    for item in items.values():
        if item.name in archive.by_name or "://" in item.name:
            continue
        notes.add(
            "epub-page-missing" if item.name in spine else "epub-item-missing", target=item.name
        )


def _cover(root: Tree, items: dict[str, Item]) -> str:
    """EPUB 3 marks the cover in the manifest, EPUB 2 by a meta element naming its id."""
    for item in items.values():
        if "cover-image" in item.properties:
            return item.name
    for meta in root.iter("{*}meta"):
        if meta.get("name") == "cover" and (named := items.get(str(meta.get("content", "")))):
            return named.name if named.media_type.startswith("image/") else ""
    return ""
