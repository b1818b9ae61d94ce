"""What an order costs, the same figure on every page, at the gateway and on the receipt: the price
less what a code or membership takes off, and what it holds of VAT."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from store.catalog.models import Publication, VatTreatment
from store.kit import clock
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.mailboxes import address_key
from store.kit.money import LEAST_CHARGE, charge_fault, format_money
from store.orders.discounts import (
    CodeByLetter,
    CodeRefused,
    check_limits,
    code_key,
    is_over,
    limit_fault,
)
from store.orders.models import Discount, DiscountMember, Order

# In hundredths of a percent. A sale keeps the rate of its day on its line.
STANDARD_RATE = 2000
RATES = {VatTreatment.STANDARD_INCLUDED: STANDARD_RATE}


class TooLittleToCharge(Refusal):
    """More than nothing, and less than any payment service takes."""

    status = 422

    def __init__(self, total: int, currency: str) -> None:
        least = format_money(LEAST_CHARGE.get(currency, 1), currency)
        super().__init__(
            f"With this discount {format_money(total, currency)} would be left to pay, and no less "
            f"than {least} can be charged. Take the code out, or write to us."
        )


@dataclass(frozen=True)
class Quote:
    """One copy's price today, in minor units of `currency`; `vat_rate` in hundredths of a percent."""

    list_amount: int
    discount_amount: int
    discount_label: str
    discount_id: int | None
    total_amount: int
    currency: str
    vat_treatment: VatTreatment
    vat_rate: int
    vat_amount: int

    @property
    def total(self) -> str:
        """The total as people read it."""
        return format_money(self.total_amount, self.currency)

    @property
    def list_price(self) -> str:
        """The price before any discount, as people read it."""
        return format_money(self.list_amount, self.currency)

    @property
    def discount(self) -> str:
        """What is taken off, as people read it."""
        return format_money(self.discount_amount, self.currency)

    @property
    def note(self) -> str:
        """What the total holds of VAT, in words."""
        return _vat_note(self.vat_treatment, self.vat_amount, self.currency, self.vat_rate)


def quote(
    publication: Publication, *, proven: str = "", code: str = "", form_key: str = ""
) -> Quote:
    """What one copy costs this buyer now: the better of their code and, for an address that a
    mailed link has `proven`, the members' price.

    Refuses (`CodeRefused`) a code that does not count here, and (`CodeByLetter`) one that counts
    only behind such a link.
    """
    price = publication.price_amount
    less = reduction_for(publication, proven=proven, code=code, form_key=form_key)
    less = less or Reduction(0, "", None)
    total = price - less.amount
    rate = RATES.get(publication.vat_treatment, 0)
    return Quote(
        list_amount=price,
        discount_amount=less.amount,
        discount_label=less.label,
        discount_id=less.discount_id,
        total_amount=total,
        currency=publication.currency,
        vat_treatment=publication.vat_treatment,
        vat_rate=rate,
        vat_amount=vat_inside(total, rate),
    )


def check_chargeable(quoted: Quote) -> None:
    """Refuses (`TooLittleToCharge`) a total that is neither nothing nor enough to charge."""
    if quoted.total_amount and charge_fault(quoted.total_amount, quoted.currency):
        raise TooLittleToCharge(quoted.total_amount, quoted.currency)


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
        discount = code_that_counts(publication, code, form_key)
        if discount.max_orders_each is not None and not proven:
            raise CodeByLetter(discount)
        check_limits(discount, proven, form_key)
        typed = taken_off(discount, publication.price_amount)
        if best is None or typed.amount > best.amount:
            return typed
    return best


def code_that_counts(publication: Publication, code: str, form_key: str = "") -> Discount:
    """The discount behind a code, if it counts for this publication now for anybody who types it.
    Refuses (`CodeRefused`) as `reduction_for` does."""
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
    has_rule = members_rule(publication.id, publication.currency, clock.now())
    return bool(db.session.scalar(sa.select(has_rule)))


def members_rule(publication_id: Any, currency: Any, now: Any) -> sa.ColumnElement[bool]:
    """The same as part of a query: whether a members' rule is one that `_unfit` lets pass."""
    starts, ends = Discount.starts_at, Discount.ends_at
    return sa.exists().where(
        Discount.code_key.is_(None),
        Discount.ended_at.is_(None),
        sa.or_(starts.is_(None), starts <= now),
        sa.or_(ends.is_(None), ends > now),
        sa.or_(Discount.publication_id.is_(None), Discount.publication_id == publication_id),
        sa.or_(Discount.currency.is_(None), Discount.currency == currency),
    )


def member_reduction(publication: Publication, proven: str, form_key: str = "") -> Reduction | None:
    """What membership takes off for the owner of an address, whether it stands on a list or is
    known by its end; None where nothing."""
    key = address_key(proven)
    domain = key.rpartition("@")[2]
    listed = sa.exists().where(
        DiscountMember.discount_id == Discount.id, DiscountMember.email_key == key
    )
    rules = db.session.execute(
        sa.select(Discount, listed).where(
            Discount.code_key.is_(None), sa.or_(listed, Discount.domains != "")
        )
    )
    found = [
        taken_off(rule, publication.price_amount)
        for rule, is_listed in rules
        if (is_listed or domain in rule.domains.split(","))
        and not _unfit(rule, publication)
        and not limit_fault(rule, proven, form_key)
    ]
    return max(found, key=lambda one: one.amount, default=None)


def taken_off(discount: Discount, price: int) -> Reduction:
    """What a discount takes off a price in minor units; a part of one goes to the buyer."""
    off = -(-price * (discount.percent or 0) // 100) + (discount.amount or 0)
    label = f"{discount.name} ({discount.code})" if discount.code else discount.name
    return Reduction(min(off, price), label[:100], discount.id)


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


def vat_inside(total: int, rate: int) -> int:
    """The VAT that a total holds, in minor units, halves up (HMRC VAT guide, 17.5); `rate` in
    hundredths of a percent."""
    whole = 10_000 + rate
    return (2 * total * rate + whole) // (2 * whole)


def _vat_note(treatment: str, vat_amount: int, currency: str, vat_rate: int) -> str:
    if treatment == VatTreatment.STANDARD_INCLUDED:
        return f"Includes {format_money(vat_amount, currency)} VAT at {vat_rate / 100:g}%"
    if treatment == VatTreatment.NOT_REGISTERED:
        return "No VAT is charged"
    return "No VAT to pay"


def order_vat_note(order: Order) -> str:
    """What an order holds of VAT, as page, letter and receipt say it: its line keeps the rate of its
    day."""
    line = order.lines[0]
    return _vat_note(line.vat_treatment, line.vat_amount, order.currency, line.vat_rate)
