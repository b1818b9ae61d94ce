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
from store.orders.discounts import add_discount
from store.orders.models import Order, OrderStatus
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


def _locked_wholly(form_key: str) -> Order | None:
    query = sa.select(Order).where(Order.form_key == form_key).with_for_update()
    return db.session.scalar(query.execution_options(populate_existing=True))


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
def test_a_link_to_an_order_is_written_while_a_press_holds_the_order(
    app: Flask, publication_id: int, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    order_id = press(publication_id)
    customer_id = db.session.get_one(Order, order_id).customer_id
    if not is_guarded:
        monkeypatch.setattr(placing, "_order_of", _locked_wholly)
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
def test_the_second_order_of_a_form_is_not_paid_while_it_is_judged(
    app: Flask, publication_id: int, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    first = press(publication_id, replace(ANNA, email="slip@reader.example"))
    second = press(publication_id)
    if not is_guarded:
        monkeypatch.setattr(placing, "orders_of_form", _unlocked)
    judged, paid = threading.Event(), threading.Event()

    def judge(order: Order, _change: Change) -> bool:
        if order.id == second and not judged.is_set():
            judged.set()
            until_waiting(paid.is_set)
        return False

    def pay() -> None:
        judged.wait(PATIENCE_SECONDS)
        with transaction():
            advance(lock_order(second), OrderStatus.PAID)
        paid.set()

    def review() -> None:
        press(publication_id, replace(ANNA, name="Anna B"), judge=judge)

    assert at_once(app, review, pay) == []
    found = db.session.execute(sa.select(Order.id, Order.name, Order.status).order_by(Order.id))
    # Without the lock what is paid is rewritten, or another order for the same address stands.
    slip, right = (first, ANNA.name, "cancelled"), (second, "Anna B", "paid")
    assert ([tuple(row) for row in found] == [slip, right]) is is_guarded


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


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
def test_presses_of_one_form_with_a_code_wait_for_each_other_in_one_order(
    app: Flask, publication_id: int, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    """The first press looks before an order is there, the next one after another has added it.

    The order is locked before its discount. The control takes them the other way round: the first
    press has the discount by then, and the next one holds the order and wants the discount.
    """
    with transaction():
        add_discount("Early bird", code="EARLY20", percent=20, max_orders=5)
    coded = replace(ANNA, code="EARLY20")
    quote, own = placing._quote_as_seen, placing._own_order
    looked, added, is_at_the_order = threading.Event(), threading.Event(), threading.Event()
    locked, over = threading.Event(), threading.Event()
    first = threading.local()

    def look(*given: object) -> object:
        if hasattr(first, "press"):
            looked.set()
            assert added.wait(PATIENCE_SECONDS)
        elif added.is_set():
            locked.set()
            assert is_at_the_order.wait(PATIENCE_SECONDS)
        return quote(*given)  # type: ignore[arg-type]

    def own_order(form_key: str, email: str, values: dict[str, int]) -> object:
        if not is_guarded:
            placing.hold_place(values["discount_id"], "", form_key)
        if hasattr(first, "press"):
            is_at_the_order.set()
            assert locked.wait(PATIENCE_SECONDS)
            until_waiting(over.is_set)
        return own(form_key, email, values)

    monkeypatch.setattr(placing, "_quote_as_seen", look)
    monkeypatch.setattr(placing, "_own_order", own_order)

    def first_press() -> None:
        first.press = True
        press(publication_id, coded, seen_amount=1000)

    def next_press() -> None:
        assert looked.wait(PATIENCE_SECONDS)
        press(publication_id, coded, seen_amount=1000)
        added.set()
        try:
            press(publication_id, coded, seen_amount=1000)
        finally:
            over.set()

    faults = at_once(app, first_press, next_press)
    assert faults == ([] if is_guarded else ["OperationalError"])
    assert db.session.scalars(sa.select(Order.form_key)).all() == [KEY]


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
