"""After a restore the shop hears what Stripe knows since the backup: what it can apply is applied, and
money whose order is lost is named to a person."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from store import tasks
from store.backups.after_restore import begin_after_restore, let_letters_go
from store.catalog.models import Publication
from store.entitlements.erasures import ask_erasure
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.mailboxes import ERASED
from store.mail.models import Delivery, Restore
from store.orders.models import Customer, Order, OrderStatus
from store.orders.placing import Details
from store.payments.checkout import begin_checkout
from store.payments.erasures import carry_out_due
from store.payments.gateways.signatures import signature
from store.payments.looking_back import look_back, still_asked
from store.payments.models import Dispute, Payment, Refund, RefundStatus, StrayPayment
from store.payments.refunds import send_refunds
from tests.admin.sign_in import press, signed_in
from tests.conftest import Reader, on_both, on_both_when_long
from tests.letters import sent
from tests.links import anna
from tests.pages import check_page
from tests.payments.stripe_shop import WEBHOOK_SECRET, newest_session, post_all, stripe_settings
from tests.purchases import ANNA, an_order, apply_received, placed_order
from tests.restored import put_back
from tests.rows import order_of
from tests.stripe_double import StripeDouble


def ordered(name: str) -> int:
    """An order of somebody, with its session at Stripe open."""
    with transaction() as session:
        publication = session.scalars(sa.select(Publication)).one()
        order_id = placed_order(publication, Details(email=f"{name}@reader.example")).id
    begin_checkout(order_id)
    return order_id


def paid(double: StripeDouble, name: str) -> tuple[int, str]:
    """The same, paid; the order and Stripe's name for the payment."""
    order_id = ordered(name)
    session = newest_session(double)["id"]
    double.control.complete(session)
    return order_id, payment_of(double, session)


def payment_of(double: StripeDouble, session: str) -> str:
    sessions = double.control.state()["checkout.session"]
    return str(next(one["payment_intent"] for one in sessions if one["id"] == session))


@pytest.fixture
def here(double: StripeDouble, port: int) -> dict[str, Any]:
    """The settings of the shop, before and after."""
    return stripe_settings(double, base_url=f"http://127.0.0.1:{port}")


def told(shop: Flask, event: dict[str, Any]) -> int:
    """Stripe posts an event now; the answer's status."""
    body = json.dumps(event).encode()
    header = signature(body, WEBHOOK_SECRET.encode(), int(clock.now().timestamp()))
    answer = shop.test_client().post(
        "/webhooks/stripe", data=body, headers={"Stripe-Signature": header}
    )
    return answer.status_code


def catch_up() -> None:
    """A minute of the timetable, and the bells."""
    look_back()
    apply_received()


@on_both
def test_what_stripe_knows_since_the_backup_is_applied_or_named(
    shop: Flask,
    double: StripeDouble,
    here: dict[str, Any],
    tmp_path: Path,
    backup: Callable[[], str],
    pass_time: Callable[[float], None],
) -> None:
    waiting = an_order()
    begin_checkout(waiting)
    session = newest_session(double)["id"]
    refunded, back = paid(double, "ben")
    contested, asked = paid(double, "cleo")
    post_all(shop.test_client(), double)
    sent()
    pass_time(3600)
    made_at, copy = clock.now(), backup()
    pass_time(3600)
    double.control.complete(session)
    double.control.refund(back)
    double.control.dispute(asked)
    lost, money = paid(double, "dora")
    reference = order_of(lost).reference
    _, also_back = paid(double, "emil")
    double.control.refund(also_back)
    ordered("finn")
    late = newest_session(double)["id"]
    post_all(shop.test_client(), double)
    pass_time(3600)
    with put_back(copy, tmp_path, **here) as restored:
        restored.test_client_class = Reader
        begin_after_restore(made_at)
        letters = len(sent())
        catch_up()
        assert order_of(waiting).status is OrderStatus.PAID
        assert refunds_of(refunded) == [RefundStatus.SUCCEEDED]
        assert len(disputes_of(contested)) == 1
        open_ones = strays()
        assert [(one.order_reference, one.amount, one.payment_id) for one in open_ones] == [
            (reference, 1250, money)
        ]
        settled = db.session.scalars(sa.select(StrayPayment).filter_by(payment_id=also_back)).one()
        assert (settled.returned, settled.settled_by) == (1250, "gateway:stripe")
        # Somebody was still at the page to pay as the shop fell.
        double.control.complete(late)
        assert told(restored, double.control.events("checkout.session.completed")[-1]) == 200
        apply_received()
        assert len(strays()) == 2
        catch_up()
        begin_after_restore(made_at)
        catch_up()
        assert (len(strays()), still_asked()) == (2, 0)
        assert len(sent()) == letters
        with transaction():
            let_letters_go("olga")
        twice = sa.select(Delivery.is_possibly_twice).filter_by(order_id=waiting)
        assert set(db.session.scalars(twice)) == {True}


def refunds_of(order_id: int) -> list[RefundStatus]:
    query = sa.select(Refund.status).join(Payment).where(Payment.order_id == order_id)
    return list(db.session.scalars(query))


def disputes_of(order_id: int) -> list[int]:
    query = sa.select(Dispute.id).join(Payment).where(Payment.order_id == order_id)
    return list(db.session.scalars(query))


def strays() -> list[StrayPayment]:
    db.session.rollback()
    return list(
        db.session.scalars(
            sa.select(StrayPayment).filter_by(settled_at=None).order_by(StrayPayment.id)
        )
    )


def test_stripe_is_asked_again_until_it_answers(shop: Flask, double: StripeDouble) -> None:
    begin_after_restore(clock.now())
    double.control.fault("server_error", path="/v1/refunds", times=9)
    tasks.tick()
    assert was_asked() == [False]
    double.control.no_faults()
    tasks.tick()
    assert was_asked() == [True]


def was_asked() -> list[bool]:
    db.session.rollback()
    return [one.asked_at is not None for one in db.session.scalars(sa.select(Restore))]


def test_staff_hear_of_money_without_an_order_and_say_when_it_is_settled(
    shop: Flask,
    double: StripeDouble,
    here: dict[str, Any],
    tmp_path: Path,
    backup: Callable[[], str],
) -> None:
    an_order()
    made_at, copy = clock.now(), backup()
    lost, money = paid(double, "dora")
    reference = order_of(lost).reference
    with put_back(copy, tmp_path, **here) as restored:
        restored.test_client_class = Reader
        begin_after_restore(made_at)
        catch_up()
        desk = signed_in(restored.test_client())
        home = desk.get("/admin/").text
        assert f"£12.50 for {reference}" in home
        page = desk.get("/admin/after-restore").text
        check_page(page, path="/admin/after-restore")
        assert (money in page, "dora@" in page) == (True, False)
        act = f"/admin/after-restore/payments/{strays()[0].id}/settled"
        assert press(desk, act, seen_on="/admin/after-restore").status_code == 303
        assert money not in desk.get("/admin/after-restore").text
        assert strays() == []
        with transaction():
            let_letters_go("olga")
        assert any("does not have" in one["Subject"] for one in sent())
        assert db.session.scalars(sa.select(Order.id).filter_by(reference=reference)).all() == []


@on_both_when_long
def test_the_refund_of_somebody_who_is_erased_again_is_in_the_books_again(
    shop: Flask,
    double: StripeDouble,
    here: dict[str, Any],
    tmp_path: Path,
    backup: Callable[[], str],
    pass_time: Callable[[float], None],
) -> None:
    order_id = an_order()
    begin_checkout(order_id)
    double.control.complete(newest_session(double)["id"])
    post_all(shop.test_client(), double)
    sent()
    made_at, copy = clock.now(), backup()
    with transaction():
        ask_erasure(anna(), "olga")
        number = anna().id
    for _ in range(4):
        sent()
        pass_time(3 * 86_400)
        carry_out_due()
        send_refunds()
    assert db.session.get_one(Customer, number).erased_at is not None
    assert refunds_of(order_id) == [RefundStatus.SUCCEEDED]
    with put_back(copy, tmp_path, **here):
        assert begin_after_restore(made_at).erased == 1
        letters = len(sent())
        catch_up()
        assert refunds_of(order_id) == [RefundStatus.SUCCEEDED]
        assert db.session.get_one(Customer, number).email == ERASED
        with transaction():
            let_letters_go("olga")
        assert [one for one in sent()[letters:] if ANNA in str(one["To"])] == []
