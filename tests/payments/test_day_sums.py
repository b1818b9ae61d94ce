"""The money of each day: kept once the day is over, and as right as if it were summed each time."""

import logging
from collections.abc import Callable
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from store.kit import clock
from store.kit.config import config
from store.kit.database import db, transaction
from store.orders.models import Order
from store.payments.day_sums import DaySum, keep_days, sums_by_day
from store.payments.models import Dispute, Payment, Refund, RefundStatus
from store.payments.sums import Sums
from tests.conftest import Clock, on_both
from tests.payments.bank import a_transfer_order, arrive
from tests.payments.test_sums import _bought, _lose
from tests.plans import plans
from tests.statements import statements

TABLES = ("orders", "payments", "transfers", "refunds", "disputes")


@pytest.fixture
def orders(app: Flask, frozen: Clock) -> list[int]:
    """A week of orders, one a day by card or by bank, and today's."""
    ids = []
    for day in range(7):
        ids.append(_bought(f"{day}" * 22))
        if day % 3 == 0:
            arrive(a_transfer_order(f"{day}b" * 11), 500)
        frozen.advance(days=1)
    return [*ids, _bought("z" * 22)]


def week() -> dict[date, list[Sums]]:
    db.session.rollback()
    zone = config().zone
    found = sums_by_day(clock.today(zone) - timedelta(days=8), zone)
    db.session.rollback()
    return found


def from_the_rows() -> dict[date, list[Sums]]:
    with transaction() as session:
        kept = session.execute(sa.select(DaySum.begins_at, DaySum.ends_at, DaySum.found)).all()
        session.execute(sa.delete(DaySum))
        session.flush()
        zone = config().zone
        found = sums_by_day(clock.today(zone) - timedelta(days=8), zone)
        for begins_at, ends_at, sums in kept:
            values = {"begins_at": begins_at, "ends_at": ends_at, "found": sums}
            session.add(DaySum(**values, checked_at=clock.now()))
    return found


def _refund(order_id: int) -> None:
    """A refund asked for three days ago."""
    with transaction() as session:
        payment = session.scalars(sa.select(Payment).filter_by(order_id=order_id)).one()
        session.add(
            Refund(
                payment_id=payment.id,
                request_key="press",
                status=RefundStatus.SUCCEEDED,
                amount=250,
                currency="GBP",
                requested_at=clock.now() - timedelta(days=3),
                who="olga",
                why="",
            )
        )


def _refund_fails(_: int) -> None:
    with transaction() as session:
        session.execute(sa.update(Refund).values(status=RefundStatus.FAILED))


def _is_lost(order_id: int) -> None:
    _lose(order_id)
    with transaction() as session:
        session.execute(sa.update(Dispute).values(lost_at=clock.now() - timedelta(days=2)))


def _is_won_after_all(_: int) -> None:
    with transaction() as session:
        session.execute(sa.update(Dispute).values(lost_at=None))


def _comes_late(order_id: int) -> None:
    with transaction() as session:
        earlier = clock.now() - timedelta(days=4)
        session.execute(sa.update(Payment).filter_by(order_id=order_id).values(received_at=earlier))


def _is_a_gift(order_id: int) -> None:
    with transaction() as session:
        session.execute(sa.update(Order).filter_by(id=order_id).values(given_reason="review"))


ACTS: tuple[Callable[[int], None], ...] = (
    _refund,
    _refund_fails,
    _is_lost,
    _is_won_after_all,
    _comes_late,
    _is_a_gift,
)


@on_both
def test_whatever_changes_in_days_that_are_over_counts_at_once(orders: list[int]) -> None:
    assert keep_days() == 60
    assert week() == from_the_rows()
    assert sum(one.sales for sums in week().values() for one in sums) == 8
    for act in ACTS:
        before = week()
        act(orders[0])
        after = week()
        assert after != before
        assert after == from_the_rows()
        assert keep_days() > 0
        assert week() == after


def test_without_the_triggers_it_would_not(orders: list[int]) -> None:
    keep_days()
    with db.engine.begin() as connection:
        for table in TABLES:
            for act in ("insert", "update"):
                connection.exec_driver_sql(f"DROP TRIGGER {table}_of_a_day_{act}")
    for act in ACTS:
        before = week()
        act(orders[0])
        assert week() == before
    assert week() != from_the_rows()


@on_both
def test_a_wrong_sum_is_mended_by_the_timetable(
    orders: list[int], frozen: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    keep_days()
    right = week()
    with transaction() as session:
        row = session.scalars(sa.select(DaySum).order_by(DaySum.begins_at.desc())).first()
        assert row is not None
        row.found = {"GBP": {"sales": 99}}
        row.checked_at = clock.now() - timedelta(days=1)
    assert week() != right
    with caplog.at_level(logging.ERROR):
        assert keep_days() == 1
    assert week() == right
    assert "were wrong and are mended" in caplog.text


@on_both
def test_home_asks_twice_for_its_days_and_looks_at_no_row_of_those_that_are_over(
    orders: list[int],
) -> None:
    keep_days()
    with statements() as told:
        week()
    assert len([one for one in told if "SELECT" in one]) == 2
    with plans(*TABLES) as seen:
        week()
    assert seen.statements
    assert seen.of_all_rows == []


def test_a_day_of_another_zone_is_not_taken_for_one_of_ours(
    orders: list[int], frozen: Clock, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoneinfo import ZoneInfo

    from store.payments import day_sums

    keep_days()

    class Config:
        zone = ZoneInfo("Australia/Eucla")

    monkeypatch.setattr(day_sums, "config", Config)
    assert keep_days() == 60
    assert db.session.scalar(sa.select(sa.func.count()).select_from(DaySum)) == 60
