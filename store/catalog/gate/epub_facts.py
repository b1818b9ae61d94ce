"""What an EPUB says about itself: title, language, identifier, version, accessibility."""

import re

from store.catalog.gate.epub_claims import count_contents, hold_claims
from store.catalog.gate.epub_package import Package
from store.catalog.gate.epub_pages import Pages
from store.catalog.gate.languages import is_language
from store.catalog.gate.notes import Notes
from store.catalog.gate.report import JSON
from store.catalog.gate.sentences import shorten
from store.catalog.gate.xml import Tree

_DC = "{http://purl.org/dc/elements/1.1/}"
# EPUB Accessibility 1.1 and the schema.org vocabulary; the prefix is fixed by the standard.
_LISTS = ("accessMode", "accessModeSufficient", "accessibilityFeature", "accessibilityHazard")
_LONGEST = 4000
_ISBN = re.compile(r"(?:97[89][- ]?)?(?:\d[- ]?){9}[\dXx]")


def note_facts(package: Package, pages: Pages, notes: Notes) -> None:
    """Write down the metadata, with advice where it lacks, and of its claims those that hold."""
    root, facts = package.root, notes.facts
    there = count_contents(package, pages)
    facts["title"] = _first(root, "title")
    facts["author"] = ", ".join(_all(root, "creator"))
    facts["language"] = _first(root, "language")
    facts["publisher"] = _first(root, "publisher")
    facts["identifier"] = _identifier(root)
    facts["isbn"] = _isbn(root)
    facts["modified"] = next(iter(_properties(root, "dcterms:modified")), "")
    facts["epub_version"] = shorten(root.get("version", ""))
    facts["documents"] = len(package.spine)
    facts["bookmarks"] = there["contents"] > 0
    if not facts["bookmarks"]:
        notes.add("epub-no-contents")
    layout = next(iter(_properties(root, "rendition:layout")), "")
    is_fixed = layout == "pre-paginated"
    facts["fixed_layout"] = is_fixed
    claimed = _accessibility(root)
    facts["accessibility"] = hold_claims(claimed, there, notes, is_fixed=is_fixed)
    _advise(notes, has_accessibility=bool(claimed))


def _advise(notes: Notes, *, has_accessibility: bool) -> None:
    facts = notes.facts
    if facts["title"]:
        notes.add("epub-title", title=facts["title"])
    else:
        notes.add("epub-no-title")
    language = str(facts["language"])
    if is_language(language):
        notes.add("epub-language", language=language)
    elif language:
        notes.add("epub-odd-language", language=language)
        facts["language"] = ""
    else:
        notes.add("epub-no-language")
    if not facts["identifier"]:
        notes.add("epub-no-identifier")
    notes.add("epub-accessibility" if has_accessibility else "epub-no-accessibility")


def _accessibility(root: Tree) -> dict[str, JSON]:
    """The facts of EPUB Accessibility 1.1 that are given; lists where several may stand."""
    found: dict[str, JSON] = {}
    for name in _LISTS:
        values = _properties(root, f"schema:{name}")
        if values:
            found[name] = [*dict.fromkeys(values)]
    singles = {
        "accessibilitySummary": ("schema:accessibilitySummary",),
        "conformsTo": ("dcterms:conformsTo",),
        "certifiedBy": ("a11y:certifiedBy",),
    }
    for name, (property_,) in singles.items():
        value = next(iter(_properties(root, property_)), "")
        if value:
            found[name] = value
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
