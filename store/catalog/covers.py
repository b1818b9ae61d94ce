"""Pictures of covers as readers are sent them: in two widths, each as WebP and as JPEG.

Each is made of the stored PNG when it is first asked for, and kept beside it for good. The door takes
any digest, so that nobody but who has seen a cover can ask for it.
"""

import io
import logging
import re

from PIL import Image

from store.kit.config import config
from store.kit.space import is_full
from store.kit.storage import storage

log = logging.getLogger(__name__)

# Pixels; each is also the last part of its address. Letters show the smaller one as JPEG, which
# every mail program draws.
WIDTHS = (320, 640)
MADE = ("webp", "jpg")
KINDS = {"webp": "image/webp", "jpg": "image/jpeg", "png": "image/png"}
_DIGEST = re.compile(r"[0-9a-f]{64}")


def cover_path(digest: str, width: int = WIDTHS[-1], kind: str = "jpg") -> str:
    """The address of a picture without the shop's own: it never shows another one."""
    return f"/covers/{digest}/{width}.{kind}"


def cover_in_letter(digest: str | None) -> str:
    """The whole address of the smaller picture; "" without one, and then the letter has none."""
    return config().base_url + cover_path(digest, WIDTHS[0]) if digest else ""


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
        picture = _made(storage().read(key), width, kind)
    try:
        storage().put_bytes(made, picture)
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
