"""Files by key in an S3-compatible store (the extra `s3`): read as one stream, waited for briefly, and
no key but one that was given.

A store that is away must not hold the threads of the shop: what it says is waited for seconds, not
minutes. What its library would do by itself without a key, asking the cloud's metadata service at a
fixed address for one, is done only where the settings say so.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any

from store.kit.away import Patience, StoreAway

if TYPE_CHECKING:
    from obstore.store import S3Store

PIECE = 256 * 1024
# Longer than a store that is well takes for its first byte; what is uploaded counts as silence.
READ_SECONDS, UPLOAD_SECONDS = 5, 60
_CONNECT_SECONDS = 3
_FEW_TRIES = 2
_LITTLE = 1_000_000
# Parts of 5 MB that are under way at once: a slow line must get them away within UPLOAD_SECONDS.
_PARTS_AT_ONCE = 4
# How long the server in front may still begin what we signed; clocks differ.
_SIGNED_FOR = timedelta(minutes=5)
_NO_KEY = (
    "no key for the bucket: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"
    " STORE_STORAGE_INSTANCE_KEYS=true where the cloud's metadata service has them"
)


class Bucket:
    """A prefix in a bucket. Without `has_key` nothing is asked of the store, and nobody for a key.
    What is not there raises FileNotFoundError, any other fault StoreAway. Of those who read, `at_once` wait for
    its first word."""

    def __init__(self, url: str, *, has_key: bool = True, at_once: int = 8) -> None:
        self._has_key = has_key
        self._patience = Patience(at_once)
        self._quick = self._store(url, READ_SECONDS)
        self._patient = self._store(url, UPLOAD_SECONDS)

    def _store(self, url: str, seconds: int) -> "S3Store":
        from obstore.store import S3Store  # noqa: PLC0415 - the extra `s3`

        keys: dict[str, Any] = {} if self._has_key else {"credential_provider": _nobody}
        return S3Store.from_url(
            url,
            client_options={
                "allow_http": True,
                "connect_timeout": f"{_CONNECT_SECONDS}s",
                "read_timeout": f"{seconds}s",
                "timeout": "1day",  # of a whole transfer, which a slow reader may draw out
            },
            retry_config={
                "max_retries": _FEW_TRIES,
                "retry_timeout": timedelta(seconds=seconds),
            },
            **keys,
        )

    def put(self, key: str, file: IO[bytes]) -> None:
        """Whole or not at all."""
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        store = self._quick if size <= _LITTLE else self._patient
        with self._in_words():
            store.put(key, file, max_concurrency=_PARTS_AT_ONCE)

    def size(self, key: str) -> int:
        with self._patience.asking(), self._in_words():
            return int(self._quick.head(key)["size"])

    def read(self, key: str) -> bytes:
        with self._patience.asking(), self._in_words():
            return bytes(self._quick.get(key).bytes())

    def pieces(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """One request for all of it, read as fast as it is taken away. Where the store breaks off,
        as one does with who reads for an hour, it goes on from there."""
        while start < end:
            begun = start
            try:
                with self._in_words():
                    for piece in self._from(key, start, end):
                        start += len(piece)
                        yield bytes(piece)
            except StoreAway:
                if start == begun:
                    raise
            if start == begun:
                raise StoreAway("the store gave nothing of what it has")

    def _from(self, key: str, start: int, end: int) -> Any:
        with self._patience.asking(), self._in_words():
            found = self._quick.get(key, options={"range": (start, end)})
        if found.meta["size"] < end:
            raise StoreAway("the bucket's file is not as long as it was")
        return found.stream(min_chunk_size=PIECE)

    def delete(self, key: str) -> None:
        with self._in_words():
            self._quick.delete(key)

    def listed(self) -> Iterator[tuple[str, int]]:
        """Every key with its bytes, a thousand a request."""
        with self._in_words():
            for found in self._quick.list():
                for one in found:
                    yield str(one["path"]), int(one["size"])

    def ask(self) -> None:
        """Whether bucket and key are known. One file alone would not tell: where the bucket is not
        there, neither is the file."""
        with self._in_words():
            self._quick.list_with_delimiter("probe")

    def signed(self, key: str) -> str:
        """A whole address at which anybody may fetch the file for a few minutes; for the server in
        front, never for a reader."""
        import obstore  # noqa: PLC0415 - the extra `s3`

        with self._in_words():
            return obstore.sign(self._quick, "GET", key, _SIGNED_FOR)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - the extra `s3`

        try:
            yield
        except FileNotFoundError as fault:
            if "NoSuchBucket" in str(fault):
                raise StoreAway(_words(str(fault))) from None
            raise FileNotFoundError("the bucket has no such file") from None
        except (BaseError, PermissionError) as fault:
            raise StoreAway(_words(str(fault)) if self._has_key else _NO_KEY) from None


def _nobody() -> Any:
    raise RuntimeError(_NO_KEY)


_KNOWN = {
    "NoSuchBucket": "there is no such bucket",
    "InvalidAccessKeyId": "the store does not know our key: AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the store does not take our signature: AWS_SECRET_ACCESS_KEY",
    "RequestTimeTooSkewed": "the store says that our clock is wrong: let NTP set it",
    "PermanentRedirect": "the bucket is in another region: AWS_REGION",
    "AccessDenied": "the store refuses us: our key may list, read, write and delete in the bucket?",
    "401 Unauthorized": "the store does not take our key",
    "403 Forbidden": "the store refuses us: our key may list, read, write and delete in the bucket?",
    "kind: Timeout": "the store does not answer in time",
    "kind: Connect": "the store cannot be reached",
    "dns error": "the store's name is not known",
}


def _words(said: str) -> str:
    """What the library said, which quotes whole answers, in a few words."""
    for sign, words in _KNOWN.items():
        if sign in said:
            return words
    return "the store does not answer as it should: " + said.partition("\n")[0][:200]
