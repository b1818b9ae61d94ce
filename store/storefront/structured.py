"""A publication for machines: JSON-LD after schema.org, saying what the page says."""

import re
from typing import Any

from store.catalog.models import Seller
from store.kit.config import config
from store.kit.money import to_decimal
from store.storefront.publication_view import Shown

# What a person is not called.
_OF_MANY = frozenset(
    [
        "association",
        "centre",
        "centers",
        "charity",
        "cic",
        "cio",
        "college",
        "commission",
        "committee",
        "company",
        "council",
        "department",
        "federation",
        "foundation",
        "group",
        "hub",
        "inc",
        "institute",
        "limited",
        "llp",
        "ltd",
        "ministry",
        "network",
        "partnership",
        "plc",
        "press",
        "school",
        "service",
        "services",
        "society",
        "team",
        "trust",
        "union",
        "university",
    ]
)


def structured(shown: Shown, seller: Seller) -> dict[str, Any]:
    """The publication for machines, after schema.org: a book with its offer."""
    publication, address = shown.publication, config().base_url + shown.path
    data: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": ["Book", "Product"],
        "name": publication.title,
        "url": address,
        "inLanguage": publication.language,
        "bookFormat": "https://schema.org/EBook",
        "publisher": {"@type": "Organization", "name": seller.trading_name},
        "offers": _offer(shown, seller, address),
    }
    if publication.subtitle:
        data["alternativeHeadline"] = publication.subtitle
    if publication.author:
        data["author"] = {"@type": _kind_of(publication.author, seller), "name": publication.author}
    if publication.isbn:
        data["isbn"] = publication.isbn
    if shown.cover_url:
        data["image"] = config().base_url + shown.cover_url
    if shown.edition is not None and shown.edition.released_at is not None:
        data["bookEdition"] = str(shown.edition.number)
        day = shown.edition.released_at.astimezone(config().zone).date()
        data["datePublished"] = day.isoformat()
    return data


def _kind_of(author: str, seller: Seller) -> str:
    """An author who bears the seller's name, or whose name says so, is an organisation."""
    ours = {seller.trading_name.casefold(), seller.legal_name.casefold()}
    words = set(re.findall(r"\w+", author.casefold()))
    return "Organization" if author.casefold() in ours or words & _OF_MANY else "Person"


def _offer(shown: Shown, seller: Seller, address: str) -> dict[str, Any]:
    publication = shown.publication
    offer: dict[str, Any] = {
        "@type": "Offer",
        "url": address,
        "price": str(to_decimal(publication.price_amount, publication.currency)),
        "priceCurrency": publication.currency,
        "availability": f"https://schema.org/{'PreOrder' if shown.is_preorder else 'InStock'}",
        "seller": {"@type": "Organization", "name": seller.trading_name},
        "eligibleRegion": seller.countries.split(","),
    }
    if shown.promised:
        offer["availabilityStarts"] = shown.promised.isoformat()
    return offer
