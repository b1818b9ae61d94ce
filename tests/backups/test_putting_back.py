"""`store restore --files-only`: what the storage of a living shop lost comes back, and nothing else changes."""

import hashlib
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from store.backups import restoring
from store.catalog.models import Asset
from store.kit.database import db
from store.kit.storage import storage
from store.orders.models import Order
from store.staff.models import AuditEntry
from tests.backups.shops import SEALED, Somewhere
from tests.conftest import on_both_stores
from tests.editions import a_shop
from tests.purchases import a_paid_order


@pytest.fixture
def here(app: Flask, tmp_path: Path, database_url: str, storage_url: str) -> Somewhere:
    """A shop with an edition."""
    a_shop()
    db.session.remove()
    return Somewhere(tmp_path, database_url, storage_url)


@on_both_stores
@pytest.mark.parametrize("given", [{}, SEALED], ids=["plain", "encrypted"])
def test_files_that_are_gone_or_wrong_come_back_and_orders_of_since_stay(
    here: Somewhere, tmp_path: Path, given: dict[str, str]
) -> None:
    place = tmp_path / "backups"
    here.done("backup", place, **given)
    a_paid_order(a_shop(slug="since"))
    gone, wrong = db.session.scalars(sa.select(Asset.sha256).order_by(Asset.id).limit(2))
    db.session.remove()
    storage().delete(f"assets/{gone}")
    storage().put_bytes(f"assets/{wrong}", b"x")
    assert "`store restore DIR --files-only`" in here.run("check").output

    said = here.done("restore", place, "--files-only", **given)
    assert said.startswith("2 of ")
    for sha256 in (gone, wrong):
        assert hashlib.sha256(storage().read(f"assets/{sha256}")).hexdigest() == sha256
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Order)) == 1
    last = db.session.scalars(sa.select(AuditEntry.act).order_by(AuditEntry.id.desc())).first()
    assert last == "files_put_back"
    assert here.done("restore", place, "--files-only", **given).startswith("0 of ")


def test_what_no_backup_has_is_named_and_the_rest_comes_back(
    here: Somewhere, tmp_path: Path
) -> None:
    place = tmp_path / "backups"
    here.done("backup", place)
    for file in (here.data / "files").rglob("*"):
        if file.is_file():
            file.unlink()
    rotten = next(iter((place / "files").iterdir()))
    rotten.write_bytes(b"rotten")
    result = here.run("restore", place, "--files-only")
    assert result.exit_code == 1
    assert (
        f"{place} has no copy of 1 under this passphrase: assets/{rotten.name}. " in result.output
    )
    assert result.output.startswith("1 of 2 files were put back.")


def test_two_restores_take_turns(here: Somewhere, tmp_path: Path) -> None:
    here.done("backup", tmp_path / "backups")
    with here.opened(), restoring.alone():
        result = here.run("restore", tmp_path / "backups", "--files-only")
    assert result.exit_code == 1
    assert f"Another restore into {here.data} is under way." in result.output


@pytest.mark.parametrize("storage_url", ["s3"], indirect=True)
def test_a_store_that_is_away_is_a_sentence_at_a_command(
    here: Somewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.done("backup", tmp_path / "backups")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    result = here.run("restore", tmp_path / "backups", "--files-only")
    words = "The files of the shop cannot be reached: the store cannot be reached.\n"
    assert (result.exit_code, result.output) == (1, words)
