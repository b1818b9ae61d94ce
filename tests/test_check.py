"""`store check`: all at once, one letter composed, files compared, no traceback and no secret."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask

from store.backups.latest import keep_account
from store.catalog.face_pictures import store_logo
from store.catalog.models import Asset, Face, Seller
from store.cli import main
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.storage import storage
from store.mail import heartbeats
from store.staff import connections, kept_files, mail_names, surroundings
from store.staff.models import AuditEntry
from tests.buckets import Keys
from tests.catalog.files import picture
from tests.conftest import SECRET, on_postgresql
from tests.editions import a_shop
from tests.mail.conversations import answering
from tests.mail.scripted_server import ScriptedServer
from tests.stocked import stock
from tests.typed import shops_are_closed

UNITS = Path(__file__).parent.parent / "docs" / "ops" / "systemd"
GUIDE = (Path(__file__).parent.parent / "docs" / "operators-guide.md").read_text(encoding="utf-8")


def _check(folder: Path, *words: str, **given: str) -> Any:
    environment = {
        "STORE_ENV": "testing",
        "STORE_SECRET_KEY": SECRET,
        "STORE_DATA_DIR": str(folder),
    }
    with shops_are_closed():
        return CliRunner().invoke(main, ["check", *words], env=environment | given)


def _lines(said: str, word: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith(f"{word} ")]


def test_a_shop_in_order_has_nothing_wrong(app: Flask, tmp_path: Path) -> None:
    stock(app)
    done = _check(tmp_path)
    assert (done.exit_code, _lines(done.output, "fault")) == (0, [])
    (letter,) = [line for line in _lines(done.output, "ok") if " letter: " in line]
    assert letter.startswith("ok     letter: one was composed, ")
    assert "ok     files: 4 stored and whole, each was read\n" in done.output


def test_what_is_wrong_comes_first_and_settings_last(app: Flask, tmp_path: Path) -> None:
    a_shop()
    storage().delete(f"assets/{db.session.scalars(sa.select(Asset.sha256)).first()}")
    storage().put_bytes("covers/of-nobody", b"a picture")
    done = _check(tmp_path)
    first, *lines = done.output.splitlines()
    assert first == "1 fault; 17 things were looked at."
    words = [line.split()[0] for line in lines]
    assert words == ["fault", *["ok"] * 16, *["set"] * words.count("set")]

    told = json.loads(_check(tmp_path, "--json").output)
    assert not told["well"]
    assert [part["part"] for part in told["parts"] if part["state"] == "fault"] == ["files"]
    assert told["settings"]["STORE_ENV"] == "testing"
    assert SECRET not in str(told)


def test_what_no_row_names_is_a_note_and_no_fault(app: Flask, tmp_path: Path) -> None:
    a_shop()
    storage().put_bytes("covers/of-nobody", b"a picture")
    storage().put_bytes("elsewhere/of-others", b"not ours")
    done = _check(tmp_path)
    assert done.exit_code == 0
    assert done.output.startswith("1 note; 17 things")
    (note,) = _lines(done.output, "note")
    assert note.startswith("note   files: 1 file that no row names (9 bytes): covers/of-nobody. ")


@pytest.mark.parametrize("kind", ["covers", "faces"])
def test_a_picture_that_is_gone_is_named(app: Flask, tmp_path: Path, kind: str) -> None:
    stock(app)
    with transaction() as session:
        made = store_logo(picture(size=(400, 80)))
        session.add(Face(id=1, **made)) if session.get(Face, 1) is None else session.execute(
            sa.update(Face).values(made)
        )
    (name,) = (tmp_path / "files" / kind).glob("*.png" if kind == "faces" else "?" * 64)
    name.unlink()
    done = _check(tmp_path)
    (fault,) = _lines(done.output, "fault")
    assert fault.startswith(f"fault  files: 1 of 5: {kind}/{name.name[:12]}")


def test_other_bytes_of_the_same_size_are_found_where_all_is_read(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_shop()
    asset = db.session.scalars(sa.select(Asset)).first()
    assert asset is not None
    storage().delete(f"assets/{asset.sha256}")
    storage().put_bytes(f"assets/{asset.sha256}", b"x" * asset.size)
    monkeypatch.setattr(kept_files, "SAMPLE_BYTES", 0)  # of some files one is read at least
    monkeypatch.setattr(random, "sample", lambda named, count: named[-1:][:count])
    done = _check(tmp_path)
    assert "ok     files: 2 stored, each with its size; 1 of them, taken at random" in done.output

    done = _check(tmp_path, "--files", "all")
    (fault,) = _lines(done.output, "fault")
    assert f"assets/{asset.sha256[:12]}… has its size and other bytes" in fault


def test_a_disk_that_is_nearly_full_is_named(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_shop()
    monkeypatch.setattr(
        surroundings.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 0, 4 * 10**10)
    )
    (fault,) = _lines(_check(tmp_path).output, "fault")
    assert "disk: only 40000.0 MB of 1000000.0 MB free at " in fault


def test_in_production_nobody_else_may_read_the_data(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = tmp_path / "colophon.env"
    secrets.write_text("STORE_SECRET_KEY=…")
    secrets.chmod(0o644)
    monkeypatch.setattr(surroundings, "SETTINGS_FILES", (secrets,))
    monkeypatch.setattr(mail_names, "is_local", lambda _: True)
    folder = tmp_path / "data"
    shutil.copytree(tmp_path, folder, ignore=lambda *_: ["data"])
    folder.chmod(0o755)
    given = {
        "STORE_ENV": "production",
        "STORE_BASE_URL": "https://shop.example",
        "STORE_MAIL_SERVER": "127.0.0.1",
        "STORE_MAIL_PORT": "1",
        "STORE_MAIL_DEFAULT_SENDER": "shop@press.example",
    }
    faults = _lines(_check(folder, **given).output, "fault")
    (fault,) = [line for line in faults if " permissions: " in line]
    assert f"everybody on this machine may read {folder}: chmod o= {folder}" in fault
    assert f"everybody on this machine may read {secrets}: chmod o= {secrets}" in fault

    secrets.chmod(0o600)
    folder.chmod(0o750)
    done = _check(folder, **given)
    assert "ok     permissions: " in done.output
    assert "note   backup: none was ever made: `store backup DIR`" in done.output
    assert "note   workers: no letter leaves and nothing falls due until one is" in done.output


def test_what_belongs_to_another_user_is_to_be_given_to_the_shops(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_shop()
    owner = surroundings._owner(tmp_path)
    monkeypatch.setattr(surroundings.os, "geteuid", lambda: 4_000_000)  # whom root kept out of it
    (note,) = [one for one in _lines(_check(tmp_path).output, "note") if " permissions: " in one]
    assert f"{tmp_path} belongs to {owner}, the shop to 4000000: chown 4000000 {tmp_path};" in note
    assert f"chown 4000000 {tmp_path / 'colophon.db'}" in note


def test_a_journal_where_the_units_may_not_write_is_named(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_shop()
    units, share = tmp_path / "units", tmp_path / "share"
    shutil.copytree(UNITS, units)
    share.mkdir()
    for unit in units.glob("*.service"):
        unit.write_text(unit.read_text().replace("/var/lib/colophon", str(tmp_path / "data")))
    monkeypatch.setattr(surroundings, "UNITS", units)
    folder = tmp_path / "data"
    shutil.copytree(tmp_path, folder, ignore=lambda *_: ["data", "units", "share"])

    def notes(journal: Path) -> list[str]:
        done = _check(folder, STORE_ERASURE_JOURNAL=str(journal))
        return [one for one in _lines(done.output, "note") if " permissions: " in one]

    assert notes(folder / "erasures.jsonl") == []
    (note,) = notes(share / "erasures.jsonl")
    for name in ("colophon-web", "colophon-worker", "colophon-backup"):
        assert f"{name} may not write to {share}: `systemctl edit {name}`" in note
        opened = units / f"{name}.service.d" / "override.conf"
        opened.parent.mkdir()
        opened.write_text(f"[Service]\nReadWritePaths={share}\n")
    assert notes(share / "erasures.jsonl") == []


@pytest.mark.parametrize("what", ["cut short", "no database"])
def test_a_damaged_database_is_said_once_with_the_way_out(
    app: Flask, tmp_path: Path, what: str
) -> None:
    a_shop()
    db.session.remove()
    db.engine.dispose()
    file = tmp_path / "colophon.db"
    file.write_bytes(file.read_bytes()[:300_000] if what == "cut short" else b"nothing " * 10_000)
    for beside in tmp_path.glob("colophon.db-*"):
        beside.unlink()
    done = _check(tmp_path)
    (fault,) = _lines(done.output, "fault")
    assert fault.startswith("fault  database: the database is damaged (")
    assert "restore the newest backup" in fault
    parts = [line.split(":")[0].removeprefix("note   ") for line in _lines(done.output, "note")]
    assert set(parts) == connections.ASK_TABLES
    assert "not looked at: first the database" in done.output


def test_the_newest_backup_is_among_what_is_looked_at(app: Flask, tmp_path: Path) -> None:
    a_shop()

    def line() -> str:
        (found,) = [one for one in _check(tmp_path).output.splitlines() if " backup: " in one]
        return found

    assert line() == "ok     backup: none was made yet"
    with transaction():
        keep_account("one", clock.now() - timedelta(days=3), 1)
    assert line().startswith("fault  backup: the newest whole one is of ")
    with transaction():
        keep_account("two", clock.now(), 1)
    assert line().startswith("ok     backup: the newest whole one is of ")
    with transaction():
        keep_account("three", clock.now(), 1, folder=tmp_path)
    words = (
        f"note   backup: {tmp_path} is on the disk of the shop itself: mount another one there\n"
    )
    assert words in _check(tmp_path).output
    with transaction():
        keep_account("four", clock.now(), 1, folder=Path("/proc"))
    assert line().startswith("ok     backup: the newest whole one is of ")
    with transaction():
        keep_account("", clock.now(), 0, "There is no space left for the backup")
    assert line().endswith("and the last try was given up: There is no space left for the backup")


def test_a_test_letter_is_handed_to_the_server_at_once(app: Flask, tmp_path: Path) -> None:
    a_shop()
    with ScriptedServer() as server:
        given = {"STORE_MAIL_SERVER": "127.0.0.1", "STORE_MAIL_PORT": str(server.port)}
        done = _check(tmp_path, "--mail-to", "anna@reader.example", **given)
        (letter,) = server.letters
    assert done.exit_code == 0
    assert "ok     test letter: one to a•••@reader.example was taken: 250 " in done.output
    assert letter.rcpt == ("RCPT TO:<anna@reader.example>",)
    assert b"letters of the shop arrive" in letter.octets
    line = db.session.scalars(sa.select(AuditEntry).filter_by(act="mail_tried")).one()
    assert "anna@" not in str(line.after)


def test_a_test_letter_that_is_refused_is_a_fault_in_the_servers_words(
    app: Flask, tmp_path: Path
) -> None:
    a_shop()
    script = answering("RCPT", "550 5.7.1 relaying denied")
    with ScriptedServer(script) as server:
        given = {"STORE_MAIL_SERVER": "127.0.0.1", "STORE_MAIL_PORT": str(server.port)}
        done = _check(tmp_path, "--mail-to", "anna@reader.example", **given)
    (fault,) = _lines(done.output, "fault")
    assert (done.exit_code, fault) == (
        1,
        "fault  test letter: it was not taken: 550 5.7.1 relaying denied",
    )
    assert db.session.scalars(sa.select(AuditEntry).filter_by(act="mail_tried")).all() == []


@pytest.mark.parametrize(
    "words",
    [("--mail-to", "nobody"), ("--url", "shop.example"), ("--url", "https://shop.example/page")],
)
def test_what_cannot_be_asked_is_no_question(tmp_path: Path, words: tuple[str, str]) -> None:
    assert _check(tmp_path, *words).exit_code == 2


@pytest.mark.usefixtures("app")
@on_postgresql
def test_a_clock_that_is_not_the_databases_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert connections._clock(connections.Wanted()) == "as the database's"

    ahead = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr(clock, "machine_time", lambda: ahead)
    monkeypatch.setattr(clock, "read", lambda: ahead)
    with pytest.raises(RuntimeError, match=r"^86400 seconds ahead of the database's: let NTP"):
        connections._clock(connections.Wanted())


def test_a_worker_of_this_name_that_does_not_run_here_is_a_note(app: Flask, tmp_path: Path) -> None:
    stock(app)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with transaction() as session:
        now, host = clock.now(), heartbeats.host_name()
        seen = {"started_at": now, "seen_at": now, "version": "0"}
        session.add(heartbeats.Heartbeat(host=host, pid=other.pid, **seen))
        session.add(heartbeats.Heartbeat(host=f"{host}-2", pid=2**22 + 1, **seen))
    done = _check(tmp_path)
    assert "ok     workers: 2 at work\n" in done.output
    assert "note   workers: " not in done.output

    other.communicate(b"\n")  # as of a machine that is called the same
    done = _check(tmp_path)
    assert done.exit_code == 0
    assert f"note   workers: one of {host} was seen " in done.output
    assert "Give each a host name of its own" in done.output


@on_postgresql
@pytest.mark.parametrize(("web_workers", "is_well"), [("2", True), ("64", False)])
def test_more_connections_than_postgresql_takes_are_named(
    app: Flask, database_url: str, tmp_path: Path, web_workers: str, is_well: bool
) -> None:
    stock(app)
    given = {"STORE_DATABASE_URL": database_url, "STORE_WEB_WORKERS": web_workers}
    done = _check(tmp_path, **given)
    (line,) = [line for line in done.output.splitlines() if " database: " in line]
    assert line.startswith("ok" if is_well else "fault")
    assert "connections at most for web server and worker of a machine, of 97" in line
    assert ("raise max_connections, or lower STORE_WEB_WORKERS" in line) is not is_well


def test_a_file_that_is_missing_or_cut_short_is_named(app: Flask, tmp_path: Path) -> None:
    a_shop()
    missing, short = db.session.scalars(sa.select(Asset.sha256).order_by(Asset.id))
    storage().delete(f"assets/{missing}")
    storage().put_bytes(f"assets/{short}", b"%PDF")
    done = _check(tmp_path)
    assert done.exit_code == 1
    (fault,) = _lines(done.output, "fault")
    assert fault.startswith("fault  files: 2 of 2: ")
    assert f"{missing[:12]}… is missing" in fault
    assert f"{short[:12]}… has 4 bytes, not " in fault


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"STORE_STORAGE_URL": "s3://other/files"}, "there is no such bucket"),
        ({"AWS_ACCESS_KEY_ID": ""}, "no key for the bucket: set AWS_ACCESS_KEY_ID"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "the store cannot be reached"),
        ({"STORE_ACCEL_REDIRECT": "/kept-bucket"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("storage_url", ["s3"], indirect=True)
@pytest.mark.usefixtures("app")
def test_a_bucket_that_is_not_there_or_not_ours_is_named(
    storage_url: str, tmp_path: Path, changed: dict[str, str], words: str | None
) -> None:
    done = _check(tmp_path, **({"STORE_STORAGE_URL": storage_url} | changed))
    storage = [line for line in done.output.splitlines() if " storage: " in line]
    if words is None:
        fetches = f"; nginx fetches from {os.environ['AWS_ENDPOINT_URL']}" if changed else ""
        assert storage == [f"ok     storage: answers, and gives what it has taken{fetches}"]
    else:
        assert storage[0].startswith(f"fault  storage: {words}")


@pytest.mark.parametrize("storage_url", ["s3"], indirect=True)
@pytest.mark.usefixtures("app")
def test_a_key_that_may_do_what_the_guide_says_is_enough_and_less_is_named(
    s3: str, storage_url: str, tmp_path: Path
) -> None:
    needed = set(re.findall(r"s3:\w+", GUIDE.split("\n## Files\n")[1].split("\n## ")[0]))
    assert len(needed) == 4

    def line(key: dict[str, str]) -> str:
        done = _check(tmp_path, STORE_STORAGE_URL=storage_url, **key)
        return next(one for one in done.output.splitlines() if " storage: " in one)

    with Keys(s3).guarding() as keys:
        key = keys.new()
        keys.allow(needed)
        assert line(key) == "ok     storage: answers, and gives what it has taken"
        for one in sorted(needed):
            keys.allow(needed - {one})
            assert "our key may list, read, write and delete in the bucket?" in line(key), one


def test_a_seller_whose_address_no_letter_can_bear_is_found(app: Flask, tmp_path: Path) -> None:
    a_shop()
    with transaction() as session:
        session.execute(sa.update(Seller).values(reply_to="d\u00ebsk@press.example"))
    done = _check(tmp_path)
    assert done.exit_code == 1
    (fault,) = _lines(done.output, "fault")
    assert fault.startswith("fault  letter: SettingFault: the seller’s address for replies: ")


def test_every_fault_of_the_settings_is_told_at_once(app: Flask, tmp_path: Path) -> None:
    given = {"STORE_TIME_ZONE": "Mars", "STORE_MAIL_USE_TLS": "1", "STORE_MAIL_USE_SSL": "1"}
    done = _check(tmp_path, **given)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    words = [line.split()[:2] for line in _lines(done.output, "fault")]
    assert words == [["fault", "STORE_TIME_ZONE"], ["fault", "STORE_MAIL_USE_TLS"]]


@pytest.mark.parametrize(
    "given",
    [
        {"STORE_DATABASE_URL": "postgresql://shop:hunter2@127.0.0.1:1/shop"},
        {"STORE_DATABASE_URL": "postgresql://shop@127.0.0.1:1/shop?password=hunter2"},
        {
            "STORE_MAIL_SERVER": "127.0.0.1",
            "STORE_MAIL_PORT": "1",
            "STORE_MAIL_USERNAME": "hunter1",
            "STORE_MAIL_PASSWORD": "hunter2",
        },
        {"STORE_BOUNCE_IMAP": "imaps://bounces:hunter2@127.0.0.1:1/"},
        {"STORE_BOUNCE_IMAP": "imaps://bounces:hunter2@nowhere.invalid/"},
        {"STORE_STORAGE_URL": "s3://key:hunter2@bucket/prefix"},
        {"STORE_DATABASE_URL": "hunter2://hunter2@hunter2"},
        {"STORE_DATA_DIR": "/proc/none/hunter1"},
    ],
)
def test_it_never_ends_in_a_traceback_and_prints_no_secret(
    app: Flask, tmp_path: Path, given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    done = _check(tmp_path, **given)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert _lines(done.output, "fault") != []
    assert "hunter2" not in done.output
    assert SECRET not in done.output
