"""A cover picture as a PNG of our own making, whatever the source was; what readers are sent is made
of it (`catalog.covers`)."""

import io
from pathlib import Path

from PIL import Image

# Shown at 18 rem at most: sharp on a phone, and on a desk where pixels are two by two.
WIDTH = 640
HIGHEST = 1600
PRINT_COLOURS = 20_000
_MOST_PIXELS = 60_000_000
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP")


def save_cover(picture: Image.Image, path: Path) -> None:
    """Write the picture as PNG, at most WIDTH by HIGHEST pixels; print with a palette, of which it has
    no need of more, a photograph as it is."""
    picture.thumbnail((WIDTH, HIGHEST))
    plain = picture.convert("RGB")
    if plain.getcolors(maxcolors=PRINT_COLOURS) is not None:
        plain = plain.quantize(128, dither=Image.Dither.NONE)
    plain.save(path, "PNG", compress_level=4)


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
