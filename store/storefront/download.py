"""One file for somebody who may have it: whole, in part or not again; counted once."""

from flask import Blueprint, Response, request

from store.catalog.editions import download_names, media_type
from store.entitlements.downloads import grant_download
from store.entitlements.received import is_recorded, record_download
from store.kit.database import end_read
from store.kit.space import download_goes_on
from store.storefront.file_bytes import prepare
from store.storefront.ranges import Representation

bp = Blueprint("download", __name__)

_PRIVATE = {"Cache-Control": "private, no-cache", "X-Robots-Tag": "noindex"}


@bp.get("/download/<token>/<asset>/<filename>")
@bp.get("/download/<token>/<asset>")
def download(token: str, asset: str, **_free: str) -> Response:
    """The bytes asked for; the right to them is asked at this moment. The last part is for
    readers that judge by it and names nothing; addresses of before name the file with it."""
    grant = grant_download(token, asset)
    found = grant.file
    sending = prepare(Representation(found.size, found.sha256, found.uploaded_at))
    # What is asked for whole is new nearly always, and counted again it changes nothing.
    is_resumed = "Range" in request.headers and is_recorded(token, found.id)
    if sending.gives_bytes and not is_resumed:
        with download_goes_on():
            record_download(
                token,
                grant.customer_id,
                found.id,
                order_id=grant.order_id,
                network=request.remote_addr or "",
                user_agent=request.headers.get("User-Agent", ""),
            )
    # The transfer may take an hour; the connection is needed by others.
    end_read()
    plain, filename = download_names(found)
    return sending.response(media_type(found.format), filename, _PRIVATE, plain=plain)
