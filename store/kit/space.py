"""A disk that is full: recognised in whatever raises it, told in one way, and what it cost counted.

Pages, library and downloads go on; only the record of a download is missing, and is counted at
`/readyz`. Writing answers 507 with Retry-After, uploads are refused naming the space, `/readyz` and
`store check` try to write and say that they cannot, each process logs one line a minute, and what was
due is found once there is space. Where somebody holds the lock longer than a writer waits, it is 503.
"""

import errno
import logging
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage

import sqlalchemy as sa
from flask import current_app

from store.kit import limits
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.storage import storage

log = logging.getLogger(__name__)

AGAIN_SECONDS = 300
# Anybody may ask whether the shop is ready; it writes at most this often to find out.
KEPT_SECONDS = 5.0
# Below this share staff are told: what is left lasts for a while, but not for long.
LOW_SHARE = 0.05
# And it is over above this one, so that a disk at the edge is told of once.
WELL_SHARE = 0.06
_LITTLE = b"." * 65_536
_UNRECORDED, _FOR_YEARS = "unrecorded downloads", 10 * 365 * 86_400
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# SQLite's words for it, in the lower eight bits of its codes: FULL, and an error while writing.
_DISK_FULL = "53100"  # PostgreSQL's name for it
_NOT_WRITTEN = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_told_at = [-60.0]
_unrecorded = [0]
_counting = threading.Lock()  # readers who wait for one commit fail in one moment


class NothingStored(Refusal):
    """Nothing can be written at the moment; reading goes on."""

    status = 507
    heading = "We cannot store anything at the moment"
    sentence = (
        "The fault is ours, and we look into it. Nothing was done and nothing was charged. What you "
        "own can still be read and downloaded. Please come back later and try again."
    )
    retry_after = AGAIN_SECONDS


class NoSpace(NothingStored):
    """The same for staff, who can do something about it."""

    heading = "There is no space left"
    sentence = (
        "There is no space left on the disk of the shop or of its database, so nothing was changed. "
        "Make room and try again; readers can still open and download what they own."
    )


class Busy(Refusal):
    """Others wrote all the time that a writer is patient."""

    status = 503
    heading = "Very many people are here at the moment"
    sentence = "We could not take that in time. Nothing was done; please try again in a minute."
    retry_after = 60


def is_full(fault: BaseException | None) -> bool:
    """Whether this, or what it comes from, is a disk that takes no more."""
    while fault is not None:
        if isinstance(fault, OSError) and fault.errno in _NO_SPACE:
            return True
        if getattr(fault, "sqlstate", None) == _DISK_FULL or _sqlite_code(fault) in _NOT_WRITTEN:
            return True
        fault = getattr(fault, "orig", None) or fault.__cause__ or fault.__context__
    return False


def is_busy(fault: BaseException) -> bool:
    """Whether a writer's patience, or that for a connection, came to its end."""
    if isinstance(fault, sa.exc.TimeoutError):
        return True
    return _sqlite_code(getattr(fault, "orig", None)) == sqlite3.SQLITE_BUSY


@contextmanager
def reading_goes_on() -> Iterator[None]:
    """Around what a page writes beside its work: on a full disk the page comes without it."""
    try:
        yield
    except (sa.exc.DBAPIError, OSError) as fault:
        if not is_full(fault):
            raise
        db.session.rollback()
        tell()


@contextmanager
def download_goes_on() -> Iterator[None]:
    """Around the record of a download: on a full disk it goes without, and is counted."""
    try:
        yield
    except sa.exc.DBAPIError as fault:
        if not is_full(fault):
            raise
        db.session.rollback()
        with _counting:
            _unrecorded[0] += 1
        tell()
    else:
        with _counting:
            count, _unrecorded[0] = _unrecorded[0], 0
        if count:
            limits.storage().incr(_UNRECORDED, _FOR_YEARS, count)


def unrecorded_downloads() -> int:
    """How many downloads went out without a record: those that any process wrote down since, and
    those that this one could not write down yet."""
    try:
        kept = limits.storage().get(_UNRECORDED)
    except sa.exc.SQLAlchemyError:
        kept = 0
    return kept + _unrecorded[0]


def tell() -> None:
    """Say in the log that the disk is full: once a minute, however often it shows."""
    if is_time_to_tell():
        log.error("%s", in_words())


def is_time_to_tell() -> bool:
    """Whether this process has not said so within the last minute; it is said by the caller now."""
    now = time.monotonic()
    if now - _told_at[0] < 60:
        return False
    _told_at[0] = now
    return True


def in_words() -> str:
    """The line of the log."""
    words = "the disk is full: nothing can be written until there is space"
    count = _unrecorded[0]
    return f"{words}; downloads that went out without a record: {count}" if count else words


def _sqlite_code(fault: BaseException | None) -> int | None:
    code = getattr(fault, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(fault, sqlite3.Error) and code is not None else None


@dataclass(frozen=True)
class Left:
    """What is left of a disk: bytes, and the share of the whole."""

    free: int
    share: float

    @property
    def is_low(self) -> bool:
        """Whether somebody should make room while there is time."""
        return self.share < LOW_SHARE

    @property
    def is_well(self) -> bool:
        """Whether there is room again, and not just a little."""
        return self.share >= WELL_SHARE


def disk_left() -> Left:
    """Of the disks under the data folder and the files, that which has the smaller share left. What
    only root could fill does not count."""
    folders = [config().data_dir, *([storage().folder] if storage().folder else [])]
    left = [_left_at(folder) for folder in folders if folder is not None]
    return min(left, key=lambda one: one.share)


def _left_at(folder: Path) -> Left:
    usage = disk_usage(folder)
    return Left(usage.free, usage.free / usage.total if usage.total else 0.0)


def can_write() -> bool:
    """Whether a little could be written just now; the answer is kept for a few seconds."""
    kept: tuple[float, bool] | None = current_app.extensions.get("colophon.can_write")
    if kept is not None and time.monotonic() - kept[0] < KEPT_SECONDS:
        return kept[1]
    try:
        write_a_little()
        answer = True
    except Exception as fault:  # noqa: BLE001 - whatever it is, nothing can be written
        answer = False
        if is_full(fault):
            tell()
    current_app.extensions["colophon.can_write"] = (time.monotonic(), answer)
    return answer


def write_a_little() -> None:
    """Write everywhere that the shop writes and take it back. Raises what writing raises."""
    config().data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=config().data_dir) as file:
        file.write(_LITTLE)
        file.flush()
    if storage().is_local:
        with suppress(FileNotFoundError):
            storage().delete("probe")
        storage().put_bytes("probe", _LITTLE)
        storage().delete("probe")
    try:
        limits.probe()
    except sa.exc.DBAPIError as fault:
        db.session.rollback()
        if not is_busy(fault):  # others are writing, so it can be done
            raise
