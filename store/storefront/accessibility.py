"""What is known of the accessibility of an edition's files, in words: what the upload gate found
in their content, and apart from it what only their publisher states."""

from typing import Any

from store.catalog.models import Asset

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


def accessibility_in_words(by_format: dict[str, Asset]) -> str:
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
    words = [f"The EPUB has {_listed(features)}."] if features else []
    stated = [_STATED[one] for one in given if one in _STATED]
    standard = str(facts.get("conformsTo", ""))
    if standard and not standard.startswith("http"):
        stated.append(f"made to {standard}")
    words += [f"Of the EPUB its publisher states: {_listed(stated)}."] if stated else []
    return " ".join(words)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
