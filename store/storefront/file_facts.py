"""What a publication's files are, in words: formats, sizes, language, what they open on. Read from
the facts that the upload gate noted; of accessibility, what it found in their content, and apart
from it what only their publisher states. Before there are files, what is planned, and said to be."""

from functools import lru_cache
from typing import Any

from babel import Locale, UnknownLocaleError

from store.catalog.models import Asset, Edition, Publication
from store.catalog.publications import promised_date
from store.kit.formatting import format_day, format_size
from store.kit.text import listed
from store.orders.consents import promise_in_words
from store.storefront.history import History

NO_COPY_PROTECTION = "None: the files are yours to keep, copy to your devices and print."
WORKS_ON = {
    "pdf": "PDF: computers, tablets and phones, in any PDF reader.",
    "epub": (
        "EPUB: Apple Books, Google Play Books, Kobo, Thorium and other reading apps; "
        "Kindle by Send to Kindle."
    ),
}
_WORDS_A_MINUTE = 230
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


def file_facts(
    publication: Publication, edition: Edition | None, history: History, countries: list[str]
) -> list[tuple[str, str]]:
    """Term and words for each thing that is known, in the order of the page."""
    if edition is None:
        measured = _planned(publication)
    else:
        by_format = {asset.format: asset for asset in edition.assets}
        measured = [
            ("Edition", edition_in_words(edition, history).removeprefix("Edition ")),
            ("Formats", ". ".join(_with_size(asset) for asset in edition.assets)),
            ("Length", _length(by_format)),
            ("Language", _language(publication, edition)),
            ("Accessibility", _accessibility(by_format)),
            ("Works on", " ".join(words for one, words in WORKS_ON.items() if one in by_format)),
        ]
    return [
        *measured,
        ("ISBN", publication.isbn),
        ("Copy protection", NO_COPY_PROTECTION),
        ("Sold to", listed(countries)),
    ]


def glance(publication: Publication, edition: Edition | None) -> str:
    """Formats and length in a line, behind the edition or, of a pre-order, as planned: `PDF and EPUB,
    64 pages`."""
    if edition is None:
        known = [publication.planned_formats, publication.planned_length]
        return ", ".join(words.rstrip(".") for words in known if words)
    pages = _pages({asset.format: asset for asset in edition.assets})
    return ", ".join(filter(None, (formats(edition), pages, "no copy protection")))


def formats(edition: Edition) -> str:
    """`PDF and EPUB`."""
    return listed([asset.format.upper() for asset in edition.assets])


def edition_in_words(edition: Edition, history: History) -> str:
    """`Edition 3, Spring, renewed on 4 March 2027`."""
    label = f", {edition.label}" if edition.label else ""
    words = f"Edition {edition.number}{label}"
    if edition.released_at is None:
        return words
    return f"{words}, {'renewed' if history.renewed else 'published'} on {format_day(edition.released_at)}"


def _planned(publication: Publication) -> list[tuple[str, str]]:
    expected = promised_date(publication)
    return [
        ("Published", _capital(promise_in_words(expected)) if expected else "No date is set yet"),
        ("Formats, planned", _capital(publication.planned_formats) or "PDF, EPUB or both"),
        ("Length, planned", _capital(publication.planned_length)),
        ("Language", language_in_words(publication.language)),
        ("Accessibility, planned", _capital(publication.planned_access)),
    ]


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _with_size(asset: Asset) -> str:
    return f"{asset.format.upper()}, {format_size(asset.size)}"


def _pages(by_format: dict[str, Asset]) -> str:
    pages = by_format["pdf"].facts.get("pages") if "pdf" in by_format else None
    return f"{pages} page{'s' * (pages != 1)}" if pages else ""


def _length(by_format: dict[str, Asset]) -> str:
    counts = [asset.facts.get("words") or 0 for asset in by_format.values()]
    return ", ".join(filter(None, [_pages(by_format), _time_to_read(max(counts, default=0))]))


def _time_to_read(words: int) -> str:
    """`about 2 hours to read`; of a text so short or so full of pictures that nobody asks, nothing."""
    minutes = words / _WORDS_A_MINUTE
    if minutes < 5:
        return ""
    if minutes < 50:
        return f"about {5 * round(minutes / 5)} minutes to read"
    hours = max(1, round(minutes / 60))
    return f"about {hours} hour{'s' * (hours != 1)} to read"


def _language(publication: Publication, edition: Edition) -> str:
    """Of the files, where the gate found theirs; else what staff say."""
    found = [str(asset.facts.get("language") or "") for asset in edition.assets]
    said = [language_in_words(code) for code in found if code]
    return listed(list(dict.fromkeys(said)) or [language_in_words(publication.language)])


@lru_cache(maxsize=256)
def language_in_words(code: str) -> str:
    """`English` for `en-GB`; the code itself where it is unknown."""
    try:
        name = Locale.parse(code, sep="-").get_language_name("en_GB")
    except (UnknownLocaleError, ValueError):
        name = None
    return name or code


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
