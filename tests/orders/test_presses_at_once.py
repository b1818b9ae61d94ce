"""Presses of an order form beside other things, on PostgreSQL: SQLite has one writer and hides it.

Each guard has its control: the same race with the guard taken out goes wrong.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Publication
from store.entitlements.links import order_link
from store.kit.database import db, transaction
from store.kit.status import advance
from store.orders import placing
from store.orders.customers import find_or_add_customer
from store.orders.discounts import add_discount
from store.orders.models import Customer, Order, OrderStatus
from store.orders.orders import lock_order, orders_of_form
from store.orders.placing import Change, Details, place_order
from tests import factories
from tests.conftest import Clock, on_postgresql
from tests.races import PATIENCE_SECONDS, at_once, until_waiting

pytestmark = on_postgresql
KEY = "a-form-key-of-22-chars"
ANNA = Details("anna@reader.example", "Anna Berg")


@pytest.fixture
def publication_id(app: Flask, frozen: Clock) -> int:
    """A pre-order at £12.50."""
    with transaction():
        factories.a_seller()
        return factories.a_publication().id


def press(publication_id: int, details: Details = ANNA, **given: object) -> int:
    """Press the form's button in a transaction of its own; the order's id."""
    with transaction() as session:
        publication = session.get_one(Publication, publication_id)
        values: dict[str, object] = {"form_key": KEY, "seen_amount": publication.price_amount}
        return place_order(publication, details, **(values | given)).id  # type: ignore[arg-type]


def _locked_wholly(form_key: str, **_: object) -> Sequence[Order]:
    query = sa.select(Order).where(Order.form_key == form_key).with_for_update()
    return db.session.scalars(query.execution_options(populate_existing=True)).all()


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
def test_a_link_to_an_order_is_written_while_a_press_holds_the_order(
    app: Flask, publication_id: int, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    order_id = press(publication_id)
    customer_id = db.session.get_one(Order, order_id).customer_id
    if not is_guarded:
        monkeypatch.setattr(placing, "orders_of_form", _locked_wholly)
    held, written = threading.Event(), threading.Event()

    def judge(_order: Order, _change: Change) -> bool:
        held.set()
        written.wait(PATIENCE_SECONDS)
        return False

    def write_link() -> None:
        held.wait(PATIENCE_SECONDS)
        try:
            with transaction() as session:
                session.execute(sa.text("SET LOCAL lock_timeout = '300ms'"))
                order_link(order_id, customer_id)
        finally:
            written.set()

    faults = at_once(app, lambda: press(publication_id, judge=judge), write_link)
    assert faults == ([] if is_guarded else ["OperationalError"])


def _unlocked(form_key: str, **_: object) -> Sequence[Order]:
    return orders_of_form(form_key)


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
def test_first_presses_for_two_addresses_do_not_wait_for_each_other_in_a_ring(
    app: Flask, publication_id: int, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    if not is_guarded:
        monkeypatch.setattr(placing, "take_turn", lambda _name: None)
    added, ended = threading.Event(), threading.Event()

    def add_customer(email: str, name: str) -> Customer:
        customer = find_or_add_customer(email, name)
        if not added.is_set():  # Anna's first press has her row, and none of an order
            added.set()
            until_waiting(ended.is_set)
        return customer

    def press_of_ben_then_of_anna() -> None:
        added.wait(PATIENCE_SECONDS)
        press(publication_id, replace(ANNA, email="ben@reader.example"))
        press(publication_id)
        ended.set()

    monkeypatch.setattr(placing, "find_or_add_customer", add_customer)
    faults = at_once(app, lambda: press(publication_id), press_of_ben_then_of_anna)
    assert faults == ([] if is_guarded else ["OperationalError"])


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
def test_the_second_order_of_a_form_is_not_paid_while_it_is_judged(
    app: Flask, publication_id: int, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    first = press(publication_id, replace(ANNA, email="slip@reader.example"))
    second = press(publication_id)
    if not is_guarded:
        monkeypatch.setattr(placing, "orders_of_form", _unlocked)
    judged, paid = threading.Event(), threading.Event()
    paid_as = list[str]()

    def judge(order: Order, _change: Change) -> bool:
        if order.id == second and not judged.is_set():
            judged.set()
            until_waiting(paid.is_set)
        return False

    def pay() -> None:
        judged.wait(PATIENCE_SECONDS)
        with transaction():
            order = lock_order(second)
            paid_as.append(order.name)
            advance(order, OrderStatus.PAID)
        paid.set()

    def review() -> None:
        press(publication_id, replace(ANNA, name="Anna B"), judge=judge)

    assert at_once(app, review, pay) == []
    found = db.session.execute(sa.select(Order.id, Order.name, Order.status).order_by(Order.id))
    slip, right = (first, ANNA.name, "cancelled"), (second, "Anna B", "paid")
    assert [tuple(row) for row in found] == [slip, right]
    # Without the lock what is paid is rewritten.
    assert paid_as == (["Anna B"] if is_guarded else [ANNA.name])


def test_an_order_that_a_webhook_pays_meanwhile_is_what_the_press_gives(
    app: Flask, publication_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    press(publication_id, replace(ANNA, email="slip@reader.example"))
    second = press(publication_id)
    held, given = threading.Event(), list[int]()

    def pay() -> None:
        with transaction():
            order = lock_order(second)
            held.set()
            until_waiting(lambda: bool(given))
            advance(order, OrderStatus.PAID)

    def review() -> None:
        held.wait(PATIENCE_SECONDS)
        given.append(press(publication_id, replace(ANNA, name="Anna B")))

    assert at_once(app, review, pay) == []
    assert given == [second]
    orders = db.session.execute(sa.select(Order.name, Order.status).order_by(Order.id)).all()
    assert [tuple(row) for row in orders] == [(ANNA.name, "cancelled"), (ANNA.name, "paid")]


def test_two_forms_with_one_code_are_pressed_at_once_and_both_count(
    app: Flask, publication_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both orders name the discount before either locks it."""
    with transaction():
        add_discount("Early bird", code="EARLY20", percent=20, max_orders=2)
    own, both = placing._own_order, threading.Barrier(2)

    def meet(*given: object) -> object:
        found = own(*given)  # type: ignore[arg-type]
        both.wait(PATIENCE_SECONDS)
        return found

    monkeypatch.setattr(placing, "_own_order", meet)

    def order(name: str) -> None:
        details = Details(f"{name}@reader.example", name, code="EARLY20")
        press(publication_id, details, form_key=name * 22, seen_amount=1000)

    assert at_once(app, lambda: order("a"), lambda: order("b")) == []
    assert sorted(db.session.scalars(sa.select(Order.form_key))) == ["a" * 22, "b" * 22]
