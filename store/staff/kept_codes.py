"""What staff prove themselves with, kept encrypted by keys that follow from the shop's: the present one
encrypts, and those before it are still read."""

import base64
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from flask import current_app

if TYPE_CHECKING:
    from cryptography.fernet import Fernet


class KeyIsGone(Exception):
    """It was kept under a key that is known no more."""


def encrypted(text: str) -> str:
    """To be kept, or shown to its owner's browser."""
    return _ciphers()[0].encrypt(text.encode()).decode()


def decrypted(kept: str) -> str:
    """What was kept. Raises `KeyIsGone`."""
    found = _found(kept)
    if found is None:
        raise KeyIsGone
    return found[1]


def number_of_key(kept: str) -> int | None:
    """Which key it is kept under: 0 is the present one, 1 the one before it; None where that is known no
    more."""
    found = _found(kept)
    return found[0] if found else None


def _found(kept: str) -> tuple[int, str] | None:
    from cryptography.fernet import InvalidToken  # noqa: PLC0415 - see `_ciphers`

    for number, cipher in enumerate(_ciphers()):
        with suppress(InvalidToken):
            return number, cipher.decrypt(kept).decode()
    return None


def _ciphers() -> "list[Fernet]":
    from cryptography.fernet import Fernet  # noqa: PLC0415 - 7 MB of each process, for these codes alone

    keys = [current_app.config["SECRET_KEY"], *current_app.config["SECRET_KEY_FALLBACKS"]]
    derived = [hashlib.sha256(b"colophon staff codes " + key.encode()).digest() for key in keys]
    return [Fernet(base64.urlsafe_b64encode(key)) for key in derived]
