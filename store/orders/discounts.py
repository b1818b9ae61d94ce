"""Discounts: a code that is typed, or a members' price that the address earns."""

from dataclasses import dataclass

import sqlalchemy as sa

from store.catalog.models import Publication
from store.kit import clock
from store.kit.database import db
from store.orders.discount_limits import CodeByLetter, CodeRefused, check_limits, is_used_up
from store.orders.members import rules_for
from store.orders.models import Discount


@dataclass(frozen=True)
class Reduction:
    """What is taken off one copy (minor units), and under which name."""

    amount: int
    label: str
    discount_id: int | None


def reduction_for(
    publication: Publication, *, proven: str = "", code: str = "", form_key: str = ""
) -> Reduction | None:
    """The larger of what the code and what membership takes off; None where neither does.

    `proven` is the address that a mailed link has proved, never one that was typed: membership, and
    how often one person has used a code, are told to nobody else. The order of this form itself
    does not count against a limit. Refuses (`CodeRefused`) a code that is unknown, over, for another
    publication or used up, and (`CodeByLetter`) one that is limited for each person while nothing
    is proved.
    """
    best = member_reduction(publication, proven, form_key) if proven else None
    if code.strip():
        typed = _of_code(publication, proven, code, form_key)
        if best is None or typed.amount > best.amount:
            return typed
    return best


def code_that_counts(publication: Publication, code: str, form_key: str = "") -> Discount:
    """The discount of a code that counts for this publication now, whoever types it. Refuses
    (`CodeRefused`) as `reduction_for` does."""
    discount = db.session.scalar(sa.select(Discount).where(Discount.code_key == code_key(code)))
    if discount is None:
        raise CodeRefused(f"We do not know the code “{code.strip()}”. Check it, or take it out.")
    fault = _unfit(discount, publication)
    if fault:
        raise CodeRefused(f"The code “{discount.code}” {fault}")
    check_limits(discount, "", form_key)
    return discount


def has_members_price(publication: Publication) -> bool:
    """Whether members pay less for it now; the same for everybody who asks."""
    rules = db.session.scalars(sa.select(Discount).where(Discount.code_key.is_(None)))
    return any(not _unfit(rule, publication) for rule in rules)


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


def member_reduction(publication: Publication, proven: str, form_key: str = "") -> Reduction | None:
    """What membership takes off for the owner of an address; None for who is no member."""
    found = [
        taken_off(rule, publication.price_amount)
        for rule in rules_for(proven)
        if not _unfit(rule, publication) and not is_used_up(rule, proven, form_key)
    ]
    return max(found, key=lambda one: one.amount, default=None)


def _of_code(publication: Publication, proven: str, code: str, form_key: str) -> Reduction:
    discount = code_that_counts(publication, code, form_key)
    if discount.max_orders_each is not None and not proven:
        raise CodeByLetter(discount)
    check_limits(discount, proven, form_key)
    return taken_off(discount, publication.price_amount)


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
