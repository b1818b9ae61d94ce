"""`store backup`: one moment while the shop sells, files once, whole or none, and staff hear of it."""

import errno
import hashlib
import json
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from store.backups import making, snapshots
from store.backups.latest import last_backup, last_fault
from store.backups.places import Place
from store.backups.snapshots import FILES
from store.catalog.models import Asset
from store.catalog.publications import publication_by_slug
from store.kit.database import Base, db, transaction
from store.kit.storage import storage
from store.mail.models import Delivery
from store.mail.outbox import is_alert
from tests.backups.shops import PASSPHRASE, SEALED, Somewhere
from tests.conftest import on_both, on_both_stores, on_postgresql
from tests.editions import a_shop
from tests.purchases import buy
from tests.serving import until


@pytest.fixture
def here(app: Flask, tmp_path: Path, database_url: str, storage_url: str) -> Somewhere:
    """A shop with an edition and who sells."""
    a_shop()
    db.session.remove()
    return Somewhere(tmp_path, database_url, storage_url)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where backups go."""
    return tmp_path / "backups"


def _manifests(place: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(place.glob("[0-9]*/manifest.json"))]


def _alerts() -> list[str]:
    db.session.rollback()
    query = sa.select(Delivery.facts).where(is_alert("backup:"))
    return [str(facts["text"]) for facts in db.session.scalars(query) if facts]


@on_both_stores
def test_files_are_copied_once_from_folder_or_bucket(here: Somewhere, place: Path) -> None:
    assert "2 files (2 of them new)" in here.done("backup", place)
    for sha256 in db.session.scalars(sa.select(Asset.sha256)):
        assert hashlib.sha256((place / "files" / sha256).read_bytes()).hexdigest() == sha256
    assert "2 files (0 of them new)" in here.done("backup", place)


def test_a_file_that_rots_in_the_place_of_backups_is_written_again(
    here: Somewhere, place: Path
) -> None:
    here.done("backup", place)
    file = next((place / "files").iterdir())
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "2 files (1 of them new)" in here.done("backup", place)
    assert file.read_bytes() == whole


def test_nothing_can_be_read_without_the_passphrase_and_secrets_are_within(
    here: Somewhere, place: Path
) -> None:
    here.done("backup", place, **SEALED)
    written = b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())
    for said in (b"SQLite format", b"%PDF", b"desk@publisher.example", PASSPHRASE.encode()):
        assert said not in written
    settings = here.data / "settings"
    here.done("restore", place, "--settings-to", settings, **SEALED)
    assert "STORE_SECRET_KEY=a-key-for-tests" in settings.read_text()
    assert PASSPHRASE not in settings.read_text()
    # Who types the command may write where the user of the shop may not.
    assert here.done("restore", place, "--settings-to", "-", **SEALED) == settings.read_text()


def test_without_a_passphrase_no_secret_is_written(here: Somewhere, place: Path) -> None:
    here.done("backup", place, STORE_MAIL_USERNAME="shop", STORE_MAIL_PASSWORD="hunter2hunter2")
    (settings,) = place.glob("*/settings.env")
    assert "STORE_MAIL_USERNAME=shop\n" in settings.read_text()
    assert "# STORE_MAIL_PASSWORD is a secret" in settings.read_text()
    written = b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())
    assert b"hunter2hunter2" not in written
    assert b"a-key-for-tests" not in written


def test_a_short_passphrase_is_refused(here: Somewhere, place: Path) -> None:
    result = here.run("backup", place, STORE_BACKUP_PASSPHRASE="short")
    assert (result.exit_code, result.output.strip()) == (
        1,
        "The passphrase of backups needs at least 12 characters.",
    )


def test_older_ones_go_with_files_that_nobody_names_once_the_new_one_is_whole(
    here: Somewhere, place: Path
) -> None:
    for _ in range(2):
        here.done("backup", place)
    (place / "files" / ("0" * 64)).write_bytes(b"of a backup that went")
    names = [one["name"] for one in _manifests(place)]
    assert f"Removed: {names[0]}." in here.done("backup", place, "--keep", 2)
    assert len(_manifests(place)) == 2
    assert len(list((place / "files").iterdir())) == 2


def test_none_goes_where_the_new_one_is_not_whole_and_staff_hear_of_it(
    here: Somewhere, place: Path
) -> None:
    here.done("backup", place)
    made_at = last_backup()
    shutil.rmtree(place / "files")
    storage().delete(f"assets/{db.session.scalars(sa.select(Asset.sha256).limit(1)).one()}")

    result = here.run("backup", place, "--keep", 1)

    assert result.exit_code == 1
    assert "The backup is not whole: 1 of 2 files" in result.output
    assert [bool(one["missing"]) for one in _manifests(place)] == [False, True]
    assert len(_alerts()) == 1
    assert last_backup() == made_at


def test_a_manifest_that_cannot_be_read_keeps_every_file(here: Somewhere, place: Path) -> None:
    here.done("backup", place)
    next(place.glob("*/manifest.json")).write_text("{")
    result = here.run("backup", place, "--keep", 1)
    assert result.exit_code == 1
    assert "No older backup was removed: The manifest of" in result.output
    assert len(list((place / "files").iterdir())) == 2


def test_who_writes_into_the_place_of_backups_leads_none_out_of_it(
    here: Somewhere, place: Path
) -> None:
    """That place may be another machine's: what somebody puts there reaches no file of the shop."""
    kept = here.data / "kept"
    kept.mkdir()
    (kept / "precious").write_bytes(b"of the shop")
    place.mkdir()
    for name, target in {"files": kept, ".lock": kept / "precious"}.items():
        (place / name).symlink_to(target)
        assert f"{place / name} is a link" in here.run("backup", place).output
        (place / name).unlink()
    here.done("backup", place)
    # By a name that is no backup's the older one would be the folder that goes.
    manifest = next(place.glob("*/manifest.json"))
    said = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(said | {"name": "../kept"}))
    result = here.run("backup", place, "--keep", 1)
    assert "No older backup was removed: The manifest of" in result.output
    assert (kept / "precious").read_bytes() == b"of the shop"


def test_a_full_disk_is_named_and_staff_hear_of_it_once_a_day(
    here: Somewhere, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(making, "write", full)
    for _ in range(2):
        result = here.run("backup", place)
        assert result.exit_code == 1
        assert f"There is no space left for the backup, in {place}" in result.output
    (alert,) = _alerts()
    assert alert.endswith("Run store backup again once that is mended.")
    assert (last_backup(), last_fault()) == (None, result.output.strip())


def test_a_folder_that_cannot_be_had_is_named(here: Somewhere, place: Path) -> None:
    place.write_text("a file")
    result = here.run("backup", place / "folder")
    assert result.exit_code == 1
    assert (
        f"The backup was broken off: {place / 'folder' / 'files'}: Not a directory.\n"
        in result.output
    )
    (alert,) = _alerts()
    assert alert.startswith("The backup was broken off: ")


def test_a_folder_that_goes_away_half_way_leaves_no_backup(
    here: Somewhere, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = making.survey

    def gone(*given: Any) -> Any:
        shutil.rmtree(place)
        return survey(*given)

    with monkeypatch.context() as patch:
        patch.setattr(making, "survey", gone)
        result = here.run("backup", place)
    assert result.exit_code == 1
    assert f"The backup was broken off: {place}/" in result.output
    assert "No such file or directory." in result.output
    assert last_backup() is None


@on_both
def test_a_place_that_lost_its_backups_is_named_as_a_disk_that_is_not_mounted(
    here: Somewhere, place: Path
) -> None:
    here.done("backup", place)
    (first,) = [path.parent.name for path in place.glob("*/manifest.json")]
    mounted = place.rename(place.with_name("the disk"))
    for _ in range(2):
        place.mkdir(exist_ok=True)
        result = here.run("backup", place)
        assert result.exit_code == 1
        assert f"{place} holds no backup, and {first} was made there: is its disk mounted?" in (
            result.output
        )
        assert list(place.iterdir()) == []
    (alert,) = _alerts()
    assert "is its disk mounted?" in alert
    # Another folder is another matter, and so is the disk once it is back.
    here.done("backup", place.with_name("other"))
    place.rmdir()
    mounted.rename(place)
    here.done("backup", place)

    shutil.rmtree(place)
    here.done("backup", place, "--begin")
    assert len(_manifests(place)) == 1


def test_a_restored_shop_may_be_copied_to_an_empty_disk(
    here: Somewhere, place: Path, tmp_path: Path
) -> None:
    for _ in range(2):  # so that the copy knows of one
        here.done("backup", place)
    folder = tmp_path / "there"
    there = Somewhere(folder, f"sqlite:///{folder / 'colophon.db'}")
    there.done("restore", place, "--yes")
    shutil.rmtree(place)
    there.done("backup", place)


def test_the_log_says_why_none_was_made(
    here: Somewhere, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Place(place).alone():
        here.run("backup", place)
    (line,) = [one for one in caplog.records if "backup.failed" in str(vars(one))]
    assert f"Another backup to {place} is being made." in str(vars(line))


def test_two_shops_do_not_share_a_place(here: Somewhere, place: Path) -> None:
    here.done("backup", place)
    result = here.run("backup", place, STORE_BASE_URL="http://other.example")
    assert result.exit_code == 1
    assert "holds backups of http://127.0.0.1:8000. Name another folder." in result.output


def test_two_backups_to_one_place_take_turns(here: Somewhere, place: Path) -> None:
    with Place(place).alone():
        result = here.run("backup", place)
    assert result.exit_code == 1
    assert f"Another backup to {place} is being made." in result.output


def test_every_column_that_names_a_file_is_copied() -> None:
    named = {
        (table.name, column.name)
        for table in Base.metadata.tables.values()
        for column in table.columns
        if column.name.endswith("sha256")
    }
    # The checksum of what was uploaded, before the gate wrote it.
    assert named - {("assets", "uploaded_sha256")} == FILES.keys()


@on_postgresql
def test_programs_that_are_missing_or_older_than_the_server_are_named(
    here: Somewhere, place: Path, tmp_path: Path
) -> None:
    result = here.run("backup", place, STORE_POSTGRESQL_PROGRAMS=str(tmp_path))
    assert result.exit_code == 1
    assert f"pg_restore is not in {tmp_path}. Install the client programs" in result.output
    for name in ("pg_dump", "pg_restore"):
        old = tmp_path / name
        old.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 9.6.1'\n")
        old.chmod(0o755)
    result = here.run("backup", place, STORE_POSTGRESQL_PROGRAMS=str(tmp_path))
    assert "pg_restore is of PostgreSQL 9 and the server of" in result.output
    assert len(_alerts()) == 1


class Selling:
    """Orders that are placed and paid by a thread of its own, one after the other."""

    def __init__(self, app: Flask) -> None:
        self._app, self._stop = app, threading.Event()
        self.count, self.slowest = 0, 0.0
        self._thread = threading.Thread(target=self._sell)

    def __enter__(self) -> "Selling":
        self._thread.start()
        until(lambda: self.count > 3, "an order")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sell(self) -> None:
        with self._app.app_context():
            while not self._stop.is_set():
                with transaction():
                    buy(
                        publication_by_slug("send-early-years"), f"buyer{self.count}@reader.example"
                    )
                self.count += 1
            db.session.remove()


@on_both
def test_a_backup_shows_one_moment_while_orders_come_in(
    app: Flask, here: Somewhere, place: Path
) -> None:
    with Selling(app) as selling:
        before = selling.count
        here.done("backup", place)
        until(lambda: selling.count > before + 3, "orders during and after it")
        after = selling.count
    rows = _manifests(place)[0]["rows"]
    # Each order came with all that belongs to it, in one commit.
    assert before <= rows["orders"] <= after
    assert rows["orders"] == rows["payments"] == rows["order_lines"] == rows["entitlements"]
    assert rows["orders"] == rows["customers"]


def _busy_copy(source: Path, target: Path) -> int:
    """How often the copy was begun again, while another process writes at each step."""
    begun, last, writes = 0, 0, [0]
    writer = sqlite3.connect(source, isolation_level=None)

    def progress(done: int, _all: int) -> None:
        nonlocal begun, last
        begun += done <= last
        last = done
        if writes[0] < 40:
            writes[0] += 1
            writer.execute("INSERT INTO many VALUES (randomblob(2000))")

    snapshots.copy_sqlite(source, target, progress)
    writer.close()
    return begun


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database that is copied in some dozen steps."""
    monkeypatch.setattr(snapshots, "_PAGES", 32)
    path = tmp_path / "large.db"
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE many (octets BLOB)")
        for _ in range(1000):
            connection.execute("INSERT INTO many VALUES (randomblob(2000))")
    connection.close()
    return path


def test_a_copy_of_sqlite_is_not_begun_again_at_each_write(large: Path, tmp_path: Path) -> None:
    assert _busy_copy(large, tmp_path / "copy.db") == 0
    copied = sqlite3.connect(tmp_path / "copy.db")
    assert copied.execute("SELECT count(*) FROM many").fetchone() == (1000,)
    copied.close()


def test_control_without_the_reading_transaction_it_is(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Without(sqlite3.Connection):
        def execute(self, sql: str, *given: Any) -> Any:  # type: ignore[override]
            return super().execute("SELECT 1" if sql in {"BEGIN", "ROLLBACK"} else sql, *given)

    connect = sqlite3.connect
    monkeypatch.setattr(
        snapshots.sqlite3,
        "connect",
        lambda *given, **named: connect(*given, **named, factory=Without),
    )
    assert _busy_copy(large, tmp_path / "copy.db") > 5


KILLED_AT = {
    # Just before the file of this number gets its name; before the manifest gets its own.
    "a file": ("store.backups.making", "look_at", 2),
    "the manifest": ("store.backups.places", "sync_folder", 2),
}


@pytest.mark.parametrize("moment", ["a file", pytest.param("the manifest", marks=pytest.mark.long)])
def test_a_killed_backup_is_none_and_the_next_goes_on_with_its_files(
    here: Somewhere, place: Path, moment: str
) -> None:
    here.killed(*KILLED_AT[moment], "backup", place)
    assert _manifests(place) == []
    result = here.run("restore", place, "--yes")
    assert "There is no whole backup in" in result.output

    new = 1 if moment == "a file" else 0
    assert f"2 files ({new} of them new)" in here.done("backup", place)
    assert list(place.glob(".unfinished*")) == []
    assert list(here.data.glob("backup-work*")) == []
