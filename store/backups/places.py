"""The folder that backups lie in.

<moment>/           one backup: database, settings, manifest.json
files/              files of all of them, each once, under its SHA-256
.unfinished-…/      one that is being made, or was broken off
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from store.backups.manifests import NAME, Manifest, read_manifest
from store.backups.sealed import Damaged, Key, sync_folder
from store.kit.errors import Refusal

_NAMES = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z")
_UNFINISHED, _GOING = ".unfinished-", ".going-"


class BackupRuns(Refusal):
    """Two at once would clear each other's unfinished parts away."""


class LeadsElsewhere(Refusal):
    """What a link leads to is not ours to write or to clear."""


class NoBackupThere(Refusal):
    """A folder without backups, or none of this name."""

    status = 404


class Place:
    """One such folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.files = self.folder / "files"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While no other backup is made there. Refuses (`BackupRuns`, `LeadsElsewhere`)."""
        self.files.mkdir(parents=True, exist_ok=True)
        locked = self.folder / ".lock"
        for one in (self.files, locked):
            if one.is_symlink():
                raise LeadsElsewhere(
                    f"{one} is a link and leads to another place. Remove it, or name another folder."
                )
        # Whatever somebody put in its place since, nothing is cut off.
        with locked.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupRuns(f"Another backup to {self.folder} is being made.") from None
            yield

    def begin(self, made_at: datetime) -> tuple[str, Path]:
        """The name of a new backup and an empty folder for it; what was broken off before is removed,
        but for its files, which go on counting."""
        self.clear()
        while (name := f"{made_at.astimezone(UTC):%Y-%m-%dT%H%M%SZ}") in self.names():
            made_at += timedelta(seconds=1)
        folder = self.folder / f"{_UNFINISHED}{name}"
        folder.mkdir(mode=0o700)
        return name, folder

    def clear(self) -> None:
        """Remove what was broken off."""
        for folder in self.folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(folder)
        for folder in self.folder.glob(f"{_GOING}*"):
            shutil.rmtree(folder)
        for part in self.files.glob("*.part"):
            part.unlink()

    def finish(self, manifest: Manifest, key: Key | None) -> None:
        """Everything is there: the manifest, and then the name, make it a backup."""
        unfinished = self.folder / f"{_UNFINISHED}{manifest.name}"
        with (unfinished / NAME).open("x") as file:
            file.write(manifest.as_text(key))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.files)
        sync_folder(unfinished)
        unfinished.rename(self.folder / manifest.name)
        sync_folder(self.folder)

    def names(self) -> list[str]:
        """The backups there are, the newest first."""
        with suppress(FileNotFoundError, NotADirectoryError):
            names = (one.name for one in self.folder.iterdir())
            return sorted(filter(_NAMES.fullmatch, names), reverse=True)
        return []

    def manifest(self, name: str) -> Manifest:
        """One backup by its name. Refuses (`NoBackupThere`, `Damaged`)."""
        if name not in self.names():
            known = ", ".join(self.names()[:5])
            there = f"There are: {known}." if known else "There is none at all."
            raise NoBackupThere(f"There is no backup {name} in {self.folder}. {there}")
        return read_manifest(self.folder / name)

    def newest(self) -> Manifest:
        """The newest one that is whole. Refuses (`NoBackupThere`, `Damaged`)."""
        for name in self.names():
            if (found := self.manifest(name)).is_whole:
                return found
        raise NoBackupThere(f"There is no whole backup in {self.folder}.")

    def all(self) -> list[Manifest]:
        """Every backup, the newest first. Refuses (`Damaged`)."""
        return [self.manifest(name) for name in self.names()]

    def file_path(self, sha256: str, key: Key | None) -> Path:
        """Where a file lies; under another passphrase it is another one."""
        return self.files / (f"{sha256}.{key.id}" if key else sha256)

    def keep(self, number: int) -> list[str]:
        """Remove all whole backups but the newest so many, with those that are not whole and are older
        than the newest whole one, and files that no other names; returns the names of what went.

        Where a manifest cannot be read nothing is removed: what it names is not known (`Damaged`)."""
        found = self.all()
        whole = [one.name for one in found if one.is_whole]
        kept = {*whole[:number], *(one.name for one in found if whole and one.name > whole[0])}
        gone = [one.name for one in found if one.name not in kept]
        for name in gone:
            going = self.folder / f"{_GOING}{name}"
            (self.folder / name).rename(going)  # from now on it is no backup
            shutil.rmtree(going)
        named = {part.name for one in found if one.name in kept for part in one.files.values()}
        for file in self.files.iterdir():
            if file.name not in named:
                file.unlink()
        sync_folder(self.folder)
        return gone


def other_shops(place: Place, shop: str) -> str:
    """The address of another shop whose backups lie there; empty where none does."""
    for name in place.names():
        with suppress(Damaged):
            if (found := place.manifest(name)).shop != shop:
                return found.shop
    return ""
