"""Paying by bank transfer: what is awaited, what comes in parts or late, what goes back."""

import contextlib
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.app import create_app
from store.catalog.sellers import state_seller
from store.demo.pay import Decision, decide
from store.entitlements.access import rights_of_order
from store.kit.database import db, end_read, transaction
from store.kit.errors import InvalidFields, Refusal
from store.mail.models import Delivery, DeliveryStatus
from store.orders.models import Order, OrderStatus
from store.orders.orders import cancel_pending
from store.payments import transfers
from store.payments.checkout import NoTransfers, PartlyReceived, begin_checkout, expire_due
from store.payments.gateways import inhouse
from store.payments.gateways.demo import DemoPayment
from store.payments.gateways.registry import NoGateway
from store.payments.inbox import fulfil_order, sweep
from store.payments.models import Checkout, Payment, RefundStatus, Transfer
from store.payments.refunds import refund_order, send_refunds
from store.payments.transfers import (
    DETAILS,
    BackUnknown,
    MoreThanDue,
    NoTransferAwaited,
    look_after_transfers,
    mark_sent_back,
)
from tests import factories
from tests.conftest import Clock, make_settings, on_both, on_both_when_long, on_postgresql
from tests.letters import html_of, sent, text_of
from tests.links import order_path
from tests.pages import check_page
from tests.payments.bank import BANK, a_transfer_order, arrive, backs, refunds, today
from tests.payments.test_checkout import PRODUCTION
from tests.purchases import an_order, start
from tests.rows import order_of, rows

SURE = {"sure": "yes"}

pytestmark = pytest.mark.usefixtures("frozen")


def alerts() -> list[str]:
    """The subjects of what staff were told."""
    db.session.rollback()
    query = sa.select(Delivery).filter_by(kind="staff_alert").order_by(Delivery.id)
    return [(one.facts or {})["subject"] for one in db.session.scalars(query)]


def page_of(client: FlaskClient, order_id: int) -> str:
    """The order's page, checked, its blanks as one."""
    path = order_path(order_id)
    answer = client.get(path)
    assert answer.status_code == 200
    check_page(answer.text, path=path)
    return " ".join(answer.text.split())


@on_both_when_long
def test_the_order_page_is_the_pro_forma_and_the_letter_says_the_same(
    app: Flask, client: FlaskClient
) -> None:
    order_id = a_transfer_order()
    begin_checkout(order_id, "manual")

    page = page_of(client, order_id)
    reference = order_of(order_id).reference
    for words in (
        "Pay £12.50 by bank transfer",
        f"<b>{reference}</b>",
        "31 March 2027",
        "Sort code 00-00-00",
        "Pay by card instead",
        f"You transfer £12.50 and quote {reference}.",
    ):
        assert words in page, words
    letters = sent()
    assert [one["subject"] for one in letters] == [f"Please transfer £12.50 for order {reference}"]
    text = text_of(letters[0])
    for words in ("Amount: £12.50", f"Reference to quote: {reference}", *BANK.splitlines()):
        assert words in text, words
    assert "Nothing has been charged." in text
    assert "the order ends by itself and you owe nothing" in text


def test_the_letter_is_left_out_once_the_buyer_has_paid_by_card(app: Flask) -> None:
    order_id = a_transfer_order()
    decide(start(order_id), Decision.PAY)
    fulfil_order(order_id)
    sent()
    assert rows(Delivery.kind, Delivery.status, Delivery.reason) == [
        ("order_confirmation", DeliveryStatus.SENT, ""),
        (DETAILS, DeliveryStatus.SKIPPED, "no transfer is awaited"),
    ]


@on_both_when_long
def test_money_in_two_parts_is_said_and_the_second_pays_the_order(
    app: Flask, client: FlaskClient
) -> None:
    order_id = a_transfer_order()
    arrive(order_id, 500, note="Sample Nursery")

    page = page_of(client, order_id)
    assert "<b>£5.00 of £12.50 has arrived.</b> £7.50 is still to come." in page
    assert "<b>£7.50</b>" in page
    assert "Pay by card instead" not in page
    assert order_of(order_id).status is OrderStatus.PENDING
    assert rights_of_order(order_id) == []

    (letter,) = [one for one in sent() if "Please transfer" in one["subject"]]
    for text in (text_of(letter), html_of(letter)):
        assert "£5.00 of £12.50 has arrived. Please transfer the rest." in text
        assert "Nothing has been charged" not in text
        assert "you owe nothing" not in text

    arrive(order_id, 750)
    assert order_of(order_id).status is OrderStatus.PAID
    assert rows(Payment.gateway, Payment.gateway_payment_id, Payment.amount) == [
        ("manual", "transfer-1", 1250)
    ]
    assert len(rights_of_order(order_id)) == 1
    kinds = [one["subject"].split(":")[0] for one in sent()]
    assert kinds[-1] == "Your pre-order is paid"
    assert "Thank you for your pre-order" in page_of(client, order_id)


@on_both_when_long
def test_more_than_is_due_is_refused_in_words(app: Flask) -> None:
    order_id = a_transfer_order()
    with pytest.raises(MoreThanDue, match=r"Only £12\.50 of £12\.50 is still due\."):
        arrive(order_id, 1300)
    arrive(order_id, 500)
    with pytest.raises(MoreThanDue, match=r"Only £7\.50 of £12\.50 is still due\. Record £7\.50"):
        arrive(order_id, 800)
    arrive(order_id, 750)
    with pytest.raises(MoreThanDue, match=r"All £12\.50 of this order has arrived\."):
        arrive(order_id, 1)
    assert rows(Transfer.amount) == [(500,), (750,)]


@on_both
def test_one_press_is_one_row_and_two_presses_are_two(app: Flask) -> None:
    order_id = a_transfer_order()
    first = arrive(order_id, 500, "a-press").id
    assert arrive(order_id, 500, "a-press").id == first
    assert rows(Transfer.amount) == [(500,)]
    arrive(order_id, 500, "another-press")  # the control: nothing but the key tells them apart
    assert rows(Transfer.amount) == [(500,), (500,)]


def test_a_day_to_come_a_slip_of_the_year_and_a_long_note_are_refused(app: Flask) -> None:
    order_id = a_transfer_order()
    for given, field in (
        ({"received_on": today() + timedelta(days=1)}, "received_on"),
        ({"received_on": today() - timedelta(days=500)}, "received_on"),
        ({"note": "x" * 301}, "note"),
    ):
        with pytest.raises(InvalidFields) as refused:
            arrive(order_id, 500, **given)
        assert list(refused.value.faults) == [field]
    assert rows(Transfer.id) == []


def test_an_order_whose_buyer_chose_no_transfer_takes_none(app: Flask) -> None:
    with pytest.raises(NoTransferAwaited):
        arrive(an_order(), 1250)


@on_both_when_long
def test_an_order_that_waits_for_a_transfer_ends_after_its_30_days_and_not_before(
    app: Flask, frozen: Clock
) -> None:
    order_id = a_transfer_order()
    for _ in range(29):
        frozen.advance(days=1)
        sweep()
        expire_due()
    assert order_of(order_id).status is OrderStatus.PENDING

    frozen.advance(days=1)
    sweep()
    expire_due()
    assert order_of(order_id).status is OrderStatus.EXPIRED
    assert rows(Checkout.status, Checkout.failure) == [("expired", inhouse.OUT_OF_TIME)]


@on_both_when_long
def test_an_order_with_part_of_its_money_never_ends_by_itself_and_staff_are_told_once(
    app: Flask, frozen: Clock
) -> None:
    order_id = a_transfer_order()
    arrive(order_id, 500)
    look_after_transfers()
    assert alerts() == []
    for _ in range(3):
        frozen.advance(days=20)
        sweep()
        look_after_transfers()
        expire_due()
    reference = order_of(order_id).reference
    assert order_of(order_id).status is OrderStatus.PENDING
    assert alerts() == [f"Part of the money for order {reference} has arrived"]


@on_both_when_long
def test_money_that_comes_after_the_order_ran_out_still_pays_it(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    order_id = a_transfer_order()
    frozen.advance(days=31)
    sweep()
    expire_due()
    assert order_of(order_id).status is OrderStatus.EXPIRED

    arrive(order_id, 500)
    page = page_of(client, order_id)
    assert "£5.00 of £12.50 has arrived." in page
    assert "It came after this order was closed" in page
    assert alerts() == [f"Part of the money for order {order_of(order_id).reference} has arrived"]

    arrive(order_id, 750)
    assert order_of(order_id).status is OrderStatus.PAID
    assert len(rights_of_order(order_id)) == 1


@on_both_when_long
def test_money_for_an_order_that_was_given_up_goes_back_by_a_persons_hand(
    app: Flask, client: FlaskClient
) -> None:
    order_id = a_transfer_order()
    assert client.post(f"{order_path(order_id)}/cancel", data=SURE).status_code == 303
    assert order_of(order_id).status is OrderStatus.CANCELLED

    arrive(order_id, 1250)
    send_refunds()
    assert order_of(order_id).status is OrderStatus.PAID
    assert [right.revoked_reason for right in rights_of_order(order_id)] == ["refunded"]
    assert [(back.amount, back.sent_at) for back in backs()] == [(1250, None)]
    assert alerts() == [f"Send £12.50 back for order {order_of(order_id).reference}"]


def test_an_order_with_part_of_its_money_is_neither_given_up_nor_paid_by_card(
    app: Flask, client: FlaskClient
) -> None:
    order_id = a_transfer_order()
    arrive(order_id, 500)
    path = order_path(order_id)
    answer = client.post(f"{path}/cancel", data=SURE)
    assert answer.status_code == 409
    assert "Part of the money for this order has arrived" in answer.text
    assert client.get(f"{path}/cancel").status_code == 409
    assert client.post(f"{path}/pay").status_code == 409
    with pytest.raises(PartlyReceived):
        begin_checkout(order_id)
    assert rows(Checkout.gateway, Checkout.status) == [("manual", "open")]
    assert begin_checkout(order_id, "manual") == rows(Checkout.pay_url)[0][0]


@on_both_when_long
def test_choosing_another_way_ends_the_try_before_it_either_way_round(app: Flask) -> None:
    order_id = a_transfer_order()
    reference = start(order_id)
    assert rows(Checkout.gateway, Checkout.status) == [("demo", "open"), ("manual", "expired")]

    begin_checkout(order_id, "manual")
    assert rows(DemoPayment.state) == [("expired",)]
    assert decide(reference, Decision.PAY) is False
    assert rows(Checkout.gateway, Checkout.status) == [
        ("demo", "expired"),
        ("manual", "expired"),
        ("manual", "open"),
    ]
    assert len(rows(Delivery.kind)) == 1  # it has not left, and tells of the newest try


def test_a_transfer_after_a_payment_by_card_is_seen_as_paid_twice(app: Flask) -> None:
    order_id = a_transfer_order()
    decide(start(order_id), Decision.PAY)
    fulfil_order(order_id)
    arrive(order_id, 1250)
    assert alerts() == [f"Order {order_of(order_id).reference} was paid twice"]
    assert rows(Payment.gateway, Payment.amount) == [("demo", 1250), ("manual", 1250)]


@on_both_when_long
def test_a_refund_has_succeeded_only_when_a_person_has_sent_it(app: Flask) -> None:
    order_id = a_transfer_order()
    arrive(order_id, 1250)
    sent()
    asked = refund_order(order_id, who="olga", why="asked for", key="k")
    assert [one.status for one in asked] == [RefundStatus.REQUESTED]
    refund_order(order_id, who="olga", why="asked for", key="k")
    send_refunds()
    assert [(back.amount, back.sent_at) for back in backs()] == [(1250, None)]
    assert alerts() == [f"Send £12.50 back for order {order_of(order_id).reference}"]
    assert "order_refunded" not in {kind for (kind,) in rows(Delivery.kind)}

    back_id = backs()[0].id
    mark_sent_back(back_id, "olga@publisher.example")
    first = backs()[0].sent_at
    mark_sent_back(back_id, "rita@publisher.example")
    assert [(back.sent_by, back.sent_at) for back in backs()] == [("olga@publisher.example", first)]
    assert [one.status for one in refunds()] == [RefundStatus.SUCCEEDED]
    assert [right.revoked_reason for right in rights_of_order(order_id)] == ["refunded"]
    reference = order_of(order_id).reference
    subjects = [one["subject"] for one in sent()]
    assert subjects.count(f"We have refunded £12.50 for order {reference}") == 1


def test_nothing_of_an_unknown_number_is_sent_back(app: Flask) -> None:
    with pytest.raises(BackUnknown):
        mark_sent_back(7, "olga")


def test_the_timetable_finishes_what_a_crash_left_between_the_money_and_the_order(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = a_transfer_order()
    frozen.advance(days=31)
    sweep()
    expire_due()

    def killed(_checkout_id: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(transfers, "fulfil_checkout", killed)
        with pytest.raises(KeyboardInterrupt):
            arrive(order_id, 1250)
    sweep()  # the control: the sweep of open tries alone does not see it
    assert order_of(order_id).status is OrderStatus.EXPIRED
    look_after_transfers()
    assert order_of(order_id).status is OrderStatus.PAID


def test_without_bank_details_nobody_can_choose_a_transfer(app: Flask) -> None:
    order_id = an_order()
    with pytest.raises(NoTransfers):
        begin_checkout(order_id, "manual")
    assert rows(Checkout.id) == []
    with transaction():
        state_seller(bank_details=BANK)
    begin_checkout(order_id, "manual")  # the control
    assert rows(Checkout.gateway) == [("manual",)]


def test_in_production_without_cards_a_transfer_works_and_a_card_is_refused_in_words(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    order_id = an_order()
    shop = create_app(make_settings(tmp_path, database_url=database_url, **PRODUCTION))
    with shop.app_context():
        with pytest.raises(NoGateway, match="no way to take payments"):
            begin_checkout(order_id)
        with transaction():
            state_seller(bank_details=BANK)
        with pytest.raises(NoGateway, match="choose “Order and pay by bank transfer”"):
            begin_checkout(order_id)
        begin_checkout(order_id, "manual")
        page = (
            shop.test_client().get(order_path(order_id), base_url="https://shop.example.org").text
        )
        assert "Pay £12.50 by bank transfer" in " ".join(page.split())
        assert "Pay by card instead" not in page
        arrive(order_id, 1250)
        assert order_of(order_id).status is OrderStatus.PAID
        db.session.remove()
        db.engine.dispose()
    shop.extensions["colophon.huey"].storage.close()


def _both_record_the_rest(app: Flask, order_id: int) -> None:
    """Two members of staff press at once, each with a form of their own."""

    def press(key: str) -> None:
        with app.app_context(), contextlib.suppress(Refusal):
            arrive(order_id, 1250, key)
            db.session.remove()

    end_read()
    threads = [threading.Thread(target=press, args=(key,)) for key in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)


def _meeting(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Each side that has read what came waits this long for the other to read it too; a long wait
    where no lock keeps them apart."""
    barrier, real = threading.Barrier(2), transfers.received_amount

    def read(checkout_id: int) -> int:
        received = real(checkout_id)
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait(seconds)
        return received

    monkeypatch.setattr(transfers, "received_amount", read)


@on_both
def test_two_who_mark_the_same_money_at_once_mark_it_once(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = a_transfer_order()
    _meeting(monkeypatch, 1.5)
    _both_record_the_rest(app, order_id)
    assert rows(Transfer.amount) == [(1250,)]


@on_postgresql
def test_without_the_lock_on_the_order_both_would_mark_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = a_transfer_order()
    _meeting(monkeypatch, 60)
    unlocked: Callable[[int], Order] = lambda one: db.session.get_one(Order, one)  # noqa: E731
    monkeypatch.setattr(transfers, "lock_order", unlocked)
    _both_record_the_rest(app, order_id)
    assert rows(Transfer.amount) == [(1250,), (1250,)]


def test_an_order_given_up_at_the_desk_keeps_what_arrives_visible(app: Flask) -> None:
    order_id = a_transfer_order()
    with transaction():
        cancel_pending(db.session.get_one(Order, order_id), "customer")
    arrive(order_id, 500)
    assert order_of(order_id).status is OrderStatus.CANCELLED
    assert alerts() == [f"Part of the money for order {order_of(order_id).reference} has arrived"]


def test_until_a_refund_is_sent_the_page_says_that_the_copies_stay(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    order_id = a_transfer_order()
    arrive(order_id, 1250)
    with transaction() as session:
        factories.a_released_edition(session.get_one(Order, order_id).lines[0].publication)
    frozen.advance(days=16)  # the 14 days are over
    refund_order(order_id, who="olga", why="", key="all")

    page = client.get(order_path(order_id)).text
    assert "Its copies can be downloaded until the money is sent." in page

    mark_sent_back(backs()[0].id, "olga")
    assert "Its copies can no longer be downloaded." in client.get(order_path(order_id)).text
