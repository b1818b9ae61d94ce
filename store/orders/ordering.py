"""Orders: placed once per form, kept as they were agreed, found again by their reference."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload

from store.catalog import publications
from store.catalog.countries import countries_sold_to
from store.catalog.models import Publication, PublicationStatus
from store.catalog.sellers import current_seller
from store.kit import clock
from store.kit.database import db, insert_once
from store.kit.errors import NotFound, Refusal
from store.kit.money import format_money
from store.kit.paging import Page, paginate
from store.kit.status import advance
from store.kit.text import clean_line
from store.orders.consents import (
    CONSENT_WORDINGS,
    accept_terms,
    forget_waiver,
    give_waiver,
    has_waiver,
    supply_starts_at,
    waiver_needed,
)
from store.orders.customers import find_or_add_customer
from store.orders.details import Details, check_details
from store.orders.discount_limits import HELD_FOR, hold_place
from store.orders.form_orders import first_key, is_for, next_key, orders_of_form
from store.orders.locks import locking
from store.orders.models import Customer, Offer, Order, OrderLine, OrderStatus
from store.orders.offers import offer_of_form, use_offer
from store.orders.quoting import Quote, check_chargeable, quote
from store.orders.references import REFERENCE_LETTERS, reference_in
from store.orders.searching import matches_person

__all__ = [
    "CONSENT_WORDINGS",
    "Details",
    "add_order",
    "cancel_pending",
    "check_details",
    "expire_order",
    "give_waiver",
    "has_waiver",
    "list_orders",
    "order_by_reference",
    "place_order",
    "supply_starts_at",
    "waiver_needed",
]


class Change(StrEnum):
    """What a press would change of an order that is there already."""

    NOTHING = "nothing"
    DETAILS = "details"
    PRICE = "price"  # or that it is given up


# Asked with NOTHING: whether the order is left as it is. It may refuse the press.
Judge = Callable[[Order, Change], bool]
FOR_ANOTHER = "ordered for another address instead"


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


class OrderUnknown(NotFound):
    """No order has this reference."""

    sentence = "We know no order with that reference."


def leave_to_orders(order: Order, change: Change) -> bool:
    """What is judged where no money is asked about: a pending order may be written again."""
    del order, change
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
    known = _locked(form_key)
    for one in known:
        if one.status is OrderStatus.PAID or judge(one, Change.NOTHING):
            return one
    details = check_details(details, [code for code, _ in countries_sold_to(current_seller())])
    offer = offer or offer_of_form(form_key, details.email)
    if offer is not None:
        details = replace(details, email=offer.email)
    if known and all(_is_closed(one) and is_for(one, details.email) for one in known):
        return known[-1]
    proven = offer.email if offer is not None else ""
    quoted = _quote_as_seen(publication, details, proven, form_key, (seen_amount, seen_currency))
    values = _agreed(details, quoted)
    known, mine = _own_order(form_key, details.email, values)
    hold_place(quoted.discount_id, proven, form_key)
    if mine.lines and judge(
        mine, _change(mine, values, _agreed_line(publication, quoted), details)
    ):
        return mine
    _give_up_others(known, mine, judge)
    _write(mine, values, publication, quoted)
    _note_consent(mine, publication, details)
    accept_terms(mine)
    if offer is not None:
        use_offer(offer, mine)
    return mine


def new_reference() -> str:
    """Eight letters and digits that can be read aloud: `K7QM-2XWP`."""
    letters = "".join(secrets.choice(REFERENCE_LETTERS) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"


def order_by_reference(text: str) -> Order:
    """The order with this reference, whatever case, blanks and hyphens; refuses `OrderUnknown`."""
    reference = reference_in(text)
    order = db.session.scalar(sa.select(Order).where(Order.reference == reference))
    if reference is None or order is None:
        raise OrderUnknown
    return order


def cancel_pending(order: Order, who: str) -> bool:
    """Give up an order that is not paid; says whether it was still pending."""
    return _leave_pending(order, OrderStatus.CANCELLED, who=who, why="given up before payment")


def expire_order(order: Order, why: str) -> bool:
    """End an order whose last checkout has run out; says whether it was still pending."""
    return _leave_pending(order, OrderStatus.EXPIRED, who="shop", why=why)


def list_orders(
    page: int = 1, status: OrderStatus | None = None, text: str = "", *, is_held: bool = False
) -> Page[Order]:
    """Orders with customer and lines, newest first; `text` is looked for in reference, address,
    name and organisation; `is_held` asks for those alone that wait for a person to decide
    whose they are. The number of statements does not grow with the list."""
    query = (
        sa.select(Order)
        .options(joinedload(Order.customer), selectinload(Order.lines))
        .order_by(Order.id.desc())
    )
    if status is not None:
        query = query.where(Order.status == status)
    if is_held:
        query = query.where(Order.held_at.is_not(None))
    if text.strip():
        query = query.join(Customer).where(_holds(text))
    return paginate(query, page)


def _holds(text: str) -> sa.ColumnElement[bool]:
    line = clean_line(text)
    return sa.or_(
        Order.reference == reference_in(text),
        Order.name.icontains(line, autoescape=True),
        Order.organisation.icontains(line, autoescape=True),
        matches_person(text),
    )


def _leave_pending(order: Order, to: OrderStatus, *, who: str, why: str) -> bool:
    return order.status is OrderStatus.PENDING and advance(order, to, who=who, why=why)


def _locked(form_key: str) -> Sequence[Order]:
    """The orders of a form, all locked; presses of it wait for each other at the row of its first
    one, and only then see what another press has added."""
    if _order_of(first_key(form_key)) is None:
        return []
    return orders_of_form(form_key, is_locked=True)


def _is_closed(order: Order) -> bool:
    return order.status is not OrderStatus.PENDING


def _own_order(form_key: str, email: str, values: dict[str, Any]) -> tuple[Sequence[Order], Order]:
    """All orders of the form, and the pending one for this address, added where there is none."""
    known = _locked(form_key)
    pending = [one for one in known if one.status is OrderStatus.PENDING and is_for(one, email)]
    if pending:
        return known, pending[-1]
    added = add_order(next_key(form_key, email, known), values)
    # Where another press of this form was faster, its order counts as one that was there before.
    return _own_order(form_key, email, values) if added.lines else (known, added)


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


def _change(
    order: Order, values: dict[str, Any], agreed: dict[str, Any], details: Details
) -> Change:
    """What the order says that is not agreed now; where and when the button was pressed does not
    count."""
    if (order.total_amount, order.currency) != (values["total_amount"], values["currency"]):
        return Change.PRICE
    kept, line = {"network", "user_agent", "placed_at", "place_until"}, order.lines[0]
    is_changed = (
        any(getattr(order, name) != values[name] for name in values.keys() - kept)
        or any(getattr(line, name) != agreed[name] for name in agreed)
        or has_waiver(order.id) != _is_waiver(line.publication, details)
    )
    return Change.DETAILS if is_changed else Change.NOTHING


def _give_up_others(known: Sequence[Order], mine: Order, judge: Judge) -> None:
    for other in known:
        if other is not mine and other.status is OrderStatus.PENDING:
            judge(other, Change.PRICE)
            _leave_pending(other, OrderStatus.CANCELLED, who="customer", why=FOR_ANOTHER)


def _order_of(form_key: str) -> Order | None:
    # Two presses of one form: the second waits and then sees what the first wrote.
    return db.session.scalar(locking(sa.select(Order).where(Order.form_key == form_key)))


def _agreed(details: Details, quoted: Quote) -> dict[str, Any]:
    return {
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
        "placed_at": clock.now(),
        "place_until": clock.now() + HELD_FOR,
    }


def add_order(
    form_key: str, values: dict[str, Any], make: Callable[[], str] | None = None
) -> Order:
    """A new pending row of these values, or the one that another press of this form has just
    written; locked."""
    make = make or new_reference
    for _ in range(20):
        insert_once(
            Order, reference=make(), form_key=form_key, status=OrderStatus.PENDING, **values
        )
        order = _order_of(form_key)
        if order is not None:
            return order
        # Nothing was added and nothing is there: the reference was taken. Another is drawn.
    raise RuntimeError("no free reference for an order")


def _write(order: Order, values: dict[str, Any], publication: Publication, quoted: Quote) -> None:
    for name, value in values.items():
        setattr(order, name, value)
    line = _agreed_line(publication, quoted)
    if order.lines:
        for name, value in line.items():
            setattr(order.lines[0], name, value)
    else:
        order.lines.append(OrderLine(**line))
    db.session.flush()


def _agreed_line(publication: Publication, quoted: Quote) -> dict[str, Any]:
    return {
        "publication_id": publication.id,
        "title": publication.title,
        "price_amount": quoted.list_amount,
        "quantity": 1,
        "vat_treatment": quoted.vat_treatment,
        "vat_rate": quoted.vat_rate,
        "vat_amount": quoted.vat_amount,
        "is_preorder": publications.is_preorder(publication),
        "expected_on": publication.expected_on,
        "updates_months": publication.updates_months,
    }


def _note_consent(order: Order, publication: Publication, details: Details) -> None:
    if _is_waiver(publication, details):
        give_waiver(order)
    else:
        forget_waiver(order)


def _is_waiver(publication: Publication, details: Details) -> bool:
    return details.wants_now and waiver_needed(publication, clock.now())
