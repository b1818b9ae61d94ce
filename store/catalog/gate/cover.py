"""A cover picture as a PNG of our own making, whatever the source was."""

import io
from pathlib import Path

from PIL import Image

# Shown at 272 CSS pixels at most, so that this is sharp on a phone and light on the wire.
WIDTH = 480
HIGHEST = 1600
PRINT_COLOURS = 20_000
_MOST_PIXELS = 60_000_000
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP")


def save_cover(picture: Image.Image, path: Path) -> None:
    """Write the picture as PNG with a palette, at most WIDTH by HIGHEST pixels."""
    picture.thumbnail((WIDTH, HIGHEST))
    plain = picture.convert("RGB")
    # Print has few colours and no need of dithering; photographs show bands without it.
    is_print = plain.getcolors(maxcolors=PRINT_COLOURS) is not None
    dither = Image.Dither.NONE if is_print else Image.Dither.FLOYDSTEINBERG
    plain.quantize(128 if is_print else 256, dither=dither).save(path, "PNG", optimize=True)


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
