"""Random histories of one order: whatever happens in whatever order, money, right and letters agree."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from store.entitlements.models import Entitlement
from store.kit.database import db, transaction
from store.kit.errors import Refusal
from store.mail.models import Delivery
from store.orders.models import Order, OrderStatus
from store.orders.ordering import cancel_pending
from store.payments import fulfilment, refunding
from store.payments.checkout import begin_checkout, expire_due
from store.payments.demo_news import Arrival, Decision, decide, deliver, held_news
from store.payments.gateways.base import GatewayUnreachable
from store.payments.gateways.demo import DemoGateway
from store.payments.gateways.demo_models import DemoEvent, DemoPayment, DemoRefund
from store.payments.models import Checkout, CheckoutStatus, Payment, Refund, RefundStatus
from tests.conftest import Clock, on_both
from tests.payments.making import (
    an_order,
    apply_received,
    emptied,
    news,
    order_of,
    paid_at_gateway,
    refunded_at_gateway,
    rows,
)

KINDS = ["checkout.opened", "checkout.paid", "checkout.card_failed", "refund.succeeded"]
ASKED = ("start", "fetch", "close", "refund")


class History(RuleBasedStateMachine):
    """A buyer, the staff, the gateway and the post between them, each at their own pace."""

    frozen: ClassVar[Clock]
    patch: ClassVar[pytest.MonkeyPatch]

    @initialize()
    def open_shop(self) -> None:
        emptied()
        self.order_id = an_order()
        self.keys = 0
        self.is_silent = False

    def teardown(self) -> None:
        if not hasattr(self, "order_id"):
            return
        self.answer_again()
        self.settle()
        self.agree()

    # The buyer

    @rule()
    def begins_to_pay(self) -> None:
        self._try(lambda: begin_checkout(self.order_id))

    @rule(data=st.data(), decision=st.sampled_from(Decision), arrival=st.sampled_from(Arrival))
    def decides(self, data: st.DataObject, decision: Decision, arrival: Arrival) -> None:
        for reference in self._one_of(data):
            decide(reference, decision, arrival)

    @rule()
    def looks_at_the_order(self) -> None:
        fulfilment.fulfil_order(self.order_id)

    @rule()
    def gives_up(self) -> None:
        with transaction():
            cancel_pending(db.session.get_one(Order, self.order_id), "customer")

    @rule()
    def cancels(self) -> None:
        self._try(lambda: refunding.cancel_preorder(self.order_id, "customer"))

    # The staff

    @rule(amount=st.sampled_from([None, 1, 250, 1250]), is_same_press=st.booleans())
    def refund(self, amount: int | None, is_same_press: bool) -> None:
        self.keys += not is_same_press
        key = f"press-{self.keys}"
        self._try(
            lambda: refunding.refund_order(
                self.order_id, amount=amount, who="staff", why="", key=key
            )
        )

    # The gateway and the post

    @rule(data=st.data())
    def pays_unheard(self, data: st.DataObject) -> None:
        for reference in self._one_of(data, state="open"):
            paid_at_gateway(reference, self.frozen())

    @rule(data=st.data())
    def pays_after_all(self, data: st.DataObject) -> None:
        # Another card in the same try: Stripe lets one that failed be paid.
        for reference in self._one_of(data, state="declined"):
            paid_at_gateway(reference, self.frozen())

    @rule(data=st.data(), amount=st.sampled_from([100, 1250]))
    def refunds_at_its_desk(self, data: st.DataObject, amount: int) -> None:
        for reference in self._one_of(data, state="paid"):
            if self._left_at_gateway(reference) >= amount:
                refunded_at_gateway(reference, amount)

    @rule(data=st.data(), kind=st.sampled_from(KINDS))
    def speaks(self, data: st.DataObject, kind: str) -> None:
        for reference in self._one_of(data):
            news(reference, kind, self.frozen())

    @rule(data=st.data())
    def delivers(self, data: st.DataObject) -> None:
        events = [event_id for (event_id,) in rows(DemoEvent.id)]
        if events:
            deliver(data.draw(st.sampled_from(events)))

    @rule()
    @precondition(lambda self: not self.is_silent)
    def falls_silent(self) -> None:
        self.is_silent = True
        for name in ASKED:
            self.patch.setattr(DemoGateway, name, _silent)

    @rule()
    @precondition(lambda self: self.is_silent)
    def answers_again(self) -> None:
        self.answer_again()

    # The shop

    @rule()
    def hears_the_bell(self) -> None:
        self._try(apply_received)
        refunding.send_refunds()

    @rule(minutes=st.sampled_from([1, 7, 90, 1500]))
    def lets_time_pass(self, minutes: int) -> None:
        self.frozen.advance(minutes=minutes)
        self.tick()

    @invariant()
    def nothing_is_there_twice(self) -> None:
        assert len(rows(Entitlement.id)) <= 1
        assert self._letters("order_confirmation") <= 1
        assert len([1 for (status,) in rows(Checkout.status) if status == "open"]) <= 1

    def tick(self) -> None:
        fulfilment.sweep()
        refunding.send_refunds()
        expire_due()

    def answer_again(self) -> None:
        self.is_silent = False
        self.patch.undo()

    def settle(self) -> None:
        """All news arrives in the end, once more and late, and everything due is done."""
        for (reference,) in rows(DemoPayment.reference):
            news(reference, "checkout.news", self.frozen())
            for event_id in held_news(reference):
                deliver(event_id)
        for _ in range(3):
            apply_received()
            self.frozen.advance(minutes=30)
            self.tick()

    def agree(self) -> None:
        """The rows say what the gateway says, and right and letters follow from them."""
        paid = rows(DemoPayment.payment_id, DemoPayment.amount)
        paid = [one for one in paid if one[0] is not None]
        assert rows(Payment.gateway_payment_id, Payment.amount) == paid
        gone = rows(DemoRefund.refund_id, DemoRefund.amount)
        mine = rows(Refund.gateway_refund_id, Refund.amount, Refund.status)
        assert [one[:2] for one in mine if one[2] is RefundStatus.SUCCEEDED] == gone
        assert RefundStatus.REQUESTED not in [one[2] for one in mine]
        is_paid = paid != []
        assert (order_of(self.order_id).status is OrderStatus.PAID) is is_paid
        assert len(rows(Entitlement.id)) == self._letters("order_confirmation") == int(is_paid)
        assert self._letters("order_refunded") == len(gone)
        is_whole = is_paid and sum(one[1] for one in gone) == sum(one[1] for one in paid)
        if is_whole:
            assert rows(Entitlement.revoked_reason) == [("refunded",)]
        completed = [1 for one in rows(Checkout.status) if one == (CheckoutStatus.COMPLETED,)]
        assert len(completed) == len(paid)

    def _letters(self, kind: str) -> int:
        return len([1 for one in rows(Delivery.kind) if one == (kind,)])

    def _one_of(self, data: st.DataObject, **state: str) -> list[str]:
        query = sa.select(DemoPayment.reference).filter_by(**state).order_by(DemoPayment.id)
        found = list(db.session.scalars(query))
        db.session.rollback()
        return [found[data.draw(st.integers(0, len(found) - 1))]] if found else []

    def _left_at_gateway(self, reference: str) -> int:
        payment = db.session.scalars(sa.select(DemoPayment).filter_by(reference=reference)).one()
        left = payment.amount - sum(one.amount for one in payment.refunds)
        db.session.rollback()
        return left

    def _try(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except (Refusal, GatewayUnreachable):
            db.session.rollback()


def _silent(*_: object) -> None:
    raise GatewayUnreachable


def _play(frozen: Clock, monkeypatch: pytest.MonkeyPatch, *, histories: int, steps: int) -> None:
    # The patches that silence the gateway are undone one by one, the frozen clock is not.
    with pytest.MonkeyPatch.context() as patch:
        monkeypatch.setattr(History, "frozen", frozen, raising=False)
        monkeypatch.setattr(History, "patch", patch, raising=False)
        run_state_machine_as_test(
            History,
            settings=settings(
                max_examples=histories,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


@on_both
def test_random_histories_of_one_order_agree_with_the_gateway(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _play(frozen, monkeypatch, histories=15, steps=15)


@pytest.mark.long
@pytest.mark.timeout(1800)
@on_both
def test_many_long_histories_of_one_order_agree_with_the_gateway(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _play(frozen, monkeypatch, histories=60, steps=40)
