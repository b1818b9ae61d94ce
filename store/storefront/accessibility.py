"""What the files of an edition say about their accessibility, in words."""

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
    "highContrastDisplay": "high contrast",
    "largePrint": "large print",
}


def accessibility_in_words(by_format: dict[str, Asset]) -> str:
    """What the files say about themselves; nothing where there are no files yet."""
    parts = []
    if "pdf" in by_format:
        parts.append(_pdf_accessibility(by_format["pdf"].facts))
    if "epub" in by_format:
        parts.append(_epub_accessibility(by_format["epub"].facts.get("accessibility") or {}))
    return " ".join(part for part in parts if part)


def _pdf_accessibility(facts: dict[str, Any]) -> str:
    has = ["tagged for screen readers"] if facts.get("tagged") else []
    if facts.get("pdfua"):
        has.append(f"made to PDF/UA-{facts['pdfua']}")
    if facts.get("bookmarks"):
        has.append("with bookmarks")
    return f"The PDF is {_listed(has)}." if has else "The PDF is not tagged for screen readers."


def _epub_accessibility(facts: dict[str, Any]) -> str:
    features = [_FEATURES[one] for one in facts.get("accessibilityFeature", []) if one in _FEATURES]
    words = f"The EPUB has {_listed(features)}." if features else ""
    standard = str(facts.get("conformsTo", ""))
    if standard and not standard.startswith("http"):
        words += f" It is made to {standard}."
    return words.strip()


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
