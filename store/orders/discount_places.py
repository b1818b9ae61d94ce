"""The places of a limited discount: held by orders, given out one after the other, counted.

A place belongs to orders that are paid, and to pending ones until `place_until`: two hours, 24 by bank
transfer, without end once money is on its way. Money that comes later is honoured above the limit.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db
from store.kit.errors import Refusal
from store.orders.customers import address_key
from store.orders.models import Customer, Discount, Offer, Order, OrderStatus
from store.orders.orders import is_of_form

# How long an order keeps a place that it has not paid for; a bank takes longer than a card.
HELD_FOR = timedelta(hours=2)
HELD_FOR_TRANSFER = timedelta(hours=24)


class CodeRefused(Refusal):
    """A code that takes nothing off this order; the sentence says why."""

    status = 422


class CodeByLetter(CodeRefused):
    """A code that counts a number of times for each person: only behind a link that was mailed,
    and said in the same words to everybody."""

    def __init__(self, discount: Discount) -> None:
        super().__init__(
            f"The code “{discount.code}” is for {_orders_each(discount)} per person: we mail you a "
            "link that has it. Press “Mail me the link”, or take the code out."
        )


def hold_place(discount_id: int | None, email: str, form_key: str) -> None:
    """Hold a place of a limited discount for the order of a form, one order after the other.

    The discount's row is locked until the order is written, so that the last place is given once:
    after the order's own, as every press takes them, and so that orders that name the discount can
    be added meanwhile. Refuses (`CodeRefused`).
    """
    if discount_id is None:
        return
    discount = db.session.scalars(
        sa.select(Discount)
        .where(Discount.id == discount_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).one()
    check_limits(discount, email, form_key)


def keep_place(order: Order, until: datetime | None) -> None:
    """Let a pending order keep its place until then; None for as long as it is pending, because
    money for it is on its way."""
    if order.place_until is not None and (until is None or until > order.place_until):
        order.place_until = until
        db.session.flush()


def give_place_back(order: Order) -> None:
    """Let a pending order whose money did not come after all keep its place no longer."""
    order.place_until = clock.now()
    db.session.flush()


def check_limits(discount: Discount, email: str, form_key: str) -> None:
    """Refuses (`CodeRefused`) where no place is left, in all or for the owner of this address."""
    if fault := limit_fault(discount, email, form_key):
        raise CodeRefused(fault)


def limit_fault(discount: Discount, email: str, form_key: str) -> str:
    """Why no place is left, in all or for the owner of this address; empty where one is. The order
    of this form does not count."""
    name = f"The code “{discount.code}”" if discount.code else f"“{discount.name}”"
    most, each = discount.max_orders, discount.max_orders_each
    if most is not None and orders_with(discount.id, but_form_key=form_key) >= most:
        return f"{name} has been used as often as it may be."
    if each is not None and email and orders_with(discount.id, email, form_key) >= each:
        return (
            f"{name} is for {_orders_each(discount)} per person, and you have placed "
            f"{'it' if each == 1 else 'them'}."
        )
    return ""


def orders_with(discount_id: int, email: str = "", but_form_key: str = "") -> int:
    """How many orders have a place of a discount; of one person, if an address is given: those that
    the address was proved for, wherever they are now, and all of its customer's."""
    query = sa.select(sa.func.count(Order.id)).where(
        Order.discount_id == discount_id, _has_place(), ~is_of_form(but_form_key)
    )
    if email:
        key = address_key(email)
        theirs = sa.select(Customer.id).where(Customer.email_key == key)
        proved = sa.select(Offer.order_id).where(
            Offer.email_key == key, Offer.order_id.is_not(None)
        )
        query = query.where(sa.or_(Order.customer_id.in_(theirs), Order.id.in_(proved)))
    return db.session.scalars(query).one()


def _has_place() -> sa.ColumnElement[bool]:
    """Orders that use a discount or hold a place of it: paid, whenever the money came, or pending
    and not for longer than a place is held."""
    is_held = sa.or_(Order.place_until.is_(None), Order.place_until > clock.now())
    return sa.or_(
        Order.status == OrderStatus.PAID, sa.and_(Order.status == OrderStatus.PENDING, is_held)
    )


def _orders_each(discount: Discount) -> str:
    each = discount.max_orders_each or 0
    return "one order" if each == 1 else f"{each} orders"


@dataclass(frozen=True)
class Places:
    """The places of one discount: `used` by orders that are paid, `held` by orders that may be."""

    used: int = 0
    held: int = 0


def places_by_discount(discount_ids: list[int]) -> dict[int, Places]:
    """How many orders have a place of each, in one statement."""
    is_paid = sa.case((Order.status == OrderStatus.PAID, 1), else_=0)
    counted = (
        sa.select(Order.discount_id, sa.func.sum(is_paid), sa.func.count(Order.id))
        .where(Order.discount_id.in_(discount_ids), _has_place())
        .group_by(Order.discount_id)
    )
    found = {row[0]: Places(row[1], row[2] - row[1]) for row in db.session.execute(counted)}
    return {one: found.get(one, Places()) for one in discount_ids}
