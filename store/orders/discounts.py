"""Discounts: a code that is typed, or a members' price that the address earns."""

from dataclasses import dataclass

import sqlalchemy as sa

from store.catalog.models import Publication
from store.kit import clock
from store.kit.database import db
from store.kit.errors import Refusal
from store.orders.addresses import address_key
from store.orders.models import Customer, Discount, DiscountMember, Order, OrderStatus

# An order that may still be paid holds its place; one that ran out gives it back.
COUNTED = (OrderStatus.PENDING, OrderStatus.PAID)


class CodeRefused(Refusal):
    """A code that takes nothing off this order; the sentence says why."""

    status = 422


@dataclass(frozen=True)
class Reduction:
    """What is taken off one copy (minor units), and under which name."""

    amount: int
    label: str
    discount_id: int | None


def reduction_for(
    publication: Publication, *, email: str = "", code: str = "", form_key: str = ""
) -> Reduction | None:
    """The larger of what the code and what membership takes off; None where neither does.

    The order of this form itself does not count against a limit. Refuses (`CodeRefused`) a code
    that is unknown, over, for another publication or used up.
    """
    best = _of_member(publication, email, form_key) if email else None
    if code.strip():
        typed = _of_code(publication, email, code, form_key)
        if best is None or typed.amount > best.amount:
            return typed
    return best


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
    _check_limits(discount, email, form_key)


def code_key(text: str) -> str:
    """A code without regard to case, blanks and hyphens."""
    return "".join(text.split()).replace("-", "").upper()


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


def is_over(discount: Discount) -> bool:
    """Whether it was ended by staff, or its time is up."""
    now = clock.now()
    return discount.ended_at is not None or (
        discount.ends_at is not None and now >= discount.ends_at
    )


def taken_off(discount: Discount, price: int) -> Reduction:
    """What a discount takes off a price in minor units; a part of one goes to the buyer."""
    off = -(-price * (discount.percent or 0) // 100) + (discount.amount or 0)
    label = f"{discount.name} ({discount.code})" if discount.code else discount.name
    return Reduction(min(off, price), label[:100], discount.id)


def _of_code(publication: Publication, email: str, code: str, form_key: str) -> Reduction:
    discount = db.session.scalar(sa.select(Discount).where(Discount.code_key == code_key(code)))
    if discount is None:
        raise CodeRefused(f"We do not know the code “{code.strip()}”. Check it, or take it out.")
    fault = _unfit(discount, publication)
    if fault:
        raise CodeRefused(f"The code “{discount.code}” {fault}")
    _check_limits(discount, email, form_key)
    return taken_off(discount, publication.price_amount)


def _of_member(publication: Publication, email: str, form_key: str) -> Reduction | None:
    domain = address_key(email).rpartition("@")[2]
    listed = sa.exists().where(
        DiscountMember.discount_id == Discount.id, DiscountMember.email_key == address_key(email)
    )
    rules = db.session.scalars(
        sa.select(Discount).where(
            Discount.code_key.is_(None), sa.or_(listed, Discount.domains != "")
        )
    )
    found = [
        taken_off(rule, publication.price_amount)
        for rule in rules
        if not _unfit(rule, publication)
        and (domain in rule.domains.split(",") or _is_listed(rule, email))
        and not _is_used_up(rule, email, form_key)
    ]
    return max(found, key=lambda one: one.amount, default=None)


def _is_listed(rule: Discount, email: str) -> bool:
    query = sa.select(DiscountMember.id).filter_by(
        discount_id=rule.id, email_key=address_key(email)
    )
    return db.session.scalar(query) is not None


def _unfit(discount: Discount, publication: Publication) -> str:
    """Why it does not count for this publication now; empty where it does."""
    if discount.starts_at is not None and clock.now() < discount.starts_at:
        return "does not count yet."
    if is_over(discount):
        return "does not count any more."
    if discount.publication_id not in (None, publication.id):
        return "is for another publication."
    if discount.currency not in (None, publication.currency):
        return f"is for prices in {discount.currency}."
    return ""


def _check_limits(discount: Discount, email: str, form_key: str) -> None:
    name = f"The code “{discount.code}”" if discount.code else f"“{discount.name}”"
    most, each = discount.max_orders, discount.max_orders_each
    if most is not None and orders_with(discount.id, but_form_key=form_key) >= most:
        raise CodeRefused(f"{name} has been used as often as it may be.")
    if each is not None and email and orders_with(discount.id, email, form_key) >= each:
        times = "once" if each == 1 else f"{each} times"
        raise CodeRefused(f"{name} may be used {times} by each customer, and you have done so.")


def _is_used_up(discount: Discount, email: str, form_key: str) -> bool:
    try:
        _check_limits(discount, email, form_key)
    except CodeRefused:
        return True
    return False
