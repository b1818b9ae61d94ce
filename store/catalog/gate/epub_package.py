"""The package file (OPF) of an EPUB: manifest, reading order, metadata, cover."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from store.catalog.gate.epub_names import target_of
from store.catalog.gate.epub_xml import read_xml
from store.catalog.gate.epub_zip import Archive
from store.catalog.gate.notes import Notes
from store.catalog.gate.xml import Tree

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
    is_remote: bool = False

    @property
    def is_page(self) -> bool:
        """Whether readers show it as a page."""
        return self.media_type in _PAGE_TYPES

    @property
    def is_contents(self) -> bool:
        """Whether readers take the table of contents from it."""
        return "nav" in self.properties or self.media_type == "application/x-dtbncx+xml"

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


def read_package(archive: Archive, name: str, notes: Notes) -> Package:
    """Read it, and compare what it names with what is there."""
    root = read_xml(archive, name, notes)
    if root is None:
        notes.refuse("epub-no-package")
    items: dict[str, Item] = {}
    for number, found in enumerate(root.iter("{*}item")):
        items[str(found.get("id") or number)] = _item(archive, name, found)
    references = [str(found.get("idref", "")) for found in root.iter("{*}itemref")]
    spine = [items[reference].name for reference in references if reference in items]
    if not spine:
        notes.refuse("epub-no-spine", name=name)
    _look_for_items(archive, items, set(spine), notes)
    return Package(name, root, items, spine, _cover(root, items))


def _item(archive: Archive, package_name: str, found: Tree) -> Item:
    href = str(found.get("href", ""))
    kind = str(found.get("media-type", "")).partition(";")[0].strip().lower()
    properties = frozenset(str(found.get("properties", "")).split())
    try:
        parts = urlsplit(href)
    except ValueError:
        return Item(href, kind, properties)
    if parts.scheme or parts.netloc:
        return Item(href, kind, properties, is_remote=True)
    target, _ = target_of(href, package_name)
    return Item(archive.find(target) or target, kind, properties)


def _look_for_items(
    archive: Archive, items: dict[str, Item], spine: set[str], notes: Notes
) -> None:
    for item in items.values():
        if item.name in archive.by_name or item.is_remote:
            continue
        kind = "page" if item.name in spine else "item"
        nearly = archive.nearly(item.name)
        if nearly:
            notes.add(f"epub-{kind}-misspelt", target=item.name, name=nearly)
        else:
            notes.add(f"epub-{kind}-missing", target=item.name)


def _cover(root: Tree, items: dict[str, Item]) -> str:
    """EPUB 3 marks the cover in the manifest, EPUB 2 by a meta element naming its id."""
    for item in items.values():
        if "cover-image" in item.properties:
            return item.name
    for meta in root.iter("{*}meta"):
        if meta.get("name") == "cover" and (named := items.get(str(meta.get("content", "")))):
            return named.name if named.media_type.startswith("image/") else ""
    return ""
