"""The bytes of a stored file as an answer: whole, in part or not again; sent by us, or by the server in
front, which then answers as we would."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import quote

from flask import Response, request

from store.kit import clock
from store.kit.config import config
from store.kit.storage import FileOutOfReach, storage
from store.storefront.ranges import Answer, Representation, decide

log = logging.getLogger(__name__)

# Set by the server in front where it could not send what it was asked to.
FRONT_FAILED = "X-Accel-Failed"
# Conditions that it would judge by its own date and without our entity tag.
_OF_FRONT = ("If-Match", "If-Unmodified-Since")
# A range that it reads as we do; of any other spelling it makes something else.
_PLAIN_RANGE = re.compile(r"bytes=(?:[0-9]{1,18}-[0-9]{0,18}|-[0-9]{1,18})")


@dataclass(frozen=True)
class Sending:
    """What this request is answered with; its first bytes are fetched already."""

    file: Representation
    answer: Answer
    key: str
    body: Iterator[bytes]
    prefix: str | None  # under which the server in front finds the bytes, where that sends them

    @property
    def gives_bytes(self) -> bool:
        """Whether bytes of the file go out."""
        return request.method == "GET" and self.answer.transfers

    def response(
        self, kind: str, filename: str, caching: dict[str, str], *, plain: str = ""
    ) -> Response:
        """The answer, as a file of this media type and name, `plain` in ASCII for readers that do
        not know RFC 8187."""
        answer = self.answer
        response = Response(
            self.body,
            answer.status,
            headers=_headers(self.file, answer, filename, plain or filename) | caching,
        )
        response.content_type = kind if answer.transfers else "text/plain; charset=utf-8"
        if self.prefix:
            asked = storage().in_front(self.key)
            response.headers["X-Accel-Redirect"] = f"{self.prefix.rstrip('/')}/{asked}"
            if answer.status == 206:
                response.headers["X-Accel-Range"] = f"bytes={answer.start}-{answer.end - 1}"
            # Of the bytes, and said by who sends them.
            for name in ("Accept-Ranges", "Content-Length", "Content-Range"):
                response.headers.pop(name, None)
            response.status_code = 200
        return response


def prepare(file: Representation) -> Sending:
    """Decide what this request gets of a file; its entity tag is its SHA-256. Refuses
    `FileOutOfReach`."""
    key = f"assets/{file.etag}"
    conditions: Any = request.headers
    answer = decide(file, request.method, conditions, clock.now())
    if request.method != "GET" or not answer.transfers:
        return Sending(file, answer, key, iter(()), None)
    # The first piece is fetched before anything is said or recorded, so that a missing file is a page.
    prefix = _front(answer)
    try:
        if prefix or storage().is_local:
            _see_whole(file, key)
        upto = min(answer.end, answer.start + 1) if prefix else answer.end
        pieces = storage().chunks(key, answer.start, upto)
        # Of a bucket, to know that it has the file is as good as a byte of it.
        first = b"" if prefix and not storage().is_local else next(pieces, b"")
    except OSError as fault:
        log.warning("%s… cannot be fetched: %s", key[:19], fault)
        raise FileOutOfReach from None
    return Sending(file, answer, key, iter(()) if prefix else chain([first], pieces), prefix)


def _front(answer: Answer) -> str | None:
    """Where the server in front finds the bytes, if one is set that would answer this request alike."""
    prefix = config().accel_redirect
    said = request.headers
    if not prefix or FRONT_FAILED in said:
        return None
    if not storage().is_local:
        return prefix  # it hands the bucket the range that we decided on, and no condition
    if any(name in said for name in _OF_FRONT):
        return None
    wanted = said.get("Range")
    if answer.status == 206:
        return prefix if _PLAIN_RANGE.fullmatch(wanted or "") else None
    return prefix if wanted is None else None


def _see_whole(file: Representation, key: str) -> None:
    """Raises OSError where a file is not as long as it should be."""
    if storage().size(key) != file.size:
        raise OSError("it is not there, or not as long as it was")


def _headers(file: Representation, answer: Answer, filename: str, plain: str) -> dict[str, str]:
    headers = {
        "ETag": file.quoted_etag,
        "Last-Modified": file.last_modified,
        "Accept-Ranges": "bytes",
        "Content-Disposition": (
            f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
        ),
    }
    if answer.content_range:
        headers["Content-Range"] = answer.content_range
    if answer.status != 304:
        headers["Content-Length"] = str(answer.end - answer.start)
    return headers
