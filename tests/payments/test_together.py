"""Several at once: fulfilling, refunding, cancelling while a release is under way.

Each guard has its control: the same race with the guard taken out goes wrong.
"""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Edition, EditionStatus
from store.demo.pay import Decision, decide
from store.entitlements.granting import lock_publication
from store.entitlements.models import Entitlement
from store.kit import clock
from store.kit.database import db, end_read, transaction
from store.kit.errors import Refusal
from store.mail.models import Delivery
from store.orders.models import Order, OrderStatus
from store.payments import cancellation, money_back, refunds
from store.payments.gateways.demo import DemoRefund
from store.payments.models import Checkout, GatewayEvent, Payment, Refund
from tests import forked
from tests.conftest import on_both, on_postgresql
from tests.factories import an_edition
from tests.payments.processes import work
from tests.purchases import an_order, pay, start
from tests.rows import order_of, rows

PROCESSES = 8
# How long one side of a race waits for the other, which a guard may be holding up.
MEETING_SECONDS = 2.0
# And where no guard holds it up.
SURE_MEETING_SECONDS = 50.0


def _eight_at_once(url: str, folder: Path, *, guarded: bool) -> list[tuple[int, str]]:
    order_id = an_order()
    decide(start(order_id), Decision.PAY)
    ids = (rows(GatewayEvent.id)[0][0], rows(Checkout.id)[0][0], order_id)
    end_read()
    server = forked.server()
    gate, results = server.Barrier(PROCESSES), server.Queue()
    named = {"guarded": guarded, "gate": gate}
    processes = [
        server.Process(target=work, args=(results, number, url, str(folder), ids), kwargs=named)
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    try:
        answers = [results.get(timeout=120) for _ in processes]
    finally:
        for process in processes:
            process.join(60)
            process.kill()
        results.close()
        results.join_thread()
    return answers


@on_both
def test_eight_processes_fulfil_one_order_once(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    answers = _eight_at_once(database_url, tmp_path, guarded=True)

    assert [fault for _, fault in answers if fault] == []
    assert sum(granted for granted, _ in answers) == 1
    assert rows(Order.status) == [(OrderStatus.PAID,)]
    assert rows(Payment.amount) == [(1250,)]
    assert rows(Entitlement.customer_id) == [(1,)]
    assert rows(Delivery.kind) == [("order_confirmation",)]


@on_both
def test_without_comparing_the_status_several_of_them_grant(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    answers = _eight_at_once(database_url, tmp_path, guarded=False)

    assert sum(granted for granted, _ in answers) > 1


def _meeting(
    real: Callable[..., Any], gate: threading.Barrier, seconds: float
) -> Callable[..., Any]:
    """The function, waiting after it for the other side, as long as a lock may hold that up."""

    def met(*arguments: Any) -> Any:
        answer = real(*arguments)
        with contextlib.suppress(threading.BrokenBarrierError):
            gate.wait(seconds)
        return answer

    return met


def _both(app: Flask, *works: Callable[[], Any]) -> list[str]:
    """Run all at once; what each was refused with."""
    refused: list[str] = []

    def run(one: Callable[[], Any]) -> None:
        with app.app_context():
            try:
                one()
            except Refusal as refusal:
                refused.append(type(refusal).__name__)
            finally:
                db.session.remove()

    end_read()
    threads = [threading.Thread(target=run, args=(one,)) for one in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return refused


def _paid() -> int:
    order_id = an_order()
    pay(order_id)
    return order_id


def _refund_twice(app: Flask, monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[str]:
    order_id = _paid()
    gate = threading.Barrier(2)
    monkeypatch.setattr(
        money_back, "_check_refund", _meeting(money_back._check_refund, gate, seconds)
    )

    def press(key: str) -> Callable[[], Any]:
        return lambda: refunds.refund_order(order_id, who="staff", why="", key=key)

    return _both(app, press("press-1"), press("press-2"))


@on_both
def test_two_refunds_at_once_never_exceed_what_was_paid(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _refund_twice(app, monkeypatch, MEETING_SECONDS) == ["NothingToRefund"]
    assert rows(Refund.amount) == [(1250,)]
    assert rows(DemoRefund.amount) == [(1250,)]


@on_postgresql
def test_without_the_lock_two_refunds_at_once_exceed_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refunds, "lock_order", lambda order_id: db.session.get_one(Order, order_id))

    _refund_twice(app, monkeypatch, SURE_MEETING_SECONDS)

    assert rows(Refund.amount) == [(1250,), (1250,)]


def _release_to(recipients: list[int], gate: threading.Barrier, seconds: float) -> None:
    """What a release does: lock, fix the recipients, publish."""
    with transaction() as session:
        edition = session.scalars(sa.select(Edition)).one()
        lock_publication(edition.publication_id, alone=True)
        entitled = sa.select(Entitlement.customer_id).where(Entitlement.revoked_at.is_(None))
        recipients += _meeting(session.scalars, gate, seconds)(entitled).all()
        edition.status, edition.released_at = EditionStatus.RELEASED, clock.now()


def _cancel_amid_release(
    app: Flask, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> tuple[bool, bool]:
    """Whether the pre-order was cancelled, and whether its customer was sent the edition."""
    order_id = _paid()
    with transaction():
        an_edition(_publication_of(order_id))
    gate = threading.Barrier(2)
    monkeypatch.setattr(
        cancellation, "may_cancel", _meeting(cancellation.may_cancel, gate, seconds)
    )
    recipients: list[int] = []
    refused = _both(
        app,
        lambda: cancellation.cancel_preorder(order_id, "customer"),
        lambda: _release_to(recipients, gate, seconds),
    )
    return refused == [], recipients != []


def _publication_of(order_id: int) -> Any:
    return db.session.get_one(Order, order_id).lines[0].publication


@on_both
def test_a_preorder_is_cancelled_or_sent_and_never_both(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_cancelled, was_sent = _cancel_amid_release(app, monkeypatch, MEETING_SECONDS)

    assert was_cancelled != was_sent


@on_postgresql
def test_without_the_lock_a_cancelled_preorder_is_sent(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellation, "lock_publication", lambda publication_id: None)

    assert _cancel_amid_release(app, monkeypatch, SURE_MEETING_SECONDS) == (True, True)
    assert order_of(1).status is OrderStatus.PAID
