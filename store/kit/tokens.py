"""Signed texts for addresses: a random reference and a purpose, the row staying the authority."""

import base64
import binascii
import hashlib
import re
import secrets
from datetime import datetime
from functools import lru_cache
from typing import Any

from itsdangerous import (
    BadSignature,
    SignatureExpired,
    TimestampSigner,
    URLSafeTimedSerializer,
)

from store.kit import clock
from store.kit.config import config

# Changing how tokens are made changes this, so that one kind is never taken for another.
_VERSION = "1"


class Unreadable(Exception):
    """No token of ours: nothing can be said about it."""


class NotValid(Exception):
    """Carries a reference, but the signature or the age does not hold."""

    def __init__(self, reference: str) -> None:
        self.reference = reference
        super().__init__("signature or age")


class _Signer(TimestampSigner):
    """Ages by the shop's clock, as everything else does; signs at that time, or at `at`."""

    def __init__(self, *given: Any, at: datetime | None = None, **named: Any) -> None:
        super().__init__(*given, **named)
        self._at = at

    def get_timestamp(self) -> int:
        """Whole seconds since 1970."""
        return int((self._at or clock.now()).timestamp())


def new_reference() -> str:
    """128 random bits as 22 characters that need no escaping in an address."""
    return secrets.token_urlsafe(16)


def sign(reference: str, purpose: str, at: datetime | None = None) -> str:
    """The token for one purpose: 83 characters for a 22-character reference. The same moment
    `at` gives the same token; now, where none is given."""
    text = _serializer(purpose, at).dumps(reference)
    return text.decode() if isinstance(text, bytes) else text


def read(token: str, purpose: str, max_age: int) -> str:
    """The reference in a token signed for `purpose` at most `max_age` seconds ago.

    Blanks and soft line breaks that mail programs put in are taken out first; then only the
    canonical spelling is accepted. Raises `NotValid` (with the reference, for a page that helps)
    or `Unreadable`.
    """
    text = re.sub(r"=?[\r\n]+|\s+|=(?=\s|$)", "", token)
    try:
        if not _is_canonical(text):
            raise Unreadable
        reference = _serializer(purpose).loads(text, max_age=max_age)
    except SignatureExpired as error:
        raise NotValid(_reference_in(error.payload)) from None
    except BadSignature as error:
        raise NotValid(_reference_in(getattr(error, "payload", None))) from None
    return str(reference)


def _serializer(purpose: str, at: datetime | None = None) -> URLSafeTimedSerializer:
    return _made(tuple(config().signing_keys), purpose, at)


@lru_cache(maxsize=64)
def _made(keys: tuple[str, ...], purpose: str, at: datetime | None) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        # itsdangerous signs with the last key and accepts all.
        list(reversed(keys)),
        salt=f"{purpose}/{_VERSION}",
        signer=_Signer,
        signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac", "at": at},
    )


def _is_canonical(text: str) -> bool:
    return len(text.split(".")) == 3 and all(_canonical_part(part) for part in text.split("."))


def _canonical_part(part: str) -> bool:
    # Base64 has spare bits at the end: several spellings of one text would pass for one token.
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == part


def _reference_in(payload: object) -> str:
    if not isinstance(payload, bytes | str):
        raise Unreadable
    raw = payload.encode() if isinstance(payload, str) else payload
    try:
        text = base64.urlsafe_b64decode(raw + b"=" * (-len(raw) % 4)).decode()
    except (binascii.Error, ValueError):
        raise Unreadable from None
    found = re.fullmatch(r'"([A-Za-z0-9_-]{22})"', text)
    if not found:
        raise Unreadable
    return found[1]
