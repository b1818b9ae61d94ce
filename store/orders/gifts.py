"""Complimentary copies: given by staff with a reason, counted like any that were bought."""

import hashlib

from store.catalog.models import Publication, PublicationStatus
from store.catalog.sellers import current_seller
from store.kit import clock
from store.kit.database import db
from store.kit.errors import InvalidFields, Refusal
from store.kit.mailboxes import address_key
from store.kit.status import record_change
from store.kit.text import clean_line, note_fault
from store.orders.customers import InvalidAddress, find_or_add_customer, parse_address
from store.orders.models import Order, OrderLine
from store.orders.placing import Details, add_order, check_details, line_values

LABEL = "Complimentary copy"


class NotPublished(Refusal):
    """A draft: nothing of it is public, so no copy of it is given either."""

    sentence = "This publication is a draft. Put it on sale first, then copies can be given."


def give_copy(
    publication: Publication, *, email: str, name: str, reason: str, who: str, form_key: str
) -> Order:
    """The pending order of a copy that costs nothing, one per form key; its checkout hands it over.

    No consent is asked: where nothing is paid, nothing is waited for. Refuses (`NotPublished`,
    `InvalidFields`).
    """
    details, reason = _check(email, name, reason)
    if publication.status is PublicationStatus.DRAFT:
        raise NotPublished
    values = {
        "customer_id": find_or_add_customer(details.email, details.name).id,
        "seller_id": current_seller().id,
        "email": details.email,
        "name": details.name,
        "discount_amount": publication.price_amount,
        "discount_label": LABEL,
        "given_reason": reason,
        "total_amount": 0,
        "currency": publication.currency,
        "placed_at": clock.now(),
    }
    order = add_order(form_key, values)
    if not order.lines:
        order.lines.append(OrderLine(**line_values(publication)))
        session = db.session()
        record_change(session, "orders", order.id, "given", order.status, who=who, why=reason)
        db.session.flush()
    return order


def _check(email: str, name: str, reason: str) -> tuple[Details, str]:
    faults: dict[str, str] = {}
    details = Details(email=email, name=name)
    try:
        details = check_details(details)
    except InvalidFields as refusal:
        faults = refusal.faults
    try:
        parse_address(email)
    except InvalidAddress as refusal:
        faults["email"] = refusal.for_staff
    reason = clean_line(reason)
    if not reason:
        faults["reason"] = "Say why this copy is given: it stays with the order."
    elif fault := note_fault(reason, "The reason"):
        faults["reason"] = fault
    if faults:
        raise InvalidFields(faults)
    return details, reason


def gift_key(slug: str, email: str) -> str:
    """What makes the same command for the same person one gift, however often it is repeated."""
    text = f"gift:{slug}:{address_key(email)}"
    return f"gift:{hashlib.sha256(text.encode()).hexdigest()[:32]}"
