"""`store restore`: all is verified before anything is written, into an empty place alone."""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_migrate import downgrade

from store.backups import restoring
from store.catalog.models import Asset
from store.commands import restore
from store.kit.database import db
from store.kit.storage import storage
from store.mail import heartbeats, restores
from store.orders.models import Order
from store.staff.models import AuditEntry
from tests.backups.shops import SEALED, Somewhere
from tests.conftest import on_both_stores
from tests.databases import drop_database, new_database
from tests.editions import a_shop
from tests.purchases import a_paid_order

OTHER = "another-key-that-is-as-long-as-it-has-to-be-00"


@pytest.fixture
def here(app: Flask, tmp_path: Path, database_url: str, storage_url: str) -> Somewhere:
    """A shop with an order."""
    a_paid_order(a_shop())
    db.session.remove()
    return Somewhere(tmp_path, database_url, storage_url)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where backups are."""
    return tmp_path / "backups"


@pytest.fixture
def there(tmp_path: Path) -> Somewhere:
    """An empty machine."""
    folder = tmp_path / "there"
    return Somewhere(folder, f"sqlite:///{folder / 'colophon.db'}")


def _refused(there: Somewhere, place: Path, *words: str, **given: str) -> str:
    result = there.run("restore", place, "--yes", *words, **given)
    assert result.exit_code == 1, result.output
    assert not (there.data / "colophon.db").exists()
    assert list(there.data.glob("files/assets/*")) == []
    return result.output


FILES = {
    "database": "[0-9]*/database*",
    "settings": "[0-9]*/settings*",
    "a file": "files/*",
}


@pytest.mark.parametrize("which", FILES)
@pytest.mark.parametrize("given", [{}, SEALED], ids=["plain", "encrypted"])
def test_one_byte_that_is_not_as_written_ends_it_before_anything_is_written(
    here: Somewhere, there: Somewhere, place: Path, which: str, given: dict[str, str]
) -> None:
    here.done("backup", place, **given)
    file = next(place.glob(FILES[which]))
    octets = bytearray(file.read_bytes())
    octets[len(octets) // 2] ^= 1
    file.write_bytes(octets)
    said = _refused(there, place, **given)
    assert f"The backup is damaged: {file.name} is not what was written." in said


@pytest.mark.parametrize("given", [{}, SEALED], ids=["plain", "encrypted"])
def test_a_file_that_was_cut_off_or_is_missing_ends_it(
    here: Somewhere, there: Somewhere, place: Path, given: dict[str, str]
) -> None:
    here.done("backup", place, **given)
    file = next(place.glob("files/*"))
    file.write_bytes(file.read_bytes()[:-20])
    assert "is not what was written" in _refused(there, place, **given)
    file.unlink()
    assert f"The backup lacks its file {file.name}." in _refused(there, place, **given)


def test_what_is_encrypted_asks_for_its_passphrase(
    here: Somewhere, there: Somewhere, place: Path
) -> None:
    here.done("backup", place, **SEALED)
    assert "STORE_BACKUP_PASSPHRASE_FILE" in _refused(there, place)
    wrong = {"STORE_BACKUP_PASSPHRASE": "correct horse battery stable"}
    assert "The passphrase is not the one" in _refused(there, place, **wrong)


def test_a_manifest_that_somebody_changed_is_refused_where_a_passphrase_proves_it(
    here: Somewhere, there: Somewhere, place: Path
) -> None:
    here.done("backup", place, **SEALED)
    (path,) = place.glob("[0-9]*/manifest.json")
    said = json.loads(path.read_text())
    said["files"] = {}
    path.write_text(json.dumps(said))
    assert "was changed after it was written" in _refused(there, place, **SEALED)


def test_who_has_a_passphrase_is_given_no_backup_that_it_does_not_prove(
    here: Somewhere, there: Somewhere, place: Path
) -> None:
    here.done("backup", place, **SEALED)
    here.done("backup", place)  # laid there by somebody else, with whatever in it
    sealed, _ = sorted(one.name for one in place.glob("[0-9]*"))
    assert "is not encrypted: nobody can tell who made it." in _refused(there, place, **SEALED)
    there.done("restore", place, "--yes", "--name", sealed, **SEALED)


STRANGE = {
    "the backup": lambda said, way: said.update(name=way),
    "the database": lambda said, way: said["database"].update(name=way),
    "the settings": lambda said, way: said["settings"].update(name=way),
    "a file that is read": lambda said, way: _a_file(said).update(name=way),
    "a file that is written": lambda said, way: said["files"].update({way: _a_file(said)}),
    "a file of another content": lambda said, way: _a_file(said).update(sha256="0" * 64),
}


def _a_file(said: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(iter(said["files"].values()))
    return found


@pytest.mark.parametrize("which", STRANGE)
def test_a_manifest_that_leads_out_of_its_folder_is_refused_by_name(
    here: Somewhere, there: Somewhere, place: Path, which: str
) -> None:
    here.done("backup", place)
    (path,) = place.glob("[0-9]*/manifest.json")
    said = json.loads(path.read_text())
    STRANGE[which](said, "../../../there/taken")
    path.write_text(json.dumps(said))
    assert "which no backup of ours does: somebody has changed it." in _refused(there, place)
    assert not (there.data / "taken").exists()


@pytest.mark.parametrize("which", ["files/*", "[0-9]*/manifest.json"])
def test_what_cannot_be_read_is_named_with_the_reason(
    here: Somewhere, there: Somewhere, place: Path, which: str
) -> None:
    here.done("backup", place)
    path = next(iter(place.glob(which)))
    path.unlink()
    path.mkdir()
    assert f"{path}: Is a directory." in _refused(there, place)


def test_settings_that_cannot_be_written_are_refused_and_so_is_a_screen(
    here: Somewhere, there: Somewhere, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.done("backup", place, **SEALED)
    target = there.data / "missing" / "new.env"
    said = there.run("restore", place, "--settings-to", target, **SEALED)
    assert (said.exit_code, said.output) == (1, f"{target}: No such file or directory.\n")
    screen = mock.Mock(wraps=restore.sys, stdout=mock.Mock(isatty=lambda: True))
    monkeypatch.setattr(restore, "sys", screen)
    said = there.run("restore", place, "--settings-to", "-", **SEALED)
    assert said.exit_code == 1
    assert said.output.startswith("The settings hold secrets. Let them go into a file: ")


@pytest.mark.parametrize(
    "line", ["LD_PRELOAD=/tmp/x.so", "STORE_ENV='a\nPATH=/tmp'", "STORE_ENV='"]
)
def test_settings_that_are_none_of_the_shop_are_written_nowhere(
    here: Somewhere, there: Somewhere, place: Path, line: str
) -> None:
    here.done("backup", place)
    (path,) = place.glob("[0-9]*/manifest.json")
    said, settings = json.loads(path.read_text()), path.with_name("settings.env")
    written = settings.read_text()
    for added in ("", f"{line}\n"):
        settings.write_text(written + added)
        sha256 = hashlib.sha256(settings.read_bytes()).hexdigest()
        said["settings"] |= {"sha256": sha256, "size": settings.stat().st_size}
        path.write_text(json.dumps(said))
        result = there.run("restore", place, "--settings-to", there.data.with_name("new.env"))
        assert result.exit_code == bool(added), result.output
        there.data.with_name("new.env").unlink(missing_ok=True)
    assert "The settings of" in result.output


def test_another_signing_key_is_refused_unless_it_is_said(
    here: Somewhere, there: Somewhere, place: Path
) -> None:
    here.done("backup", place)
    given = {"STORE_SECRET_KEY": OTHER}
    said = _refused(there, place, **given)
    assert "every link that was mailed would lead to a button" in said
    there.done("restore", place, "--yes", "--other-key", **given)


def test_the_key_of_then_may_be_an_earlier_one(
    here: Somewhere, there: Somewhere, place: Path
) -> None:
    here.done("backup", place)
    earlier = here.environment()["STORE_SECRET_KEY"]
    there.done(
        "restore", place, "--yes", STORE_SECRET_KEY=OTHER, STORE_SECRET_KEY_FALLBACKS=earlier
    )


def test_tables_of_a_later_version_are_refused(
    here: Somewhere, there: Somewhere, place: Path
) -> None:
    here.done("backup", place)
    (path,) = place.glob("[0-9]*/manifest.json")
    path.write_text(path.read_text().replace('"revision": "0', '"revision": "9'))
    assert "which came after this one. Install that version" in _refused(there, place)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_where_a_shop_stands_none_is_restored(
    here: Somewhere, place: Path, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    here.done("backup", place)
    if kind == "sqlite":
        result = here.run("restore", place, "--yes")
        assert "A backup is restored into an empty place alone." in result.output
    else:
        with request.getfixturevalue("databases").one() as url:
            result = Somewhere(tmp_path / "there", url).run("restore", place, "--yes")
        assert "has tables already. A backup is restored into an empty one alone." in result.output
    assert result.exit_code == 1
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Order)) == 1


def test_a_place_that_was_only_looked_at_is_still_empty(
    here: Somewhere, there: Somewhere, place: Path
) -> None:
    here.done("backup", place)
    assert "There are no tables yet" in there.run("check").output
    assert (there.data / "colophon.db").stat().st_size
    there.done("restore", place, "--yes")


def _a_log_of_the_database_before(here: Somewhere, there: Somewhere) -> Path:
    """SQLite's file is moved away, as after a crash, and its log stays."""
    there.data.mkdir()
    with here.opened():
        a_paid_order(a_shop(slug="another"))
        with sqlite3.connect(here.data / "colophon.db") as reading:  # so that the log is kept
            reading.execute("SELECT 1 FROM orders").fetchall()
            log = there.data / "colophon.db-wal"
            shutil.copy(here.data / "colophon.db-wal", log)
        reading.close()
    assert log.stat().st_size
    return log


def test_a_log_that_was_left_is_put_into_no_other_database(
    here: Somewhere, there: Somewhere, place: Path
) -> None:
    here.done("backup", place)
    log = _a_log_of_the_database_before(here, there)
    before = log.read_bytes()
    said = there.run("restore", place, "--yes")
    assert said.exit_code == 1
    assert f"{log} belongs to the database that was here" in said.output
    assert log.read_bytes() == before
    log.unlink()
    there.done("restore", place, "--yes")


def test_control_without_the_refusal_the_restored_database_is_changed(
    here: Somewhere, there: Somewhere, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.done("backup", place)
    _a_log_of_the_database_before(here, there)
    monkeypatch.setattr(restoring, "_must_hold_nothing", lambda _: None)
    monkeypatch.setattr(restoring, "_forget_sqlite", lambda _: None)
    there.run("restore", place, "--yes")
    with closing(sqlite3.connect(there.data / "colophon.db")) as connection:
        try:
            kept = connection.execute("SELECT count(*) FROM orders").fetchone() == (1,)
            held = connection.execute("SELECT count(*) FROM restores").fetchone() == (1,)
            whole = connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        except sqlite3.DatabaseError:
            return
    assert not (kept and held and whole)


def test_a_backup_of_this_name_and_that_nobody_can_be_asked(
    here: Somewhere, there: Somewhere, place: Path
) -> None:
    here.done("backup", place)
    result = there.run("restore", place)
    assert "Pass --yes to go on without a question." in result.output
    assert "There is no backup 2020-01-01T000000Z" in _refused(
        there, place, "--name", "2020-01-01T000000Z"
    )


def test_letters_are_held_and_the_act_is_on_record(
    here: Somewhere, there: Somewhere, place: Path
) -> None:
    with here.opened():
        heartbeats.beat()
    here.done("backup", place)
    said = there.done("restore", place, "--yes")
    assert "1 orders, 1 customers, 2 files" in said
    assert "No letter leaves until you say so: store mail go" in said
    with there.opened():
        assert restores.holding()
        assert heartbeats.workers().at_work == 0
        acts = list(db.session.scalars(sa.select(AuditEntry.act).order_by(AuditEntry.id)))
        assert acts[-1] == "shop_restored"


def test_an_older_version_is_brought_up_to_date(
    here: Somewhere, there: Somewhere, place: Path
) -> None:
    with here.opened():
        downgrade(revision="0038")
        db.engine.dispose()
    # Its own account of backups it cannot keep yet; the backup is there all the same.
    assert "Run store db upgrade" in here.done("backup", place)
    there.done("restore", place, "--yes")
    with there.opened():
        assert db.session.scalar(sa.text("SELECT count(*) FROM backups")) == 0


@on_both_stores
def test_files_come_into_folder_or_bucket(
    here: Somewhere, there: Somewhere, place: Path, storage_url: str
) -> None:
    here.done("backup", place)
    url = f"{storage_url}-there"
    Somewhere(there.data, there.url, url).done("restore", place, "--yes")
    with there.opened(storage_url=url):
        for sha256 in db.session.scalars(sa.select(Asset.sha256)):
            assert storage().size(f"assets/{sha256}")


KILLED = """
import os, sys
from store.backups import filling, restoring
from store.commands import restore
module, name = {where}
whole = getattr(module, name)
def dies(*given, **named):
    if {after}:
        whole(*given, **named)
    os.kill(os.getpid(), {signal})
setattr(module, name, dies)
from store.cli import main
main(["restore", {place!r}, "--yes"])
"""
MOMENTS = {
    # Before, amid and after the rows come in.
    "before": ("(restoring, 'upgrade')", False),
    "amid": ("(filling, '_into_{kind}')", True),
    "after": ("(restore, 'begin_after_restore')", True),
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("moment", "database_url", "kind"),
    [
        ("before", "sqlite", "postgresql"),
        ("before", "postgresql", "sqlite"),
        ("amid", "sqlite", "postgresql"),
        ("amid", "postgresql", "sqlite"),
        ("after", "sqlite", "sqlite"),
        ("after", "postgresql", "postgresql"),
    ],
    indirect=["database_url"],
)
def test_a_restore_that_was_killed_is_run_again(
    here: Somewhere,
    tmp_path: Path,
    place: Path,
    kind: str,
    moment: str,
    request: pytest.FixtureRequest,
) -> None:
    where, is_after = MOMENTS[moment]
    folder, server = tmp_path / "there", ""
    url = f"sqlite:///{folder / 'colophon.db'}"
    if kind == "postgresql":
        server = request.getfixturevalue("postgres")
        url = new_database(server)
    there = Somewhere(folder, url)
    here.done("backup", place)
    script = KILLED.format(
        where=where.format(kind=kind),
        after=is_after,
        signal=int(signal.SIGKILL),
        place=str(place),
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STORE_")}
    died = subprocess.run(
        [sys.executable, "-c", script],
        env=kept | there.environment(),
        check=False,
        capture_output=True,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    if kind == "sqlite":
        assert not (folder / "colophon.db").exists()

    there.done("restore", place, "--yes")
    with there.opened():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Order)) == 1
        assert sa.inspect(db.engine).has_table("restore_unfinished") is False
        assert len(db.session.scalars(sa.select(restores.Restore)).all()) == 1
    assert list(folder.glob("*restor*")) == []
    if server:
        drop_database(server, url)
