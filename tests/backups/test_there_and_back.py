"""A shop is copied and made again, from each database to each, with everything that it knew."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_migrate import downgrade

from store.backups.after_restore import Begun
from store.catalog.publications import publication_by_slug
from store.commands import restore
from store.entitlements.journal_after_restore import keep_journal
from store.kit.database import db, transaction
from store.kit.revision import tables_fault
from store.kit.storage import storage
from store.orders.models import Customer, Order
from store.orders.orders import search_customers
from store.staff.models import AuditEntry
from tests.backups.shops import SEALED, Somewhere, everything
from tests.conftest import on_both
from tests.databases import drop_database, new_database
from tests.editions import a_shop
from tests.purchases import a_paid_order, buy
from tests.stocked import stock

# To these the backup and the restore add a line of their own.
ADDED = ("audit_entries", "backups")
TRIGGERS = {
    "sqlite": "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name",
    "postgresql": """
        SELECT relname, tgname, tgenabled FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
         WHERE NOT tgisinternal AND relnamespace = 'public'::regnamespace AND relname NOT LIKE 'huey%'
         UNION ALL
        SELECT relname, conname || pg_get_constraintdef(pg_constraint.oid), 'O'
          FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
         WHERE connamespace = 'public'::regnamespace AND relname NOT LIKE 'huey%'
           AND contype <> 'c' -- which is written out otherwise when it is read again
         ORDER BY 1, 2""",
}


@pytest.fixture
def nothing_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a restored shop is made to hold and to end has tests of its own."""
    monkeypatch.setattr(restore, "begin_after_restore", lambda made_at: Begun(0, made_at, made_at))


@pytest.fixture
def here(app: Flask, tmp_path: Path, database_url: str) -> Somewhere:
    """A shop with something in every corner."""
    stock(app)
    keep_journal()
    db.session.remove()
    return Somewhere(tmp_path, database_url)


@pytest.fixture(params=["sqlite", "postgresql"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Somewhere]:
    """An empty machine with an empty database."""
    folder = tmp_path / "there"
    if request.param == "sqlite":
        yield Somewhere(folder, f"sqlite:///{folder / 'colophon.db'}")
        return
    server: str = request.getfixturevalue("postgres")
    url = new_database(server)
    yield Somewhere(folder, url)
    drop_database(server, url)


def _before_either(found: dict[str, Any]) -> dict[str, Any]:
    return {table: rows for table, rows in found.items() if table not in ADDED}


@on_both
@pytest.mark.usefixtures("nothing_follows")
def test_every_row_and_file_comes_back_on_either_database(
    here: Somewhere, there: Somewhere, tmp_path: Path
) -> None:
    place, before = tmp_path / "backups", everything()
    # Between two kinds it is encrypted, too: each way in and out is gone once.
    given = {} if here.kind == there.kind else SEALED
    said = here.done("backup", place, **given)
    assert "4 files (4 of them new)" in said

    assert "The shop is as it was then." in there.done("restore", place, "--yes", **given)

    with there.opened():
        after = everything()
        assert _before_either(after) == _before_either(before)
        assert [row for row in before["audit_entries"] if row not in after["audit_entries"]] == []
        for sha256 in db.session.scalars(sa.text("SELECT sha256 FROM assets")):
            assert hashlib.sha256(storage().read(f"assets/{sha256}")).hexdigest() == sha256


@pytest.mark.parametrize(
    ("database_url", "there"),
    [
        ("sqlite", "postgresql"),
        ("postgresql", "sqlite"),
        # Each database puts its own back whole.
        pytest.param("sqlite", "sqlite", marks=pytest.mark.long),
        pytest.param("postgresql", "postgresql", marks=pytest.mark.long),
    ],
    indirect=True,
)
def test_the_shop_goes_on_on_either_database(
    here: Somewhere, there: Somewhere, tmp_path: Path
) -> None:
    orders = db.session.scalar(sa.select(sa.func.max(Order.id))) or 0
    people = db.session.scalar(sa.select(sa.func.max(Customer.id))) or 0
    of_new = (
        db.session.execute(sa.text(TRIGGERS[there.kind])).all() if here.kind == there.kind else []
    )
    here.done("backup", tmp_path / "backups")
    there.done("restore", tmp_path / "backups", "--yes")

    with there.opened():
        with transaction():
            order = buy(publication_by_slug("send-early-years"), "zoe@reader.example", "Zoë Long")
        # Numbers are not given again, and searches find who came before and who came since.
        assert order.id > orders
        assert order.customer_id > people
        assert [one.email for one in search_customers("anna@", is_part=True).rows] == [
            "anna@reader.example"
        ]
        assert [one.email for one in search_customers("zoe lo", is_part=True).rows] == [
            "zoe@reader.example"
        ]
        with pytest.raises(sa.exc.DBAPIError, match="only added to"), transaction() as session:
            session.execute(sa.delete(AuditEntry))
        if of_new:
            assert db.session.execute(sa.text(TRIGGERS[there.kind])).all() == of_new
        db.session.rollback()


@on_both
@pytest.mark.long
def test_tables_of_an_earlier_version_come_into_the_other_database(
    app: Flask, tmp_path: Path, database_url: str, postgres: str
) -> None:
    a_paid_order(a_shop())
    db.session.remove()
    here, folder = Somewhere(tmp_path, database_url), tmp_path / "there"
    with here.opened():
        downgrade(revision="0038")
        db.engine.dispose()
    here.done("backup", tmp_path / "backups")
    to_sqlite = f"sqlite:///{folder / 'colophon.db'}"
    there = Somewhere(folder, new_database(postgres) if here.kind == "sqlite" else to_sqlite)
    there.done("restore", tmp_path / "backups", "--yes")
    with there.opened():
        assert tables_fault() == ""
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Order)) == 1
