"""An uploaded cover picture: judged, made anew as our own PNG, stored under its SHA-256."""

import hashlib
import io
import tempfile
from pathlib import Path

from PIL import Image

from store.catalog.inspecting.cover import cover_from
from store.kit.errors import Refusal
from store.kit.storage import storage

LARGEST_BYTES = 10_000_000
_MOST_PIXELS = 40_000_000
_FORMATS = ("PNG", "JPEG")


class CoverRefused(Refusal):
    """A picture that cannot be taken."""

    status = 422
    sentence = "The cover must be a PNG or JPEG."


def store_cover(content: bytes) -> str:
    """Store a PNG or JPEG picture, made anew without what else the file held; returns its SHA-256.

    No database is touched. Refuses (`CoverRefused`) what is empty, too large or no such picture.
    """
    if not content:
        raise CoverRefused("The cover file is empty. Choose the picture again.")
    if len(content) > LARGEST_BYTES:
        raise CoverRefused(f"The cover must be {LARGEST_BYTES // 1_000_000} MB or smaller.")
    _refuse_unfit(content)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "cover.png"
        if not cover_from(content, made):
            raise CoverRefused("The cover could not be opened. Export the picture again.")
        picture = made.read_bytes()
    digest = hashlib.sha256(picture).hexdigest()
    storage().put_bytes(f"covers/{digest}", picture)
    return digest


def _refuse_unfit(content: bytes) -> None:
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            pixels = picture.width * picture.height
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise CoverRefused from None
    if pixels > _MOST_PIXELS:
        raise CoverRefused("The cover has too many pixels. 2,000 in height are plenty.")
