"""What a publication's files are, in words: formats, sizes, language, what they open on. Read from
the facts that the upload gate noted; of accessibility, what it found in their content, and apart
from it what only their publisher states."""

from functools import lru_cache
from typing import Any

from babel import Locale, UnknownLocaleError

from store.catalog.models import Asset, Edition, Publication
from store.kit.formatting import format_day, format_size
from store.kit.text import listed

NO_COPY_PROTECTION = "None: the files are yours to keep, copy to your devices and print."
WORKS_ON = {
    "pdf": "PDF: computers, tablets and phones, in any PDF reader.",
    "epub": (
        "EPUB: Apple Books, Google Play Books, Kobo, Thorium and other reading apps; "
        "Kindle by Send to Kindle."
    ),
}
# The schema.org vocabulary for accessibility features, as EPUB Accessibility 1.1 uses it.
_FEATURES = {
    "tableOfContents": "table of contents",
    "structuralNavigation": "headings to move by",
    "readingOrder": "set reading order",
    "alternativeText": "pictures described in words",
    "longDescription": "long descriptions",
    "displayTransformability": "type and colours that follow your settings",
    "pageNavigation": "page list",
    "pageBreakMarkers": "page numbers of the print layout",
    "captions": "captions",
    "transcript": "transcripts",
    "MathML": "formulas as MathML",
    "ttsMarkup": "marks for reading aloud",
}
# The gate cannot see whether these hold.
_STATED = {"highContrastDisplay": "high contrast", "largePrint": "large print"}


def file_facts(publication: Publication, edition: Edition | None) -> list[tuple[str, str]]:
    """Term and words for each thing that is known, in the order of the page."""
    assets = list(edition.assets) if edition else []
    by_format = {asset.format: asset for asset in assets}
    pages = by_format["pdf"].facts.get("pages") if "pdf" in by_format else None
    opens = [words for format, words in WORKS_ON.items() if not by_format or format in by_format]
    return [
        ("Formats", _formats(assets)),
        ("Edition", _edition(edition)),
        ("Length", f"{pages} pages" if pages and pages != 1 else "1 page" if pages else ""),
        ("Language", language_in_words(publication.language)),
        ("ISBN", publication.isbn),
        ("Accessibility", _accessibility(by_format)),
        ("Copy protection", NO_COPY_PROTECTION),
        ("Works on", " ".join(opens)),
    ]


@lru_cache(maxsize=256)
def language_in_words(code: str) -> str:
    """`English` for `en-GB`; the code itself where it is unknown."""
    try:
        name = Locale.parse(code, sep="-").get_language_name("en_GB")
    except (UnknownLocaleError, ValueError):
        name = None
    return name or code


def _formats(assets: list[Asset]) -> str:
    if not assets:
        return "Files to download: PDF, EPUB or both. Sizes stand here once it is published."
    return ", ".join(f"{one.format.upper()} ({format_size(one.size)})" for one in assets)


def _edition(edition: Edition | None) -> str:
    if edition is None or edition.released_at is None:
        return ""
    name = f"Edition {edition.number}"
    label = f", {edition.label}" if edition.label else ""
    return f"{name}{label}, published on {format_day(edition.released_at)}"


def _accessibility(by_format: dict[str, Asset]) -> str:
    """Sentences for the publication page; nothing where there are no files yet."""
    parts = []
    if "pdf" in by_format:
        parts.append(_pdf_accessibility(by_format["pdf"].facts))
    if "epub" in by_format:
        parts.append(_epub_accessibility(by_format["epub"].facts.get("accessibility") or {}))
    return " ".join(part for part in parts if part)


def _pdf_accessibility(facts: dict[str, Any]) -> str:
    has = "it has bookmarks" if facts.get("bookmarks") else ""
    if not facts.get("tagged"):
        return f"The PDF is not tagged for screen readers{'; ' if has else ''}{has}."
    claim = f", says that it follows PDF/UA-{facts['pdfua']}" if facts.get("pdfua") else ""
    return f"The PDF is tagged for screen readers{claim}{' and has bookmarks' if has else ''}."


def _epub_accessibility(facts: dict[str, Any]) -> str:
    given = facts.get("accessibilityFeature", [])
    features = [_FEATURES[one] for one in given if one in _FEATURES]
    words = [f"The EPUB has {listed(features)}."] if features else []
    stated = [_STATED[one] for one in given if one in _STATED]
    standard = str(facts.get("conformsTo", ""))
    if standard and not standard.startswith("http"):
        stated.append(f"made to {standard}")
    words += [f"Of the EPUB its publisher states: {listed(stated)}."] if stated else []
    return " ".join(words)
