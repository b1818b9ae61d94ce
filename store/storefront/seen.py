"""What the shop makes of a request, told to `store check --url` alone: without a fresh word of its own
there is nothing here."""

from flask import Blueprint, Response, jsonify, request

from store.kit.config import config
from store.kit.errors import NotFound
from store.kit.storage import storage
from store.staff import front
from store.storefront.file_bytes import FRONT_FAILED

bp = Blueprint("seen", __name__)


@bp.get(front.DOOR)
def seen() -> Response:
    """Scheme, host and address as they arrived, and which headers of a proxy did."""
    _judge(front.DOOR)
    came = request.headers.get("X-Forwarded-For", "")
    answer = jsonify(
        scheme=request.scheme,
        host=request.host,
        remote=request.remote_addr,
        # What the question itself claims was written by no proxy.
        hops=len([hop for hop in came.split(",") if hop.strip() not in ("", front.CLAIMED)]),
        proto="X-Forwarded-Proto" in request.headers,
        named="X-Forwarded-Host" in request.headers,
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


@bp.get(front.FILE_DOOR)
def file() -> Response:
    """A file that the server in front is to send."""
    reference = _judge(front.FILE_DOOR)
    prefix = config().accel_redirect
    if prefix is None or FRONT_FAILED in request.headers:
        raise NotFound
    asked = storage().in_front(front.probe_key(reference))
    answer = Response(content_type="application/octet-stream")
    answer.headers["X-Accel-Redirect"] = f"{prefix.rstrip('/')}/{asked}"
    answer.headers["Cache-Control"] = "no-store"
    del answer.headers["Content-Length"]
    return answer


def _judge(door: str) -> str:
    reference = front.may_see(request.headers.get(front.WORD, ""), door)
    if reference is None:
        raise NotFound
    return reference
