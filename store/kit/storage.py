"""Files by key, in a local folder or an S3-compatible store; the rest of us sees no difference."""

import io
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast
from urllib.parse import unquote, urlsplit

from flask import current_app

if TYPE_CHECKING:
    from obstore.store import ObjectStore

CHUNK = 256 * 1024


class Place(Protocol):
    """Where files lie. What is not there raises FileNotFoundError."""

    def put(self, key: str, file: IO[bytes]) -> None: ...
    def size(self, key: str) -> int: ...
    def part(self, key: str, start: int, end: int) -> bytes: ...
    def delete(self, key: str) -> None: ...


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def put(self, key: str, file: IO[bytes]) -> None:
        """Whole or not at all, and through to the disk: once this returns, a power cut does not
        take it back."""
        target = self.path / key
        target.parent.mkdir(parents=True, exist_ok=True)
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
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def size(self, key: str) -> int:
        return (self.path / key).stat().st_size

    def part(self, key: str, start: int, end: int) -> bytes:
        with (self.path / key).open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def delete(self, key: str) -> None:
        (self.path / key).unlink()


class Bucket:
    """A prefix in an S3-compatible store; needs the extra `s3`."""

    def __init__(self, url: str) -> None:
        from obstore.store import from_url  # noqa: PLC0415 - the extra `s3`

        self._store: ObjectStore = from_url(
            url, client_options={"allow_http": True, "timeout": "30s"}
        )

    def put(self, key: str, file: IO[bytes]) -> None:
        self._store.put(key, file)

    def size(self, key: str) -> int:
        return int(self._store.head(key)["size"])

    def part(self, key: str, start: int, end: int) -> bytes:
        return bytes(self._store.get_range(key, start=start, end=end))

    def delete(self, key: str) -> None:
        self._store.delete(key)


class Storage:
    """One folder or bucket prefix. Keys look like `assets/<sha256>`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.is_local = parts.scheme == "file"  # a server in front could read it too
        self._place: Place = Folder(Path(unquote(parts.path))) if self.is_local else Bucket(url)

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
        size = self._place.size(key)
        return self._place.part(key, 0, size) if size else b""

    def chunks(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """Bytes `start` to `end` (exclusive), piece by piece. Raises FileNotFoundError."""
        while start < end:
            upto = min(end, start + CHUNK)
            yield self._place.part(key, start, upto)
            start = upto

    def delete(self, key: str) -> None:
        """Remove what is stored under the key; nothing there is no fault."""
        try:
            self._place.delete(key)
        except FileNotFoundError:
            return

    def answers(self) -> bool:
        """Whether the store can be asked at all (`/readyz`, `store check`)."""
        self.size("assets/none")
        return True


def storage() -> Storage:
    """The store of the application at work."""
    return cast(Storage, current_app.extensions["colophon.storage"])
