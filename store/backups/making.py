"""A backup is made: database first, then the files that its copy names, settings, and the manifest.

Files are only ever added to the shop's storage, so that every row of the copy finds its file. Each lies
in the place of backups once, under its SHA-256; one that is there is read and compared, and written only
where it is not as it should be. So a backup that was broken off is taken up with its files; its database
is copied again, of the present moment.
"""

import hashlib
import hmac
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import Protocol

from store.backups.latest import was_made_in
from store.backups.manifests import SEALED, Manifest, Part
from store.backups.places import Place, other_shops
from store.backups.programs import Programs
from store.backups.sealed import Damaged, Key, key_of, look_at, new_salt, write
from store.backups.snapshots import copy_database, is_up_to_date, revision_now, survey
from store.entitlements.journal_after_restore import keep_journal
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.storage import CHUNK, storage


class Telling(Protocol):
    """Who is told how far it has come: of what, how much of how much."""

    def __call__(self, what: str, done: int, of: int, /) -> None: ...


class OthersBackups(Refusal):
    """Two shops in one place would remove each other's backups."""


class BackupsGone(Refusal):
    """A disk that is not mounted leaves an empty folder, of the disk that is to be saved."""


@dataclass(frozen=True)
class Setting:
    """One setting as it was given: the name of its variable, its text, whether nobody may read it."""

    name: str
    text: str
    is_secret: bool


@dataclass(frozen=True)
class Made:
    """What was made, how many of its files were written now, the backups that went, and why none could."""

    manifest: Manifest
    written: int
    gone: Sequence[str]
    stuck: str


def make_backup(
    folder: Path,
    settings: Iterable[Setting],
    *,
    passphrase: str,
    keep: int | None,
    begins: bool,
    programs: Programs,
    tell: Telling,
) -> Made:
    """Make one in this folder; encrypted where there is a passphrase. With `keep` older ones go once the
    new one is whole; `begins` says that the folder may be empty, though others were made there. Refuses
    where there is nothing to copy, or it cannot be copied or written."""
    place = Place(folder)
    if not begins:
        _must_be_there(place)
    with place.alone(), work_room("backup", folder) as room:
        if other := other_shops(place, config().base_url):
            raise OthersBackups(f"{folder} holds backups of {other}. Name another folder.")
        key = key_of(passphrase, _salt_of(place)) if passphrase else None
        # The copy knows the journal by name, and the journal tells of all that is in the copy.
        tells_of_journal = is_up_to_date()
        if tells_of_journal:
            keep_journal()
        made_at = clock.now()
        name, unfinished = place.begin(made_at)
        making = _Making(place, unfinished, key, programs, tell)
        manifest = making.all_of(name, made_at, room, list(settings))
        if tells_of_journal:
            keep_journal()
        place.finish(manifest, key)
        gone, stuck = _older_go(place, keep) if keep and manifest.is_whole else ([], "")
    return Made(manifest, making.written, gone, stuck)


def _must_be_there(place: Place) -> None:
    if is_up_to_date() and not place.names() and (name := was_made_in(place.folder)):
        raise BackupsGone(
            f"{place.folder} holds no backup, and {name} was made there: is its disk mounted? Mount it, "
            "and run this again. Where it is to begin without the earlier ones, pass --begin."
        )


def _older_go(place: Place, keep: int) -> tuple[list[str], str]:
    try:
        return place.keep(keep), ""
    except Damaged as damage:
        return [], f"No older backup was removed: {damage.sentence}"


def fingerprint(signing_key: str) -> str:
    """By which a key is known without being shown."""
    return hmac.new(signing_key.encode(), b"colophon fingerprint", hashlib.sha256).hexdigest()[:24]


@contextmanager
def work_room(act: str, folder: Path) -> Iterator[Path]:
    """A folder of this machine for the copy, in which nothing is encrypted; what a process that died
    left there is removed. Who asks holds the lock of the place of backups."""
    mark = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:8]
    room = config().data_dir.absolute() / f"{act}-work-{mark}"
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir(parents=True, mode=0o700)
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _salt_of(place: Place) -> bytes:
    """That of the newest encrypted backup: the files that it has can be read with the key then."""
    for name in place.names():
        with suppress(Damaged):
            if salt := place.manifest(name).salt:
                return bytes.fromhex(salt)
    return new_salt()


class _Making:
    """One backup under way."""

    def __init__(
        self, place: Place, folder: Path, key: Key | None, programs: Programs, tell: Telling
    ) -> None:
        self.place, self.folder, self.key = place, folder, key
        self.programs, self.tell = programs, tell
        self.written = 0

    def all_of(
        self, name: str, made_at: datetime, room: Path, settings: Sequence[Setting]
    ) -> Manifest:
        kind, copy = db.engine.dialect.name, room / "database"
        revision = revision_now()
        copy_database(copy, self.programs, partial(self.tell, "database"))
        found = survey(copy, kind, self.programs)
        files, missing = self._files(found.files)
        return Manifest(
            name=name,
            made_at=made_at,
            shop=config().base_url,
            version=version("colophon"),
            kind=kind,
            revision=revision,
            signs=fingerprint(config().signing_keys[0]),
            database=self._part("database", _pieces(copy)),
            settings=self._part("settings.env", [self._settings(settings).encode()]),
            rows=found.rows,
            files=files,
            missing=missing,
            salt=self.key.salt.hex() if self.key else "",
            key=self.key.id if self.key else "",
        )

    def _part(self, name: str, pieces: Iterable[bytes]) -> Part:
        path = self.folder / (name + SEALED if self.key else name)
        return Part.of(path, write(path, pieces, self.key))

    def _files(self, named: Mapping[str, str]) -> tuple[dict[str, Part], list[str]]:
        """Each file by its key, and the keys of those that nobody has any more."""
        parts: dict[str, Part] = {}
        missing = []
        for count, (stored, sha256) in enumerate(sorted(named.items()), start=1):
            part = self._file(stored, sha256)
            if part:
                parts[stored] = part
            else:
                missing.append(stored)
            self.tell("files", count, len(named))
        return parts, missing

    def _file(self, stored: str, sha256: str) -> Part | None:
        path = self.place.file_path(sha256, self.key)
        if there := self._as_written(path, sha256):
            return there
        size, part = storage().size(stored), path.with_name(f"{path.name}.part")
        if size is None:
            return None
        try:
            write(part, storage().chunks(stored, 0, size), self.key)
        except FileNotFoundError:
            return None
        # Read once more. What the shop itself has wrongly is no copy of what it sold.
        if (taken := self._as_written(part, sha256)) is None:
            part.unlink()
            return None
        part.rename(path)
        self.written += 1
        return Part(path.name, sha256, taken.size)

    def _as_written(self, path: Path, sha256: str) -> Part | None:
        if not path.exists():
            return None
        try:
            found = look_at(path, self.key)
        except Damaged:
            return None
        return Part.of(path, found) if found.sha256 == sha256 else None

    def _settings(self, settings: Sequence[Setting]) -> str:
        lines = []
        for one in settings:
            if one.is_secret and not self.key:
                lines.append(f"# {one.name} is a secret and in no backup without a passphrase.")
            else:
                lines.append(f"{one.name}={quote(one.text)}")
        return "\n".join([*lines, ""])


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece
