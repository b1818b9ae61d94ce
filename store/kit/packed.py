"""Answers that everybody may have, compressed (gzip) where the browser takes it.

Never a page behind a link, a sign-in or a form: what is compressed tells by its length what stands in
it beside what somebody else made it repeat (BREACH). Such pages are not public, and stay as they are.
"""

import gzip
from functools import lru_cache

from flask import request
from werkzeug import Response

_KINDS = {
    "application/atom+xml",
    "application/json",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/javascript",
    "text/plain",
}
_LEAST = 600  # bytes; what is smaller goes in one packet as it is


def pack(answer: Response) -> Response:
    """The answer, compressed where its `Cache-Control` says that it is public."""
    headers = answer.headers
    if (
        answer.status_code != 200
        or "public" not in headers.get("Cache-Control", "")
        or answer.mimetype not in _KINDS
        or "Content-Encoding" in headers
        or answer.is_streamed
    ):
        return answer
    answer.vary.add("Accept-Encoding")
    body = answer.get_data()
    if len(body) >= _LEAST and request.accept_encodings["gzip"] > 0:
        answer.set_data(packed(body))
        headers["Content-Encoding"] = "gzip"
        if (tag := answer.get_etag()[0]) is not None:
            answer.set_etag(tag, weak=True)  # of the page, not of these octets
    return answer


@lru_cache(maxsize=64)
def packed(body: bytes) -> bytes:
    """Compressed once for as long as it is the same: a kept page is the same object, and is not even
    read for it."""
    return gzip.compress(body, 9, mtime=0)
