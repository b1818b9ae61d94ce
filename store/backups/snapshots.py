"""A copy of the database as it stands at one moment, taken while the shop sells, and looked through."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app

from store.backups.contents import contents
from store.backups.programs import Programs
from store.kit.database import db
from store.kit.errors import Refusal

# Columns that name a file, and under which key it is stored.
FILES = {
    ("assets", "sha256"): "assets/{}",
    ("assets", "cover_sha256"): "covers/{}",
    ("samples", "sha256"): "assets/{}",
    ("publications", "cover_sha256"): "covers/{}",
    ("faces", "logo_sha256"): "faces/{}.png",
    ("faces", "social_sha256"): "faces/{}.jpg",
}
# 4 MB at a time: between two of them others of this machine have the disk.
_PAGES = 1024

Progress = Callable[[int, int], None]


class DatabaseDamaged(Refusal):
    """What the database gives is not whole."""


class TablesMissing(Refusal):
    """There is nothing to be copied."""

    sentence = "The database has no tables. Run store db upgrade first."


@dataclass(frozen=True)
class Survey:
    """What stands in a copy: rows in each table, and the files that they name, key → SHA-256."""

    rows: dict[str, int]
    files: dict[str, str]


def revision_now() -> str:
    """The revision of the tables. Refuses (`TablesMissing`)."""
    with db.engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found is None:
        raise TablesMissing
    return found


def is_up_to_date() -> bool:
    """Whether the tables are of this version; a backup before `store db upgrade` is made all the same."""
    newest = ScriptDirectory(current_app.extensions["migrate"].directory).get_current_head()
    return revision_now() == newest


def copy_database(target: Path, programs: Programs, progress: Progress) -> None:
    """Copy the database to a file of this machine. Refuses where PostgreSQL's programs are missing or
    too old, and where the copy is not whole (`DatabaseDamaged`)."""
    url = db.engine.url
    if url.get_backend_name() == "sqlite":
        copy_sqlite(Path(url.database or ""), target, progress)
        return
    with db.engine.connect() as connection:
        server = connection.scalar(sa.text("SHOW server_version_num"))
    programs.need("pg_restore", int(server or 0) // 10_000)
    programs.need("pg_dump", int(server or 0) // 10_000)
    programs.dump(url, target)


def copy_sqlite(source: Path, target: Path, progress: Progress) -> None:
    """By SQLite's own backup. The reading transaction that is held meanwhile shows one moment, so that
    it is not begun again at each order that comes in, and stands in no writer's way."""
    # Autocommit in the driver: BEGIN is ours.
    live = sqlite3.connect(source, isolation_level=None)
    copy = sqlite3.connect(target, isolation_level=None)
    with closing(live), closing(copy):
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        live.backup(
            copy, pages=_PAGES, progress=lambda _status, left, all_: progress(all_ - left, all_)
        )
        live.execute("ROLLBACK")
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
        faults = [row[0] for row in copy.execute("PRAGMA integrity_check") if row[0] != "ok"]
        faults += [
            f"a row of {row[0]} points nowhere" for row in copy.execute("PRAGMA foreign_key_check")
        ]
    if faults:
        raise DatabaseDamaged(f"The database is damaged, as its copy shows: {faults[0]}.")


def survey(path: Path, kind: str, programs: Programs) -> Survey:
    """Read all of a copy. Refuses (`ProgramFailed`, or the driver's error) where that cannot be done."""
    rows: dict[str, int] = {}
    files: dict[str, str] = {}
    with contents(path, kind, programs) as tables:
        for one in tables:
            named = [
                (place, FILES[one.table, column])
                for place, column in enumerate(one.columns)
                if (one.table, column) in FILES
            ]
            count = 0
            for count, row in enumerate(one.rows, start=1):  # noqa: B007 - the last one is wanted
                for place, pattern in named:
                    if row[place]:
                        files[pattern.format(row[place])] = row[place]
            rows[one.table] = count
    return Survey(rows, files)
