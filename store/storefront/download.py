"""One file for somebody who may have it: whole, in part or not again; counted once."""

from collections.abc import Iterator
from itertools import chain
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, request

from store.catalog.editions import asset_filename, media_type
from store.catalog.models import Asset
from store.entitlements.access import asset_for, asset_of_order
from store.entitlements.links import open_download
from store.entitlements.models import Link
from store.entitlements.received import is_recorded, record_download
from store.kit import clock
from store.kit.config import config
from store.kit.database import end_read, transaction
from store.kit.errors import Refusal
from store.kit.space import download_goes_on
from store.kit.storage import storage
from store.storefront.ranges import Answer, Representation, decide

bp = Blueprint("download", __name__)


class FileOutOfReach(Refusal):
    """The storage does not have, or does not give, a file that it should."""

    status = 503
    heading = "The file cannot be fetched now"
    sentence = "The fault is ours, and we look into it. Please try again later."


@bp.get("/download/<token>/<asset>/<filename>")
@bp.get("/download/<token>/<asset>")
def download(token: str, asset: str, **_free: str) -> Response:
    """The bytes asked for; the right to them is asked at this moment. The last part is for
    readers that judge by it and names nothing; addresses of before name the file with it."""
    link = open_download(token)
    found = _asset(link, asset)
    key, kind = f"assets/{found.sha256}", media_type(found.format)
    file = Representation(found.size, found.sha256, found.uploaded_at)
    answer = decide(file, request.method, _conditions(), clock.now())
    body, served = _body(key, answer), asset_filename(found)
    if request.method == "GET" and answer.transfers:
        _record(token, link, found)
    # The transfer may take an hour; the connection is needed by others.
    end_read()
    response = Response(body, answer.status, headers=_headers(file, answer, served))
    response.content_type = kind if answer.transfers else "text/plain; charset=utf-8"
    _hand_over(response, key, answer)
    return response


def _asset(link: Link, name: str) -> Asset:
    if link.order_id is not None:
        return asset_of_order(link.order_id, name)
    return asset_for(link.customer_id, name)


def _conditions() -> Any:
    # The server in front cuts the ranges where it sends the file.
    if not _is_handed_over():
        return request.headers
    return {name: words for name, words in request.headers.items() if name == "If-None-Match"}


def _body(key: str, answer: Answer) -> Iterator[bytes]:
    if request.method == "HEAD" or not answer.transfers or _is_handed_over():
        return iter(())
    pieces = storage().chunks(key, answer.start, answer.end)
    try:
        # The first piece is fetched before anything is said, so that a missing file is a page.
        first = next(pieces, b"")
    except OSError:
        raise FileOutOfReach from None
    return chain([first], pieces)


def _record(token: str, link: Link, asset: Asset) -> None:
    if not is_recorded(token, asset):
        with download_goes_on(), transaction():
            record_download(
                token,
                link.customer_id,
                asset,
                order_id=link.order_id,
                network=request.remote_addr or "",
                user_agent=request.headers.get("User-Agent", ""),
            )


def _headers(file: Representation, answer: Answer, filename: str) -> dict[str, str]:
    headers = {
        "ETag": file.quoted_etag,
        "Last-Modified": file.last_modified,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "X-Robots-Tag": "noindex",
        "Content-Disposition": (
            f"attachment; filename=\"{filename}\"; filename*=UTF-8''{quote(filename)}"
        ),
    }
    if answer.content_range:
        headers["Content-Range"] = answer.content_range
    if answer.status != 304:
        headers["Content-Length"] = str(answer.end - answer.start)
    return headers


def _is_handed_over() -> bool:
    return bool(config().accel_redirect) and storage().is_local


def _hand_over(response: Response, key: str, answer: Answer) -> None:
    """Let the server in front send the file (nginx: X-Accel-Redirect), where one is set."""
    prefix = config().accel_redirect
    if not prefix or not _is_handed_over() or not answer.transfers:
        return
    response.headers["X-Accel-Redirect"] = f"{prefix.rstrip('/')}/{key}"
    del response.headers["Content-Length"]
