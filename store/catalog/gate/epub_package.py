"""The package file (OPF) of an EPUB: manifest, reading order, cover; and what it says of the book:
title, language, identifier, version, and for whom it is accessible.

A claim to be accessible is passed on only where what it promises is in the book.
"""

import posixpath
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from store.catalog.gate.epub_archive import Archive, composed
from store.catalog.gate.kinds import CONTAINER
from store.catalog.gate.languages import is_language
from store.catalog.gate.report import JSON, Notebook, shorten
from store.catalog.gate.xml import NotWellFormed, Tree, defines_entities, parse

_PAGE_TYPES = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})
_XML_TYPES = _PAGE_TYPES | {
    "application/x-dtbncx+xml",
    "image/svg+xml",
    "application/smil+xml",
    "application/pls+xml",
}
_DC = "{http://purl.org/dc/elements/1.1/}"
# EPUB Accessibility 1.1 and the schema.org vocabulary; the prefix is fixed by the standard.
_LISTS = ("accessMode", "accessModeSufficient", "accessibilityFeature", "accessibilityHazard")
_LONGEST = 4000
_ISBN = re.compile(r"(?:97[89][- ]?)?(?:\d[- ]?){9}[\dXx]")
# What each feature needs of the counted content, and what is said where it is not there.
_NEEDS = {
    "longDescription": ("long-descriptions", "no picture refers to a longer description"),
    "longDescriptions": ("long-descriptions", "no picture refers to a longer description"),
    "tableOfContents": ("contents", "its table of contents has no entries"),
    "structuralNavigation": ("headings", "no page has a heading"),
    "pageNavigation": ("page-list", "it has no page list"),
    "pageBreakMarkers": ("page-breaks", "no page break is marked"),
    "printPageNumbers": ("page-breaks", "no page break is marked"),
    "captions": ("captions", "no film in it has captions"),
    "closedCaptions": ("captions", "no film in it has captions"),
    "transcript": ("film", "it holds no film or sound"),
    "MathML": ("formulas", "it holds no formula as MathML"),
    "ttsMarkup": ("speech", "nothing is marked for reading aloud"),
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


def read_package(archive: Archive, notebook: Notebook) -> Package:
    """Find it by the container file, read it, and compare what it names with what is there."""
    container = read_xml(archive, CONTAINER, notebook)
    named = container.iter("{*}rootfile") if container is not None else ()
    names = (archive.find(str(one.get("full-path", ""))) for one in named)
    name = next((name for name in names if name), None) or notebook.refuse("epub-no-package")
    root = read_xml(archive, name, notebook)
    if root is None:
        notebook.refuse("epub-no-package")
    items: dict[str, Item] = {}
    for number, found in enumerate(root.iter("{*}item")):
        items[str(found.get("id") or number)] = _item(archive, name, found)
    references = [str(found.get("idref", "")) for found in root.iter("{*}itemref")]
    spine = [items[reference].name for reference in references if reference in items]
    if not spine:
        notebook.refuse("epub-no-spine", name=name)
    _look_for_items(archive, items, set(spine), notebook)
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
    archive: Archive, items: dict[str, Item], spine: set[str], notebook: Notebook
) -> None:
    for item in items.values():
        if item.name in archive.by_name or item.is_remote:
            continue
        kind = "page" if item.name in spine else "item"
        nearly = archive.nearly(item.name)
        if nearly:
            notebook.add(f"epub-{kind}-misspelt", target=item.name, name=nearly)
        else:
            notebook.add(f"epub-{kind}-missing", target=item.name)


def _cover(root: Tree, items: dict[str, Item]) -> str:
    """EPUB 3 marks the cover in the manifest, EPUB 2 by a meta element naming its id."""
    for item in items.values():
        if "cover-image" in item.properties:
            return item.name
    for meta in root.iter("{*}meta"):
        if meta.get("name") == "cover" and (named := items.get(str(meta.get("content", "")))):
            return named.name if named.media_type.startswith("image/") else ""
    return ""


def note_facts(package: Package, counted: Counter[str], notebook: Notebook) -> None:
    """Write down the metadata, with advice where it lacks, and of its claims those that hold."""
    root, facts = package.root, notebook.facts
    facts["title"] = _first(root, "title")
    facts["author"] = ", ".join(_all(root, "creator"))
    facts["language"] = _first(root, "language")
    facts["publisher"] = _first(root, "publisher")
    facts["identifier"] = _identifier(root)
    facts["isbn"] = _isbn(root)
    facts["modified"] = next(iter(_properties(root, "dcterms:modified")), "")
    facts["epub_version"] = shorten(root.get("version", ""))
    facts["documents"] = len(package.spine)
    facts["bookmarks"] = counted["contents"] > 0
    facts["headings"] = counted["headings"]
    facts["pictures"] = {name: counted[name] for name in ("described", "undescribed")}
    if not facts["bookmarks"]:
        notebook.add("epub-no-contents")
    layout = next(iter(_properties(root, "rendition:layout")), "")
    is_fixed = layout == "pre-paginated"
    facts["fixed_layout"] = is_fixed
    claimed = _accessibility(root)
    facts["accessibility"] = _hold_claims(claimed, counted, notebook, is_fixed=is_fixed)
    if facts["title"]:
        notebook.add("epub-title", title=facts["title"])
    else:
        notebook.add("epub-no-title")
    language = str(facts["language"])
    if is_language(language):
        notebook.add("epub-language", language=language)
    elif language:
        notebook.add("epub-odd-language", language=language)
        facts["language"] = ""
    else:
        notebook.add("epub-no-language")
    if not facts["identifier"]:
        notebook.add("epub-no-identifier")
    notebook.add("epub-accessibility" if claimed else "epub-no-accessibility")


def _accessibility(root: Tree) -> dict[str, JSON]:
    """The facts of EPUB Accessibility 1.1 that are given; lists where several may stand."""
    found: dict[str, JSON] = {}
    for name in _LISTS:
        values = _properties(root, f"schema:{name}")
        if values:
            found[name] = [*dict.fromkeys(values)]
    for property_ in ("schema:accessibilitySummary", "dcterms:conformsTo", "a11y:certifiedBy"):
        value = next(iter(_properties(root, property_)), "")
        if value:
            found[property_.partition(":")[2]] = value
    return found


def _all(root: Tree, name: str) -> list[str]:
    texts = ("".join(found.itertext()) for found in root.iter(_DC + name))
    return [shorten(text) for text in texts if text.strip()]


def _first(root: Tree, name: str) -> str:
    return next(iter(_all(root, name)), "")


def _identifier(root: Tree) -> str:
    """The one that `unique-identifier` names, else the first."""
    wanted = root.get("unique-identifier")
    for found in root.iter(_DC + "identifier"):
        if wanted and found.get("id") == wanted and found.text:
            return shorten(found.text)
    return _first(root, "identifier")


def _isbn(root: Tree) -> str:
    for text in _all(root, "identifier") + _all(root, "source"):
        plain = text.lower().removeprefix("urn:").removeprefix("isbn:").strip()
        if _ISBN.fullmatch(plain):
            return re.sub(r"[- ]", "", plain).upper()
    return ""


def _properties(root: Tree, property_: str) -> list[str]:
    """Values of one property: EPUB 3 (property, text), EPUB 2 (name, content), or as a link."""
    values = [_value(found, property_) for found in root.iter("{*}meta")]
    links = (found for found in root.iter("{*}link") if found.get("rel") == property_)
    values += [str(found.get("href", "")) for found in links]
    return [whole for value in values if (whole := " ".join(value.split())[:_LONGEST])]


def _value(meta: Tree, property_: str) -> str:
    if meta.get("refines"):
        return ""
    if meta.get("property") == property_:
        return str(meta.text or "")
    return str(meta.get("content", "")) if meta.get("name") == property_ else ""


def _hold_claims(
    accessibility: dict[str, JSON], counted: Counter[str], notebook: Notebook, *, is_fixed: bool
) -> dict[str, JSON]:
    """The same facts without the features that the content does not bear out, each with a warning,
    and without the standard that the book claims where that standard's first demand fails."""
    claimed = accessibility.get("accessibilityFeature")
    features = [str(one) for one in claimed] if isinstance(claimed, list) else []
    faults = {one: why for one in features if (why := _fault(one, counted, is_fixed=is_fixed))}
    for feature, why in faults.items():
        notebook.add("epub-claim-unfounded", claim=feature, why=why)
    held = dict(accessibility)
    if faults:
        held["accessibilityFeature"] = [one for one in features if one not in faults]
    standard = held.get("conformsTo")
    if standard and counted["undescribed"]:
        # Every level of WCAG asks for a text that stands for a picture (1.1.1).
        notebook.add("epub-claim-unfounded", claim=standard, why=_undescribed(counted))
        del held["conformsTo"]
    return held


def _fault(feature: str, counted: Counter[str], *, is_fixed: bool) -> str:
    if feature == "alternativeText":
        if counted["undescribed"]:
            return _undescribed(counted)
        return "" if counted["described"] else "no picture in it has words that describe it"
    if feature == "displayTransformability":
        return "its pages have a fixed layout" if is_fixed else ""
    needed, why = _NEEDS.get(feature, ("", ""))
    return why if needed and not counted[needed] else ""


def _undescribed(counted: Counter[str]) -> str:
    count = counted["undescribed"]
    return f"{count:,} of its pictures {'has' if count == 1 else 'have'} no text to stand for {'it' if count == 1 else 'them'}"


def read_xml(
    archive: Archive, name: str, notebook: Notebook, *, is_page: bool = False
) -> Tree | None:
    """The root element of one file, or None where a finding was written down instead.

    A page may define plain abbreviations, as EPUB 2 books do; none that nest or reach outside.
    """
    try:
        root = parse(archive.read(name))
    except NotWellFormed as fault:
        notebook.add("epub-not-well-formed", name=name, line=fault.line, what=fault.what)
        return None
    except zlib.error:
        notebook.refuse("epub-entry-damaged", name=name)
    if defines_entities(root, any_at_all=not is_page):
        notebook.add("epub-entities", name=name)
        return None
    return root


def target_of(url: str, base: str) -> tuple[str, str]:
    """The name (composed) that an address in the file `base` leads to, and its fragment; the query
    is not part of a name. Only for addresses without scheme and host."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    if path.startswith("/"):
        name = path.lstrip("/")
    else:
        name = posixpath.join(posixpath.dirname(base), path) if path else base
    return composed(posixpath.normpath(name)), parts.fragment
