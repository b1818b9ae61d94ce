"""Money goes back once, never more than came in, and the right ends with it."""

from datetime import datetime

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import EditionStatus, Publication
from store.entitlements.models import Entitlement
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.models import Order
from store.payments import refunds, sums
from store.payments.cancellation import NotCancellable, cancel_preorder, may_cancel
from store.payments.gateways.base import GatewayRefund, GatewayRefused, GatewayUnreachable
from store.payments.gateways.demo import DemoGateway, DemoRefund
from store.payments.inbox import fulfil_order
from store.payments.models import Refund, RefundStatus
from store.payments.money_back import MoreThanPaid, NothingToRefund
from store.payments.refunds import refund_order
from store.payments.sums import refunded_amount
from tests.conftest import Clock, on_both, on_both_when_long
from tests.factories import a_released_edition
from tests.payments.gateway_side import at_gateway, paid_at_gateway, refunded_at_gateway
from tests.purchases import an_order, pay, start
from tests.rows import order_of, rows


@pytest.fixture
def paid(app: Flask, frozen: Clock) -> int:
    """A paid pre-order."""
    order_id = an_order()
    pay(order_id)
    return order_id


def _give_back(order_id: int, key: str, amount: int | None = None) -> list[Refund]:
    return refund_order(order_id, amount=amount, who="staff@press.example", why="asked", key=key)


def _revoked() -> list[tuple[str]]:
    return rows(Entitlement.revoked_reason)


def _gateway_has() -> list[tuple[int]]:
    return rows(DemoRefund.amount)


def _release(order_id: int) -> None:
    with transaction():
        a_released_edition(db.session.get_one(Order, order_id).lines[0].publication)


@on_both
def test_a_full_refund_ends_the_right_and_writes_one_letter(paid: int) -> None:
    assert [refund.status for refund in _give_back(paid, "press-1")] == [RefundStatus.SUCCEEDED]

    assert rows(Refund.amount, Refund.who, Refund.why) == [(1250, "staff@press.example", "asked")]
    assert _revoked() == [("refunded",)]
    assert rows(Delivery.kind) == [("order_confirmation",), ("order_refunded",)]
    assert _gateway_has() == [(1250,)]


@on_both
def test_one_form_pressed_twice_refunds_once(paid: int) -> None:
    first, second = _give_back(paid, "press-1", 500), _give_back(paid, "press-1", 500)

    assert [one.id for one in first] == [one.id for one in second]
    assert _gateway_has() == [(500,)]


@on_both
def test_two_forms_for_all_of_it_refund_it_once(paid: int) -> None:
    _give_back(paid, "press-1")
    with pytest.raises(NothingToRefund):
        _give_back(paid, "press-2")

    assert _gateway_has() == [(1250,)]


@on_both_when_long
def test_part_of_it_keeps_the_copy_and_the_rest_ends_it(paid: int) -> None:
    _give_back(paid, "press-1", 250)
    assert (refunded_amount(paid), _revoked()) == (250, [("",)])

    _give_back(paid, "press-2")

    assert (refunded_amount(paid), _revoked()) == (1250, [("refunded",)])
    assert _gateway_has() == [(250,), (1000,)]


@on_both_when_long
@pytest.mark.parametrize("amount", [-1, 0, 1251])
def test_no_more_than_was_paid_and_no_less_than_something(paid: int, amount: int) -> None:
    with pytest.raises(MoreThanPaid, match=r"At most £12\.50 can be refunded"):
        _give_back(paid, "press-1", amount)

    assert rows(Refund.id) == []


@on_both_when_long
def test_an_order_that_was_not_paid_has_nothing_to_refund(app: Flask, frozen: Clock) -> None:
    with pytest.raises(NothingToRefund):
        _give_back(an_order(), "press-1")


@on_both_when_long
def test_an_order_paid_twice_is_given_back_payment_by_payment(paid: int, frozen: Clock) -> None:
    with transaction() as session:
        session.execute(sa.text("UPDATE orders SET status = 'pending'"))
    second = start(paid)
    with transaction() as session:
        session.execute(sa.text("UPDATE orders SET status = 'paid'"))
    paid_at_gateway(second, frozen())
    fulfil_order(paid)

    _give_back(paid, "press-1", 1250)
    assert _revoked() == [("",)]

    _give_back(paid, "press-2", 1250)
    assert _revoked() == [("refunded",)]
    assert _gateway_has() == [(1250,), (1250,)]


@on_both_when_long
def test_a_gateway_that_does_not_answer_is_asked_again_with_the_same_key(
    paid: int, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(DemoGateway, "refund", _silent)
        assert [one.status for one in _give_back(paid, "press-1")] == [RefundStatus.REQUESTED]
        refunds.send_refunds()
    assert (refunded_amount(paid), _revoked()) == (1250, [("",)])

    refunds.send_refunds()

    assert rows(Refund.status) == [(RefundStatus.SUCCEEDED,)]
    assert _gateway_has() == [(1250,)]


@on_both_when_long
def test_an_answer_that_was_lost_on_its_way_refunds_once(
    paid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = DemoGateway.refund

    def lost(gateway: DemoGateway, payment_id: str, amount: int, key: str) -> GatewayRefund:
        real(gateway, payment_id, amount, key)
        raise GatewayUnreachable

    with monkeypatch.context() as patch:
        patch.setattr(DemoGateway, "refund", lost)
        _give_back(paid, "press-1")

    refunds.send_refunds()

    assert _gateway_has() == [(1250,)]
    assert rows(Refund.status) == [(RefundStatus.SUCCEEDED,)]


@on_both_when_long
def test_a_lost_answer_is_found_a_day_later_though_the_key_is_forgotten(
    paid: int, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund_id = _asked_and_lost(paid, monkeypatch)
    frozen.advance(hours=25)
    with monkeypatch.context() as patch:
        patch.setattr(DemoGateway, "refund", _silent)
        refunds.send_refunds()

    assert rows(Refund.id, Refund.status) == [(refund_id, RefundStatus.SUCCEEDED)]


def _asked_and_lost(order_id: int, monkeypatch: pytest.MonkeyPatch) -> int:
    real = DemoGateway.refund

    def lost(gateway: DemoGateway, payment_id: str, amount: int, key: str) -> GatewayRefund:
        real(gateway, payment_id, amount, key)
        raise GatewayUnreachable

    with monkeypatch.context() as patch:
        patch.setattr(DemoGateway, "refund", lost)
        return _give_back(order_id, "press-1")[0].id


@on_both_when_long
def test_a_refund_that_the_gateway_will_not_make_fails_and_staff_hear_why(
    paid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> GatewayRefund:
        raise GatewayRefused("the card is closed")

    with monkeypatch.context() as patch:
        patch.setattr(DemoGateway, "refund", refuses)
        assert [one.status for one in _give_back(paid, "press-1")] == [RefundStatus.FAILED]

    assert rows(Refund.failure) == [("the card is closed",)]
    assert rows(Delivery.kind) == [("order_confirmation",), ("staff_alert",)]
    assert _revoked() == [("",)]
    # It can be asked for again.
    assert [one.status for one in _give_back(paid, "press-2")] == [RefundStatus.SUCCEEDED]


@on_both_when_long
def test_a_refund_that_comes_back_days_later_is_no_longer_counted(paid: int) -> None:
    _give_back(paid, "press-1")
    with transaction() as session:
        session.execute(sa.update(DemoRefund).values(standing="failed"))
    _hear_of(paid)

    assert rows(Refund.status) == [(RefundStatus.FAILED,)]
    assert refunded_amount(paid) == 0
    assert ("staff_alert",) in rows(Delivery.kind)


def _hear_of(order_id: int) -> None:
    from store.payments.inbox import fulfil_checkout

    fulfil_checkout(sums.payments_of(order_id)[0].checkout_id or 0)


@on_both
def test_a_refund_from_the_gateways_desk_and_ours_never_exceed_the_payment(
    paid: int,
) -> None:
    from store.payments.gateways.demo import DemoPayment

    reference = rows(DemoPayment.reference)[0][0]
    refunded_at_gateway(reference, 1000)
    _hear_of(paid)

    with pytest.raises(MoreThanPaid, match=r"At most £2\.50"):
        _give_back(paid, "press-1", 300)
    _give_back(paid, "press-2")

    assert _gateway_has() == [(250,), (1000,)]
    assert _revoked() == [("refunded",)]


@on_both_when_long
def test_a_preorder_is_cancelled_with_one_press_and_all_money_back(paid: int) -> None:
    assert may_cancel(order_of(paid)) is True

    first = cancel_preorder(paid, "customer")
    second = cancel_preorder(paid, "customer")

    assert [one.id for one in first] == [one.id for one in second]
    assert _gateway_has() == [(1250,)]
    assert _revoked() == [("refunded",)]
    assert rows(Refund.who, Refund.why) == [("customer", "cancelled before release")]
    assert rows(Delivery.kind) == [("order_confirmation",), ("order_refunded",)]
    assert may_cancel(order_of(paid)) is False


@on_both_when_long
def test_the_right_ends_with_the_press_though_the_gateway_is_silent(
    paid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(DemoGateway, "refund", _silent)
        cancel_preorder(paid, "customer")

    assert _revoked() == [("refunded",)]


@on_both_when_long
def test_once_released_nothing_is_cancelled(paid: int) -> None:
    _release(paid)

    assert may_cancel(order_of(paid)) is False
    with pytest.raises(NotCancellable):
        cancel_preorder(paid, "customer")
    assert (_gateway_has(), _revoked()) == ([], [("",)])


@on_both_when_long
def test_an_edition_withdrawn_before_the_order_leaves_it_a_preorder(
    app: Flask, frozen: Clock
) -> None:
    order_id = an_order()
    _withdrawn(order_of(order_id).lines[0].publication_id, frozen())
    frozen.advance(hours=1)
    with transaction():
        order_of(order_id).placed_at = frozen()
    pay(order_id)

    assert may_cancel(order_of(order_id)) is True


@on_both_when_long
def test_an_edition_that_came_and_went_after_the_order_ends_the_right_to_cancel(
    paid: int, frozen: Clock
) -> None:
    frozen.advance(hours=1)
    _withdrawn(order_of(paid).lines[0].publication_id, frozen())

    assert may_cancel(order_of(paid)) is False


def _withdrawn(publication_id: int, released_at: datetime) -> None:
    with transaction() as session:
        publication = session.get_one(Publication, publication_id)
        edition = a_released_edition(publication, released_at=released_at)
        edition.status, edition.withdrawn_at = EditionStatus.WITHDRAWN, released_at


@on_both_when_long
def test_an_order_that_is_not_paid_or_refunded_already_is_not_cancelled(
    app: Flask, frozen: Clock
) -> None:
    order_id = an_order()
    reference = start(order_id)
    with pytest.raises(NotCancellable):
        cancel_preorder(order_id, "customer")

    at_gateway(reference, state="paid", payment_id="pay_1", paid_at=frozen())
    fulfil_order(order_id)
    _give_back(order_id, "press-1")
    with pytest.raises(NotCancellable):
        cancel_preorder(order_id, "customer")


def _silent(*_: object) -> GatewayRefund:
    raise GatewayUnreachable


@on_both_when_long
@pytest.mark.parametrize("way", ["refund", "cancel"])
def test_after_the_gateway_refused_a_person_may_press_again(
    paid: int, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    def press() -> list[str]:
        if way == "cancel":
            return [str(one.status) for one in cancel_preorder(paid, "customer")]
        pressed = refund_order(paid, who="Olga", why="", key="terminal:0:all")
        return [str(one.status) for one in pressed]

    def refuse(*_given: object) -> GatewayRefund:
        raise GatewayRefused("the card is closed")

    with monkeypatch.context() as patch:
        patch.setattr(DemoGateway, "refund", refuse)
        assert press() == ["failed"]

    assert press() == ["succeeded"]
    assert press() == ["succeeded"]
    assert refunded_amount(paid) == 1250
