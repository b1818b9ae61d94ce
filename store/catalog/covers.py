"""Pictures of covers as readers are sent them: in two widths, each as WebP and as JPEG.

Each is made of the stored PNG when it is first asked for, and kept beside it for good. The door takes
any digest, so that nobody but who has seen a cover can ask for it. Where pages draw the cover, letters
and other people's pages are given a picture of that.
"""

import hashlib
import io
import logging
import re
from pathlib import Path

from flask import get_template_attribute
from PIL import Image

from store.catalog.drawn_covers import draw_cover, has_picture
from store.kit.config import config
from store.kit.space import is_full
from store.kit.storage import storage
from store.kit.typesetting import png

log = logging.getLogger(__name__)

# Pixels; each is also the last part of its address. Letters show the smaller one as JPEG, which
# every mail program draws.
WIDTHS = (320, 640)
MADE = ("webp", "jpg")
KINDS = {"webp": "image/webp", "jpg": "image/jpeg", "png": "image/png"}
_DRAWN = Path(__file__).with_name("drawn_cover.typ")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def cover_path(digest: str, width: int = WIDTHS[-1], kind: str = "jpg") -> str:
    """The address of a picture without the shop's own: it never shows another one."""
    return f"/covers/{digest}/{width}.{kind}"


def cover_now_path(slug: str) -> str:
    """The address of whatever picture the cover of a publication is now."""
    return f"/publications/{slug}/cover.png"


def cover_in_letter(digest: str | None, slug: str, title: str) -> str:
    """The whole address of a picture; "" where the cover is drawn in letters that no picture of ours
    has, and then the letter has none."""
    if digest:
        return config().base_url + cover_path(digest, WIDTHS[0])
    return config().base_url + cover_now_path(slug) if has_picture(title) else ""


def cover_file(digest: str, width: int, kind: str) -> bytes:
    """The picture in this width (pixels). Raises FileNotFoundError where there is no such cover,
    width or kind."""
    if not _DIGEST.fullmatch(digest) or width not in WIDTHS or kind not in MADE:
        raise FileNotFoundError(digest)
    key = f"covers/{digest}"
    made = f"{key}.{width}.{kind}"
    try:
        return storage().read(made)
    except FileNotFoundError:
        return _kept(made, _made(storage().read(key), width, kind))


def drawn_cover_file(slug: str, title: str, subtitle: str, author: str, accent: str) -> bytes:
    """The drawn cover as a JPEG of the larger width. Raises FileNotFoundError where its title has
    letters that no picture of ours can show; other words with such letters are left out."""
    if not has_picture(title):
        raise FileNotFoundError(slug)
    words = [one if has_picture(one) else "" for one in (subtitle, author)]
    drawing = str(
        get_template_attribute("components/cover.html", "drawn_cover")(
            draw_cover(slug, title, *words, accent), True
        )
    )
    made = f"drawn-covers/{hashlib.sha256(drawing.encode()).hexdigest()}.jpg"
    try:
        return storage().read(made)
    except FileNotFoundError:
        sheet = png(_DRAWN, {"svg": drawing}, dots=72 * WIDTHS[-1] / 210)  # of 210 points
        return _kept(made, _made(sheet, WIDTHS[-1], "jpg"))


def _kept(key: str, picture: bytes) -> bytes:
    try:
        storage().put_bytes(key, picture)
    except OSError as fault:
        if not is_full(fault):
            raise
        log.warning("a picture of a cover was made and not kept: the disk is full")
    return picture


def _made(stored: bytes, width: int, kind: str) -> bytes:
    made = io.BytesIO()
    with Image.open(io.BytesIO(stored), formats=("PNG",)) as picture:
        plain = picture.convert("RGB")
    plain.thumbnail((width, plain.height), Image.Resampling.LANCZOS)
    if kind == "webp":
        plain.save(made, "WEBP", quality=78, method=4)
    else:
        plain.save(made, "JPEG", quality=80, optimize=True, progressive=True)
    return made.getvalue()
