"""How often a discount may be used: places that orders hold, given out one after the other."""

import sqlalchemy as sa

from store.kit.database import db
from store.kit.errors import Refusal
from store.orders.addresses import address_key
from store.orders.models import Customer, Discount, Order, OrderStatus

# An order that may still be paid holds its place; one that ran out gives it back.
COUNTED = (OrderStatus.PENDING, OrderStatus.PAID)


class CodeRefused(Refusal):
    """A code that takes nothing off this order; the sentence says why."""

    status = 422


def hold_place(discount_id: int | None, email: str, form_key: str) -> None:
    """Hold a place of a limited discount for the order of a form, one order after the other.

    The discount's row is locked until the order is written, so that the last place is given once.
    Refuses (`CodeRefused`).
    """
    if discount_id is None:
        return
    discount = db.session.scalars(
        sa.select(Discount)
        .where(Discount.id == discount_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    check_limits(discount, email, form_key)


def orders_with(discount_id: int, email: str = "", but_form_key: str = "") -> int:
    """How many orders hold a place of a discount; of one customer, if an address is given."""
    query = sa.select(sa.func.count(Order.id)).where(
        Order.discount_id == discount_id,
        Order.status.in_(COUNTED),
        Order.form_key != but_form_key,
    )
    if email:
        query = query.join(Customer).where(Customer.email_key == address_key(email))
    return db.session.scalars(query).one()


def check_limits(discount: Discount, email: str, form_key: str) -> None:
    """Refuses (`CodeRefused`) where no place is left, in all or for this customer."""
    name = f"The code “{discount.code}”" if discount.code else f"“{discount.name}”"
    most, each = discount.max_orders, discount.max_orders_each
    if most is not None and orders_with(discount.id, but_form_key=form_key) >= most:
        raise CodeRefused(f"{name} has been used as often as it may be.")
    if each is not None and email and orders_with(discount.id, email, form_key) >= each:
        times = "once" if each == 1 else f"{each} times"
        raise CodeRefused(f"{name} may be used {times} by each customer, and you have done so.")


def is_used_up(discount: Discount, email: str, form_key: str) -> bool:
    """Whether no place is left, in all or for this customer."""
    try:
        check_limits(discount, email, form_key)
    except CodeRefused:
        return True
    return False
