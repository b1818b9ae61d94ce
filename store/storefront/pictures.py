"""Pictures of covers, by what is in them: one that an address once showed stands there for good, in
letters too, and whatever becomes of the publication."""

from flask import Blueprint, Response

from store.catalog import covers
from store.kit.errors import NotFound
from store.kit.static_files import YEAR_SECONDS

bp = Blueprint("pictures", __name__)


class NoPicture(NotFound):
    """Nothing was ever shown at this address."""


@bp.get("/covers/<digest>/<int:width>.<kind>")
def cover(digest: str, width: int, kind: str) -> Response:
    """A cover in one of its sizes."""
    try:
        return lasting(covers.cover_file(digest, width, kind), covers.KINDS[kind])
    except FileNotFoundError:
        raise NoPicture from None


def lasting(content: bytes | str, content_type: str) -> Response:
    """What never changes at its address; pages of mail programs may show it."""
    answer = Response(content, content_type=content_type)
    answer.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return answer
