"""Which bytes a request is answered with (RFC 9110, 13 and 14), on a file of 1,024 bytes."""

from datetime import UTC, datetime, timedelta

import pytest

from store.storefront.ranges import Answer, Representation, decide

CHANGED = datetime(2027, 3, 1, 9, 0, 0, 250_000, tzinfo=UTC)
NOW = datetime(2027, 3, 1, 10, 0, tzinfo=UTC)
FILE = Representation(1024, "abc", CHANGED)
WHOLE = Answer(200, 0, 1024)
DATE = "Mon, 01 Mar 2027 09:00:00 GMT"


def part(start: int, end: int) -> Answer:
    return Answer(206, start, end, f"bytes {start}-{end - 1}/1024")


RANGES: list[tuple[str | None, Answer]] = [
    (None, WHOLE),
    ("bytes=0-0", part(0, 1)),
    ("bytes=0-1023", part(0, 1024)),
    ("bytes=500-", part(500, 1024)),
    ("bytes=1000-5000", part(1000, 1024)),
    ("bytes=-24", part(1000, 1024)),
    ("bytes=-99999", part(0, 1024)),
    ("BYTES = 0-9", part(0, 10)),
    ("bytes=0-9,", part(0, 10)),
    ("bytes=1024-", Answer(416, content_range="bytes */1024")),
    ("bytes=9999-", Answer(416, content_range="bytes */1024")),
    ("bytes=-0", Answer(416, content_range="bytes */1024")),
    ("bytes=0-0,-1", WHOLE),
    ("bytes=2000-,3000-", WHOLE),
    ("items=0-3", WHOLE),
    ("bytes=8-3", WHOLE),
    ("bytes=abc", WHOLE),
    ("bytes=-", WHOLE),
    ("bytes=", WHOLE),
    ("bytes", WHOLE),
    ("bytes=+1-2", WHOLE),
    ("bytes=١-٢", WHOLE),
    ("bytes=" + "9" * 31 + "-", WHOLE),
    ("bytes=0-" + "9" * 30, part(0, 1024)),
]

# `"abc"` is the file's entity tag, DATE that of its last change.
RESUMED_IF = [
    ('"abc"', True),
    ('W/"abc"', False),
    ('"old"', False),
    ('"old", "abc"', False),
    (DATE, True),
    ("Mon, 01 Mar 2027 08:59:59 GMT", False),
    ("Mon, 01 Mar 2027 09:00:01 GMT", False),
    ("nonsense", False),
]

CONDITIONS: list[tuple[dict[str, str], int]] = [
    ({"If-None-Match": '"abc"'}, 304),
    ({"If-None-Match": 'W/"abc"'}, 304),
    ({"If-None-Match": '"x", "abc"'}, 304),
    ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": '"old"'}, 200),
    ({"If-None-Match": '"old"', "If-Modified-Since": DATE}, 200),
    ({"If-Modified-Since": DATE}, 304),
    ({"If-Modified-Since": "Mon, 01 Mar 2027 08:59:59 GMT"}, 200),
    ({"If-Modified-Since": "nonsense"}, 200),
    ({"If-Match": '"abc"'}, 200),
    ({"If-Match": 'W/"abc"'}, 412),
    ({"If-Match": '"old"'}, 412),
    ({"If-Match": "*"}, 200),
    ({"If-Unmodified-Since": DATE}, 200),
    ({"If-Unmodified-Since": "Mon, 01 Mar 2027 08:59:59 GMT"}, 412),
    ({"If-None-Match": '"abc"', "Range": "bytes=0-1"}, 304),
]


@pytest.mark.parametrize(
    ("wanted", "answer"),
    RANGES,
)
def test_a_range_is_cut_where_it_is_one_and_legal(wanted: str | None, answer: Answer) -> None:
    assert decide(FILE, "GET", {"Range": wanted} if wanted else {}, NOW) == answer


@pytest.mark.parametrize("wanted", ["bytes=0-", "bytes=-5", "bytes=0-0", "bytes=7-"])
def test_an_empty_file_is_sent_whole_whatever_is_asked(wanted: str) -> None:
    empty = Representation(0, "abc", CHANGED)
    assert decide(empty, "GET", {"Range": wanted}, NOW) == Answer(200, 0, 0)


def test_head_ignores_a_range() -> None:
    assert decide(FILE, "HEAD", {"Range": "bytes=0-1"}, NOW) == WHOLE


@pytest.mark.parametrize(
    ("condition", "is_part"),
    RESUMED_IF,
)
def test_a_resumed_download_continues_only_with_the_same_file(
    condition: str, is_part: bool
) -> None:
    headers = {"Range": "bytes=100-", "If-Range": condition}
    assert decide(FILE, "GET", headers, NOW) == (part(100, 1024) if is_part else WHOLE)


def test_a_date_proves_nothing_while_the_change_is_fresh() -> None:
    headers = {"Range": "bytes=100-", "If-Range": DATE}
    assert decide(FILE, "GET", headers, CHANGED + timedelta(seconds=59)) == WHOLE
    assert decide(FILE, "GET", headers, CHANGED + timedelta(seconds=60)) == part(100, 1024)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("headers", "status"),
    CONDITIONS,
)
def test_conditions_are_judged_in_their_order(
    method: str, headers: dict[str, str], status: int
) -> None:
    assert decide(FILE, method, headers, NOW).status == status
