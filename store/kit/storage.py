"""Files by key, in a local folder or an S3-compatible store; the rest of us sees no difference."""

import io
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import IO, Protocol, cast
from urllib.parse import unquote, urlsplit

from flask import current_app

from store.kit.bucket import Bucket
from store.kit.errors import Refusal

CHUNK = 256 * 1024
# Anybody may ask whether the shop is ready; a bucket, which counts each request, is asked this often.
KEPT_SECONDS = 5.0


class FileOutOfReach(Refusal):
    """The storage does not have, or does not give, a file that it should."""

    status = 503
    heading = "The file cannot be fetched now"
    sentence = "The fault is ours, and we look into it. Please try again later."
    retry_after = 60


class FilesAway(FileOutOfReach):
    """The same where a page needs a file, or would store one."""

    heading = "Our files are out of reach now"
    sentence = (
        "The fault is ours, and we look into it. Nothing was changed. Please try again later."
    )


class Place(Protocol):
    """Where files lie. What is not there raises FileNotFoundError, any other fault OSError."""

    def put(self, key: str, file: IO[bytes]) -> None: ...
    def size(self, key: str) -> int: ...
    def read(self, key: str) -> bytes: ...
    def pieces(self, key: str, start: int, end: int) -> Iterator[bytes]: ...
    def delete(self, key: str) -> None: ...
    def ask(self) -> None: ...
    def listed(self) -> Iterator[tuple[str, int]]: ...


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def put(self, key: str, file: IO[bytes]) -> None:
        """Whole or not at all, and through to the disk: once this returns, a power cut does not
        take it back."""
        target = self.path / key
        folder = target.parent
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        growing = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            with growing.open("xb") as copy:
                shutil.copyfileobj(file, copy, CHUNK)
                copy.flush()
                os.fsync(copy.fileno())
            growing.replace(target)
        except BaseException:
            growing.unlink(missing_ok=True)
            raise
        _through_to_the_disk(folder)
        if is_new:  # or the folder itself may be gone
            _through_to_the_disk(folder.parent)

    def size(self, key: str) -> int:
        return (self.path / key).stat().st_size

    def read(self, key: str) -> bytes:
        return (self.path / key).read_bytes()

    def pieces(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """The file is open for each piece alone: a reader may take an hour."""
        while start < end:
            with (self.path / key).open("rb") as file:
                file.seek(start)
                piece = file.read(min(CHUNK, end - start))
            yield piece
            start += CHUNK

    def delete(self, key: str) -> None:
        (self.path / key).unlink()

    def ask(self) -> None:
        self.path.stat()

    def listed(self) -> Iterator[tuple[str, int]]:
        for folder, _, names in os.walk(self.path):
            for name in names:
                path = Path(folder) / name
                # What is growing is nobody's yet, and may be gone before it is looked at.
                with suppress(FileNotFoundError):
                    if not name.startswith("."):
                        yield path.relative_to(self.path).as_posix(), path.stat().st_size


def _through_to_the_disk(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Storage:
    """One folder or bucket prefix. Keys look like `assets/<sha256>`. `has_key`: whether
    a bucket's keys were given, or may be asked for; `at_once`: how many threads may wait for its first word."""

    def __init__(self, url: str, *, has_key: bool = True, at_once: int = 8) -> None:
        parts = urlsplit(url)
        self.is_local = parts.scheme == "file"  # a server in front could read it too
        # Where files lie on this machine; None where they do not.
        self.folder = Path(unquote(parts.path)) if self.is_local else None
        self._bucket = None if self.is_local else Bucket(url, has_key=has_key, at_once=at_once)
        self._place: Place = self._bucket or Folder(Path(unquote(parts.path)))
        self._asking = threading.Lock()
        self._kept: tuple[float, bool] | None = None  # when it was asked last, and what it said

    def put_file(self, key: str, path: Path) -> None:
        """Store the file durably."""
        with path.open("rb") as file:
            self._place.put(key, file)

    def put_bytes(self, key: str, data: bytes) -> None:
        """Store a small piece of data durably."""
        self._place.put(key, io.BytesIO(data))

    def size(self, key: str) -> int | None:
        """Bytes stored under the key; None where there is nothing."""
        try:
            return self._place.size(key)
        except FileNotFoundError:
            return None

    def read(self, key: str) -> bytes:
        """All of a small file. Raises FileNotFoundError."""
        return self._place.read(key)

    def chunks(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """Bytes `start` to `end` (exclusive), piece by piece; the first is fetched at once, so that what is not
        to be had is told before an answer begins. Raises FileNotFoundError."""
        pieces = self._place.pieces(key, start, end)
        return chain([next(pieces, b"")], pieces)

    def in_front(self, key: str) -> str:
        """What the server in front asks for under `STORE_ACCEL_REDIRECT`: a key of the folder, or path and
        query of an address of the bucket that opens for minutes, which no reader may ever see."""
        if self._bucket is None:
            return key
        signed = urlsplit(self._bucket.signed(key))
        return f"{signed.path.lstrip('/')}?{signed.query}"

    def host_in_front(self) -> str:
        """The scheme and host at which the server in front fetches; "" where files lie in a folder."""
        if self._bucket is None:
            return ""
        signed = urlsplit(self._bucket.signed("probe"))
        return f"{signed.scheme}://{signed.netloc}"

    def delete(self, key: str) -> None:
        """Remove what is stored under the key; nothing there is no fault."""
        try:
            self._place.delete(key)
        except FileNotFoundError:
            return

    def try_out(self) -> None:
        """Store a little, read it and take it away again. Raises OSError, in words."""
        self.put_bytes("probe", b"probe")
        if self.read("probe") != b"probe":
            raise OSError("the store does not give what it was given")
        self.delete("probe")

    def listed(self) -> Iterator[tuple[str, int]]:
        """Every key with its bytes, in no order; a bucket that is not there raises, as one that may not be
        listed does."""
        return self._place.listed()

    def answers(self) -> bool:
        """Whether the store can be asked at all (`/readyz`, `store check`). Raises OSError, in
        words, where it cannot."""
        self._place.ask()
        return True

    def answered_lately(self) -> bool:
        """The same as yes or no. A bucket is asked by one at a time and at most every few seconds; who
        asks meanwhile hears what it said before."""
        if self.is_local:
            return self._says_that_it_answers()
        kept = self._kept
        if not self._asking.acquire(blocking=kept is None):
            return kept is not None and kept[1]
        try:
            if self._kept is None or time.monotonic() - self._kept[0] >= KEPT_SECONDS:
                answer = self._says_that_it_answers()
                self._kept = time.monotonic(), answer
            return self._kept[1]
        finally:
            self._asking.release()

    def _says_that_it_answers(self) -> bool:
        try:
            return self.answers()
        except Exception:  # noqa: BLE001 - whatever the store's library raises, it does not answer
            return False


def storage() -> Storage:
    """The store of the application at work."""
    return cast(Storage, current_app.extensions["colophon.storage"])
