"""A publication for machines: JSON-LD after schema.org, saying what the page says."""

from typing import Any

from store.catalog.models import Seller
from store.kit.config import config
from store.kit.money import to_decimal
from store.storefront.showing import Shown


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
        data["author"] = {"@type": "Person", "name": publication.author}
    if publication.isbn:
        data["isbn"] = publication.isbn
    if shown.cover_url:
        data["image"] = config().base_url + shown.cover_url
    if shown.edition is not None and shown.edition.released_at is not None:
        data["bookEdition"] = str(shown.edition.number)
        data["datePublished"] = shown.edition.released_at.date().isoformat()
    return data


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
