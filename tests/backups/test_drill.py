"""The machine is lost: a shop of ten thousand orders is made again from its backup, on the other
database, after a backup that was killed, while orders come in and a release is half out."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from bench.sink import sink
from store.catalog.models import Edition
from store.catalog.publications import publication_by_slug
from store.distribution.coverage import coverage
from store.distribution.live import recount
from store.entitlements.models import Entitlement, Link
from store.kit.database import Base, db, transaction
from store.kit.tokens import new_reference
from store.mail.models import Delivery, DeliveryStatus
from store.mail.worker import send_due_letters
from store.orders.models import Customer, Order, OrderLine
from store.payments.models import Checkout, Payment
from tests.backups.shops import Somewhere
from tests.databases import drop_database, new_database
from tests.editions import a_shop, drafted_and_released
from tests.mail.shops import hang_up
from tests.purchases import buy
from tests.races import at_work
from tests.serving import until
from tests.tables import Note

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

SLUG, MANY, CONNECTIONS = "send-early-years", 10_000, 4
HALF = MANY // 2
# Of each order a row in each of these, after those that it points to; what differs in each.
_ROWS: tuple[tuple[type[Base], tuple[str, ...], tuple[str, ...]], ...] = (
    (Customer, (), ("email", "email_key", "search_key")),
    (Order, ("customer_id",), ("reference", "form_key", "search_key", "email")),
    (OrderLine, ("order_id",), ()),
    (Checkout, ("order_id",), ("gateway_reference",)),
    (Payment, ("order_id", "checkout_id"), ("gateway_payment_id",)),
    (Entitlement, ("customer_id", "order_line_id"), ()),
)


def _multiply() -> None:
    """So many orders like the only one, each of a customer of its own, with links."""
    session = db.session()
    links = session.execute(sa.select(Link.__table__)).mappings().all()
    for model, pointing, differing in _ROWS:
        table = model.__table__
        found = session.execute(sa.select(table).order_by(table.c.id.desc()).limit(1)).mappings()
        first = dict(found.one())
        rows = []
        for i in range(1, MANY):
            row = first | {"id": first["id"] + i}
            row |= {name: first[name] + i for name in pointing}
            row |= {name: f"{i:05}{first[name]}"[: len(first[name]) + 5] for name in differing}
            if "reference" in row:
                row["reference"] = f"{i:05}-{first['reference'][6:]}"
            rows.append(row)
        session.execute(sa.insert(table), rows)
        if session.get_bind().dialect.name == "postgresql":
            session.execute(
                sa.text(f"SELECT setval('{table.name}_id_seq', (SELECT max(id) FROM {table.name}))")
            )

    session.execute(
        sa.insert(Link.__table__),
        [
            {name: value for name, value in one.items() if name != "id"}
            | {"reference": new_reference(), "customer_id": one["customer_id"] + i}
            | {"order_id": one["order_id"] and one["order_id"] + i}
            for one in links
            for i in range(1, MANY)
        ],
    )


def _at_work(app: Flask, *works: Callable[[], object]) -> AbstractContextManager[None]:
    """While each of these is done again and again, in a context of its own."""

    def within(work: Callable[[], object]) -> None:
        with app.app_context():
            work()
            db.session.remove()

    return at_work(*(partial(within, work) for work in works))


def _buying() -> Callable[[], object]:
    count = [0]

    def buy_one() -> None:
        count[0] += 1
        with transaction():
            buy(publication_by_slug(SLUG), f"late{count[0]}@reader.example")
        time.sleep(0.05)

    return buy_one


def _sending(is_half_out: threading.Event) -> Callable[[], object]:
    """As fast as it goes, and then so slowly that the release stays under way."""

    def send() -> None:
        send_due_letters(0.01 if is_half_out.is_set() else 0.2)
        if is_half_out.is_set():
            time.sleep(0.1)

    return send


@contextmanager
def _posting(app: Flask) -> Iterator[None]:
    """While a mail server takes the letters of this shop."""
    kept = app.extensions["colophon.settings"]
    with sink() as port:
        server = {"mail_server": "127.0.0.1", "mail_port": port, "mail_connections": CONNECTIONS}
        app.extensions["colophon.settings"] = kept.model_copy(update=server)
        yield
        hang_up()
        app.extensions["colophon.settings"] = kept


def _number(query: sa.Select[Any]) -> int:
    found = db.session.scalar(query) or 0
    db.session.rollback()
    return int(found)


def _handed_over() -> int:
    """Letters of the release alone: orders that come in have letters of their own."""
    of_a_release = sa.select(sa.func.count(Delivery.id)).where(Delivery.batch_id.is_not(None))
    return _number(of_a_release.filter_by(status=DeliveryStatus.SENT))


@pytest.fixture
def there(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Iterator[Somewhere]:
    """An empty machine with the other database."""
    folder = tmp_path / "there"
    if not database_url.startswith("sqlite"):
        yield Somewhere(folder, f"sqlite:///{folder / 'colophon.db'}")
        return
    server: str = request.getfixturevalue("postgres")
    url = new_database(server)
    yield Somewhere(folder, url)
    drop_database(server, url)


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_ten_thousand_orders_come_back_with_a_release_under_way(
    app: Flask, database_url: str, there: Somewhere, tmp_path: Path, note: Note
) -> None:
    here, place = Somewhere(tmp_path, database_url), tmp_path / "backups"
    publication = a_shop()
    with transaction():
        buy(db.session.merge(publication))
        _multiply()
    edition = drafted_and_released(db.session.merge(publication), 2)
    edition_id = edition.id
    is_half_out = threading.Event()
    with _posting(app), _at_work(app, *[_sending(is_half_out)] * CONNECTIONS, _buying()):
        until(lambda: _handed_over() >= HALF, "half of the release is out", 300)
        is_half_out.set()
        here.killed("store.backups.making", "look_at", 2, "backup", place)
        began = time.monotonic()
        here.done("backup", place, "--keep", 1)
        took = time.monotonic() - began
    (path,) = place.glob("[0-9]*/manifest.json")
    before: dict[str, int] = json.loads(path.read_text())["rows"]

    # The last copy of the journal, as the guide says.
    there.data.mkdir()
    shutil.copy(here.data / "erasures.jsonl", there.data)
    began = time.monotonic()
    there.done("restore", place, "--yes")
    restored = time.monotonic() - began

    with there.opened():
        again = db.session.get_one(Edition, edition_id)
        account = coverage(again)
        assert account.sums_match
        assert recount(again)[1], "the counts are those of the letters"
        db.session.rollback()
        assert HALF <= account.handed_over < account.counted
        assert MANY <= before["orders"] == before["payments"] == before["entitlements"]
        after = {
            name: _number(sa.select(sa.func.count()).select_from(Base.metadata.tables[name]))
            for name in before
            if name in Base.metadata.tables
        }
        title = f"Restore drill, {here.kind} to {there.kind}: backup {took:.1f} s, restore {restored:.1f} s"
        for name, rows in before.items():
            if rows > 20 and name in after:
                note(title, {"table": name, "in the backup": rows, "after": after[name]})
                assert after[name] == rows, name
        note(
            title,
            {"table": "the release: recipients", "in the backup": "", "after": account.counted},
        )
        note(
            title, {"table": "the release: sent", "in the backup": "", "after": account.handed_over}
        )
