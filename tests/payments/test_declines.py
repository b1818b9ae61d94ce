"""Many declined payments in a few minutes: staff hear of it, once an hour."""

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.demo.pay import Arrival, Decision, decide
from store.kit.database import db, transaction
from store.kit.tokens import new_reference
from store.mail.models import Delivery
from store.payments import inbox
from store.payments.checkout import begin_checkout
from store.payments.inbox import alert_on_burst
from store.payments.models import EventStatus, GatewayEvent
from store.tasks import TIMETABLE
from tests.conftest import Clock, on_both
from tests.factories import a_seller
from tests.payments.stripe_shop import DECLINED_CARD, pay_on_page, post_all
from tests.purchases import an_order, start
from tests.stripe_double import StripeDouble

pytestmark = on_both


@pytest.fixture
def sold(app: Flask, frozen: Clock) -> Clock:
    """A shop that sells, at 10:00."""
    with transaction():
        a_seller()
    return frozen


def declined(times: int, arrival: Arrival = Arrival.ONCE) -> None:
    """So many orders whose payment the bank declines; the news arrives now."""
    for _ in range(times):
        decide(start(an_order(new_reference())), Decision.DECLINE, arrival)


def noted(times: int, *, is_decline: bool = True) -> None:
    """The same on our side only: news that is in the inbox."""
    with transaction() as session:
        for _ in range(times):
            session.add(
                GatewayEvent(
                    gateway="demo",
                    event_id=new_reference(),
                    kind="checkout.declined",
                    subject="",
                    payload={},
                    is_decline=is_decline,
                    status=EventStatus.APPLIED,
                    received_at=inbox.clock.now(),
                )
            )


def alerts() -> list[dict[str, Any]]:
    """What staff were told about declines, in order."""
    db.session.rollback()
    told = sa.select(Delivery.facts).where(Delivery.kind == "staff_alert").order_by(Delivery.id)
    facts = [found for found in db.session.scalars(told) if found]
    return [found for found in facts if found["subject"] == "Many payments are being declined"]


def test_more_than_ten_declines_in_ten_minutes_alert_staff(sold: Clock) -> None:
    declined(10)
    assert alert_on_burst() is False
    declined(1)
    assert alert_on_burst() is True
    (told,) = alerts()
    assert told["text"].startswith(
        "11 payments were declined in the ten minutes before 1 March 2027, 10:00 GMT."
    )


def test_the_timetable_asks_for_bursts_each_minute(app: Flask) -> None:
    assert alert_on_burst in TIMETABLE


def test_news_that_comes_twice_is_one_decline(sold: Clock) -> None:
    declined(6, Arrival.TWICE)
    assert db.session.query(GatewayEvent).filter_by(is_decline=True).count() == 6
    assert alert_on_burst() is False


def test_payments_that_succeed_and_visits_that_end_are_no_declines(sold: Clock) -> None:
    decide(start(an_order(new_reference())), Decision.PAY)
    decide(start(an_order(new_reference())), Decision.ABANDON)
    db.session.rollback()
    assert db.session.scalars(sa.select(GatewayEvent.is_decline)).all() == [False, False]
    noted(20, is_decline=False)
    assert alert_on_burst() is False


def test_declines_over_a_day_are_no_burst(sold: Clock) -> None:
    for _ in range(30):
        noted(1)
        assert alert_on_burst() is False
        sold.advance(minutes=2)


def test_a_burst_is_told_once_an_hour_while_it_goes_on(sold: Clock) -> None:
    # From 10:50, so that the clock's hour ends while the alert's hour runs.
    sold.advance(minutes=50)
    told = []
    for _ in range(66):
        noted(2)
        if alert_on_burst():
            told.append(sold.at.strftime("%H:%M"))
        sold.advance(minutes=1)
    assert told == ["10:55", "11:55"]
    assert len(alerts()) == 2


def test_without_the_look_at_what_was_told_a_burst_is_told_twice(
    sold: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test before."""
    monkeypatch.setattr(inbox, "_burst_is_told", lambda: False)
    sold.advance(minutes=58)
    for _ in range(4):
        noted(11)
        alert_on_burst()
        sold.advance(minutes=1)
    assert len(alerts()) == 2


def test_the_look_reads_an_index_of_declines_alone(app: Flask, sold: Clock) -> None:
    if db.engine.dialect.name != "sqlite":
        return  # PostgreSQL reads a table this small as it is.
    plan = db.session.execute(
        sa.text(
            "EXPLAIN QUERY PLAN SELECT count(id) FROM gateway_events "
            "WHERE is_decline AND received_at > '2027'"
        )
    )
    assert "ix_gateway_events_declines" in str(plan.all())


def test_cards_that_stripe_declines_are_counted(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    """Eleven tries on one page of Stripe's, which stays open: each is a decline."""
    url = begin_checkout(an_order())
    for _ in range(11):
        assert pay_on_page(url, card=DECLINED_CARD).status_code == 402
    assert set(post_all(buyer, double)) == {200}
    assert alert_on_burst() is True
    (told,) = alerts()
    assert told["text"].startswith("11 payments were declined in the ten minutes before ")
