"""Logo and social picture: judged as covers are, made again by us without what else the file held, and
stored under their SHA-256. No database is touched.

An SVG is no picture here: it may hold programs and addresses of others, and no mail program shows it.
"""

import hashlib
import io
from typing import Any

from PIL import Image

from store.catalog.uploads import PictureRefused, judge_picture
from store.kit.storage import storage

# CSS pixels of a logo as it is shown; it is kept twice as large, for screens that have them.
LOGO_HIGHEST, LOGO_WIDEST = 40, 200
# What programs cut a shared picture to, and the least that they show large.
SOCIAL, SOCIAL_LEAST = (1200, 630), (600, 315)


def store_logo(content: bytes) -> dict[str, Any]:
    """Store a logo; returns what the face keeps of it. Refuses (`PictureRefused`)."""
    picture = _opened(content, "logo").convert("RGBA")
    picture.thumbnail((2 * LOGO_WIDEST, 2 * LOGO_HIGHEST), Image.Resampling.LANCZOS)
    made = io.BytesIO()
    picture.save(made, "PNG", optimize=True)
    share = min(1, LOGO_HIGHEST / picture.height, LOGO_WIDEST / picture.width)
    return {
        "logo_sha256": _kept(made.getvalue(), "png"),
        "logo_width": max(1, round(picture.width * share)),
        "logo_height": max(1, round(picture.height * share)),
    }


def store_social(content: bytes) -> dict[str, Any]:
    """The same of the picture that is shown where a page is shared."""
    picture = _opened(content, "picture").convert("RGB")
    if picture.width < SOCIAL_LEAST[0] or picture.height < SOCIAL_LEAST[1]:
        raise PictureRefused(
            f"The picture is {picture.width} by {picture.height} pixels. At least "
            f"{SOCIAL_LEAST[0]} by {SOCIAL_LEAST[1]} are needed."
        )
    picture.thumbnail((SOCIAL[0], SOCIAL[0]), Image.Resampling.LANCZOS)
    made = io.BytesIO()
    picture.save(made, "JPEG", quality=82, optimize=True, progressive=True)
    return {"social_sha256": _kept(made.getvalue(), "jpg")}


def _opened(content: bytes, what: str) -> Image.Image:
    if content.lstrip()[:5].lower() in (b"<?xml", b"<svg ") or b"<svg" in content[:1000]:
        raise PictureRefused(
            f"The {what} is an SVG, which may hold a program. Export it as a PNG, "
            f"{2 * LOGO_WIDEST} pixels wide or more."
        )
    judge_picture(content, what)
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            return picture
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise PictureRefused(f"The {what} could not be opened. Export the picture again.") from None


def _kept(picture: bytes, kind: str) -> str:
    digest = hashlib.sha256(picture).hexdigest()
    storage().put_bytes(f"faces/{digest}.{kind}", picture)
    return digest
