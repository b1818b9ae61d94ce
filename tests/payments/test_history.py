"""Random histories of one order: whatever happens in whatever order, money, right and letters agree."""

from collections.abc import Callable
from dataclasses import replace
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

from store.catalog.models import Publication
from store.catalog.sellers import state_seller
from store.demo.pay import Arrival, Decision, decide, deliver, held_news
from store.entitlements.models import Entitlement
from store.kit.database import db, transaction
from store.kit.errors import Refusal
from store.mail.models import Delivery
from store.orders.discounts import add_discount
from store.orders.models import Order, OrderLine, OrderStatus
from store.orders.orders import cancel_pending, lock_order
from store.orders.placing import Details
from store.payments import cancellation, inbox, order_forms, refunds
from store.payments.checkout import begin_checkout, end_for_order, end_left_open, expire_due
from store.payments.gateways.base import GatewayUnreachable
from store.payments.gateways.demo import DemoEvent, DemoGateway, DemoPayment, DemoRefund
from store.payments.models import Checkout, CheckoutStatus, Payment, Refund, RefundStatus, Transfer
from store.payments.sums import paid_amount, received_amount, refunded_amount
from store.payments.transfers import is_partly_received, look_after_transfers, mark_sent_back
from tests.conftest import Clock, on_both
from tests.payments.bank import BANK, arrive, backs
from tests.payments.gateway_side import news, paid_at_gateway, refunded_at_gateway
from tests.purchases import BUYER, an_order, apply_received
from tests.rows import emptied, rows

EMAILS = ["anna@reader.example", "ben@reader.example", "ANNA@reader.example"]
NAMES = st.sampled_from(["Anna Berg", "Anna B"])
AGREED = (Order.id, Order.email, Order.name, Order.total_amount, Order.discount_amount)
KINDS = ["checkout.opened", "checkout.paid", "checkout.card_failed", "refund.succeeded"]
ASKED = ("start", "fetch", "close", "refund")


class History(RuleBasedStateMachine):
    """A buyer, the staff, the gateway and the post between them, each at their own pace."""

    frozen: ClassVar[Clock]
    patch: ClassVar[pytest.MonkeyPatch]

    @initialize()
    def open_shop(self) -> None:
        emptied()
        self.form_key, self.forms = "f" * 22, 0
        self.order_id = an_order(self.form_key)
        with transaction():
            state_seller(bank_details=BANK)
            add_discount("Early bird", code="EARLY20", percent=20)
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

    @rule()
    def chooses_to_pay_by_bank(self) -> None:
        self._try(lambda: begin_checkout(self.order_id, "manual"))

    @rule(code=st.sampled_from(["", "EARLY20"]), email=st.sampled_from(EMAILS), name=NAMES)
    def presses_the_review_again(self, code: str, email: str, name: str) -> None:
        # As the order page's door does it: the code makes another price, the address another order.
        before = self._with_money()
        details = replace(BUYER, code=code, email=email, name=name)
        self._try(lambda: self._press(details))
        after = {one[0]: one for one in rows(*AGREED)}
        assert {order_id: after[order_id] for order_id in before} == before

    def _press(self, details: Details) -> None:
        is_heard = order_forms.ask_about_form(self.form_key)
        with transaction() as session:
            publication_id = session.scalars(sa.select(Publication.id)).one()
        placed = order_forms.place_from_form(
            lambda: db.session.get_one(Publication, publication_id),
            details,
            form_key=self.form_key,
            seen_amount=1000 if details.code else 1250,
            is_heard=is_heard,
        )
        self.order_id = placed.order_id
        if not placed.page and placed.status is not OrderStatus.PENDING:
            self.forms += 1
            self.form_key = f"{self.forms:022}"

    def _with_money(self) -> dict[int, tuple[Any, ...]]:
        """What was agreed for every order that is paid, or that money has come for."""
        paid = sa.select(Checkout.order_id).join(
            DemoPayment, DemoPayment.reference == Checkout.gateway_reference
        )
        query = sa.union(
            paid.where(DemoPayment.state == "paid"),
            sa.select(Checkout.order_id).join(Transfer, Transfer.checkout_id == Checkout.id),
        )
        found = set(db.session.scalars(query))
        return {one[0]: one for one in rows(*AGREED) if one[0] in found}

    @rule(data=st.data(), decision=st.sampled_from(Decision), arrival=st.sampled_from(Arrival))
    def decides(self, data: st.DataObject, decision: Decision, arrival: Arrival) -> None:
        for reference in self._one_of(data):
            decide(reference, decision, arrival)

    @rule()
    def looks_at_the_order(self) -> None:
        inbox.fulfil_order(self.order_id)

    @rule()
    def gives_up(self) -> None:
        with transaction():
            order = lock_order(self.order_id)
            is_given_up = not is_partly_received(order.id) and cancel_pending(order, "customer")
        if is_given_up:
            end_for_order(self.order_id)

    @rule()
    def cancels(self) -> None:
        self._try(lambda: cancellation.cancel_preorder(self.order_id, "customer"))

    # The staff

    @rule(amount=st.sampled_from([None, 1, 250, 1250]), is_same_press=st.booleans())
    def refund(self, amount: int | None, is_same_press: bool) -> None:
        self.keys += not is_same_press
        key = f"press-{self.keys}"
        self._try(
            lambda: refunds.refund_order(self.order_id, amount=amount, who="staff", why="", key=key)
        )

    @rule(amount=st.sampled_from([250, 1000, 1250, 2000]))
    def sees_money_arrive(self, amount: int) -> None:
        self.keys += 1
        key = f"arrived-{self.keys}"
        self._try(lambda: arrive(self.order_id, amount, key, received_on=self.frozen().date()))

    @rule()
    def sends_back_what_is_asked_for(self) -> None:
        for back_id in [one.id for one in backs() if one.sent_at is None]:
            mark_sent_back(back_id, "staff")

    # The gateway and the post

    @rule(data=st.data())
    def pays_unheard(self, data: st.DataObject) -> None:
        for reference in self._one_of(data, state="open"):
            paid_at_gateway(reference, self.frozen())

    @rule(data=st.data())
    def pays_after_all(self, data: st.DataObject) -> None:
        # Another card in the same try: Stripe lets one that failed be paid.
        for reference in self._one_of(data, state="declined"):
            if self._is_agreed(reference):
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
        refunds.send_refunds()

    @rule(minutes=st.sampled_from([1, 7, 90, 1500]))
    def lets_time_pass(self, minutes: int) -> None:
        self.frozen.advance(minutes=minutes)
        self.tick()

    @invariant()
    def nothing_is_there_twice(self) -> None:
        of_orders = [order_id for (order_id,) in rows(OrderLine.order_id)]
        rights = [line_id for (line_id,) in rows(Entitlement.order_line_id)]
        assert len(of_orders) == len(set(of_orders))
        assert len(rights) == len(set(rights))
        assert self._letters("order_confirmation") <= len(rights)
        waiting = [one for one in rows(Order.form_key, Order.status) if one[1] == "pending"]
        bases = [key.partition(".")[0] for key, _ in waiting]
        assert len(bases) == len(set(bases))

    def tick(self) -> None:
        end_left_open()
        inbox.sweep()
        look_after_transfers()
        refunds.send_refunds()
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
            self.sends_back_what_is_asked_for()
            apply_received()
            self.frozen.advance(minutes=30)
            self.tick()

    def agree(self) -> None:
        """The rows say what the gateway says, and right and letters follow from them."""
        paid = rows(DemoPayment.payment_id, DemoPayment.amount)
        paid = [one for one in paid if one[0] is not None]
        mine = rows(Payment.gateway_payment_id, Payment.amount)
        assert [one for one in mine if not one[0].startswith("transfer-")] == paid
        by_bank = [one for one in mine if one[0].startswith("transfer-")]
        assert by_bank == sorted(self._arrived_in_full())
        gone = rows(DemoRefund.refund_id, DemoRefund.amount)
        gone += [(f"back-{one.id}", one.amount) for one in backs()]
        refunds = rows(Refund.gateway_refund_id, Refund.amount, Refund.status)
        succeeded = [one[:2] for one in refunds if one[2] is RefundStatus.SUCCEEDED]
        assert sorted(succeeded) == sorted(gone)
        assert RefundStatus.REQUESTED not in [one[2] for one in refunds]
        with_money = {order_id for (order_id,) in rows(Payment.order_id)}
        is_paid = rows(Order.id, Order.status)
        assert {one[0] for one in is_paid if one[1] is OrderStatus.PAID} == with_money
        assert len(rows(Entitlement.id)) == self._letters("order_confirmation") == len(with_money)
        assert self._letters("order_refunded") == len(gone)
        for order_id in with_money:
            self._agree_about(order_id)
        completed = [1 for one in rows(Checkout.status) if one == (CheckoutStatus.COMPLETED,)]
        assert len(completed) == len(mine)

    def _agree_about(self, order_id: int) -> None:
        paid, gone = paid_amount(order_id), refunded_amount(order_id)
        query = sa.select(Entitlement.revoked_reason).join(OrderLine)
        (reason,) = db.session.scalars(query.where(OrderLine.order_id == order_id)).all()
        if paid == gone:
            assert reason == "refunded"

    def _arrived_in_full(self) -> list[tuple[str, int]]:
        """Payments that must have come of transfers: of all that was agreed, and still is."""
        query = sa.select(Checkout.id, Checkout.amount).join(Order)
        fits = query.where(Checkout.amount == Order.total_amount, Checkout.gateway == "manual")
        found = [tuple(one) for one in db.session.execute(fits)]
        return [(f"transfer-{one}", much) for one, much in found if received_amount(one) == much]

    def _is_agreed(self, reference: str) -> bool:
        query = (
            sa.select(Order.id)
            .join(Checkout)
            .where(Checkout.gateway_reference == reference, Checkout.amount == Order.total_amount)
        )
        found = db.session.scalars(query).first() is not None
        db.session.rollback()
        return found

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
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    _play(frozen, monkeypatch, histories=30 * times, steps=40)
