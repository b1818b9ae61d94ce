"""The bytes of a stored file as an answer: whole, in part or not again."""

import logging
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


@dataclass(frozen=True)
class Sending:
    """What this request is answered with; its first bytes are fetched already."""

    file: Representation
    answer: Answer
    key: str
    body: Iterator[bytes]
    prefix: str | None  # of the server in front, where that sends the bytes

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
        if self.prefix and answer.transfers:
            response.headers["X-Accel-Redirect"] = f"{self.prefix.rstrip('/')}/{self.key}"
            del response.headers["Content-Length"]
        return response


def prepare(file: Representation) -> Sending:
    """Decide what this request gets of a file; its entity tag is its SHA-256. Refuses
    `FileOutOfReach`."""
    key = f"assets/{file.etag}"
    # The server in front (nginx: X-Accel-Redirect), where one is set, cuts the ranges as it sends.
    prefix = config().accel_redirect if config().accel_redirect and storage().is_local else None
    conditions: Any = request.headers
    if prefix is not None:
        conditions = {name: words for name, words in conditions.items() if name == "If-None-Match"}
    answer = decide(file, request.method, conditions, clock.now())
    is_sent = request.method == "GET" and answer.transfers
    body = _pieces(key, answer) if is_sent and prefix is None else iter(())
    return Sending(file, answer, key, body, prefix)


def _pieces(key: str, answer: Answer) -> Iterator[bytes]:
    pieces = storage().chunks(key, answer.start, answer.end)
    try:
        # The first piece is fetched before anything is said, so that a missing file is a page.
        first = next(pieces, b"")
    except OSError as fault:
        log.warning("%s… cannot be fetched: %s", key[:19], fault)
        raise FileOutOfReach from None
    return chain([first], pieces)


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
