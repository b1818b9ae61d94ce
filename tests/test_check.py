"""`store check`: all at once, one letter composed, files compared, no traceback and no secret."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask

from store.catalog.models import Asset, Seller
from store.cli import main
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.storage import storage
from store.staff import connections
from tests.conftest import SECRET, on_postgresql
from tests.stocked import stock


def _check(folder: Path, **given: str) -> Any:
    environment = {
        "STORE_ENV": "testing",
        "STORE_SECRET_KEY": SECRET,
        "STORE_DATA_DIR": str(folder),
    }
    return CliRunner().invoke(main, ["check"], env=environment | given)


def _lines(said: str, word: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith(f"{word} ")]


def test_a_shop_in_order_has_nothing_wrong(app: Flask, tmp_path: Path) -> None:
    stock(app)
    done = _check(tmp_path)
    assert (done.exit_code, _lines(done.output, "fault")) == (0, [])
    (letter,) = [line for line in _lines(done.output, "ok") if " letter: " in line]
    assert letter.startswith("ok     letter: one was composed, ")
    assert "ok     files: 3 stored, each with its size\n" in done.output


@pytest.mark.usefixtures("app")
@on_postgresql
def test_a_clock_that_is_not_the_databases_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert connections._clock() == "as the database's"

    ahead = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr(clock, "machine_time", lambda: ahead)
    monkeypatch.setattr(clock, "read", lambda: ahead)
    with pytest.raises(RuntimeError, match=r"^86400 seconds ahead of the database's: let NTP"):
        connections._clock()


def test_a_file_that_is_missing_or_cut_short_is_named(app: Flask, tmp_path: Path) -> None:
    stock(app)
    missing, short = db.session.scalars(sa.select(Asset.sha256).order_by(Asset.id))
    storage().delete(f"assets/{missing}")
    storage().put_bytes(f"assets/{short}", b"%PDF")
    done = _check(tmp_path)
    assert done.exit_code == 1
    (fault,) = _lines(done.output, "fault")
    assert fault.startswith("fault  files: RuntimeError: 2 of 3: ")
    assert f"{missing[:12]}… is missing" in fault
    assert f"{short[:12]}… has 4 bytes, not " in fault


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"STORE_STORAGE_URL": "s3://other/files"}, "there is no such bucket"),
        ({"AWS_ACCESS_KEY_ID": ""}, "no key for the bucket: set AWS_ACCESS_KEY_ID"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "the store cannot be reached"),
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
        assert storage == ["ok     storage: answers, and gives what it has taken"]
    else:
        assert storage[0].startswith(f"fault  storage: StoreAway: {words}")


def test_a_seller_whose_address_no_letter_can_bear_is_found(app: Flask, tmp_path: Path) -> None:
    stock(app)
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
