"""Signatures of gateway messages: `t=<seconds>,v1=<HMAC-SHA256 of "t.body">`, as Stripe makes them."""

import hashlib
import hmac
import json
import re
from typing import Any

from store.kit import clock
from store.payments.gateways.base import BadSignature

TOLERANCE_SECONDS = 300
# Stripe's deepest objects have some ten levels.
DEEPEST = 50


def signature(body: bytes, key: bytes, at: int) -> str:
    """The header value for a body sent at `at` (seconds since 1970)."""
    return f"t={at},v1={_digest(body, key, at)}"


def verify(header: str, body: bytes, keys: list[bytes]) -> None:
    """Check that one of the keys signed the body within five minutes of now.

    Several `v1` parts may stand in the header, as while a key is rolled. Raises `BadSignature`.
    """
    at, given = _parse(header)
    if abs(clock.now().timestamp() - at) > TOLERANCE_SECONDS:
        raise BadSignature("signed too long ago, or in the future")
    expected = [_digest(body, key, at) for key in keys]
    if not any(hmac.compare_digest(one, other) for one in given for other in expected):
        raise BadSignature("signed by nobody we know")


def read_json(body: bytes) -> Any:
    """What a signed body says. Raises `BadSignature` for what is no JSON, is nested deeper than any
    message, or holds NUL, which no database of ours takes."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise BadSignature("signed, but no JSON") from None
    level = [said]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return said
    raise BadSignature("signed, but nested too deeply")


def _inside(value: Any) -> list[Any]:
    # Half of a surrogate pair has no octets.
    if isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
        raise BadSignature("signed, but with characters that cannot be kept")
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def _digest(body: bytes, key: bytes, at: int) -> str:
    return hmac.new(key, str(at).encode() + b"." + body, hashlib.sha256).hexdigest()


def _parse(header: str) -> tuple[int, list[str]]:
    times = re.findall(r"(?:^|,)\s*t=([0-9]{1,12})\s*(?=,|$)", header)
    given = re.findall(r"(?:^|,)\s*v1=([0-9a-f]+)\s*(?=,|$)", header)
    if len(times) != 1 or not given:
        raise BadSignature("no signature that can be read")
    return int(times[0]), given
