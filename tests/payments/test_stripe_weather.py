"""Whatever order news comes in, whichever call fails and whenever we die: money moves once."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.kit import tokens
from store.kit.database import db
from store.mail.models import Delivery
from store.orders.models import OrderStatus
from store.payments import checkout, inbox, sums
from store.payments.checkout import PaymentsUnavailable, begin_checkout
from store.payments.gateways.base import GatewayRefund, GatewayState, GatewayUnreachable, Standing
from store.payments.gateways.stripe import StripeGateway
from store.payments.gateways.stripe_objects import EVENT_KINDS
from store.payments.models import EventStatus, GatewayEvent, Payment, Refund, RefundStatus
from store.payments.refunds import refund_order, send_refunds
from tests import forked
from tests.conftest import on_both, on_both_when_long
from tests.payments import stripe_child
from tests.payments.stripe_shop import (
    DECLINED_CARD,
    newest_session,
    post_all,
    post_event,
    stripe_settings,
)
from tests.purchases import an_order, apply_received
from tests.rows import dump, every_table, order_of, rows
from tests.stripe_double import StripeDouble

long = pytest.mark.long


# Every order of arrival


def _kept() -> dict[str, list[dict[str, Any]]]:
    db.session.rollback()
    return {
        table.name: [dict(row._mapping) for row in db.session.execute(sa.select(table))]
        for table in every_table()
    }


def _put_back(kept: dict[str, list[dict[str, Any]]]) -> None:
    db.session.rollback()
    db.session.remove()
    with db.engine.begin() as connection:
        for table in reversed(every_table()):
            connection.execute(table.delete())
        for table in every_table():
            if kept[table.name]:
                connection.execute(table.insert(), kept[table.name])


@pytest.fixture
def six(shop: Flask, double: StripeDouble) -> list[dict[str, Any]]:
    """Six held events of one order: a declined card, a good one, part of the money given back."""
    begin_checkout(an_order())
    session_id = newest_session(double)["id"]
    double.control.complete(session_id, card=DECLINED_CARD)
    double.control.complete(session_id, country="US")
    double.control.refund(session_id, 250)
    events = [one for one in double.control.events() if one["type"] in EVENT_KINDS]
    assert len(events) == 6
    return events


def _ends(
    buyer: FlaskClient,
    double: StripeDouble,
    orders: Iterator[tuple[dict[str, Any], ...]],
    before: Callable[[str], None] = lambda kind: None,
) -> list[dict[str, Any]]:
    """The different ends that these orders of arrival have; some events come twice."""
    start, ends = _kept(), []
    for number, order in enumerate(orders):
        again = order[number % len(order)]
        for event in (*order, again):
            before(event["type"])
            assert post_event(buyer, double, event["id"]) == 200
            apply_received()
        end = dump()
        if end not in ends:
            ends.append(end)
        _put_back(start)
    return ends


def test_held_news_in_many_orders_ends_in_the_same_rows_and_letters(
    buyer: FlaskClient, double: StripeDouble, six: list[dict[str, Any]]
) -> None:
    orders = itertools.islice(itertools.permutations(six), 0, None, 60)
    (end,) = _ends(buyer, double, orders)
    assert end["orders"] == [(OrderStatus.PAID, 1250)]
    assert end["payments"] == [(1250, "GBP")]
    assert [row[:2] for row in end["refunds"]] == [(RefundStatus.SUCCEEDED, 250)]
    assert end["events"] == [(EventStatus.APPLIED, "")] * 6


@long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(6))
def test_held_news_in_every_order_ends_in_the_same_rows_and_letters(
    buyer: FlaskClient, double: StripeDouble, six: list[dict[str, Any]], first: int
) -> None:
    def hear(event: dict[str, Any]) -> None:
        assert post_event(buyer, double, event["id"]) == 200
        apply_received()

    start = _kept()
    (usual,) = _ends(buyer, double, iter([tuple(six)]))
    assert usual["orders"] == [(OrderStatus.PAID, 1250)]
    _put_back(start)
    hear(six[first])
    rest = six[:first] + six[first + 1 :]
    number = 0
    for order in _heard_in_every_order(hear, (six[first],), rest):
        hear(order[number % len(order)])  # some come twice
        assert dump() == usual, [event["type"] for event in order]
        number += 1
    assert number == 120


def _heard_in_every_order(
    hear: Callable[[dict[str, Any]], None],
    heard: tuple[dict[str, Any], ...],
    left: list[dict[str, Any]],
) -> Iterator[tuple[dict[str, Any], ...]]:
    """Each order, when all of it is heard. Orders that begin alike are heard together so far."""
    if not left:
        yield heard
        return
    kept = _kept() if len(left) > 1 else {}
    for number, event in enumerate(left):
        if number:
            _put_back(kept)
        hear(event)
        others = left[:number] + left[number + 1 :]
        yield from _heard_in_every_order(hear, (*heard, event), others)


def test_a_shop_that_believes_the_news_ends_differently_with_its_order(
    buyer: FlaskClient,
    double: StripeDouble,
    six: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: without asking for the present state a late “failed” is taken at its word."""
    heard: list[str] = []
    ask = StripeGateway.fetch

    def believe(self: StripeGateway, subject: str) -> GatewayState | None:
        state = ask(self, subject)
        if state is None or heard[-1] != "payment_intent.payment_failed":
            return state
        return replace(state, standing=Standing.FAILED, reason="declined")

    monkeypatch.setattr(StripeGateway, "fetch", believe)
    orders = iter([tuple(six), tuple(reversed(six))])
    assert len(_ends(buyer, double, orders, heard.append)) == 2


def test_news_that_comes_before_the_answer_that_caused_it_is_applied_once(
    served: str, double: StripeDouble
) -> None:
    double.control.webhooks(before_answer=True, duplicate=1)
    order_id = an_order()
    begin_checkout(order_id)
    double.control.complete(newest_session(double)["id"])
    apply_received()
    refund_order(order_id, amount=250, who="staff", why="", key="press")
    assert double.control.settle()
    apply_received()

    assert order_of(order_id).status is OrderStatus.PAID
    assert len(rows(Payment.id)) == 1
    assert rows(Refund.status, Refund.amount) == [(RefundStatus.SUCCEEDED, 250)]
    assert rows(Delivery.kind).count(("order_confirmation",)) == 1
    assert {one["status"] for one in double.control.deliveries()} == {200}


@on_both
def test_everything_twice_shuffled_and_eight_at_once_is_fulfilled_once(
    served: str, double: StripeDouble
) -> None:
    double.control.webhooks(parallel=8, duplicate=1, shuffle=0.2)
    order_id = an_order()
    begin_checkout(order_id)
    double.control.complete(newest_session(double)["id"])
    assert double.control.settle(30)
    apply_received()

    deliveries = double.control.deliveries()
    assert [one for one in deliveries if one["status"] != 200] == []
    assert len(deliveries) == 2 * len({one["event"] for one in deliveries})
    assert len(rows(GatewayEvent.id)) == len({one["event"] for one in deliveries})
    assert len(rows(Payment.id)) == 1
    assert rows(Delivery.kind).count(("order_confirmation",)) == 1


# Every fault on every call

CALLS = {
    "start": ("POST", "/v1/checkout/sessions"),
    "ask about a session": ("GET", "/v1/checkout/sessions/*"),
    "find a payment's session": ("GET", "/v1/checkout/sessions"),
    "list refunds": ("GET", "/v1/refunds"),
    "ask about a payment": ("GET", "/v1/payment_intents/*"),
    "refund": ("POST", "/v1/refunds"),
    "list missed events": ("GET", "/v1/events"),
}
FAULTS = ("lost", "timeout", "server_error", "error_after", "rate_limit")
# One fault for each call in the normal run, and the two worst on the calls that move money.
SAMPLE = {
    ("start", "error_after"),
    ("start", "lost"),
    ("ask about a session", "server_error"),
    ("find a payment's session", "timeout"),
    ("list refunds", "rate_limit"),
    ("ask about a payment", "server_error"),
    ("refund", "error_after"),
    ("refund", "lost"),
    ("list missed events", "timeout"),
}
TROUBLES = [
    pytest.param(call, kind, marks=() if (call, kind) in SAMPLE else long, id=f"{call}-{kind}")
    for call in CALLS
    for kind in FAULTS
]


def _press(order_id: int) -> None:
    """A buyer who presses until there is a page to pay at."""
    for _ in range(5):
        try:
            begin_checkout(order_id)
        except PaymentsUnavailable:
            continue
        return


def _ring() -> None:
    """What the bell does; a job that fails leaves the event for the timetable."""
    db.session.rollback()
    waiting = sa.select(GatewayEvent.id).filter_by(status=EventStatus.RECEIVED)
    for event_id in db.session.scalars(waiting).all():
        try:
            inbox.apply_event(event_id)
        except GatewayUnreachable:
            continue


def _recover() -> None:
    """One pass of what the timetable does about money."""
    inbox.take_missed_news()
    inbox.sweep()
    send_refunds()
    checkout.expire_due()


def _buy_and_give_back(
    buyer: FlaskClient, double: StripeDouble, pass_time: Callable[[float], None]
) -> int:
    """Order, pay, and give £2.50 back; then let the shop recover on its own."""
    order_id = an_order()
    _press(order_id)
    (session,) = [
        one for one in double.control.state()["checkout.session"] if one["id"] in _known()
    ]
    double.control.complete(session["id"])
    for event in double.control.events():
        if event["type"] in EVENT_KINDS:
            post_event(buyer, double, event["id"])
    _ring()
    inbox.fulfil_order(order_id)
    if order_of(order_id).status is not OrderStatus.PAID:
        pass_time(360)
        _recover()
    refund_order(order_id, amount=250, who="staff", why="", key="press")
    for seconds in (120, 3600, 13 * 3600):
        pass_time(seconds)
        _recover()
    return order_id


def _known() -> set[Any]:
    from store.payments.models import Checkout

    return {reference for (reference,) in rows(Checkout.gateway_reference)}


def _moved(double: StripeDouble) -> tuple[list[int], list[int]]:
    """What Stripe took and what it gave back."""
    state = double.control.state()
    return (
        [one["amount_received"] for one in state["payment_intent"]],
        [one["amount"] for one in state.get("refund", [])],
    )


@pytest.mark.parametrize(("call", "kind"), TROUBLES)
def test_a_fault_on_a_call_costs_nobody_money_or_copy(
    buyer: FlaskClient,
    double: StripeDouble,
    pass_time: Callable[[float], None],
    call: str,
    kind: str,
) -> None:
    method, path = CALLS[call]
    # Three times: the client asks again twice by itself.
    double.control.fault(kind, method=method, path=path, times=3, seconds=0.01)

    order_id = _buy_and_give_back(buyer, double, pass_time)

    assert any(entry["fault"] == kind for entry in double.control.log())
    assert _moved(double) == ([1250], [250])
    assert order_of(order_id).status is OrderStatus.PAID
    assert rows(Payment.amount) == [(1250,)]
    assert rows(Refund.status, Refund.amount) == [(RefundStatus.SUCCEEDED, 250)]
    kinds = [one for (one,) in rows(Delivery.kind)]
    assert (kinds.count("order_confirmation"), kinds.count("order_refunded")) == (1, 1)
    # What we never subscribed to (a product was made) is ignored; nothing is left waiting.
    told = rows(GatewayEvent.kind, GatewayEvent.status)
    assert {status for kind, status in told if kind in EVENT_KINDS} == {EventStatus.APPLIED}
    assert EventStatus.RECEIVED not in {status for _, status in told}


def test_the_calls_that_are_tried_are_all_that_such_an_order_makes(
    buyer: FlaskClient, double: StripeDouble, pass_time: Callable[[float], None]
) -> None:
    from fnmatch import fnmatch

    _buy_and_give_back(buyer, double, pass_time)
    made = {
        next(
            (
                call
                for call, (method, path) in CALLS.items()
                if entry["method"] == method and fnmatch(entry["path"], path)
            ),
            entry["path"],
        )
        for entry in double.control.log()
    }
    assert made == set(CALLS)


def test_keys_of_calls_follow_from_the_order_and_never_change(
    buyer: FlaskClient, double: StripeDouble, pass_time: Callable[[float], None]
) -> None:
    double.control.fault("server_error", method="POST", times=3)
    order_id = _buy_and_give_back(buyer, double, pass_time)
    posts = [entry for entry in double.control.log() if entry["method"] == "POST"]
    (payment_id,) = [one for (one,) in rows(Payment.gateway_payment_id)]
    reference = order_of(order_id).reference
    assert {(entry["path"], entry["idempotency_key"]) for entry in posts} == {
        ("/v1/checkout/sessions", f"order-{reference}-checkout-1"),
        ("/v1/refunds", f"{payment_id}-refund-1"),
    }


def test_without_a_kept_key_a_refund_whose_answer_is_lost_is_given_twice(
    buyer: FlaskClient,
    double: StripeDouble,
    pass_time: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control of the faults: a key of its own for each try, and no look for the first one."""
    give = StripeGateway.refund

    def forgetful(self: StripeGateway, payment_id: str, amount: int, key: str) -> GatewayRefund:
        return give(self, payment_id, amount, tokens.new_reference())

    monkeypatch.setattr(StripeGateway, "refund", forgetful)
    double.control.fault("error_after", method="POST", path="/v1/refunds")
    double.control.fault("server_error", method="GET", path="/v1/refunds", times=3)
    order_id = an_order()
    begin_checkout(order_id)
    double.control.complete(newest_session(double)["id"])
    double.control.no_faults()
    inbox.fulfil_order(order_id)
    double.control.fault("error_after", method="POST", path="/v1/refunds")

    refund_order(order_id, amount=250, who="staff", why="", key="press")
    send_refunds()

    assert _moved(double) == ([1250], [250, 250])


# Dying between Stripe's answer and our commit


def _die(shop: Flask, double: StripeDouble, tmp_path: Path, where: str, row_id: int) -> None:
    settings = shop.extensions["colophon.settings"]
    given = stripe_settings(double, base_url=settings.base_url, database_url=settings.database_url)
    db.session.remove()
    process = forked.begin(stripe_child.live, tmp_path, given, where, row_id)
    process.join(120)
    assert process.exitcode == stripe_child.DEAD


@on_both_when_long
def test_dying_after_stripe_made_the_session_leaves_one_session_and_one_payment(
    shop: Flask, buyer: FlaskClient, double: StripeDouble, tmp_path: Path
) -> None:
    order_id = an_order()
    _die(shop, double, tmp_path, "session", order_id)
    assert len(double.control.state()["checkout.session"]) == 1
    assert _known() == {None}

    url = begin_checkout(order_id)

    (session,) = double.control.state()["checkout.session"]
    assert url == session["url"]
    double.control.complete(session["id"])
    post_all(buyer, double)
    assert order_of(order_id).status is OrderStatus.PAID
    assert _moved(double) == ([1250], [])
    assert len(rows(Payment.id)) == 1


def test_without_a_kept_key_dying_there_leaves_two_sessions(
    shop: Flask, double: StripeDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same death, and then another key."""
    order_id = an_order()
    _die(shop, double, tmp_path, "session", order_id)
    start = StripeGateway.start
    monkeypatch.setattr(
        StripeGateway,
        "start",
        lambda self, request: start(self, replace(request, idempotency_key=tokens.new_reference())),
    )

    begin_checkout(order_id)

    assert len(double.control.state()["checkout.session"]) == 2


@on_both_when_long
def test_dying_before_the_effect_is_committed_leaves_nothing_half_done(
    shop: Flask, buyer: FlaskClient, double: StripeDouble, tmp_path: Path
) -> None:
    order_id = an_order()
    begin_checkout(order_id)
    double.control.complete(newest_session(double)["id"])
    (event,) = double.control.events("checkout.session.completed")
    post_event(buyer, double, event["id"])
    ((event_id,),) = rows(GatewayEvent.id)

    _die(shop, double, tmp_path, "fulfilment", event_id)

    assert order_of(order_id).status is OrderStatus.PENDING
    assert rows(Payment.id) == rows(Delivery.id) == []
    assert rows(GatewayEvent.status) == [(EventStatus.RECEIVED,)]
    apply_received()
    assert order_of(order_id).status is OrderStatus.PAID
    assert len(rows(Payment.id)) == 1
    assert rows(Delivery.kind).count(("order_confirmation",)) == 1


@on_both_when_long
def test_dying_after_stripe_gave_money_back_gives_it_back_once(
    shop: Flask, buyer: FlaskClient, double: StripeDouble, tmp_path: Path
) -> None:
    order_id = an_order()
    begin_checkout(order_id)
    double.control.complete(newest_session(double)["id"])
    post_all(buyer, double)

    _die(shop, double, tmp_path, "refund", order_id)

    assert rows(Refund.status) == [(RefundStatus.REQUESTED,)]
    assert _moved(double) == ([1250], [250])
    send_refunds()
    post_all(buyer, double)
    assert _moved(double) == ([1250], [250])
    assert rows(Refund.status, Refund.amount) == [(RefundStatus.SUCCEEDED, 250)]
    assert rows(Delivery.kind).count(("order_refunded",)) == 1
    assert sums.refunded_amount(order_id) == 250
