"""After a restore no number of before is given again: what stands on old pages and in old letters
reaches its own order, or nobody's."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade

from store.backups import after_restore
from store.backups.after_restore import begin_after_restore
from store.kit import clock, numbers
from store.kit.database import Base, db, transaction
from store.mail import restores
from store.mail.models import Delivery
from store.orders.models import Customer, Order
from store.orders.placing import Details
from tests.admin.sign_in import press, signed_in
from tests.conftest import Clock, Reader, on_both, on_both_when_long
from tests.editions import a_shop, guide
from tests.letters import links_in, sent, text_of
from tests.purchases import ANNA, a_paid_order, apply_payment, buy, placed_order
from tests.restored import put_back

pytestmark = pytest.mark.usefixtures("frozen")

BEN = "ben@reader.example"


@dataclass
class Old:
    """What is left of an order that the backup does not know."""

    reference: str
    order_id: int
    customer_id: int
    letters: list[int]
    paths: list[str]


def old_pages_of(client: FlaskClient) -> Old:
    """Anna's order, her letters at the desk and every link that she was mailed or shown."""
    order = db.session.scalars(sa.select(Order).join(Customer).where(Customer.email == ANNA)).one()
    mailed = [one for one in sent() if one["To"].addresses[0].addr_spec == ANNA]
    paths = [path for one in mailed for path in links_in(text_of(one))]
    library = next(path for path in paths if path.startswith("/library/"))
    page = client.get(library).text
    paths += [part.split('"')[0] for part in page.split('href="') if part.startswith("/download/")]
    letters = db.session.scalars(sa.select(Delivery.id).filter_by(customer_id=order.customer_id))
    old = Old(order.reference, order.id, order.customer_id, list(letters), paths)
    assert any(path.startswith("/download/") for path in old.paths)
    return old


def restored_with_ben(
    frozen: Clock, client: FlaskClient, backup: Callable[[], str]
) -> tuple[str, Old, int, object]:
    """A backup, and then Anna's order, which it does not know."""
    publication = a_shop()
    a_paid_order(publication, "cleo@reader.example")
    number = publication.id
    sent()
    made_at, copy = clock.now(), backup()
    frozen.advance(hours=1)
    with transaction():
        buy(guide(number), ANNA)
    sent()
    old = old_pages_of(client)
    frozen.advance(hours=1)
    return copy, old, number, made_at


def ben_orders(number: int) -> Order:
    with transaction():
        order_id = buy(guide(number), BEN).id
    with transaction():
        restores.let_go("olga")
    sent()
    return db.session.get_one(Order, order_id)


@on_both
def test_old_pages_and_links_reach_nobody_elses_order(
    client: FlaskClient, frozen: Clock, tmp_path: Path, backup: Callable[[], str]
) -> None:
    copy, old, number, made_at = restored_with_ben(frozen, client, backup)
    with put_back(copy, tmp_path) as shop:
        shop.test_client_class = Reader
        begin_after_restore(made_at)
        order = ben_orders(number)
        assert order.reference != old.reference
        assert order.id >= numbers.STEP
        assert order.customer_id >= numbers.STEP
        letters = len(sent())
        desk = signed_in(shop.test_client())
        desk_pages = [f"/admin/orders/{old.reference}", f"/admin/customers/{old.customer_id}"]
        desk_pages += [f"/admin/letters/{letter}" for letter in old.letters]
        for path in desk_pages:
            assert desk.get(path).status_code == 404
        for act in (f"/admin/orders/{old.reference}", f"/admin/customers/{old.customer_id}"):
            assert press(desk, f"{act}/resend", seen_on="/admin/search").status_code == 404
        for path in (path for path in old.paths if not path.startswith("/terms/")):
            answer = shop.test_client().get(path)
            assert answer.status_code == 404, path
            assert BEN not in answer.text
            assert order.reference not in answer.text
        assert len(sent()) == letters
        # What the backup knows goes on as before.
        assert all_numbers_below(numbers.STEP) > 0


def all_numbers_below(most: int) -> int:
    return int(db.session.scalar(sa.select(sa.func.count()).where(Order.id < most)) or 0)


@on_both_when_long
def test_control_without_the_step_an_old_page_sends_somebody_elses_letter(
    client: FlaskClient,
    frozen: Clock,
    tmp_path: Path,
    backup: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(after_restore.numbers, "begin_at", lambda *_: None)
    copy, old, number, made_at = restored_with_ben(frozen, client, backup)
    with put_back(copy, tmp_path) as shop:
        begin_after_restore(made_at)
        ben_orders(number)
        frozen.advance(hours=1)
        letters = len(sent())
        desk = signed_in(shop.test_client())
        assert press(desk, f"/admin/customers/{old.customer_id}/resend", seen_on="/admin/search")
        assert [one["To"].addresses[0].addr_spec for one in sent()[letters:]] == [BEN]


@on_both
def test_each_table_goes_on_above_the_step_and_again_after_another_restore(
    app: Flask,
) -> None:
    a_paid_order(a_shop())
    begin_after_restore(clock.now())
    with transaction():
        first = apply_payment(placed_order(guide(1), Details(email="dora@reader.example"))).id
    with transaction() as session:
        tables = [t for t in Base.metadata.sorted_tables if next(iter(t.primary_key)).name == "id"]
        found = {
            t.name: session.execute(sa.select(sa.func.max(t.c.id))).scalar() or 0 for t in tables
        }
    grown = {name for name, highest in found.items() if highest >= numbers.STEP}
    assert {"orders", "customers", "links", "deliveries", "checkouts", "payments"} <= grown
    # Again, and nothing of it is given twice.
    begin_after_restore(clock.now())
    with transaction():
        again = apply_payment(placed_order(guide(1), Details(email="emil@reader.example"))).id
    assert (first >= numbers.STEP, again >= 2 * numbers.STEP) == (True, True)
    if db.engine.dialect.name == "sqlite":
        assert db.session.execute(sa.text("PRAGMA integrity_check")).scalar() == "ok"
        assert not db.session.execute(sa.text("PRAGMA foreign_key_check")).all()


@on_both_when_long
@pytest.mark.parametrize("is_told", [True, False], ids=["told", "control"])
def test_two_restores_from_one_backup_give_no_number_twice(
    client: FlaskClient,
    frozen: Clock,
    tmp_path: Path,
    backup: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    is_told: bool,
) -> None:
    number = a_shop().id
    made_at = clock.now()
    if not is_told:
        monkeypatch.setattr(after_restore, "highest_floor", lambda: 0)
    given = list[int]()
    for _ in range(2):
        frozen.advance(hours=1)
        with put_back(backup(), tmp_path):
            begin_after_restore(made_at)
            given.append(ben_orders(number).id)
    assert (given[0] != given[1]) == is_told


def test_a_migration_that_copies_a_table_keeps_account_of_its_numbers(
    app: Flask, frozen: Clock
) -> None:
    a_paid_order(a_shop())
    begin_after_restore(clock.now())
    with transaction() as session:
        session.execute(sa.text("DELETE FROM sqlite_sequence"))
    db.session.remove()
    upgrade()
    with transaction():
        order = apply_payment(placed_order(guide(1), Details(email="dora@reader.example")))
        assert order.id >= numbers.STEP
