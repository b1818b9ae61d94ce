"""The letter that tells of a date that moved, and the change tried beforehand: who would be told, how
much could go back, and the very letter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from store.catalog.covers import cover_in_letter
from store.catalog.models import DateMove, Publication
from store.catalog.publications import cover_of
from store.catalog.sellers import current_seller
from store.entitlements.links import library_url, order_url
from store.kit.config import config
from store.kit.database import db
from store.kit.money import format_money
from store.kit.text import clean_text
from store.mail import outbox
from store.mail.letters import Letter, Skip, letter
from store.mail.mime import LetterText, Mailbox
from store.mail.models import Batch, Delivery, DeliveryStatus
from store.mail.shown import to_look_at
from store.orders.consents import promise_in_words
from store.orders.customers import parse_address
from store.orders.models import Customer, Order, OrderLine, OrderStatus
from store.payments.cancellation import can_cancel
from store.payments.date_moves import BATCH, KIND, MOVED_AGAIN, PUBLISHED, is_out, refuse_unfit
from store.payments.models import Payment, Refund, RefundStatus
from store.payments.promised import KINDS, Promise, concerned, promises_to

KNOWN = "they know this date"
GIVEN_UP = "given up before it was paid"
ONE_LETTER = "another letter says it"


@dataclass(frozen=True)
class Move:
    """A change of a date as its letter tells it."""

    publication: Publication
    old_on: date | None
    new_on: date
    reason: str


@dataclass(frozen=True)
class Rehearsal:
    """What moving a date would do now."""

    people: int
    kinds: list[tuple[str, int]]  # of the people, in words
    left_out: dict[str, int]
    due_back: list[str]  # should all take their money back, in each currency
    letter: LetterText | None  # None where nobody is told, or no date is given
    letter_to: str
    next_id: int  # the customer whose letter can be looked at after this one


def _sample() -> dict[str, Any]:
    order = {
        "reference": "K7QM-2XWP",
        "amount": "£12.50",
        "is_paid": True,
        "url": f"{config().base_url}/orders/sample/cancel",
    }
    return {
        "title": "Effective SEND Practice in the Early Years",
        "cover_url": "",
        "old": "on 3 December 2026",
        "new": "by the end of January 2027",
        "is_later": True,
        "reason": ["Two of the schools we visited are still to read their chapters."],
        "orders": [order],
        "page_url": f"{config().base_url}/orders/sample",
        "is_imported": False,
        "is_test": False,
    }


@letter(KIND, sample=_sample)
def date_moved(delivery: Delivery) -> Letter | Skip:
    """The old date, the new one, why, and the choice, as the reader's orders stand at this moment;
    left out where none waits any more, or where the reader knows no other date."""
    facts = delivery.facts or {}
    if facts.get("test"):
        return _test_letter(facts, delivery.address or "")
    batch = db.session.get_one(Batch, delivery.batch_id)
    move = db.session.get_one(DateMove, batch.subject_id)
    if _is_moved_again(move):
        return Skip(MOVED_AGAIN)
    if is_out(move.publication_id):
        return Skip(PUBLISHED)
    if _is_told_beside(delivery):
        return Skip(ONE_LETTER)
    promises = promises_to(delivery.customer_id or 0, move.publication_id)
    standing = [one for one in promises if one.left_out is None]
    if not standing:
        reasons = [one.left_out for one in promises if one.left_out]
        return Skip(reasons[0] if reasons else GIVEN_UP)
    others = [old for one in standing if (old := _known_date(one, move)) != move.new_on]
    is_known = not others and not _may_have_read_another(move, delivery)
    if is_known or move.new_on is None:
        return Skip(KNOWN)
    old = others[0] if others else move.old_on
    customer = db.session.get_one(Customer, delivery.customer_id)
    return _letter(Move(move.publication, old, move.new_on, move.reason), customer, standing)


def _is_moved_again(move: DateMove) -> bool:
    later = sa.exists().where(
        DateMove.publication_id == move.publication_id, DateMove.number > move.number
    )
    return bool(db.session.scalar(sa.select(later)))


def _is_told_beside(delivery: Delivery) -> bool:
    """Whether another letter of the change is the same reader's, since two customers became one."""
    is_first = sa.and_(Delivery.status == DeliveryStatus.QUEUED, Delivery.id < delivery.id)
    gone = Delivery.status.in_({DeliveryStatus.SENT, DeliveryStatus.SENDING})
    other = sa.exists().where(
        Delivery.batch_id == delivery.batch_id,
        Delivery.customer_id == delivery.customer_id,
        Delivery.id != delivery.id,
        sa.or_(gone, is_first),
    )
    return bool(db.session.scalar(sa.select(other)))


def _told(move: DateMove, customer_id: int, *statuses: DeliveryStatus) -> sa.Select[DateMove]:
    """The earlier changes of which a letter to the customer stands so, the newest first."""
    return (
        sa.select(DateMove)
        .join(Batch, sa.and_(Batch.reason == BATCH, Batch.subject_id == DateMove.id))
        .join(Delivery, Delivery.batch_id == Batch.id)
        .where(
            DateMove.publication_id == move.publication_id,
            DateMove.number < move.number,
            Delivery.customer_id == customer_id,
            Delivery.status.in_(statuses),
        )
        .order_by(DateMove.number.desc())
    )


def _known_date(promise: Promise, move: DateMove) -> date | None:
    """What a letter said last, else the date of the order; of who came from a list, the one before."""
    order = promise.order
    if order is None:
        return move.old_on
    told = db.session.scalars(_told(move, order.customer_id, DeliveryStatus.SENT)).first()
    if told is not None and told.moved_at > order.placed_at:
        return told.new_on
    return next(
        line.expected_on for line in order.lines if line.publication_id == move.publication_id
    )


def _may_have_read_another(move: DateMove, delivery: Delivery) -> bool:
    """Whether a letter with another date is leaving at this moment, or came back from its reader."""
    beside = (DeliveryStatus.SENDING, DeliveryStatus.BOUNCED)
    return db.session.scalars(_told(move, delivery.customer_id or 0, *beside)).first() is not None


def _letter(move: Move, customer: Customer, promises: Sequence[Promise]) -> Letter:
    orders = [promise.order for promise in promises if promise.order is not None]
    context = _words(move) | {
        "seller": orders[-1].seller if orders else current_seller(),
        "orders": [_choice(promise, promise.order) for promise in promises if promise.order],
        "page_url": order_url(orders[0].id) if orders else library_url(customer.id),
        "is_imported": not orders,
    }
    name = (orders[0].name if orders else "") or customer.name
    return Letter(Mailbox(customer.email, name), context)


def _words(move: Move) -> dict[str, Any]:
    return {
        "title": move.publication.title,
        "cover_url": cover_in_letter(
            cover_of(move.publication), move.publication.slug, move.publication.title
        ),
        "old": promise_in_words(move.old_on) if move.old_on else "",
        "new": promise_in_words(move.new_on),
        "is_later": move.old_on is None or move.new_on > move.old_on,
        "reason": [part for part in move.reason.split("\n") if part.strip()],
        "is_test": False,
    }


def _choice(promise: Promise, order: Order) -> dict[str, Any]:
    """What cancelling an order gives back, and where; no address where nothing can be cancelled."""
    back = promise.due_back
    return {
        "reference": order.reference,
        "amount": format_money(back, order.currency) if back else "",
        "is_paid": order.status is OrderStatus.PAID,
        "url": f"{order_url(order.id)}/cancel" if can_cancel(order) else "",
    }


def _test_letter(facts: dict[str, Any], address: str) -> Letter:
    publication = db.session.get_one(Publication, facts["publication_id"])
    old, new = facts["old_on"], date.fromisoformat(facts["new_on"])
    move = Move(publication, date.fromisoformat(old) if old else None, new, facts["reason"])
    desk = f"{config().base_url}/admin/publications/{publication.slug}/date"
    order = _sample()["orders"][0] | {"url": desk}
    context = _sample() | _words(move) | {"orders": [order], "page_url": desk, "is_test": True}
    return Letter(Mailbox(address), context)


def send_test(publication: Publication, new_on: date, reason: str, address: str) -> None:
    """Owe the letter, as this change would be told, to one address of the staff, marked [TEST].

    Refuses as `refuse_unfit`, and (`InvalidAddress`) what no letter can be sent to.
    """
    refuse_unfit(publication, new_on, reason)
    old_on = publication.expected_on
    facts = {
        "test": True,
        "publication_id": publication.id,
        "old_on": old_on.isoformat() if old_on else "",
        "new_on": new_on.isoformat(),
        "reason": clean_text(reason),
    }
    outbox.owe(
        KIND,
        f"test:{KIND}:{uuid4().hex}",
        address=parse_address(address),
        facts=facts,
        priority=outbox.SOMEBODY_WAITS,
    )


def rehearse(
    publication: Publication, new_on: date | None, reason: str, after_id: int = 0
) -> Rehearsal:
    """Who would be told of a change, and the letter of the first customer after `after_id`; no letter
    without a new date. Writes nothing."""
    rows = concerned(publication.id).subquery()
    counted = db.session.execute(
        sa.select(rows.c.left_out, rows.c.kind, sa.func.count().label("people"))
        .group_by(rows.c.left_out, rows.c.kind)
        .order_by(rows.c.kind)
    ).all()
    kinds = [(KINDS[row.kind], row.people) for row in counted if row.left_out is None]
    left_out: dict[str, int] = {}
    for row in counted:
        if row.left_out:
            left_out[row.left_out] = left_out.get(row.left_out, 0) + row.people
    told = sa.select(rows.c.customer_id).where(rows.c.left_out.is_(None))
    first = told.order_by(rows.c.customer_id <= after_id, rows.c.customer_id)
    customer_id = db.session.scalar(first.limit(1))
    return Rehearsal(
        people=sum(people for _, people in kinds),
        kinds=kinds,
        left_out=left_out,
        due_back=_all_due_back(publication.id, told),
        letter=_letter_to(customer_id, publication, new_on, reason)
        if customer_id and new_on
        else None,
        letter_to=db.session.get_one(Customer, customer_id).name if customer_id else "",
        next_id=customer_id or 0,
    )


def _letter_to(customer_id: int, publication: Publication, new_on: date, reason: str) -> LetterText:
    customer = db.session.get_one(Customer, customer_id)
    promises = [one for one in promises_to(customer_id, publication.id) if one.left_out is None]
    move = Move(publication, publication.expected_on, new_on, clean_text(reason))
    return to_look_at(KIND, _letter(move, customer, promises).context)


def _all_due_back(publication_id: int, customers: sa.Select[int]) -> list[str]:
    """What all orders of these customers would give back, by currency."""
    back = (
        sa.select(sa.func.coalesce(sa.func.sum(Refund.amount), 0))
        .join(Payment, Payment.id == Refund.payment_id)
        .where(Payment.order_id == Order.id, Refund.status.in_(RefundStatus.counted()))
        .scalar_subquery()
    )
    query = (
        sa.select(Order.currency, sa.func.sum(Order.total_amount - back))
        .join(OrderLine, OrderLine.order_id == Order.id)
        .where(
            OrderLine.publication_id == publication_id,
            OrderLine.is_preorder,
            Order.status == OrderStatus.PAID,
            Order.customer_id.in_(customers),
        )
        .group_by(Order.currency)
        .order_by(Order.currency)
    )
    return [format_money(amount, currency) for currency, amount in db.session.execute(query)]
