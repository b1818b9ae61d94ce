"""What the pages of an edition share: the edition of an address, its files with their findings."""

from typing import Any

from flask import url_for

from store.catalog import editions
from store.catalog.models import Asset, Edition
from store.catalog.publications import publication_by_slug

SEVERITIES = (
    ("law", "The law or the rules have changed", "Whoever works by the old edition may do wrong."),
    ("guidance", "Guidance has changed", "Worth reading soon."),
    ("minor", "Small changes", "Corrections and better wording."),
)


def find(slug: str, number: int) -> Edition:
    """The edition of an address. Refuses with 404."""
    return editions.edition_by_number(publication_by_slug(slug), number)


def files_shown(edition: Edition) -> list[dict[str, Any]]:
    """The files of an edition with what the gate found, as the templates want them."""
    return [
        {
            "format": asset.format.upper(),
            "size": asset.size,
            "sha256": asset.sha256,
            "uploaded_sha256": asset.uploaded_sha256,
            "url": url_for(
                "editions.file",
                slug=edition.publication.slug,
                number=edition.number,
                format=asset.format,
            ),
            "findings": _findings(asset),
        }
        for asset in edition.assets
    ]


def _findings(asset: Asset) -> list[dict[str, str]]:
    """What needs a look first, then what passed."""
    order = ("fail", "warn", "pass")
    shown = [{"verdict": one["level"], "text": one["sentence"]} for one in asset.findings]
    return sorted(shown, key=lambda one: order.index(one["verdict"]))
