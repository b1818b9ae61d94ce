"""Covers and what belongs to the house's face, by what is in them: what an address once showed stands
there for good, in letters too, and whatever becomes of the publication."""

import re

from flask import Blueprint, Response

from store.catalog import covers, faces
from store.kit.errors import NotFound
from store.kit.static_files import YEAR_SECONDS
from store.kit.storage import storage

bp = Blueprint("pictures", __name__)


_COLOUR = re.compile(r"([0-9a-f]{6})-[0-9a-f]{8}\.css")
_PICTURE = re.compile(r"[0-9a-f]{64}\.(png|jpg)")


class NoPicture(NotFound):
    """Nothing was ever shown at this address."""


@bp.get("/covers/<digest>/<int:width>.<kind>")
def cover(digest: str, width: int, kind: str) -> Response:
    """A cover in one of its sizes."""
    try:
        return lasting(covers.cover_file(digest, width, kind), covers.KINDS[kind])
    except FileNotFoundError:
        raise NoPicture from None


@bp.get("/face/<name>")
def face(name: str) -> Response:
    """The logo (PNG), the social picture (JPEG), or the stylesheet of a colour: the shop's policy lets
    no page have a style of its own."""
    if found := _COLOUR.fullmatch(name):
        accent = f"#{found[1]}".replace(faces.GREEN, "")
        if faces.stylesheet_path(accent) == f"/face/{name}":
            return lasting(faces.stylesheet(accent), "text/css; charset=utf-8")
    if found := _PICTURE.fullmatch(name):
        try:
            return lasting(storage().read(f"faces/{name}"), covers.KINDS[found[1]])
        except FileNotFoundError:
            pass
    raise NoPicture


def lasting(content: bytes | str, content_type: str) -> Response:
    """What never changes at its address; pages of mail programs may show it."""
    answer = Response(content, content_type=content_type)
    answer.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return answer
