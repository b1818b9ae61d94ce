"""Files of a backup, encrypted or not, written through to the disk and read again.

A sealed file has a head (mark, salt, a number of its own) and pieces of 1 MiB, each under AES-256-GCM
with its place and whether it is the last one in its nonce: none can be changed, exchanged, left out or
cut off. The key follows from the passphrase and the salt by scrypt.
"""

import hashlib
import hmac
import itertools
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from store.kit.errors import Refusal

PIECE = 1024 * 1024
LEAST_LETTERS = 12
_MARK = b"COLOPHON"
_SALT, _OWN, _TAG = 16, 7, 16
_HEAD = len(_MARK) + _SALT + _OWN


class Damaged(Refusal):
    """A file of a backup is not what was written."""

    sentence = "A file of the backup is damaged."


class PassphraseTooShort(Refusal):
    """Nobody should be able to try all of them."""

    status = 422
    sentence = f"The passphrase of backups needs at least {LEAST_LETTERS} characters."


@dataclass(frozen=True)
class Key:
    """What seals and opens; `id` tells keys apart and gives nothing away."""

    salt: bytes
    secret: bytes

    @property
    def id(self) -> str:
        """The name of this key in names of files."""
        return self.proof(b"id")[:12]

    def proof(self, data: bytes) -> str:
        """A mark that nobody makes without the passphrase."""
        return hmac.new(self.secret, b"colophon\0" + data, hashlib.sha256).hexdigest()


@lru_cache(maxsize=16)
def key_of(passphrase: str, salt: bytes) -> Key:
    """The key that a passphrase makes with a salt. Refuses (`PassphraseTooShort`)."""
    if len(passphrase) < LEAST_LETTERS:
        raise PassphraseTooShort
    # A sixth of a second and 64 MB for each try, as OWASP advises.
    given = passphrase.encode()
    secret = hashlib.scrypt(given, salt=salt, n=2**16, r=8, p=1, maxmem=2**27, dklen=32)
    return Key(salt, secret)


def new_salt() -> bytes:
    """One for all files of a place, so that the key is made once."""
    return secrets.token_bytes(_SALT)


@dataclass(frozen=True)
class Written:
    """What went into a file, before it was sealed."""

    sha256: str
    size: int


def write(path: Path, pieces: Iterable[bytes], key: Key | None) -> Written:
    """Write pieces of any size to a file, sealed where there is a key; it is on the disk when this
    returns."""
    digest, size = hashlib.sha256(), 0
    path.unlink(missing_ok=True)  # what was broken off, or a link to something else
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        put = _sealing(file, key) if key else _plain(file)
        before = b""
        for piece in _of_one_size(pieces):
            if before:
                put(before, False)
            digest.update(piece)
            size += len(piece)
            before = piece
        put(before, True)
        file.flush()
        os.fsync(file.fileno())
    return Written(digest.hexdigest(), size)


def _plain(file: IO[bytes]) -> Callable[[bytes, bool], None]:
    def put(piece: bytes, _is_last: bool) -> None:
        file.write(piece)

    return put


def _sealing(file: IO[bytes], key: Key) -> Callable[[bytes, bool], None]:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see `_opened`

    own, cipher = secrets.token_bytes(_OWN), AESGCM(key.secret)
    head, places = _MARK + key.salt + own, itertools.count()
    file.write(head)

    def put(piece: bytes, is_last: bool) -> None:
        file.write(cipher.encrypt(_nonce(own, next(places), is_last), piece, head))

    return put


def _nonce(own: bytes, place: int, is_last: bool) -> bytes:
    return own + place.to_bytes(4, "big") + bytes([is_last])


def _of_one_size(pieces: Iterable[bytes]) -> Iterator[bytes]:
    gathered = bytearray()
    for piece in pieces:
        gathered += piece
        while len(gathered) >= PIECE:
            yield bytes(gathered[:PIECE])
            del gathered[:PIECE]
    if gathered:
        yield bytes(gathered)


def read(path: Path, key: Key | None) -> Iterator[bytes]:
    """What was written, piece by piece; `key` for what is sealed. Refuses (`Damaged`)."""
    try:
        with path.open("rb") as file:
            if key is None:
                while piece := file.read(PIECE):
                    yield piece
            else:
                yield from _opened(file, key, path.name)
    except FileNotFoundError:
        raise Damaged(f"The backup lacks its file {path.name}.") from None


def _opened(file: IO[bytes], key: Key, name: str) -> Iterator[bytes]:
    # 7 MB, where a web server looks at backups and never into one.
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    head, cipher = file.read(_HEAD), AESGCM(key.secret)
    own, sealed = head[len(_MARK) + _SALT :], file.read(PIECE + _TAG)
    try:
        for place in itertools.count():
            following = file.read(PIECE + _TAG)
            yield cipher.decrypt(_nonce(own, place, not following), sealed, head)
            if not following:
                return
            sealed = following
    except (InvalidTag, ValueError):
        raise Damaged(f"The backup is damaged: {name} is not what was written.") from None


def look_at(path: Path, key: Key | None) -> Written:
    """What a file holds; all of it is read. Refuses (`Damaged`)."""
    digest, size = hashlib.sha256(), 0
    for piece in read(path, key):
        digest.update(piece)
        size += len(piece)
    return Written(digest.hexdigest(), size)


def sync_folder(folder: Path) -> None:
    """Names in a folder are on the disk once this returns."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
