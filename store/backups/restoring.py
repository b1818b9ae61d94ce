"""A shop is made again from a backup, in an empty place: all is verified first, then files come in, then
the database, of whichever kind it was and is.

Broken off, it is run again: a SQLite file gets its name when all is in it; on PostgreSQL a table says
that what stands there is a restore that was not finished, and may be begun anew.
"""

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from flask import current_app
from flask_migrate import upgrade

from store.backups.contents import contents
from store.backups.filling import fill_postgresql, fill_sqlite
from store.backups.making import Telling, fingerprint
from store.backups.manifests import Manifest, Part, prove
from store.backups.places import Place
from store.backups.programs import Programs
from store.backups.sealed import Damaged, Key, key_of, look_at, read, sync_folder
from store.backups.snapshots import survey
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.revision import must_keep_all_letters
from store.kit.storage import storage

# Stands in a PostgreSQL database until a restore is finished.
MARK = "restore_unfinished"
# On one line: what reads an environment file may begin another setting with the next.
_SETTING = re.compile(r"STORE_[A-Z0-9_]+=.*")
_OURS_OR_NOT = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
# Foreign keys first, so that the tables can go in any order.
_CLEAR = """
DO $$ DECLARE one record;
BEGIN
  FOR one IN SELECT relname, conname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
    WHERE contype = 'f' AND connamespace = current_schema()::regnamespace
  LOOP EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', one.relname, one.conname); END LOOP;
  FOR one IN SELECT relname FROM pg_class
    WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
      AND relname <> 'restore_unfinished' AND relname NOT LIKE 'huey%'
  LOOP EXECUTE format('DROP TABLE %I', one.relname); END LOOP;
  FOR one IN SELECT pg_proc.oid::regprocedure AS said FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace
      AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
  LOOP EXECUTE format('DROP FUNCTION %s', one.said); END LOOP;
END $$
"""


class NotEmpty(Refusal):
    """Something stands where the shop is to be made again."""


class RestoreRuns(Refusal):
    """Two at once would exchange the half of one for the half of the other."""


class PassphraseNeeded(Refusal):
    """The backup is encrypted."""

    sentence = (
        "This backup is encrypted. Give its passphrase with STORE_BACKUP_PASSPHRASE_FILE "
        "or STORE_BACKUP_PASSPHRASE."
    )


class PassphraseWrong(Refusal):
    """Another passphrase was used then."""

    sentence = "The passphrase is not the one that this backup was encrypted with."


class NotEncrypted(Refusal):
    """Who has a passphrase takes what it proves: anybody could lay another backup beside it."""


class OtherKey(Refusal):
    """Links of the backup were signed with a key that is not among the settings."""

    sentence = (
        "STORE_SECRET_KEY is not the key of this backup, and not among STORE_SECRET_KEY_FALLBACKS: every "
        "link that was mailed would lead to a button that mails a fresh one, and authenticator codes of "
        "staff would stop working. Set the key of then, or go on without it with --other-key."
    )


class RevisionUnknown(Refusal):
    """The tables are of a version that came later."""


@dataclass(frozen=True)
class Chosen:
    """A backup to restore, and what opens it."""

    place: Place
    manifest: Manifest
    key: Key | None

    @property
    def folder(self) -> Path:
        """Where its own files lie."""
        return self.place.folder / self.manifest.name


def choose(folder: Path, name: str | None, passphrase: str) -> Chosen:
    """The backup of this name, or the newest whole one. Refuses where there is none, or the passphrase
    does not open it (`PassphraseNeeded`, `PassphraseWrong`), or it needs none (`NotEncrypted`)."""
    place = Place(folder)
    manifest = place.manifest(name) if name else place.newest()
    if not manifest.is_sealed and passphrase:
        raise NotEncrypted(
            f"A passphrase is set, and {manifest.name} is not encrypted: nobody can tell who made it. Name an "
            "encrypted one with --name, or take the passphrase away to go on without it."
        )
    if not manifest.is_sealed:
        return Chosen(place, manifest, None)
    if not passphrase:
        raise PassphraseNeeded
    key = key_of(passphrase, bytes.fromhex(manifest.salt))
    if key.id != manifest.key:
        raise PassphraseWrong
    chosen = Chosen(place, manifest, key)
    prove(chosen.folder, key)
    return chosen


def judge(chosen: Chosen, *, may_have_other_key: bool) -> None:
    """Whether this shop can take the backup. Refuses (`RevisionUnknown`, `OtherKey`, `OtherEncoding`,
    `NotEmpty`)."""
    manifest = chosen.manifest
    scripts = ScriptDirectory(current_app.extensions["migrate"].directory)
    if manifest.revision not in {one.revision for one in scripts.walk_revisions()}:
        raise RevisionUnknown(
            f"The backup is of version {manifest.version} (tables {manifest.revision}), which came after "
            "this one. Install that version or a newer one."
        )
    ours = {fingerprint(key) for key in config().signing_keys}
    if manifest.signs not in ours and not may_have_other_key:
        raise OtherKey
    must_keep_all_letters()
    _must_be_empty()


def _must_be_empty() -> None:
    url = db.engine.url
    if url.get_backend_name() == "sqlite":
        _must_hold_nothing(Path(url.database or ""))
        return
    tables = _tables()
    if tables and MARK not in tables:
        raise NotEmpty(
            f"The database {url.database} on {url.host or 'this machine'} has tables already. A backup is "
            "restored into an empty one alone. Name another with STORE_DATABASE_URL, or make a new one."
        )


def _must_hold_nothing(path: Path) -> None:
    """No file, or one without tables, as a command that only looked has made. SQLite would put what a
    left `-wal` holds into whatever stands beside it."""
    beside = path.with_name(f"{path.name}-wal")
    if path.exists() and path.stat().st_size and not _has_no_tables(path):
        raise NotEmpty(
            f"There is a database already: {path}. A backup is restored into an empty place alone. "
            "Name another folder with STORE_DATA_DIR, or stop the shop and move the file away, together "
            "with those that bear its name and -wal or -shm."
        )
    if not path.exists() and beside.exists() and beside.stat().st_size:
        raise NotEmpty(
            f"{beside} belongs to the database that was here and may hold its last orders. Move it to "
            "where that is."
        )


def _has_no_tables(path: Path) -> bool:
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            return not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    except sqlite3.Error:
        return False


def _tables() -> set[str]:
    with db.engine.connect() as connection:
        found = set(connection.scalars(sa.text(_OURS_OR_NOT)))
    return {name for name in found if not name.startswith("huey_")}


@contextmanager
def alone() -> Iterator[None]:
    """While nobody else restores into this data folder. Refuses (`RestoreRuns`)."""
    config().data_dir.mkdir(parents=True, exist_ok=True)
    handle = os.open(config().data_dir, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RestoreRuns(f"Another restore into {config().data_dir} is under way.") from None
        yield
    finally:
        os.close(handle)


def verify(chosen: Chosen, room: Path, programs: Programs, tell: Telling) -> Path:
    """Read every file of the backup and compare it, and the rows of its database; returns the database
    as it is before it is encrypted, in `room`. Refuses (`Damaged`) at the first that differs."""
    manifest, copy = chosen.manifest, room / "database"
    parts = {one.name: one for one in manifest.files.values()}
    for count, part in enumerate(parts.values(), start=1):
        _must_be(part, chosen.place.files / part.name, chosen.key)
        tell("verified", count, len(parts))
    for part in (manifest.settings, manifest.database):
        _must_be(part, chosen.folder / part.name, chosen.key)
    with copy.open("wb") as file:
        copy.chmod(0o600)
        file.writelines(read(chosen.folder / manifest.database.name, chosen.key))
    found = survey(copy, manifest.kind, programs)
    if found.rows != manifest.rows:
        raise Damaged(f"The database of {manifest.name} has other rows than its manifest says.")
    return copy


def _must_be(part: Part, path: Path, key: Key | None) -> None:
    found = look_at(path, key)
    if (found.sha256, found.size) != (part.sha256, part.size):
        raise Damaged(f"The backup is damaged: {part.name} is not what was written.")


def settings_of(chosen: Chosen) -> str:
    """The settings of the shop that was copied, as an environment file. Refuses (`Damaged`), also what is
    no setting of a shop: who starts one by this file would do what it says."""
    part = chosen.manifest.settings
    _must_be(part, chosen.folder / part.name, chosen.key)
    try:
        said = b"".join(read(chosen.folder / part.name, chosen.key)).decode()
        strange = [one for one in shlex.split(said, comments=True) if not _SETTING.fullmatch(one)]
    except ValueError:
        raise Damaged(f"The settings of {chosen.manifest.name} cannot be read.") from None
    if strange:
        name = strange[0].partition("=")[0][:60]
        raise Damaged(
            f"The settings of {chosen.manifest.name} name “{name}”, which is no setting of the shop: "
            "somebody has changed them. Use another backup (--name), or write them again."
        )
    return said


def put_files(chosen: Chosen, room: Path, tell: Telling) -> int:
    """Put each file into the shop's storage; what is there already, as a restore that was broken off
    leaves it, is compared. Returns how many were put."""
    put, files = 0, chosen.manifest.files
    for count, (stored, part) in enumerate(sorted(files.items()), start=1):
        if not _is_stored(stored, part):
            taken = room / "file"
            with taken.open("wb") as file:
                file.writelines(read(chosen.place.files / part.name, chosen.key))
            storage().put_file(stored, taken)
            put += 1
        tell("files", count, len(files))
    return put


def _is_stored(stored: str, part: Part) -> bool:
    if storage().size(stored) != part.size:
        return False
    digest = hashlib.sha256()
    for piece in storage().chunks(stored, 0, part.size):
        digest.update(piece)
    return digest.hexdigest() == part.sha256


def fill_database(chosen: Chosen, copy: Path, programs: Programs, tell: Telling) -> None:
    """Put the copy into the database of the application at work, and bring its tables up to date. It is
    empty, or what a restore that was broken off left."""
    manifest, url = chosen.manifest, db.engine.url
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite:
        _forget_sqlite(Path(url.database or ""))
    else:
        _begin_postgresql()
    if manifest.kind == url.get_backend_name():
        db.engine.dispose()
        if is_sqlite:
            shutil.copyfile(copy, str(url.database))
        else:
            programs.put_back(copy, url)
    else:
        upgrade(revision=manifest.revision)
        db.engine.dispose()
        counted = partial(_tell_rows, tell, manifest, [0])
        with contents(copy, manifest.kind, programs) as tables:
            if is_sqlite:
                fill_sqlite(Path(url.database or ""), tables, counted)
            else:
                fill_postgresql(_libpq(url), tables, counted)
    upgrade()


def _tell_rows(
    tell: Telling, manifest: Manifest, so_far: list[int], _table: str, rows: int
) -> None:
    so_far[0] += rows
    tell("rows", so_far[0], sum(manifest.rows.values()))


def _libpq(url: sa.URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _forget_sqlite(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def _begin_postgresql() -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {MARK} (begun_at timestamptz)")
    with db.engine.begin() as connection:
        connection.execute(sa.text(_CLEAR))


def finish(target: Path | None) -> None:
    """All is in it: the database of the application at work becomes the shop's. `target`: where SQLite's
    file belongs."""
    url = db.engine.url
    db.session.remove()
    if target is None:
        with db.engine.begin() as connection:
            connection.exec_driver_sql(f"DROP TABLE {MARK}")
        db.engine.dispose()
        return
    with db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    db.engine.dispose()
    made = Path(url.database or "")
    with made.open("rb") as file:
        os.fsync(file.fileno())
    _forget_sqlite(target)  # one without tables
    made.replace(target)
    _forget_sqlite(made)
    sync_folder(target.parent)
