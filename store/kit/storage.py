"""Files by key, in a local folder or an S3-compatible store; the rest of us sees no difference."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

import obstore
from flask import current_app
from obstore.exceptions import GenericError
from obstore.store import LocalStore, ObjectStore, from_url

CHUNK = 256 * 1024


class Storage:
    """One folder or bucket prefix. Keys look like `assets/<sha256>`."""

    def __init__(self, url: str) -> None:
        self._folder = _folder_of(url)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._store: ObjectStore = LocalStore(self._folder)
        else:
            self._store = from_url(url, client_options={"allow_http": True, "timeout": "30s"})

    @property
    def is_local(self) -> bool:
        """Whether files lie in a folder that a server in front could read too."""
        return self._folder is not None

    def put_file(self, key: str, path: Path) -> None:
        """Store the file durably: once this returns, a power cut does not take it back."""
        with path.open("rb") as file, _no_space_is_said():
            obstore.put(self._store, key, file)
        if self._folder is not None:
            self._sync(self._folder / key)

    def put_bytes(self, key: str, data: bytes) -> None:
        """Store a small piece of data durably."""
        with _no_space_is_said():
            obstore.put(self._store, key, data)
        if self._folder is not None:
            self._sync(self._folder / key)

    def size(self, key: str) -> int | None:
        """Bytes stored under the key; None where there is nothing."""
        try:
            return int(obstore.head(self._store, key)["size"])
        except FileNotFoundError:
            return None

    def read(self, key: str) -> bytes:
        """All of a small file. Raises FileNotFoundError."""
        return bytes(obstore.get(self._store, key).bytes())

    def chunks(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """Bytes `start` to `end` (exclusive), piece by piece. Raises FileNotFoundError."""
        while start < end:
            upto = min(end, start + CHUNK)
            yield bytes(obstore.get_range(self._store, key, start=start, end=upto))
            start = upto

    def delete(self, key: str) -> None:
        """Remove what is stored under the key; nothing there is no fault."""
        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            return

    def answers(self) -> bool:
        """Whether the store can be asked at all (`/readyz`, `store check`)."""
        self.size("assets/none")
        return True

    @staticmethod
    def _sync(path: Path) -> None:
        for target in (path, path.parent):
            descriptor = os.open(target, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def storage() -> Storage:
    """The store of the application at work."""
    return cast(Storage, current_app.extensions["colophon.storage"])


@contextmanager
def _no_space_is_said() -> Iterator[None]:
    """The library has one error for everything; a full disk is told as the system does."""
    try:
        yield
    except GenericError as fault:
        if re.search(rf"os error ({errno.ENOSPC}|{errno.EDQUOT}|{errno.EFBIG})\b", str(fault)):
            raise OSError(errno.ENOSPC, "no space left for files") from fault
        raise


def _folder_of(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None
