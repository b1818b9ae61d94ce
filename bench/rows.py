"""How many bytes rows take with their indexes: an order by all that it writes, a letter of an edition with
its attempt, a download; for `docs/scale.md`."""

import hashlib
import tempfile
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from bench.figures import Figure
from bench.letters import release
from bench.shops import add_publication, insert, postgresql, shop
from store.catalog.models import Asset, Edition, Publication
from store.entitlements.models import Download
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.placing import Details
from tests.purchases import pay, placed_order

ORDERS, LETTERS = 500, 100_000
_IN_STEP = 1_000
_WORKER = "shop-worker-1:41822.8123456:41830:1234"
_REPLY = "250 2.0.0 Ok: queued as 4b7Q2c1ZfTz9sR"
_BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/143.0.0.0 Safari/537.36"
)
# What a letter goes through: claimed, begun, taken.
_STEPS = (
    "UPDATE deliveries SET claimed_by = :worker, claimed_at = :now WHERE id > :above AND id <= :upto",
    (
        "UPDATE deliveries SET status = 'sending', message_id = 'message-' || id || '@shop.example.org'"
        " WHERE id > :above AND id <= :upto"
    ),
    (
        "INSERT INTO attempts (delivery_id, worker, address, started_at, ended_at, outcome, reply)"
        " SELECT id, :worker, 'reader' || customer_id || '@reader.example', :now, :now, 'accepted', :reply"
        " FROM deliveries WHERE id > :above AND id <= :upto"
    ),
    (
        "UPDATE deliveries SET status = 'sent', sent_at = :now, tries = 1, claimed_by = NULL,"
        " claimed_at = NULL WHERE id > :above AND id <= :upto"
    ),
)
# Rows of the demonstration, which no real shop has, and bells, which go.
_NOT_OURS = {"demo_payments", "demo_events", "captured_letters", "huey_task"}
_SQLITE_SIZES = (
    "SELECT m.tbl_name, sum(s.pgsize) FROM dbstat s JOIN sqlite_master m ON m.name = s.name"
    " GROUP BY m.tbl_name"
)
_POSTGRESQL_SIZES = (
    "SELECT relname, pg_total_relation_size(oid) FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
)


def measure() -> list[Figure]:
    """The bytes, on both databases."""
    with tempfile.TemporaryDirectory() as folder:
        figures = _figures("SQLite", Path(folder), "")
        with postgresql() as server:
            figures += _figures("PostgreSQL", Path(folder) / "pg", server)
    return figures


def _figures(name: str, folder: Path, database: str) -> list[Figure]:
    with shop(folder, database_url=database, mail_server="127.0.0.1"):
        empty = _sizes()
        _orders()
        ordered = _sizes()
        edition_id = add_publication(LETTERS)
        before = _sizes()
        release(edition_id)
        owed = _sizes()
        _send(edition_id)
        sent = _sizes()
        _download(edition_id)
        downloaded = _sizes()
    return [
        _figure(f"an order that was paid by card, {name}", empty, ordered, ORDERS),
        _figure(f"a letter that is owed, {name}", before, owed, LETTERS),
        _figure(f"a letter that was sent, with its attempt, {name}", before, sent, LETTERS),
        _figure(f"a download, {name}", sent, downloaded, LETTERS),
    ]


def _figure(what: str, before: dict[str, int], after: dict[str, int], count: int) -> Figure:
    grown = {table: (after[table] - before.get(table, 0)) / count for table in after}
    most = sorted(grown.items(), key=lambda one: -one[1])[:6]
    detail = ", ".join(f"{table} {size:.0f}" for table, size in most if size >= 1)
    return Figure(what, "", sum(grown.values()), None, unit="bytes", detail=detail)


def _sizes() -> dict[str, int]:
    """The bytes of each table with its indexes, swept as the database does by itself in time."""
    db.session.remove()
    is_sqlite = db.engine.dialect.name == "sqlite"
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not is_sqlite:
            connection.execute(sa.text("VACUUM"))
        found = connection.execute(sa.text(_SQLITE_SIZES if is_sqlite else _POSTGRESQL_SIZES))
        return {table: int(size) for table, size in found if table not in _NOT_OURS}


def _orders() -> None:
    """Each placed and paid by the rules, at the gateway of the demonstration."""
    publication_id = _publication_of(add_publication(0))
    for number in range(ORDERS):
        details = Details(email=f"buyer{number}@reader.example", name=f"Buyer {number}")
        with transaction() as session:
            order_id = placed_order(session.get_one(Publication, publication_id), details).id
        pay(order_id)


def _publication_of(edition_id: int) -> int:
    publication_id = db.session.get_one(Edition, edition_id).publication_id
    db.session.remove()
    return publication_id


def _send(edition_id: int) -> None:
    """All letters, by the statements of the ledger."""
    span = sa.text("SELECT min(id) - 1, max(id) FROM deliveries WHERE edition_id = :edition")
    above, last = db.session.execute(span, {"edition": edition_id}).one()
    db.session.remove()
    given = {"worker": _WORKER, "reply": _REPLY, "now": clock.now().isoformat(" ")}
    for start in range(above, last, _IN_STEP):
        for step in _STEPS:
            words = {"above": start, "upto": min(last, start + _IN_STEP)} | given
            with transaction() as session:
                session.execute(sa.text(step), words)


def _download(edition_id: int) -> None:
    """One for each of them."""
    now, digest = clock.now(), "0" * 64
    with transaction() as session:
        facts = {"facts": {}, "findings": [], "uploaded_at": now, "edition_id": edition_id}
        file = Asset(format="pdf", sha256=digest, uploaded_sha256=digest, size=1, **facts)
        session.add(file)
        session.flush()
        asset_id = file.id
        known = session.scalars(
            sa.select(Delivery.customer_id).where(Delivery.edition_id == edition_id)
        ).all()
        rows = [
            {
                "grant_digest": hashlib.sha256(str(customer_id).encode()).hexdigest(),
                "customer_id": customer_id,
                "asset_id": asset_id,
                "started_at": now + timedelta(seconds=number),
                "network": "198.51.100.17",
                "user_agent": _BROWSER,
            }
            for number, customer_id in enumerate(known)
        ]
        insert(Download, rows)
