"""Signed texts for addresses: a random reference and a purpose, the row staying the authority."""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from datetime import datetime
from functools import lru_cache
from typing import Any, cast
from urllib.parse import unquote

from itsdangerous import (
    BadSignature,
    SignatureExpired,
    TimestampSigner,
    URLSafeTimedSerializer,
)

from store.kit import clock
from store.kit.config import config
from store.kit.text import without_invisible

# Changing how tokens are made changes this, so that one kind is never taken for another.
_VERSION = "1"
# A reference in quotation marks is 24 octets, so 32 letters; then the time, then 256 bits.
_HEAD = 32
_SAFE_IN_URLS = bytes.maketrans(b"+/", b"-_")
_REFERENCE = re.compile(r"[A-Za-z0-9_-]{22}")
_WHOLE = re.compile(r"[A-Za-z0-9_-]{32}\.[A-Za-z0-9_-]{1,8}\.[A-Za-z0-9_-]{43}")


class Unreadable(Exception):
    """No token of ours: nothing can be said about it."""


class NotValid(Exception):
    """Carries a reference, but the signature or the age does not hold, or part of it is missing;
    `is_old` where the age alone is at fault."""

    def __init__(self, reference: str, *, is_old: bool = False) -> None:
        self.reference = reference
        self.is_old = is_old
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
    # What the serializer would write, with its key kept: a letter has two of these, and is fast.
    if not _REFERENCE.fullmatch(reference):
        return str(_serializer(purpose, at).dumps(reference))
    head = f"{unsigned(reference)}.{_moment(int((at or clock.now()).timestamp()))}"
    return f"{head}.{_signature(head, purpose)}"


def _signature(head: str, purpose: str) -> str:
    keyed = _keyed(tuple(config().signing_keys), purpose).copy()
    keyed.update(head.encode())
    return _in_base64(keyed.digest())


@lru_cache(maxsize=64)
def _keyed(keys: tuple[str, ...], purpose: str) -> "hmac.HMAC":
    signer = cast(_Signer, _made(keys, purpose, None).make_signer())
    return hmac.new(signer.derive_key(), digestmod=hashlib.sha256)


@lru_cache(maxsize=8)
def _moment(seconds: int) -> str:
    return _in_base64(seconds.to_bytes((seconds.bit_length() + 7) // 8, "big"))


def _in_base64(raw: bytes) -> str:
    return _padded(raw).rstrip("=")


def _padded(raw: bytes) -> str:
    # What base64.urlsafe_b64encode writes, without the layers that check what is given.
    return binascii.b2a_base64(raw, newline=False).translate(_SAFE_IN_URLS).decode("ascii")


def read(token: str, purpose: str, max_age: int) -> str:
    """The reference in a token signed for `purpose` at most `max_age` seconds ago.

    What mail programs and people add is taken out first (`cleaned`); then only the canonical
    spelling is accepted. Raises `NotValid` (with the reference, for a page that helps) where at
    least the reference is whole, or `Unreadable`.
    """
    text = cleaned(token)
    if (reference := read_at_once(text, purpose, max_age)) is not None:
        return reference
    try:
        parts = text.split(".")
        if len(parts) != 3 or not all(_is_canonical(part) for part in parts):
            raise NotValid(_reference_in(text))
        return str(_serializer(purpose).loads(text, max_age=max_age))
    except SignatureExpired:
        raise NotValid(_reference_in(text), is_old=True) from None
    except BadSignature:
        raise NotValid(_reference_in(text)) from None


def read_at_once(text: str, purpose: str, max_age: int) -> str | None:
    """The reference in what is, to the letter, a token that `sign` gives with the newest key, its
    key kept; None for all others, of which `read` judges."""
    head, _, signature = text.rpartition(".")
    moment = head[_HEAD + 1 :]
    if not _WHOLE.fullmatch(text) or not hmac.compare_digest(_signature(head, purpose), signature):
        return None
    # What we signed has the one spelling that we write.
    signed_at = int.from_bytes(base64.urlsafe_b64decode(moment + "=" * (-len(moment) % 4)), "big")
    age = int(clock.now().timestamp()) - signed_at
    return _reference_in(head) if 0 <= age <= max_age else None


def cleaned(token: str) -> str:
    """The token as it was made, without what was added on its way: blanks, line breaks, the soft
    ones of quoted-printable, characters that nobody sees, and any marks or brackets behind it,
    percent-encoded or not."""
    if _WHOLE.fullmatch(token):
        return token
    text = re.sub(r"[\s=]+", "", without_invisible(token))
    if whole := re.match(_WHOLE, text):
        # Decoded once and twice more than by the web layer, but only here: what is signed has one
        # spelling.
        added = unquote(unquote(text[whole.end() :]))
        return text if any(letter.isalnum() for letter in added) else whole[0]
    # Not whole, so that it opens nothing: what is left of it is for the page that helps.
    return re.sub(r"[^A-Za-z0-9_.-].*", "", text, flags=re.DOTALL).rstrip(".")


def without_tokens(text: str) -> str:
    """The text with three dots in place of each token, wherever it stands in an address."""
    return _WHOLE.sub("…", text)


def unsigned(reference: str) -> str:
    """What is left of a token without its signature: it names the row and opens nothing."""
    return _padded(f'"{reference}"'.encode())


def reference_of(token: str) -> str:
    """The reference in a token, signed or not, whole or cut short behind it: enough to mail a
    fresh one to the address on file, and for nothing else. Raises `Unreadable`."""
    return _reference_in(cleaned(token))


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


def _is_canonical(part: str) -> bool:
    # Base64 has spare bits at the end: several spellings of one text would pass for one token.
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return _in_base64(raw) == part


def _reference_in(text: str) -> str:
    # The quotation mark behind it may be cut off, the reference may not.
    head = text[:_HEAD].partition(".")[0]
    try:
        raw = base64.b64decode(head + "=" * (-len(head) % 4), altchars=b"-_", validate=True)
        found = re.fullmatch(r'"([A-Za-z0-9_-]{22})"?', raw.decode())
    except (binascii.Error, ValueError):
        raise Unreadable from None
    if not found:
        raise Unreadable
    return found[1]
