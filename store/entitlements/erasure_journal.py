"""The journal of erasures: a file outside the database, so that a database that is put back from a
backup is told again who was erased since. A line is the numbers of a person's customers and the
moment; no address stands there."""

import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from store.kit.config import config


@dataclass(frozen=True)
class Line:
    """One erasure: of whom, by number, and when (UTC)."""

    customers: tuple[int, ...]
    at: datetime


def journal_path() -> Path:
    """Where the file is: in the data folder, unless `STORE_ERASURE_JOURNAL` says."""
    return config().erasures_file


def add_line(customers: Collection[int], at: datetime) -> None:
    """Write one erasure down, so that it is on the disk when this returns: called before the commit,
    as nothing tells of an erasure that is not there."""
    line = json.dumps({"customers": sorted(customers), "at": at.astimezone(UTC).isoformat()})
    path = journal_path()
    is_new = not path.exists()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        # In one piece, so that two workers write two lines; begun on a line of its own, as a power
        # cut may have left half of one.
        os.write(handle, f"\n{line}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    if is_new:
        _sync_folder(path.parent)


def read_lines() -> list[Line]:
    """Every erasure there is, the oldest first. Half of a line, as a power cut leaves it, is none."""
    try:
        text = journal_path().read_text()
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        try:
            said = json.loads(line)
            at = datetime.fromisoformat(said["at"])
            found.append(Line(tuple(int(one) for one in said["customers"]), at))
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
