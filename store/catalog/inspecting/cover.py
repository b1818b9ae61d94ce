"""A cover picture as a PNG of our own making, whatever the source was."""

import io
from pathlib import Path

from PIL import Image

WIDTH = 600
HIGHEST = 1600
_MOST_PIXELS = 60_000_000
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP")


def save_cover(picture: Image.Image, path: Path) -> None:
    """Write the picture as PNG, at most WIDTH by HIGHEST pixels."""
    picture.thumbnail((WIDTH, HIGHEST))
    picture.convert("RGB").save(path, "PNG")


def cover_from(content: bytes, path: Path) -> bool:
    """Re-encode a picture file to `path`; False where it is none, or too large to open."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                return False
            picture.draft("RGB", (WIDTH * 2, HIGHEST * 2))
            save_cover(picture, path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True
