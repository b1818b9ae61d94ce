"""Uploaded files and covers on their way in: judged, then stored under their SHA-256. No database
is touched."""

import hashlib
import io
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from store.catalog.gate.cover import cover_from
from store.catalog.gate.inspection import inspect_file
from store.catalog.gate.report import Report
from store.kit.config import config
from store.kit.errors import Refusal
from store.kit.formatting import format_size
from store.kit.space import NoSpace, is_full
from store.kit.storage import CHUNK, storage
from store.kit.text import clean_line

# Longer than any inspection may take; what is older was left by a process that died.
_ABANDONED_SECONDS = 3600
_NEXT_TO_NOTHING = 65_536  # bytes
LARGEST_BYTES = 10_000_000  # of a picture
_MOST_PIXELS = 40_000_000
_PICTURE_FORMATS = ("PNG", "JPEG")


class FileRefused(Refusal):
    """The gate refused a file; the report says why and what to do."""

    status = 422

    def __init__(self, report: Report, name: str = "") -> None:
        self.report = report
        self.name = clean_line(name)
        told = " ".join(failure.sentence for failure in report.failures)
        super().__init__(f"{self.name}: {told}" if name else told)


class PictureRefused(Refusal):
    """A picture that cannot be taken."""

    status = 422


class NoSpaceForFile(NoSpace):
    """The disk has no room for a file that came in."""

    def __init__(self, name: str) -> None:
        free = format_size(shutil.disk_usage(config().data_dir).free)
        super().__init__(
            f"{name + ': ' if name else ''}There is not enough space left on the shop’s disk for "
            f"this file ({free} are free). Nothing of it was kept. Make room and upload it again."
        )


@dataclass(frozen=True)
class ReceivedFile:
    """A file that passed the gate and is stored under its SHA-256."""

    format: str
    sha256: str
    uploaded_sha256: str
    size: int  # bytes
    facts: dict[str, Any]
    findings: list[dict[str, str]]
    cover_sha256: str | None


def receive_file(source: Path | BinaryIO, *, name: str = "") -> ReceivedFile:
    """Take in a file from a path or a stream: judged by its content, stored durably.

    No database is touched, so call it before the transaction. Refuses (`FileRefused`) with every
    failed finding, and (`NoSpaceForFile`) where the disk is full; whatever goes wrong, nothing is
    left behind.
    """
    try:
        with tempfile.TemporaryDirectory(dir=work_room(), prefix="upload-") as folder:
            return _receive(source, Path(folder), name)
    except OSError as fault:
        if is_full(fault):
            raise NoSpaceForFile(name) from None
        raise


def _receive(source: Path | BinaryIO, folder: Path, name: str) -> ReceivedFile:
    taken, most = folder / "upload", config().max_upload
    uploaded = digest = _copy(source, taken, most)
    report = inspect_file(taken, folder, max_bytes=most)
    if not report.accepted or report.format is None:
        if shutil.disk_usage(folder).free < _NEXT_TO_NOTHING:
            raise NoSpaceForFile(name)  # it ended the inspection, not the file
        raise FileRefused(report, name)
    if report.repaired is not None:
        taken = report.repaired
        with taken.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    size = taken.stat().st_size
    if storage().size(f"assets/{digest}") != size:
        storage().put_file(f"assets/{digest}", taken)
    return ReceivedFile(
        format=str(report.format),
        sha256=digest,
        uploaded_sha256=uploaded,
        size=size,
        facts=dict(report.facts),
        findings=[asdict(finding) for finding in report.findings],
        cover_sha256=_keep_cover(report.cover_png) if report.cover_png is not None else None,
    )


def store_cover(content: bytes) -> str:
    """Store a PNG or JPEG picture as a PNG of our own, without what else the file held; returns
    its SHA-256. Refuses (`PictureRefused`) what is empty, too large or no such picture."""
    judge_picture(content, "cover")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "cover.png"
        if not cover_from(content, made):
            raise PictureRefused("The cover could not be opened. Export the picture again.")
        return _keep_cover(made.read_bytes())


def judge_picture(content: bytes, what: str) -> None:
    """Refuse (`PictureRefused`) a `what` (“cover”) that is empty, too large, or no PNG or JPEG by its
    content."""
    if not content:
        raise PictureRefused(f"The {what} file is empty. Choose the picture again.")
    if len(content) > LARGEST_BYTES:
        raise PictureRefused(f"The {what} must be {LARGEST_BYTES // 1_000_000} MB or smaller.")
    try:
        with Image.open(io.BytesIO(content), formats=_PICTURE_FORMATS) as picture:
            pixels = picture.width * picture.height
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise PictureRefused(f"The {what} must be a PNG or JPEG.") from None
    if pixels > _MOST_PIXELS:
        raise PictureRefused(f"The {what} has too many pixels. 2,000 in height are plenty.")


def forget_broken_uploads() -> None:
    """Remove what a process that died in the middle of an upload left; the timetable calls it."""
    oldest = time.time() - _ABANDONED_SECONDS
    for folder in work_room().iterdir():
        if folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)


def work_room() -> Path:
    """Where files on their way in lie; each in a folder of its own that begins with `upload-`."""
    room = config().data_dir.absolute() / "work"
    room.mkdir(parents=True, exist_ok=True)
    return room


def _copy(source: Path | BinaryIO, target: Path, most: int) -> str:
    """Copy and hash in one pass; of a file that is too large no more than shows it."""
    if isinstance(source, Path):
        if not source.is_file():
            return ""  # the gate says that it is missing
        with source.open("rb") as stream:
            return _copy(stream, target, most)
    digest = hashlib.sha256()
    taken = 0
    with target.open("wb") as out:
        while taken <= most and (piece := source.read(CHUNK)):
            digest.update(piece)
            out.write(piece)
            taken += len(piece)
    return digest.hexdigest()


def _keep_cover(picture: bytes) -> str:
    digest = hashlib.sha256(picture).hexdigest()
    storage().put_bytes(f"covers/{digest}", picture)
    return digest
