"""Claims of an EPUB to be accessible: passed on only where what they promise is in the book."""

from collections import Counter

from store.catalog.gate.epub_package import Package
from store.catalog.gate.epub_pages import Pages
from store.catalog.gate.notes import Notes
from store.catalog.gate.report import JSON

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
_PICTURES = "alternativeText"
_TYPE = "displayTransformability"


def count_contents(package: Package, pages: Pages) -> Counter[str]:
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


def hold_claims(
    accessibility: dict[str, JSON], there: Counter[str], notes: Notes, *, is_fixed: bool
) -> dict[str, JSON]:
    """The same facts without the features that the content does not bear out, each with a warning;
    the standard that the book claims goes with them where its first demand fails."""
    claimed = accessibility.get("accessibilityFeature")
    features = [str(one) for one in claimed] if isinstance(claimed, list) else []
    faults = {one: why for one in features if (why := _fault(one, there, is_fixed=is_fixed))}
    for feature, why in faults.items():
        notes.add("epub-claim-unfounded", claim=feature, why=why)
    held = dict(accessibility)
    if faults:
        held["accessibilityFeature"] = [one for one in features if one not in faults]
    standard = held.get("conformsTo")
    if standard and there["undescribed"]:
        # Every level of WCAG asks for a text that stands for a picture (1.1.1).
        notes.add("epub-claim-unfounded", claim=standard, why=_undescribed(there))
        del held["conformsTo"]
    return held


def _fault(feature: str, there: Counter[str], *, is_fixed: bool) -> str:
    if feature == _PICTURES:
        if there["undescribed"]:
            return _undescribed(there)
        return "" if there["described"] else "no picture in it has words that describe it"
    if feature == _TYPE:
        return "its pages have a fixed layout" if is_fixed else ""
    needed, why = _NEEDS.get(feature, ("", ""))
    return why if needed and not there[needed] else ""


def _undescribed(there: Counter[str]) -> str:
    count = there["undescribed"]
    return f"{count:,} of its pictures {'has' if count == 1 else 'have'} no text to stand for {'it' if count == 1 else 'them'}"
