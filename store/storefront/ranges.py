"""What a request for a file's bytes is answered with: whole, part, nothing new, or refused.

Pure: sizes and header fields in, a decision out (RFC 9110, sections 13 and 14). Werkzeug's own
refuses legal requests and takes weak tags for strong ones.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from werkzeug.http import http_date, parse_date, parse_etags

# A date alone proves sameness only once it is well in the past (RFC 9110, 8.8.2.2).
_STRONG_DATE = timedelta(seconds=60)
_ONE_RANGE = re.compile(r"([0-9]{0,30})-([0-9]{0,30})")


@dataclass(frozen=True)
class Representation:
    """One file as it stands: bytes, entity tag without quotes, and when it last changed."""

    size: int
    etag: str
    modified: datetime

    @property
    def quoted_etag(self) -> str:
        """The strong entity tag as it stands in the header."""
        return f'"{self.etag}"'

    @property
    def last_modified(self) -> str:
        """The HTTP date of the last change."""
        return http_date(self.modified)


@dataclass(frozen=True)
class Answer:
    """The status and the bytes to send, `start` to `end` (exclusive)."""

    status: int
    start: int = 0
    end: int = 0
    content_range: str | None = None

    @property
    def transfers(self) -> bool:
        """Whether bytes of the file go out."""
        return self.status in {200, 206}


def decide(file: Representation, method: str, headers: Mapping[str, str], now: datetime) -> Answer:
    """The answer to GET or HEAD of `file`, in the order of RFC 9110, 13.2.2.

    Several ranges, unknown units and what cannot be read are answered with the whole.
    """
    whole = Answer(200, 0, file.size)
    if not _preconditions_hold(file, headers):
        return Answer(412)
    if _is_known(file, headers):
        return Answer(304)
    wanted = headers.get("Range")
    if method != "GET" or wanted is None or not _same_as_before(file, headers, now):
        return whole
    return _one_range(wanted, file.size) or whole


def _preconditions_hold(file: Representation, headers: Mapping[str, str]) -> bool:
    match = headers.get("If-Match")
    if match is not None:
        tags = parse_etags(match)
        return tags.star_tag or tags.is_strong(file.etag)
    since = parse_date(headers.get("If-Unmodified-Since"))
    return since is None or _whole_second(file.modified) <= since


def _is_known(file: Representation, headers: Mapping[str, str]) -> bool:
    none_match = headers.get("If-None-Match")
    if none_match is not None:
        tags = parse_etags(none_match)
        return tags.star_tag or tags.contains_weak(file.etag)
    since = parse_date(headers.get("If-Modified-Since"))
    return since is not None and _whole_second(file.modified) <= since


def _same_as_before(file: Representation, headers: Mapping[str, str], now: datetime) -> bool:
    condition = headers.get("If-Range")
    if condition is None:
        return True
    if condition.startswith(('"', "W/")):
        return condition.strip() == file.quoted_etag
    date = parse_date(condition)
    return date == _whole_second(file.modified) and now - file.modified >= _STRONG_DATE


def _one_range(wanted: str, size: int) -> Answer | None:
    unit, _, rest = wanted.partition("=")
    ranges = [part.strip() for part in rest.split(",") if part.strip()]
    if unit.strip().lower() != "bytes" or len(ranges) != 1 or size == 0:
        return None
    found = _ONE_RANGE.fullmatch(ranges[0])
    if found is None or found[0] == "-":
        return None
    return _cut(found[1], found[2], size)


def _cut(first: str, last: str, size: int) -> Answer | None:
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= size:
        return Answer(416, content_range=f"bytes */{size}")
    return Answer(206, start, end, f"bytes {start}-{end - 1}/{size}")


def _whole_second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
