"""Placing an order: once for each form and address, kept as it was agreed."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from store.catalog import publications
from store.catalog.models import Publication, PublicationStatus
from store.catalog.sellers import countries_sold_to, current_seller
from store.kit import clock
from store.kit.database import db, insert_once, take_turn
from store.kit.errors import InvalidFields, Refusal
from store.kit.happenings import Happening, tell
from store.kit.mailboxes import address_key
from store.kit.money import format_money
from store.kit.text import clean_line, length_faults
from store.orders.consents import (
    accept_terms,
    forget_waiver,
    give_waiver,
    has_waiver,
    waiver_needed,
)
from store.orders.customers import InvalidAddress, find_or_add_customer, parse_address
from store.orders.discounts import HELD_FOR, hold_place
from store.orders.models import Offer, Order, OrderLine, OrderStatus
from store.orders.offers import offer_of_form, use_offer
from store.orders.orders import (
    cancel_pending,
    first_key,
    is_for,
    locking,
    new_reference,
    orders_of_form,
)
from store.orders.prices import Quote, check_chargeable, quote

_LONGEST = {
    "name": (200, "Your name"),
    "organisation": (200, "The organisation"),
    "purchase_order_number": (60, "The purchase order number"),
    "code": (40, "The discount code"),
}


@dataclass(frozen=True)
class Details:
    """Who orders, as typed; `wants_now` is the consent to immediate supply, `network` and
    `user_agent` say where the form came from."""

    email: str
    name: str = ""
    organisation: str = ""
    purchase_order_number: str = ""
    code: str = ""
    country: str = ""  # ISO 3166; asked where the shop sells to several
    wants_now: bool = False
    network: str = ""
    user_agent: str = ""


class Change(StrEnum):
    """What a press would change of an order that is there already."""

    NOTHING = "nothing"
    DETAILS = "details"
    PRICE = "price"  # or that it is given up


@dataclass(frozen=True)
class _Agreed:
    """What an order is to say, what its line, and whether the copy is to come at once."""

    order: dict[str, Any]
    line: dict[str, Any]
    has_waiver: bool


# Asked with NOTHING: whether the order is left as it is. It may refuse the press.
Judge = Callable[[Order, Change], bool]


class NotOnSale(Refusal):
    """A draft or retired publication, whatever address was kept."""

    status = 410
    sentence = "This publication is not on sale."


class PriceChanged(Refusal):
    """The total is another than the one that the customer saw."""

    def __init__(self, new_amount: int, currency: str) -> None:
        self.new_amount = new_amount
        super().__init__(
            f"The price has changed since you opened this page. "
            f"It is now {format_money(new_amount, currency)}."
        )


def check_details(typed: Details, countries: Sequence[str] = ()) -> Details:
    """The details cleaned; refuses (`InvalidFields`) naming each field that cannot be taken.

    `countries` are those that the shop sells to: of one alone nobody is asked.
    """
    faults: dict[str, str] = {}
    try:
        email = parse_address(typed.email)
    except InvalidAddress as fault:
        email = ""
        faults["email"] = fault.sentence
    lines: dict[str, Any] = {name: clean_line(getattr(typed, name)) for name in _LONGEST}
    faults |= length_faults(lines, _LONGEST)
    country = countries[0] if len(countries) == 1 else typed.country
    if countries and country not in countries:
        faults["country"] = "Choose the country that you live in. We sell to those in the list."
    if faults:
        raise InvalidFields(faults)
    return replace(typed, email=email, country=country, **lines)


def country_codes() -> list[str]:
    """The countries that the shop sells to now."""
    return [code for code, _ in countries_sold_to(current_seller())]


def leave_to_orders(_order: Order, _change: Change) -> bool:
    """What is judged where no money is asked about: a pending order may be written again."""
    return False


def place_order(
    publication: Publication,
    details: Details,
    *,
    form_key: str,
    seen_amount: int,
    seen_currency: str | None = None,
    offer: Offer | None = None,
    judge: Judge = leave_to_orders,
) -> Order:
    """The pending order of this form and address, a snapshot of what the customer saw and wrote.

    The same form sent again gives the same order: written again while it is pending, untouched
    once it is paid or `judge`, asked under its lock before anything is written, says that money is
    under way. Another address makes another order, and the earlier one is given up. `seen_amount`
    is the total on the page, in minor units. `offer` stands behind the mailed link that the order
    came by, and fixes its address. Refuses (`NotOnSale`, `PriceChanged`, `InvalidFields`,
    `CodeRefused`, `OfferUsed`, `TooLittleToCharge`).
    """
    take_turn(f"form {first_key(form_key)}")  # the first press has no order yet to lock
    known = orders_of_form(form_key, is_locked=True)
    for one in known:
        if one.status is OrderStatus.PAID or judge(one, Change.NOTHING):
            return one
    details = check_details(details, country_codes())
    offer = offer or offer_of_form(form_key, details.email)
    proven = offer.email if offer is not None else ""
    if proven:
        details = replace(details, email=proven)
    if known and all(_is_over_for(one, details.email) for one in known):
        return known[-1]
    quoted = _quote_as_seen(publication, details, proven, form_key, (seen_amount, seen_currency))
    agreed = _agreed(publication, details, quoted)
    mine = _own_order(known, form_key, details.email, agreed.order)
    hold_place(quoted.discount_id, proven, form_key)
    if mine.lines and judge(mine, _change(mine, agreed)):
        return mine
    for other in known:
        if other is not mine and other.status is OrderStatus.PENDING:
            judge(other, Change.PRICE)
            cancel_pending(other, "customer", "ordered for another address instead")
    _write(mine, agreed)
    if offer is not None:
        use_offer(offer, mine)
    return mine


def _is_over_for(order: Order, email: str) -> bool:
    """Whether an order was for this address, and is not to be paid any more."""
    return order.status is not OrderStatus.PENDING and is_for(order, email)


def _quote_as_seen(
    publication: Publication,
    details: Details,
    proven: str,
    form_key: str,
    seen: tuple[int, str | None],
) -> Quote:
    if publication.status is not PublicationStatus.LISTED:
        raise NotOnSale
    quoted = quote(publication, proven=proven, code=details.code, form_key=form_key)
    check_chargeable(quoted)
    if (seen[0], seen[1] or quoted.currency) != (quoted.total_amount, quoted.currency):
        raise PriceChanged(quoted.total_amount, quoted.currency)
    return quoted


def _agreed(publication: Publication, details: Details, quoted: Quote) -> _Agreed:
    now = clock.now()
    order = {
        "customer_id": find_or_add_customer(details.email, details.name).id,
        "seller_id": current_seller().id,
        "email": details.email,
        "name": details.name,
        "organisation": details.organisation,
        "purchase_order_number": details.purchase_order_number,
        "country": details.country,
        "discount_amount": quoted.discount_amount,
        "discount_label": quoted.discount_label,
        "discount_id": quoted.discount_id,
        "total_amount": quoted.total_amount,
        "currency": quoted.currency,
        "network": details.network[:45],
        "user_agent": clean_line(details.user_agent)[:300],
        "placed_at": now,
        "place_until": now + HELD_FOR,
    }
    line = line_values(publication) | {
        "vat_treatment": quoted.vat_treatment,
        "vat_rate": quoted.vat_rate,
        "vat_amount": quoted.vat_amount,
    }
    return _Agreed(order, line, details.wants_now and waiver_needed(publication, now))


def line_values(publication: Publication) -> dict[str, Any]:
    """What a line holds of its publication, as it is today."""
    return {
        "publication_id": publication.id,
        "title": publication.title,
        "price_amount": publication.price_amount,
        "is_preorder": publications.is_preorder(publication),
        "expected_on": publication.expected_on,
        "updates_months": publication.updates_months,
    }


def _own_order(known: Sequence[Order], form_key: str, email: str, values: dict[str, Any]) -> Order:
    """The pending order for this address of those that the form has, added where there is none."""
    mine = [one for one in known if is_for(one, email)]
    pending = [one for one in mine if one.status is OrderStatus.PENDING]
    if pending:
        return pending[-1]
    next_key = first_key(form_key)
    if known:
        mark = hashlib.sha256(f"{address_key(email)} {len(mine)}".encode()).hexdigest()[:16]
        next_key = f"{next_key}.{mark}"
    return add_order(next_key, values)


def add_order(form_key: str, values: dict[str, Any]) -> Order:
    """A new pending row of these values, or the one that another press of this form has just
    written; locked."""
    for _ in range(20):
        added = insert_once(
            Order,
            reference=new_reference(),
            form_key=form_key,
            status=OrderStatus.PENDING,
            **values,
        )
        order = _order_of(form_key)
        if order is not None:
            if added is not None:
                tell(Happening.ORDER_PLACED, order=order.reference, order_id=order.id)
                # It was not there before, so that nobody has written lines of it.
                set_committed_value(order, "lines", [])
            return order
        # Nothing was added and nothing is there: the reference was taken. Another is drawn.
    raise RuntimeError("no free reference for an order")


def _order_of(form_key: str) -> Order | None:
    # Two presses of one form: the second waits and then sees what the first wrote.
    return db.session.scalar(locking(sa.select(Order).where(Order.form_key == form_key)))


def _change(order: Order, agreed: _Agreed) -> Change:
    """What the order says that is not agreed now; where and when the button was pressed does not
    count."""
    values, line = agreed.order, order.lines[0]
    if (order.total_amount, order.currency) != (values["total_amount"], values["currency"]):
        return Change.PRICE
    compared = values.keys() - {"network", "user_agent", "placed_at", "place_until"}
    is_changed = (
        any(getattr(order, name) != values[name] for name in compared)
        or any(getattr(line, name) != agreed.line[name] for name in agreed.line)
        or has_waiver(order.id) != agreed.has_waiver
    )
    return Change.DETAILS if is_changed else Change.NOTHING


def _write(order: Order, agreed: _Agreed) -> None:
    """Write the order, its line, and what was consented to with it."""
    for name, value in agreed.order.items():
        setattr(order, name, value)
    is_new = not order.lines
    if is_new:
        order.lines.append(OrderLine())
    for name, value in agreed.line.items():
        setattr(order.lines[0], name, value)
    db.session.flush()
    if agreed.has_waiver:
        give_waiver(order)
    elif not is_new:
        forget_waiver(order)
    accept_terms(order)
