"""Random histories of orders, transfers, cancellations and dates that move: who waits knows the
present date, each is told once a change, and nobody is told who waits no more."""

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from itertools import count, pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from store.catalog.models import DateMove, Publication
from store.catalog.sellers import state_seller
from store.entitlements.granting import settle_access
from store.entitlements.models import Entitlement
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.models import Batch, Delivery, DeliveryStatus
from store.orders.models import Customer, Order, OrderStatus
from store.orders.placing import Details
from store.payments import cancellation, date_letters, date_moves
from store.payments.checkout import begin_checkout
from store.payments.date_moves import change_date, look_after_moves
from store.payments.gateways.base import MANUAL
from tests.conftest import Clock, on_both
from tests.distribution.test_occasion_histories import live, next_door
from tests.editions import drafted_and_released
from tests.factories import a_publication, a_seller
from tests.letters import send
from tests.payments.bank import BANK, arrive
from tests.purchases import buy, placed_order

PEOPLE = st.integers(0, 2)
_slugs = count(1)


class Dates(RuleBasedStateMachine):
    """One publication that is promised, and three readers; `frozen` is the shop's clock."""

    frozen: Clock

    @initialize()
    def open(self) -> None:
        next_door()
        self.slug, self.is_out, self.is_told = f"dated-{next(_slugs)}", False, True
        self.day = clock.now().date() + timedelta(days=40)
        with transaction():
            state_seller(bank_details=BANK)
            self.publication_id = a_publication(self.slug, expected_on=self.day).id

    @rule(person=PEOPLE)
    def buy(self, person: int) -> None:
        with transaction():
            buy(self._guide(), self._address(person), f"Reader {person}")
        self.frozen.advance(minutes=1)

    @rule(person=PEOPLE)
    def order_by_transfer(self, person: int) -> None:
        with transaction():
            details = Details(self._address(person), f"Reader {person}", wants_now=True)
            order_id = placed_order(self._guide(), details).id
        begin_checkout(order_id, MANUAL)
        self.frozen.advance(minutes=1)

    @rule(person=PEOPLE)
    def money_arrives(self, person: int) -> None:
        for order in self._orders(person, OrderStatus.PENDING)[:1]:
            arrive(order.id, order.total_amount)
        self.is_told = False

    @rule(person=PEOPLE)
    def give_up(self, person: int) -> None:
        for order in self._orders(person)[:1]:
            if cancellation.can_cancel(order):
                cancellation.cancel_as_customer(partial(db.session.get_one, Order, order.id))

    @rule(person=PEOPLE, is_suspended=st.booleans())
    def a_dispute_begins_or_is_won(self, person: int, is_suspended: bool) -> None:
        with transaction():
            for order in self._orders(person, OrderStatus.PAID)[:1]:
                if not cancellation.asked_for(order.id, "cancel"):
                    settle_access(order, is_suspended=is_suspended)
        self.is_told = False

    @precondition(lambda self: not self.is_out)
    @rule(days=st.sampled_from([-10, 10, 20]), leaves=st.booleans())
    def move(self, days: int, leaves: bool) -> None:
        self.frozen.advance(minutes=1)
        day = max(self.day + timedelta(days=days), clock.now().date())
        if day != self.day:
            with transaction():
                change_date(self._guide(), day, "It takes longer.", "Olga")
            self.day, self.is_told = day, False
        if leaves:
            self.settle()

    @rule()
    def settle(self) -> None:
        """The timetable's pass, and all letters leave."""
        look_after_moves()
        send()
        look_after_moves()
        self.frozen.advance(hours=1)
        self.is_told = True

    @precondition(lambda self: not self.is_out)
    @rule(comes=st.integers(0, 7))
    def release(self, comes: int) -> None:
        if comes == 0:
            self.is_out = True
            drafted_and_released(self._guide())

    @invariant()
    def each_is_told_once_a_change(self) -> None:
        letter = sa.select(Delivery.customer_id, Batch.subject_id).join(Batch)
        found = db.session.execute(letter.where(Batch.reason == "date")).all()
        db.session.rollback()
        assert len(found) == len(set(found))

    @invariant()
    def who_waits_knows_the_date_and_nobody_else_waits_for_a_letter(self) -> None:
        if not self.is_told:
            return
        for person in range(3):
            told = self._letters(person)
            assert not {one.status for one, _ in told} & {DeliveryStatus.QUEUED}
            days = [move.new_on for one, move in told if one.status is DeliveryStatus.SENT]
            assert all(old != new for old, new in pairwise(days))
            if not self.is_out:
                assert {self._known(order, told) for order in self._waiting(person)} <= {self.day}
        db.session.rollback()

    def _known(self, order: Order, told: list[Any]) -> date | None:
        later = [
            move.new_on
            for one, move in told
            if one.status is DeliveryStatus.SENT and move.moved_at > order.placed_at
        ]
        return later[-1] if later else order.lines[0].expected_on

    def _letters(self, person: int) -> list[Any]:
        query = (
            sa.select(Delivery, DateMove)
            .join(Batch, Batch.id == Delivery.batch_id)
            .join(DateMove, sa.and_(Batch.reason == "date", DateMove.id == Batch.subject_id))
            .join(Customer, Customer.id == Delivery.customer_id)
            .where(Customer.email == self._address(person))
        )
        return list(db.session.execute(query.order_by(DateMove.number)).all())

    def _waiting(self, person: int) -> list[Order]:
        """Orders whose right stands, or whose transfer is awaited."""
        right = sa.select(Entitlement).where(
            Entitlement.revoked_at.is_(None), Entitlement.suspended_at.is_(None)
        )
        lines = {one.order_line_id for one in db.session.scalars(right).all()}
        return [
            order
            for order in self._orders(person)
            if order.status is OrderStatus.PENDING or order.lines[0].id in lines
        ]

    def _orders(self, person: int, *statuses: OrderStatus) -> list[Order]:
        query = sa.select(Order).where(Order.email == self._address(person))
        if statuses:
            query = query.where(Order.status.in_(statuses))
        return list(db.session.scalars(query.order_by(Order.id)))

    def _guide(self) -> Publication:
        return db.session.get_one(Publication, self.publication_id)

    def _address(self, person: int) -> str:
        return f"reader{person}@{self.slug}.example"


@on_both
def test_a_few_histories_of_dates(app: Flask, frozen: Clock) -> None:
    live(Dates, frozen, 2, 15)  # type: ignore[arg-type]


@on_both
@pytest.mark.long
@pytest.mark.timeout(1500)
def test_many_histories_of_dates(app: Flask, frozen: Clock, times: int) -> None:
    live(Dates, frozen, 15 * times, 25)  # type: ignore[arg-type]


def _a_history(frozen: Clock) -> None:
    """One in which each rule about who is told has its say."""
    one = Dates()
    one.frozen = frozen
    one.open()
    one.buy(0)
    one.order_by_transfer(1)
    one.buy(2)
    one.settle()
    one.a_dispute_begins_or_is_won(2, is_suspended=True)
    one.move(20, leaves=False)
    one.give_up(0)
    one.settle()
    one.a_dispute_begins_or_is_won(2, is_suspended=False)
    one.settle()
    one.who_waits_knows_the_date_and_nobody_else_waits_for_a_letter()
    one.move(10, leaves=False)
    one.move(-10, leaves=True)
    one.who_waits_knows_the_date_and_nobody_else_waits_for_a_letter()
    one.buy(0)
    one.move(20, leaves=False)
    one.move(10, leaves=True)
    one.who_waits_knows_the_date_and_nobody_else_waits_for_a_letter()
    one.each_is_told_once_a_change()


@on_both
def test_one_history_of_dates(app: Flask, frozen: Clock) -> None:
    with transaction():
        a_seller()
    _a_history(frozen)


@pytest.mark.parametrize(
    ("where", "name", "does"),
    [
        (date_moves, "_missing", lambda _: sa.select(sa.null()).where(sa.false())),
        (date_letters, "_known_date", lambda _promise, move: move.old_on),
    ],
)
def test_control_a_history_finds_out(
    app: Flask,
    frozen: Clock,
    monkeypatch: pytest.MonkeyPatch,
    where: object,
    name: str,
    does: Callable[..., object],
) -> None:
    with transaction():
        a_seller()
    monkeypatch.setattr(where, name, does)
    with pytest.raises(AssertionError):
        _a_history(frozen)
