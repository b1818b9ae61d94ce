"""What a publication's files are, in words: formats, sizes, language, accessibility, what they
open on. Read from the facts that the upload gate noted."""

from functools import lru_cache

from babel import Locale, UnknownLocaleError

from store.catalog.models import Asset, Edition, Publication
from store.kit.formatting import format_day, format_size
from store.storefront.accessibility import accessibility_in_words

NO_COPY_PROTECTION = "None: the files are yours to keep, copy to your devices and print."
WORKS_ON = {
    "pdf": "PDF: computers, tablets and phones, in any PDF reader.",
    "epub": (
        "EPUB: Apple Books, Google Play Books, Kobo, Thorium and other reading apps; "
        "Kindle by Send to Kindle."
    ),
}


def file_facts(publication: Publication, edition: Edition | None) -> list[tuple[str, str]]:
    """Term and words for each thing that is known, in the order of the page."""
    assets = list(edition.assets) if edition else []
    by_format = {asset.format: asset for asset in assets}
    return [
        ("Formats", _formats(assets)),
        ("Edition", _edition(edition)),
        ("Length", _length(by_format)),
        ("Language", language_in_words(publication.language)),
        ("ISBN", publication.isbn),
        ("Accessibility", accessibility_in_words(by_format)),
        ("Copy protection", NO_COPY_PROTECTION),
        ("Works on", _works_on(by_format)),
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


def _length(by_format: dict[str, Asset]) -> str:
    pages = by_format["pdf"].facts.get("pages") if "pdf" in by_format else None
    return f"{pages} pages" if pages and pages != 1 else "1 page" if pages else ""


def _works_on(by_format: dict[str, Asset]) -> str:
    return " ".join(
        words for format, words in WORKS_ON.items() if not by_format or format in by_format
    )
