"""A payment is contested: access rests at once, returns when it is won, ends when it is lost."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.entitlements.models import Entitlement
from store.kit import clock
from store.kit.database import transaction
from store.payments import money_back
from store.payments.cancellation import may_cancel
from store.payments.disputes import remind
from store.payments.fulfilment import apply_state
from store.payments.gateways.base import DisputeOutcome, GatewayDispute, GatewayState, Standing
from store.payments.models import Checkout, Dispute, Payment, Refund, RefundStatus
from store.payments.money_back import PaymentDisputed
from store.payments.refunds import refund_order
from tests.conftest import Clock, on_both_when_long
from tests.payments.contested_copies import (
    a_bought_copy,
    alerts,
    can_read,
    dispute_at_stripe,
    notices,
    pay,
    release_another,
    the_dispute,
)
from tests.payments.gateway_side import paid_at_gateway
from tests.payments.stripe_shop import post_all, post_event
from tests.purchases import an_order, start
from tests.rows import order_of, rows
from tests.stripe_double import StripeDouble

pytestmark = on_both_when_long

DISPUTED_CARD = "4000000000000259"


def _facts() -> list[tuple[Any, ...]]:
    return rows(Entitlement.revoked_reason, Entitlement.suspended_at.is_not(None))


def test_a_disputed_payment_closes_the_library_at_once_and_staff_hear_when_an_answer_is_due(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_bought_copy(buyer, double)
    assert can_read(buyer, order_id)
    dispute_at_stripe(double, reason="product_not_received")
    post_all(buyer, double)

    assert not can_read(buyer, order_id)
    reference = order_of(order_id).reference
    assert alerts() == [f"A payment of order {reference} is disputed"]
    dispute = the_dispute()
    assert (dispute.amount, dispute.currency, dispute.reason, dispute.is_inquiry) == (
        1250,
        "GBP",
        "product_not_received",
        False,
    )
    assert dispute.due_at is not None


@pytest.mark.parametrize(("outcome", "reads"), [("won", True), ("lost", False)])
def test_won_brings_the_copies_back_and_lost_ends_them(
    shop: Flask, buyer: FlaskClient, double: StripeDouble, outcome: str, reads: bool
) -> None:
    order_id = a_bought_copy(buyer, double, DISPUTED_CARD)
    assert not can_read(buyer, order_id)
    double.control.close_dispute(the_dispute().gateway_dispute_id, outcome)
    post_all(buyer, double)

    assert can_read(buyer, order_id) is reads
    assert _facts() == [("" if reads else "dispute lost", False)]
    assert len(alerts()) == 2


@pytest.mark.parametrize("last", ["charge.dispute.closed", "charge.dispute.funds_reinstated"])
def test_lost_one_day_and_won_the_next_ends_won_whichever_news_comes_last(
    shop: Flask, buyer: FlaskClient, double: StripeDouble, last: str
) -> None:
    order_id = a_bought_copy(buyer, double)
    name = dispute_at_stripe(double)
    double.control.close_dispute(name, "lost")
    post_all(buyer, double)
    assert _facts() == [("dispute lost", False)]

    found = double.world.get("dispute", name)
    found["status"] = "won"
    kinds = ["charge.dispute.closed", "charge.dispute.funds_reinstated"]
    for kind in sorted(kinds, key=lambda kind: kind == last):
        double.control.emit(kind, name)
    post_all(buyer, double)

    assert can_read(buyer, order_id)
    # Not "refunded", and it can be given back.
    assert rows(Refund.id) == []
    asked = refund_order(order_id, who="staff", why="asked", key="press-1")
    assert [refund.status for refund in asked] == [RefundStatus.SUCCEEDED]


def test_an_inquiry_takes_nothing_and_may_be_refunded(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_bought_copy(buyer, double)
    name = dispute_at_stripe(double, inquiry=True)
    post_all(buyer, double)
    assert can_read(buyer, order_id)
    assert alerts() == [f"A payment of order {order_of(order_id).reference} is questioned"]

    refund_order(order_id, amount=250, who="staff", why="asked", key="press-1")
    double.control.close_dispute(name, "warning_closed")
    post_all(buyer, double)

    assert can_read(buyer, order_id)
    assert the_dispute().closed_at is not None
    assert rows(Refund.amount, Refund.status) == [(250, RefundStatus.SUCCEEDED)]


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.long)])
def test_news_in_every_order_and_twice_ends_in_the_same_rows(
    shop: Flask, buyer: FlaskClient, double: StripeDouble, every: int
) -> None:
    """Each of the four comes first in an order, and last; `make test-long` tries all 24."""
    order_id = a_bought_copy(buyer, double)
    name = dispute_at_stripe(double)
    double.control.close_dispute(name, "won")
    events = [event["id"] for event in double.control.events() if "dispute" in event["type"]]
    assert len(events) == 4
    seen = set()
    for order in [*permutations(events)][::every]:
        _forget_disputes()
        for event_id in [*order, order[0]]:
            post_event(buyer, double, event_id)
        post_all(buyer, double)
        seen.add(str((_facts(), rows(Dispute.amount, Dispute.won_at.is_not(None)))))
    assert seen == {"([('', False)], [(1250, True)])"}
    assert can_read(buyer, order_id)


def _forget_disputes() -> None:
    with transaction() as session:
        session.execute(sa.text("DELETE FROM disputes"))
        session.execute(sa.text("DELETE FROM gateway_events"))
        session.execute(sa.update(Entitlement).values(suspended_at=None, revoked_at=None))


def _paid_in_the_demonstration(frozen: Clock) -> GatewayState:
    order_id = an_order()
    reference = start(order_id)
    paid_at_gateway(reference, frozen())
    state = GatewayState(
        reference=reference,
        standing=Standing.PAID,
        amount=1250,
        currency="GBP",
        order_reference=order_of(order_id).reference,
        checkout_id=rows(Checkout.id)[0][0],
        payment_id="pay_1",
    )
    _apply(state, asked=0)
    return state


MOMENT = clock.now()


def _apply(state: GatewayState, *, asked: int) -> None:
    with transaction():
        apply_state("demo", state, MOMENT + timedelta(seconds=asked))


def _contested(state: GatewayState, outcome: DisputeOutcome | None, **given: Any) -> GatewayState:
    values: dict[str, Any] = {
        "dispute_id": "du_1",
        "reason": "fraudulent",
        "amount": 1250,
        "currency": "GBP",
        "is_inquiry": False,
        "opened_at": MOMENT,
        "due_at": MOMENT + timedelta(days=9),
        "outcome": outcome,
    }
    return GatewayState(**{**vars(state), "disputes": (GatewayDispute(**(values | given)),)})


def _every_order(state: GatewayState) -> set[str]:
    """However slowly each of three answers is applied: what stands in the end."""
    steps = [(None, 1), (DisputeOutcome.LOST, 2), (DisputeOutcome.WON, 3)]
    seen = set()
    for order in permutations(steps):
        _forget_disputes()
        for outcome, asked in order:
            _apply(_contested(state, outcome), asked=asked)
        seen.add(str(_facts()))
    return seen


def test_answers_that_overtake_each_other_end_with_the_newest(app: Flask, frozen: Clock) -> None:
    assert _every_order(_paid_in_the_demonstration(frozen)) == {"[('', False)]"}


def test_without_looking_at_when_it_was_asked_for_an_old_answer_wins(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(money_back, "_is_outdated", lambda *_: False)

    assert len(_every_order(_paid_in_the_demonstration(frozen))) > 1


def test_an_inquiry_that_becomes_a_dispute_suspends_and_is_told_again(
    app: Flask, frozen: Clock
) -> None:
    state = _paid_in_the_demonstration(frozen)
    _apply(_contested(state, None, is_inquiry=True), asked=1)
    assert _facts() == [("", False)]

    _apply(_contested(state, None), asked=2)

    assert _facts() == [("", True)]
    assert [subject.rpartition(" ")[2] for subject in alerts()] == ["questioned", "disputed"]


def test_who_paid_twice_keeps_the_copy_for_the_payment_that_stands(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_bought_copy(buyer, double)
    with transaction() as session:
        session.execute(sa.text("UPDATE orders SET status = 'pending'"))
    pay(double, order_id)
    with transaction() as session:
        session.execute(sa.text("UPDATE orders SET status = 'paid'"))
    dispute_at_stripe(double)
    post_all(buyer, double)

    assert can_read(buyer, order_id)
    assert len(rows(Payment.id)) == 2


def test_an_edition_that_came_out_meanwhile_is_owed_when_access_returns(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_bought_copy(buyer, double)
    name = dispute_at_stripe(double)
    post_all(buyer, double)
    release_another()
    assert notices() == ["skipped"]

    double.control.close_dispute(name, "won")
    post_all(buyer, double)

    assert notices() == ["skipped", "queued"]
    assert can_read(buyer, order_id)


def test_what_a_letter_has_brought_is_not_owed_again(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    a_bought_copy(buyer, double)
    name = dispute_at_stripe(double)
    double.control.close_dispute(name, "won")
    post_all(buyer, double)

    assert notices() == []


def test_a_disputed_payment_cannot_be_refunded_or_cancelled_and_we_say_why(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_bought_copy(buyer, double)
    dispute_at_stripe(double)
    post_all(buyer, double)

    with pytest.raises(PaymentDisputed, match="bank"):
        refund_order(order_id, who="staff", why="", key="press-1")
    assert may_cancel(order_of(order_id)) is False
    assert rows(Refund.id) == []


def test_stripe_refuses_a_refund_of_what_is_disputed_before_we_have_heard_of_it(
    shop: Flask, buyer: FlaskClient, double: StripeDouble
) -> None:
    order_id = a_bought_copy(buyer, double)
    dispute_at_stripe(double)

    asked = refund_order(order_id, who="staff", why="", key="press-1")

    assert [refund.status for refund in asked] == [RefundStatus.FAILED]
    assert "disputed" in asked[0].failure


def _due_in(**time: float) -> None:
    with transaction() as session:
        session.execute(sa.update(Dispute).values(due_at=clock.now() + timedelta(**time)))


def test_staff_are_reminded_two_days_before_and_told_when_it_was_missed_once_each(
    app: Flask, frozen: Clock
) -> None:
    state = _paid_in_the_demonstration(frozen)
    _apply(_contested(state, None), asked=1)
    _due_in(days=2, minutes=1)
    remind()
    assert len(alerts()) == 1

    _due_in(days=2)
    remind()
    remind()
    assert [one.endswith("is due soon") for one in alerts()] == [False, True]

    _due_in(seconds=0)
    remind()
    remind()
    assert [one.endswith("was not answered in time") for one in alerts()] == [False, False, True]


@pytest.mark.parametrize(
    "given", [{"is_submitted": True}, {"outcome": DisputeOutcome.WON}], ids=["submitted", "won"]
)
def test_nobody_is_reminded_of_what_is_answered_or_decided(
    app: Flask, frozen: Clock, given: dict[str, Any]
) -> None:
    state = _paid_in_the_demonstration(frozen)
    _apply(_contested(state, **{"outcome": None, **given}), asked=1)
    _due_in(seconds=0)
    told = alerts()
    remind()

    assert alerts() == told
