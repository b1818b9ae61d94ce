"""Several at once: two presses of one link, an order placed while its address is given back, and
an address that changes hands during a release.

Each guard has its control: the same race with the guard taken out goes wrong.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Edition, Publication
from store.catalog.publications import lock_publication
from store.distribution import releasing
from store.entitlements import addresses, fresh_links, merging, order_moves
from store.entitlements.addresses import (
    AddressTaken,
    MoneyJudge,
    confirm_change,
    correct_address,
    merge_customers,
    request_change,
    undo_change,
)
from store.entitlements.fresh_links import end_links
from store.entitlements.links import LinkExpired
from store.entitlements.merging import lock_histories
from store.entitlements.models import Link, OrderMove
from store.entitlements.order_moves import accept_move, request_move
from store.kit.database import db, transaction
from store.kit.mailboxes import address_key
from store.orders import customers, placing
from store.orders.customers import find_or_add_customer, lock_customers
from store.orders.models import Customer, Order
from tests.conftest import Clock, on_postgresql
from tests.editions import a_shop, draft, drafted_and_released
from tests.links import anna, path_to
from tests.purchases import ANNA, a_paid_order, buy
from tests.races import PATIENCE_SECONDS, at_once, until_waiting

pytestmark = [on_postgresql, pytest.mark.usefixtures("frozen")]
# How long one side of a race waits for the other, which a guard may be holding up.
MEETING_SECONDS = 1.5


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
def test_of_two_presses_at_once_one_moves_the_order(
    app: Flask, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    order_id = a_paid_order(a_shop()).id
    with transaction():
        link_id = request_move(order_id, "carl@other.example").id
    gate = threading.Barrier(2)
    judged = order_moves._judged

    def meet(asked: int) -> Order:
        order = judged(asked)
        try:
            gate.wait(MEETING_SECONDS if is_guarded else PATIENCE_SECONDS)
        except threading.BrokenBarrierError:
            assert is_guarded  # the other one waits for the lock
        return order

    monkeypatch.setattr(order_moves, "_judged", meet)
    if not is_guarded:
        monkeypatch.setattr(order_moves, "_locked", lambda asked: db.session.get_one(Order, asked))

    def press() -> None:
        with transaction() as session:
            accept_move(session.get_one(Link, link_id))

    faults = at_once(app, press, press)
    moves = db.session.scalars(sa.select(OrderMove.order_id)).all()
    assert moves == [order_id]
    # Without the lock the second press meets the table's own constraint: a fault, not a page.
    assert faults in (
        [[LinkExpired.__name__], ["NotMovable"]] if is_guarded else [["IntegrityError"]]
    )


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
def test_an_order_placed_while_its_address_is_given_back_is_not_lost(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    publication_id = a_shop().id
    a_paid_order(_publication(publication_id))
    customer_id = anna().id
    with transaction():
        confirm_change(request_change(anna(), "b@other.example"))
    with transaction():
        meanwhile = find_or_add_customer(ANNA).id
    undo_id = db.session.scalars(sa.select(Link.id).where(Link.purpose == "undo")).one()
    if not is_guarded:
        monkeypatch.setattr(customers, "_kept", lambda which: sa.select(Customer).where(which))
    found, undone = threading.Event(), threading.Event()

    def place() -> None:
        with transaction():
            assert find_or_add_customer(ANNA).id == meanwhile
            found.set()
            undone.wait(MEETING_SECONDS if is_guarded else PATIENCE_SECONDS)
            if not is_guarded:
                # What was found before is what the order is written for.
                before = db.session.get_one(Customer, meanwhile)
                monkeypatch.setattr(placing, "find_or_add_customer", lambda *_: before)
            buy(_publication(publication_id), ANNA)

    def undo() -> None:
        found.wait(PATIENCE_SECONDS)
        with transaction() as session:
            undo_change(session.get_one(Link, undo_id))
        undone.set()

    assert at_once(app, place, undo) == []
    owners = set(db.session.scalars(sa.select(Order.customer_id)))
    assert owners == ({customer_id} if is_guarded else {customer_id, meanwhile})
    restored = db.session.get_one(Customer, customer_id)
    assert restored.email_key == address_key(ANNA)
    assert db.session.get_one(Customer, meanwhile).merged_into_id == customer_id


@pytest.mark.parametrize("door", ["customer", "rule"])
def test_an_address_where_somebody_orders_in_that_moment_is_taken(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    a_paid_order(a_shop())
    with transaction():
        request_change(anna(), "b@other.example")
    path = path_to("address", anna().id)
    look = addresses._refuse_taken

    def order_there(address: str) -> None:
        with app.app_context():
            with transaction():
                find_or_add_customer(address)
            db.session.remove()

    def look_too_early(other: Customer | None, has_money: MoneyJudge) -> None:
        look(other, has_money)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(order_there, "b@other.example").result()

    monkeypatch.setattr(addresses, "_refuse_taken", look_too_early)
    if door == "customer":
        answer = client.post(path, data={"sure": "yes"})
        assert answer.status_code == 409
        assert AddressTaken.heading in answer.text
    else:
        with pytest.raises(AddressTaken), transaction():
            correct_address(anna(), "b@other.example", "Olga")
    assert db.session.scalars(sa.select(Customer.email).order_by(Customer.id)).all() == [
        ANNA,
        "b@other.example",
    ]


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
def test_two_customers_merged_both_ways_at_once_keep_an_address(
    app: Flask, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    publication = a_shop()
    first = a_paid_order(publication).customer_id
    second = a_paid_order(publication, "ben@reader.example").customer_id
    if not is_guarded:
        monkeypatch.setattr(addresses, "refuse_merged", lambda *_: None)
    both_found = threading.Barrier(2)

    def merge(gone_id: int, kept_id: int) -> None:
        with transaction() as session:
            gone, kept = session.get_one(Customer, gone_id), session.get_one(Customer, kept_id)
            both_found.wait(PATIENCE_SECONDS)
            merge_customers(gone, kept, "Olga")

    faults = at_once(app, lambda: merge(first, second), lambda: merge(second, first))
    left = {address for address in db.session.scalars(sa.select(Customer.email)) if address}
    if is_guarded:
        assert faults == ["CustomerMerged"]
        assert len(left) == 1
    else:
        assert left == set()


WAYS = {
    "confirmed": lambda: confirm_change(_asked_link()),
    "corrected": lambda: correct_address(anna(), "b@other.example", "Olga"),
    "links ended": lambda: end_links(anna(), "customer"),
}


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
@pytest.mark.parametrize("way", WAYS)
def test_an_address_changes_during_a_release_and_both_come_to_their_end(
    app: Flask, monkeypatch: pytest.MonkeyPatch, way: str, is_guarded: bool
) -> None:
    publication = a_shop(editions=0)
    a_paid_order(publication)
    drafted_and_released(publication)
    with transaction():
        request_change(anna(), "b@other.example")
        edition = draft(publication, 2)
        releasing.schedule_release(edition, None, "Olga")
    publication_id, edition_id = publication.id, edition.id
    if not is_guarded:
        for module in (addresses, fresh_links):
            monkeypatch.setattr(
                module, "lock_histories", lambda ids, **_: lock_customers(ids, for_address=True)
            )
    held = threading.Event()

    def release() -> None:
        with transaction() as session:
            lock_publication(publication_id, alone=True)
            held.set()
            until_waiting()
            releasing.release_edition(session.get_one(Edition, edition_id), "timetable")

    def change() -> None:
        held.wait(PATIENCE_SECONDS)
        with transaction():
            WAYS[way]()

    assert at_once(app, release, change) == ([] if is_guarded else ["OperationalError"])


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
def test_an_order_that_comes_to_a_customer_while_they_are_locked_is_locked_with_them(
    app: Flask, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    publication, other = a_shop(), a_shop(slug="another-title")
    a_paid_order(publication)
    order_id = a_paid_order(other, "carl@other.example").id
    anna_id, other_id = anna().id, other.id
    with transaction():
        link_id = request_move(order_id, ANNA).id
    if not is_guarded:
        monkeypatch.setattr(merging, "_has_more", lambda *_: False)
    moved = threading.Event()
    free: list[bool] = []

    def move() -> None:
        with transaction() as session:
            accept_move(session.get_one(Link, link_id))
            moved.set()
            until_waiting()

    def lock() -> None:
        moved.wait(20)
        with transaction():
            lock_histories([anna_id])
            free.extend((_is_free(Order, order_id), _is_free(Publication, other_id)))

    assert at_once(app, move, lock) == []
    assert free == [not is_guarded, not is_guarded]


def _is_free(model: type[Order | Publication], row_id: int) -> bool:
    query = sa.select(model.id).where(model.id == row_id).with_for_update(skip_locked=True)
    with db.engine.begin() as connection:
        return connection.execute(query).first() is not None


def _asked_link() -> Link:
    return db.session.scalars(sa.select(Link).where(Link.purpose == "address")).one()


def _publication(publication_id: int) -> Publication:
    return db.session.get_one(Publication, publication_id)
