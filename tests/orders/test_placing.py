"""An order is a snapshot, made once per form, changed only while it is pending."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Publication, PublicationStatus
from store.kit.database import db, transaction
from store.kit.errors import InvalidFields
from store.kit.status import StatusChange, advance
from store.orders import placing
from store.orders.consents import CONSENT_WORDINGS, waiver
from store.orders.models import Consent, Customer, Order, OrderLine, OrderStatus
from store.orders.orders import (
    OrderUnknown,
    cancel_pending,
    expire_order,
    list_orders,
    order_by_reference,
    orders_of_form,
    search_customers,
)
from store.orders.placing import Change, Details, NotOnSale, PriceChanged, place_order
from tests import factories
from tests.conftest import Clock, on_both, on_postgresql
from tests.plans import plans
from tests.statements import statements

ANNA = Details("Anna.Berg@Reader.Example", "Anna Berg", "Little Oaks", "PO 7", wants_now=True)
KEY = "a-form-key-of-22-chars"


@pytest.fixture
def publication(app: Flask, frozen: Clock) -> Publication:
    """A pre-order expected in a week, from a stated seller."""
    with transaction():
        factories.a_seller()
        return factories.a_publication(expected_on=date(2027, 3, 8), updates_months=24)


def place(publication: Publication, details: Details = ANNA, key: str = KEY) -> Order:
    """Place an order in a transaction of its own, at the price that stands."""
    with transaction():
        return place_order(publication, details, form_key=key, seen_amount=publication.price_amount)


@on_both
def test_an_order_keeps_what_was_agreed_whatever_is_edited_later(
    publication: Publication, frozen: Clock
) -> None:
    order = place(publication)
    with transaction():
        publication.title, publication.price_amount = "Another", 9900
        publication.expected_on, publication.updates_months = None, None
        factories.a_seller(trading_name="Somebody Else")
    line = order.lines[0]
    assert (order.status, order.total_amount, order.currency) == ("pending", 1250, "GBP")
    assert (order.email, order.name, order.organisation, order.purchase_order_number) == (
        "Anna.Berg@Reader.Example",
        "Anna Berg",
        "Little Oaks",
        "PO 7",
    )
    assert (line.title, line.price_amount, line.quantity) == (
        "Effective SEND Practice in the Early Years",
        1250,
        1,
    )
    assert (line.is_preorder, line.expected_on, line.updates_months) == (True, date(2027, 3, 8), 24)
    assert order.seller.trading_name == "Early Years Sample Press"
    assert order.placed_at == datetime(2027, 3, 1, 10, tzinfo=UTC)
    assert order.customer.email_key == "anna.berg@reader.example"


def test_an_order_after_the_release_is_no_preorder(publication: Publication) -> None:
    with transaction():
        factories.a_released_edition(publication)
    assert place(publication).lines[0].is_preorder is False


@on_both
def test_the_same_form_pressed_twice_is_one_order_with_the_last_details(
    publication: Publication,
) -> None:
    first = place(publication)
    second = place(publication, replace(ANNA, name="Anna B", wants_now=False))
    assert first.id == second.id
    assert (second.name, second.customer.email) == ("Anna B", ANNA.email)
    assert waiver(second.id) is None
    counts = [db.session.scalar(sa.select(sa.func.count(m.id))) for m in (Order, OrderLine)]
    assert counts == [1, 1]


def _form_orders() -> list[tuple[str, str]]:
    db.session.rollback()
    rows = db.session.execute(sa.select(Order.email, Order.status).order_by(Order.id))
    return [(email, status.value) for email, status in rows]


@on_both
def test_the_same_form_for_another_address_is_another_order_and_gives_the_first_up(
    publication: Publication,
) -> None:
    ben = replace(ANNA, email="ben@reader.example")
    first = place(publication)
    key, second = KEY, place(publication, ben)
    twice = place(publication, ben)
    assert first.id != second.id == twice.id
    assert _form_orders() == [(ANNA.email, "cancelled"), (ben.email, "pending")]
    assert place(publication, replace(ben, email="BEN@reader.example"), key).id == second.id

    back = place(publication)
    assert back.id not in {first.id, second.id}
    assert place(publication, ANNA, back.form_key).id == back.id
    assert [status for _, status in _form_orders()] == ["cancelled", "cancelled", "pending"]
    reasons = sa.select(StatusChange.why).where(StatusChange.to_status == "cancelled")
    assert set(db.session.scalars(reasons)) == {"ordered for another address instead"}


@on_both
def test_an_order_that_is_judged_to_have_money_under_way_is_not_written_again(
    publication: Publication,
) -> None:
    order = place(publication)
    asked: list[Change] = []

    def judge(_order: Order, change: Change) -> bool:
        asked.append(change)
        return True

    for other in (
        replace(ANNA, name="B", wants_now=False),
        replace(ANNA, email="b@reader.example"),
    ):
        with transaction():
            left = place_order(publication, other, form_key=KEY, seen_amount=1, judge=judge)
        assert (left.id, left.name, left.email) == (order.id, "Anna Berg", ANNA.email)
    assert (waiver(order.id) is None, asked) == (False, [Change.NOTHING] * 2)
    assert db.session.scalar(sa.select(sa.func.count(Customer.id))) == 1


def test_what_a_press_would_change_is_judged_before_it_is_written(
    publication: Publication,
) -> None:
    place(publication)
    asked: list[Change] = []

    def judge(_order: Order, change: Change) -> bool:
        asked.append(change)
        return False

    def press(details: Details, amount: int = 1250) -> list[Change]:
        asked.clear()
        with transaction():
            place_order(publication, details, form_key=KEY, seen_amount=amount, judge=judge)
        return asked[1:]

    assert press(ANNA) == [Change.NOTHING]
    assert press(replace(ANNA, wants_now=False)) == [Change.DETAILS]
    assert press(replace(ANNA, wants_now=False, organisation="Acorns")) == [Change.DETAILS]
    with transaction():
        publication.price_amount = 1500
    assert press(replace(ANNA, wants_now=False, organisation="Acorns"), 1500) == [Change.PRICE]
    assert press(replace(ANNA, email="ben@reader.example"), 1500) == [Change.PRICE]


@on_both
def test_presses_at_once_for_two_addresses_leave_one_order_open(
    app: Flask, publication: Publication
) -> None:
    ready, publication_id = threading.Barrier(6), publication.id
    db.session.rollback()

    def press(email: str) -> None:
        with app.app_context():
            ready.wait()
            with transaction() as session:
                found = session.get_one(Publication, publication_id)
                place_order(found, replace(ANNA, email=email), form_key=KEY, seen_amount=1250)
            db.session.remove()

    emails = [ANNA.email, "ben@reader.example"] * 3
    threads = [threading.Thread(target=press, args=(email,)) for email in emails]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    states = [status for _, status in _form_orders()]
    assert states.count("pending") == 1
    assert set(states) <= {"pending", "cancelled"}


def test_an_order_that_is_paid_stays_untouched(publication: Publication) -> None:
    order = place(publication)
    with transaction():
        advance(order, OrderStatus.PAID)
        publication.price_amount = 9900
    again = place(publication, replace(ANNA, email="ben@reader.example"))
    assert (again.id, again.email, again.total_amount) == (order.id, ANNA.email, 1250)
    assert db.session.scalar(sa.select(sa.func.count(Customer.id))) == 1


def _press_at_once(app: Flask, publication_id: int, count: int = 8) -> list[object]:
    ready, answers = threading.Barrier(count), list[object]()

    def press() -> None:
        with app.app_context():
            ready.wait()
            try:
                with transaction() as session:
                    found = session.get_one(Publication, publication_id)
                    order = place_order(found, ANNA, form_key=KEY, seen_amount=1250)
                    answers.append(order.reference)
            except sa.exc.IntegrityError as fault:
                answers.append(fault)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=press) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@on_both
def test_eight_presses_at_once_are_one_order(app: Flask, publication: Publication) -> None:
    answers = _press_at_once(app, publication.id)
    db.session.rollback()
    references = db.session.scalars(sa.select(Order.reference)).all()
    assert len(references) == 1
    assert answers == list(references) * 8
    assert db.session.scalar(sa.select(sa.func.count(OrderLine.id))) == 1
    kinds = db.session.scalars(sa.select(Consent.kind).order_by(Consent.kind)).all()
    assert kinds == ["immediate_supply", "terms"]


@on_postgresql
def test_control_without_the_turn_of_a_form_presses_are_refused(
    app: Flask, publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_looked = threading.Barrier(8)

    def look_together(form_key: str, **asked: bool) -> Sequence[Order]:
        found = orders_of_form(form_key, **asked)
        all_looked.wait()
        return found

    def add(form_key: str, values: dict[str, object]) -> Order:
        order = Order(
            reference=placing.new_reference(),
            form_key=form_key,
            status=OrderStatus.PENDING,
            **values,
        )
        db.session.add(order)
        db.session.flush()
        return order

    monkeypatch.setattr(placing, "take_turn", lambda _name: None)
    monkeypatch.setattr(placing, "orders_of_form", look_together)
    monkeypatch.setattr(placing, "add_order", add)
    answers = _press_at_once(app, publication.id)
    assert sum(isinstance(one, sa.exc.IntegrityError) for one in answers) == 7


@pytest.mark.parametrize("status", [PublicationStatus.DRAFT, PublicationStatus.RETIRED])
def test_what_is_not_listed_is_not_sold(
    publication: Publication, status: PublicationStatus
) -> None:
    with transaction():
        publication.status = status
    with pytest.raises(NotOnSale):
        place(publication)
    assert db.session.scalar(sa.select(sa.func.count(Order.id))) == 0


def test_a_price_that_changed_meanwhile_is_said_and_nothing_is_ordered(
    publication: Publication,
) -> None:
    with pytest.raises(PriceChanged) as refusal, transaction():
        place_order(publication, ANNA, form_key=KEY, seen_amount=1000)
    assert refusal.value.new_amount == 1250
    assert refusal.value.sentence == (
        "The price has changed since you opened this page. It is now £12.50."
    )
    assert db.session.scalar(sa.select(sa.func.count(Order.id))) == 0


@pytest.mark.parametrize("amount", [1999, 820, 829, 777, 510, 115, 435, 3280])
def test_a_total_is_the_price_to_the_penny(publication: Publication, amount: int) -> None:
    with transaction():
        publication.price_amount = amount
    assert place(publication).total_amount == amount


def test_names_may_be_any_unicode_and_lose_what_nobody_sees(publication: Publication) -> None:
    order = place(
        publication,
        replace(ANNA, name=" Zoe\u0308\u202e \x07O’Hara 😀 <b>", organisation="李\u200b明"),
    )
    assert (order.name, order.organisation) == ("Zoë O’Hara 😀 <b>", "李明")


def test_what_is_too_long_is_refused_by_field(publication: Publication) -> None:
    with pytest.raises(InvalidFields) as refusal:
        place(publication, replace(ANNA, email="x", name="n" * 201, purchase_order_number="p" * 61))
    assert refusal.value.faults == {
        "email": "“x” has no @. It should look like name@example.com.",
        "name": "Your name can have at most 200 characters; this has 201.",
        "purchase_order_number": (
            "The purchase order number can have at most 60 characters; this has 61."
        ),
    }


def test_a_consent_keeps_its_wording_and_time(publication: Publication, frozen: Clock) -> None:
    given = waiver(place(publication).id)
    assert given is not None
    assert CONSENT_WORDINGS[given.wording_version] == (
        "Send me the guide straight away. I understand that I then lose my 14-day right to cancel."
    )
    assert (given.kind, given.given_at) == ("immediate_supply", frozen.at)


def test_a_tick_that_was_not_asked_for_is_no_consent(publication: Publication) -> None:
    with transaction():
        publication.expected_on = date(2027, 6, 30)
    assert waiver(place(publication).id) is None


@on_both
def test_a_reference_that_is_taken_is_drawn_again(
    publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(["AAAA-AAAA", "AAAA-AAAA", "BBBB-BBBB"])
    monkeypatch.setattr(placing, "new_reference", lambda: next(drawn))
    orders = [place(publication, key=f"{KEY[:-1]}{n}") for n in (1, 2)]
    assert [order.reference for order in orders] == ["AAAA-AAAA", "BBBB-BBBB"]


def test_a_reference_can_be_read_aloud() -> None:
    drawn = {placing.new_reference() for _ in range(300)}
    assert len(drawn) == 300
    assert all(len(one) == 9 and one[4] == "-" for one in drawn)
    assert set("".join(drawn)) == set("23456789ABCDEFGHJKMNPQRSTUVWXYZ-")


@pytest.mark.parametrize(
    "typed", ["K7QM-2XWP", "k7qm2xwp", " K7QM 2XWP ", "k7qm–2xwp", "#K7QM-2XWP"]
)
def test_an_order_is_found_however_its_reference_is_written(
    publication: Publication, typed: str
) -> None:
    order = place(publication)
    with transaction():
        order.reference = "K7QM-2XWP"
    assert order_by_reference(typed).id == order.id
    assert [one.id for one in list_orders(text=typed).rows] == [order.id]


@pytest.mark.parametrize("typed", ["", "K7QM", "K7QM-2XW0", "K7QM-2XWPP"])
def test_an_unknown_reference_is_not_found(publication: Publication, typed: str) -> None:
    place(publication)
    with pytest.raises(OrderUnknown):
        order_by_reference(typed)


def test_an_order_leaves_pending_once(publication: Publication) -> None:
    first, second, third = (place(publication, key=f"{KEY[:-1]}{n}") for n in range(3))
    with transaction():
        assert expire_order(first, "the time to pay ran out") is True
        assert cancel_pending(second, "anna") is True
        advance(third, OrderStatus.PAID)
        again = [
            expire_order(one, "late") or cancel_pending(one, "late")
            for one in (first, second, third)
        ]
    assert again == [False, False, False]
    assert [one.status for one in (first, second, third)] == ["expired", "cancelled", "paid"]


@on_both
def test_orders_are_listed_newest_first_and_found_by_what_staff_know(
    publication: Publication,
) -> None:
    one = place(publication, ANNA, key=f"{KEY[:-1]}1")
    two = place(publication, Details("ben+po@reader.example", "Ben Öde"), key=f"{KEY[:-1]}2")
    with transaction():
        advance(two, OrderStatus.PAID)
    assert [order.id for order in list_orders().rows] == [two.id, one.id]
    assert [order.id for order in list_orders(status=OrderStatus.PAID).rows] == [two.id]
    for text, found in [
        ("little oaks", one),
        ("BERG", one),
        ("ben po@reader.example", two),
        ("o\u0308de", two),
        (two.reference, two),
    ]:
        assert [order.id for order in list_orders(text=text).rows] == [found.id], text
    assert list_orders(text="nobody").total == 0


@on_both
def test_a_whole_reference_or_address_finds_that_one_alone_by_an_index(
    publication: Publication,
) -> None:
    one = place(publication, Details("anna@reader.example", "Anna"), key=f"{KEY[:-1]}1")
    two = place(publication, Details("joanna@reader.example", "Joanna"), key=f"{KEY[:-1]}2")
    with transaction():
        two.organisation = one.reference
    with plans("orders", "customers") as seen:
        for text in (one.reference, "Anna@reader.example"):
            assert [order.id for order in list_orders(text=text).rows] == [one.id], text
            assert [person.id for person in search_customers(text).rows] == [one.customer_id], text
    assert len(seen.statements) > 8
    assert seen.of_all_rows == []
    with plans("orders", "customers") as seen:
        assert [order.id for order in list_orders(text="anna").rows] == [two.id, one.id]
        assert [person.id for person in search_customers("anna@reader").rows] == [
            two.customer_id,
            one.customer_id,
        ]


def test_a_longer_list_takes_no_more_statements(publication: Publication) -> None:
    def count() -> int:
        statements: list[str] = []
        note = lambda *given: statements.append(given[2])  # noqa: E731
        sa.event.listen(db.engine, "before_cursor_execute", note)
        for order in list_orders().rows:
            assert order.customer.email
            assert order.lines[0].title
        sa.event.remove(db.engine, "before_cursor_execute", note)
        db.session.rollback()
        return len(statements)

    place(publication, key=f"{KEY[:-2]}00")
    db.session.rollback()
    few = count()
    for number in range(1, 12):
        place(publication, replace(ANNA, email=f"c{number}@x.example"), f"{KEY[:-2]}{number:02}")
    db.session.rollback()
    assert count() == few


def test_a_new_order_holds_the_lock_for_no_row_that_cannot_be_there(
    publication: Publication,
) -> None:
    with statements() as told:
        place(publication, replace(ANNA, wants_now=False))
    asked = [one for one in told if one.startswith("SELECT")]
    assert not [one for one in asked if "FROM consents" in one or "FROM order_lines" in one]
    assert len(told) <= 11
