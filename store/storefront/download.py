"""One file for somebody who may have it: whole, in part or not again; counted once."""

from collections.abc import Iterator
from itertools import chain
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, request

from store.catalog.editions import asset_filename, media_type
from store.entitlements.downloads import grant_download
from store.entitlements.received import is_recorded, record_download
from store.kit import clock
from store.kit.config import config
from store.kit.database import end_read, one_write
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
    grant = grant_download(token, asset)
    found = grant.file
    key, kind, filename = f"assets/{found.sha256}", media_type(found.format), asset_filename(found)
    file = Representation(found.size, found.sha256, found.uploaded_at)
    # The server in front (nginx: X-Accel-Redirect), where one is set, cuts the ranges as it sends.
    prefix = config().accel_redirect if config().accel_redirect and storage().is_local else None
    conditions: Any = request.headers
    if prefix is not None:
        conditions = {name: words for name, words in conditions.items() if name == "If-None-Match"}
    answer = decide(file, request.method, conditions, clock.now())
    is_sent = request.method == "GET" and answer.transfers
    body = _pieces(key, answer) if is_sent and prefix is None else iter(())
    # What is asked for whole is new nearly always, and counted again it changes nothing.
    is_resumed = "Range" in request.headers and is_recorded(token, found.id)
    if is_sent and not is_resumed:
        with download_goes_on(), one_write() as connection:
            record_download(
                connection,
                token,
                grant.customer_id,
                found.id,
                order_id=grant.order_id,
                network=request.remote_addr or "",
                user_agent=request.headers.get("User-Agent", ""),
            )
    # The transfer may take an hour; the connection is needed by others.
    end_read()
    response = Response(body, answer.status, headers=_headers(file, answer, filename))
    response.content_type = kind if answer.transfers else "text/plain; charset=utf-8"
    if prefix and answer.transfers:
        response.headers["X-Accel-Redirect"] = f"{prefix.rstrip('/')}/{key}"
        del response.headers["Content-Length"]
    return response


def _pieces(key: str, answer: Answer) -> Iterator[bytes]:
    pieces = storage().chunks(key, answer.start, answer.end)
    try:
        # The first piece is fetched before anything is said, so that a missing file is a page.
        first = next(pieces, b"")
    except OSError:
        raise FileOutOfReach from None
    return chain([first], pieces)


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
