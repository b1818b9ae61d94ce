"""Discounts: a code that is typed, or a members' price that the address earns."""

from dataclasses import dataclass

import sqlalchemy as sa

from store.catalog.models import Publication
from store.kit import clock
from store.kit.database import db
from store.orders.discount_limits import CodeRefused, check_limits, is_used_up
from store.orders.members import rules_for
from store.orders.models import Discount


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


def code_key(text: str) -> str:
    """A code without regard to case, blanks and hyphens."""
    return "".join(text.split()).replace("-", "").upper()


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
    check_limits(discount, email, form_key)
    return taken_off(discount, publication.price_amount)


def _of_member(publication: Publication, email: str, form_key: str) -> Reduction | None:
    found = [
        taken_off(rule, publication.price_amount)
        for rule in rules_for(email)
        if not _unfit(rule, publication) and not is_used_up(rule, email, form_key)
    ]
    return max(found, key=lambda one: one.amount, default=None)


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
