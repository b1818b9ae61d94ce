"""Erasures carried out: each waits for what has to be settled first, has its waiting pre-orders paid
back, and takes everything out in one transaction."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

import sqlalchemy as sa

from store.entitlements.erasing import erase_person
from store.entitlements.erasure_journal import Line, add_line, read_lines
from store.entitlements.erasures import DAYS, TOLD, open_erasure, standing_undos
from store.entitlements.journal_after_restore import is_another_shops
from store.entitlements.links import undo_ends_at
from store.entitlements.merging import lock_histories
from store.entitlements.models import Erasure, Link
from store.entitlements.shared_addresses import who_has_as_second
from store.kit import clock
from store.kit.database import db, end_read, transaction
from store.mail.models import Delivery, DeliveryStatus
from store.orders.models import Customer, Order, OrderStatus
from store.payments.cancellation import can_cancel, cancel_as_customer
from store.payments.charge import is_money_under_way
from store.payments.gateways.base import MANUAL
from store.payments.models import Dispute, Payment, Refund, RefundStatus
from store.payments.money_back import asked_for
from store.payments.sums import payments_of

log = logging.getLogger(__name__)

_AT_ONCE = 20


class Wait(StrEnum):
    """What an erasure waits for, in words for its customer and for staff."""

    DAY = "the day that was said"
    UNDO = "a change of address that can still be taken back"
    HELD = "an order that a person has to decide about"
    DISPUTE = "a bank that decides about a payment"
    MONEY = "a payment that is under way"
    REFUND = "money that is on its way back"
    BY_HAND = "money that we have to send back by bank transfer, by hand"
    FAILED = "money that could not be given back; a person looks after it"
    LETTERS = "letters that have not left yet"


def why_it_waits(waits: Erasure) -> Wait | None:
    """What an open erasure waits for now; None where it may be carried out, once what waits for an
    edition is paid back."""
    customer_id = waits.customer_id
    if clock.now() < _day_of(waits):
        return Wait.DAY
    if standing_undos(customer_id) or _can_be_objected_to(customer_id):
        return Wait.UNDO
    orders = _orders_of(customer_id)
    if any(order.held_at is not None for order in orders):
        return Wait.HELD
    if _has_open_dispute(customer_id):
        return Wait.DISPUTE
    if any(is_money_under_way(order) for order in orders):
        return Wait.MONEY
    return _refund_under_way(customer_id, orders) or _letters_under_way(customer_id)


@dataclass(frozen=True)
class PaidBack:
    """An order that is given up before its customer is erased, and whether its money goes back by a
    person's hand."""

    reference: str
    title: str
    is_by_hand: bool


def paid_back_first(customer_id: int) -> list[PaidBack]:
    """The orders of a customer whose copy they have not had and may still cancel."""
    return [
        PaidBack(
            order.reference,
            order.lines[0].title,
            any(payment.gateway == MANUAL for payment in payments_of(order.id)),
        )
        for order in _orders_of(customer_id)
        if order.status is OrderStatus.PAID and can_cancel(order)
    ]


def carry_out_due() -> None:
    """For the timetable: carry out what is due and waits for nothing. Opens its own transactions."""
    due = sa.select(Erasure.id).where(
        Erasure.stopped_at.is_(None), Erasure.done_at.is_(None), Erasure.due_at <= clock.now()
    )
    ids = db.session.scalars(due.order_by(Erasure.id)).all()
    end_read()
    for erasure_id in _turn(ids):
        try:
            carry_out(erasure_id)
        except Exception:
            # One that fails must not keep the others waiting; it is tried again.
            log.exception("erasure %s failed", erasure_id)
        finally:
            end_read()


def _turn(ids: Sequence[int]) -> Sequence[int]:
    """Of many that wait another part each minute."""
    if len(ids) <= _AT_ONCE:
        return ids
    start = int(clock.now().timestamp() // 60) * _AT_ONCE % len(ids)
    return [*ids, *ids][start : start + _AT_ONCE]


def carry_out(erasure_id: int) -> bool:
    """Pay back what waits for its edition, then erase, if nothing else has to be settled first; says
    whether it is done. Safe many times and at once, and to break off. Opens its own transactions."""
    waits = db.session.get_one(Erasure, erasure_id)
    if why_it_waits(waits) is not None:
        return False
    customer_id = waits.customer_id
    unsettled = [order.id for order in _orders_of(customer_id) if can_cancel(order)]
    end_read()
    for order_id in unsettled:
        cancel_as_customer(partial(_order, order_id))
    with transaction():
        # Orders first, as who pays one locks it; what came meanwhile is seen after it.
        lock_histories([customer_id, *who_has_as_second(customer_id)])
        open_one = open_erasure(customer_id)
        if open_one is None or open_one.id != erasure_id or why_it_waits(open_one) is not None:
            return False
        if any(can_cancel(order) for order in _orders_of(customer_id)):
            return False
        now = clock.now()
        add_line(erase_person(customer_id, now), now)
    return True


def apply_journal() -> int:
    """Erase again who was erased before the database was put back from a backup; returns how many.
    Rows that are newer than the erasure stay, with who came back. Opens its own transactions."""
    lines = [] if is_another_shops() else read_lines()
    done = 0
    for line in lines:
        for customer_id in _still_there(line):
            with transaction():
                lock_histories([customer_id, *who_has_as_second(customer_id)])
                if customer_id in _still_there(line):
                    erase_person(customer_id, line.at, is_again=True)
                    done += 1
    if done:
        log.warning("%s erasures of the journal were applied again", done)
    end_read()
    return done


def _still_there(line: Line) -> list[int]:
    """Which customers of a line are as they were before it. One whose erasure was stopped later was
    never erased: the line was written, and then the commit failed."""
    is_stopped = sa.exists().where(
        Erasure.customer_id == Customer.id, Erasure.stopped_at >= line.at
    )
    query = sa.select(Customer.id).where(
        Customer.id.in_(line.customers),
        Customer.erased_at.is_(None),
        Customer.merged_into_id.is_(None),
        Customer.created_at < line.at,
        ~is_stopped,
    )
    return list(db.session.scalars(query.order_by(Customer.id)))


def _day_of(waits: Erasure) -> datetime:
    """The day that was said, or seven days after the last letter about it left: later, where the
    post stood still."""
    if waits.due_at < waits.asked_at + DAYS:
        return waits.due_at
    left = sa.select(sa.func.max(Delivery.sent_at)).where(
        Delivery.customer_id == waits.customer_id,
        Delivery.kind == TOLD,
        Delivery.created_at >= waits.asked_at,
    )
    last = db.session.scalar(left)
    # A letter takes some minutes to leave; the day stays the day that it says.
    is_late = last is not None and last > waits.asked_at + timedelta(days=1)
    return last + DAYS if is_late and last is not None else waits.due_at


def _order(order_id: int) -> Order:
    return db.session.get_one(Order, order_id)


def _orders_of(customer_id: int) -> list[Order]:
    query = sa.select(Order).where(Order.customer_id == customer_id).order_by(Order.id)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def _can_be_objected_to(customer_id: int) -> bool:
    """Whether the mailbox that an order came from, or went from, may still object."""
    theirs = sa.select(Order.id).where(Order.customer_id == customer_id)
    which = Link.purpose == "undo", Link.revoked_at.is_(None), Link.order_id.is_not(None)
    either = sa.or_(Link.order_id.in_(theirs), Link.customer_id == customer_id)
    links = db.session.scalars(sa.select(Link).where(*which, either))
    return any(undo_ends_at(link) >= clock.now() for link in links)


def _has_open_dispute(customer_id: int) -> bool:
    query = (
        sa.select(Dispute)
        .join(Payment, Payment.id == Dispute.payment_id)
        .join(Order, Order.id == Payment.order_id)
        .where(Order.customer_id == customer_id)
    )
    found = db.session.scalars(query.execution_options(populate_existing=True))
    return any(dispute.is_open for dispute in found)


def _refund_under_way(customer_id: int, orders: list[Order]) -> Wait | None:
    query = (
        sa.select(Payment.gateway)
        .join(Refund, Refund.payment_id == Payment.id)
        .join(Order, Order.id == Payment.order_id)
        .where(Order.customer_id == customer_id, Refund.status == RefundStatus.REQUESTED)
    )
    gateways = set(db.session.scalars(query))
    if gateways:
        return Wait.BY_HAND if MANUAL in gateways else Wait.REFUND
    for order in orders:
        asked = asked_for(order.id, "cancel") if order.status is OrderStatus.PAID else []
        if asked and all(refund.status is RefundStatus.FAILED for refund in asked):
            return Wait.FAILED
    return None


def _letters_under_way(customer_id: int) -> Wait | None:
    """That their data goes, and that their money is back, is to be told first; and a letter that is
    just being handed over is written down first."""
    kinds = Delivery.kind.in_((TOLD, "order_refunded"))
    is_told = sa.and_(kinds, Delivery.status.in_(DeliveryStatus.open()))
    under_way = sa.or_(is_told, Delivery.status == DeliveryStatus.SENDING)
    query = sa.select(Delivery.id).where(Delivery.customer_id == customer_id, under_way)
    return Wait.LETTERS if db.session.scalars(query.limit(1)).first() is not None else None
