"""Copies as the pages behind a link show them: the newest edition's files, and those before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from store.catalog.models import Asset, Edition
from store.entitlements.links import download_path
from store.entitlements.models import Link
from store.kit.formatting import format_size


@dataclass(frozen=True)
class ShownCopies:
    """What may be downloaded now, with addresses that are good for a day."""

    newest: Edition | None
    files: list[dict[str, Any]]
    earlier: list[tuple[Edition, list[tuple[str, str]]]]


def show_copies(editions: Sequence[Edition], link: Link) -> ShownCopies:
    """The files of these editions, newest first, for the holder of a library or order link."""
    newest = editions[0] if editions else None
    return ShownCopies(
        newest=newest,
        files=[
            _file(link, asset, is_second=place > 0)
            for place, asset in enumerate(newest.assets if newest else [])
        ],
        earlier=[
            (each, [(asset.format.upper(), download_path(link, asset)) for asset in each.assets])
            for each in editions[1:]
        ],
    )


def _file(link: Link, asset: Asset, *, is_second: bool) -> dict[str, Any]:
    return {
        "url": download_path(link, asset),
        "label": f"Download {asset.format.upper()}",
        "detail": ", ".join(_details(asset)),
        "checksum": asset.sha256,
        "second": is_second,
    }


def _details(asset: Asset) -> list[str]:
    words = [format_size(asset.size)]
    pages = asset.facts.get("pages")
    if asset.format == "epub":
        words.append("for phones and e-readers")
    elif pages:
        words.append("1 page" if pages == 1 else f"{pages} pages")
    return words
