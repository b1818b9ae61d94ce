"""What is old goes by itself, and the privacy page, the docs and the clearings say one thing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Asset, Publication
from store.entitlements import clearing, forgotten
from store.entitlements.clearing import EVIDENCE, RECORDS, UNPAID, WALKS, clear_old
from store.entitlements.keeping import KEPT, TIMES, Kept, table_in_markdown
from store.entitlements.models import REFUNDED, Download, Entitlement
from store.entitlements.personal import TABLES, Kind, columns_of
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.models import Attempt
from store.orders.customer_notes import add_note
from store.orders.models import Customer, CustomerNote, Order
from store.orders.placing import Details
from store.staff.acts import Act
from store.staff.audit import record
from store.staff.models import AuditEntry
from tests.conftest import Clock, on_both
from tests.editions import a_shop
from tests.letters import sent
from tests.links import anna
from tests.pages import page_at
from tests.plans import plans
from tests.purchases import ANNA, buy, pay, placed_order
from tests.rows import rows

DOCS = Path(__file__).parent.parent.parent / "docs" / "privacy.md"
FROM = {"network": "203.0.113.9", "user_agent": "A browser"}


def test_page_docs_and_clearings_say_the_same_of_every_table(client: FlaskClient) -> None:
    assert table_in_markdown() in DOCS.read_text(encoding="utf-8")
    page = " ".join(page_at(client, "/privacy").split())
    assert [one for one in KEPT if one.why not in page or one.until not in page] == []
    said = {table: [one for one in KEPT if table in one.tables] for table in TABLES}
    assert [table for table, parts in said.items() if not parts] == []
    unsaid = [walk.name for walk in WALKS if walk.table in said and not _is_said(walk, said)]
    assert unsaid == []


def _is_said(walk: clearing.Walk, said: dict[str, list[Kept]]) -> bool:
    words = TIMES[walk.after]
    return any(words in one.until.casefold() for one in said[walk.table])


# What has its time elsewhere, or lives as long as the customer whose it is.
ELSEWHERE = {
    "customers": {"email", "name"},
    "second_addresses": {"email"},
    "address_holds": {"words"},
    "repairs": {"words", "word"},
    "offers": {"email"},
    "import_lines": {"value"},
    "captured_letters": {"recipient", "subject"},
    "customer_notes": {"text"},
    "audit_entries": {"before", "after"},
}


def test_every_column_that_names_somebody_has_its_time() -> None:
    named = {table: {one.name for one in columns_of(table, Kind.NAMES)} for table in TABLES}
    for walk in WALKS:
        named.get(walk.table, set()).difference_update(walk.values or {})
    assert {table: names for table, names in named.items() if names} == ELSEWHERE


@on_both
def test_networks_go_after_18_months_and_names_and_acts_after_seven_years(
    client: FlaskClient, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearing, "AT_ONCE", 2)
    frozen.set(datetime(2016, 3, 1, 10, tzinfo=UTC))
    publication = a_shop()
    with transaction():
        paid = placed_order(publication, Details(email=ANNA, name="Anna Berg", **FROM)).id
    pay(paid)
    with transaction() as session:
        publication = session.scalars(sa.select(Publication)).one()
        unpaid = placed_order(publication, Details(email=ANNA, name="Otto", **FROM)).id
        asset = session.scalars(sa.select(Asset)).first()
        for number in range(3):
            session.add(_download(asset, str(number)))
        add_note(anna(), "Rang about a receipt", "Olga")
        record(Act.CUSTOMER_NOTED, anna())
    sent()
    assert _kept(paid, unpaid) == (ANNA, ANNA, "Anna Berg", 3, 1, {"203.0.113.9"}, 2)
    _pass(frozen, UNPAID)
    assert _kept(paid, unpaid) == (ANNA, "", "Anna Berg", 3, 1, {"203.0.113.9"}, 2)
    _pass(frozen, EVIDENCE - UNPAID)
    assert _kept(paid, unpaid) == (ANNA, "", "Anna Berg", 0, 0, {""}, 2)
    with plans(*{walk.table for walk in WALKS} - {"staff"}) as seen:
        _pass(frozen, RECORDS - EVIDENCE)
    assert _kept(paid, unpaid) == ("", "", "", 0, 0, {""}, 0)
    assert [step for step in seen.of_all_rows if "staff" not in step] == []
    assert rows(Customer.email) == [(ANNA,)]


def test_who_has_no_copy_and_no_order_that_is_kept_is_forgotten(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgotten, "AT_ONCE", 2)
    frozen.set(datetime(2016, 3, 1, 10, tzinfo=UTC))
    publication = a_shop()
    with transaction() as session:
        for name in ("holder", "refunded"):
            buy(publication, f"{name}@reader.example")
        placed_order(publication, Details(email="looker@reader.example"))
        theirs = sa.select(Customer.id).where(Customer.email == "refunded@reader.example")
        rights = sa.update(Entitlement).where(Entitlement.customer_id.in_(theirs))
        session.execute(rights.values(revoked_at=clock.now(), revoked_reason=REFUNDED))
    sent()
    left = []
    for time in (timedelta(), UNPAID, RECORDS - UNPAID):
        frozen.advance(seconds=time.total_seconds() + 86_400)
        sent()
        for _ in range(3):  # round once, and begin again
            forgotten.forget_customers()
        left.append({email.partition("@")[0] for (email,) in rows(Customer.email)})
    assert left == [
        {"holder", "refunded", "looker"},
        {"holder", "refunded", "erased"},
        {"holder", "erased"},
    ]


def _download(asset: Asset | None, digest: str) -> Download:
    assert asset is not None
    values = {"grant_digest": digest, "customer_id": anna().id, "asset_id": asset.id}
    return Download(**values, started_at=clock.now(), **FROM)


def _pass(frozen: Clock, time: timedelta) -> None:
    """So much time and a day, and as many passes as a small batch needs."""
    frozen.advance(seconds=time.total_seconds() + 86_400)
    for _ in range(4):
        clear_old()


def _kept(paid: int, unpaid: int) -> tuple[object, ...]:
    """Addresses of the two orders and the name of the first; how many downloads and tries say where
    from and where to; the networks of orders; the notes and acts that are left."""
    db.session.rollback()
    first, second = db.session.get_one(Order, paid), db.session.get_one(Order, unpaid)
    downloads = sum(network != "" for (network,) in rows(Download.network))
    tries = sum(address != "" for (address,) in rows(Attempt.address))
    networks = {first.network}
    left = len(rows(CustomerNote.id)) + len(rows(AuditEntry.id))
    return first.email, second.email, first.name, downloads, tries, networks, left
