"""The answer to a dispute, field by field: gathered from our own rows, then edited by a person."""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from store.catalog.models import Edition
from store.kit.database import db
from store.kit.errors import InvalidFields
from store.kit.money import format_money
from store.kit.text import clean_text
from store.orders.models import Order
from store.payments.evidence_texts import (
    access_log,
    agreement,
    first_download_at,
    letters_log,
    policy,
    utc,
)
from store.payments.models import Dispute

# https://docs.stripe.com/api/disputes/update: all text together.
MOST_IN_ALL = 150_000
LONG = 20_000
SHORT = 5_000
NEWEST_EDITIONS = 5


@dataclass(frozen=True)
class Field:
    """One field of the answer: the gateway's name for it, ours, and the characters that it takes."""

    name: str
    label: str
    most: int = LONG
    rows: int = 6


FIELDS = (
    Field("product_description", "What was sold"),
    Field("access_activity_log", "Downloads", rows=14),
    Field("customer_name", "Customer’s name", SHORT, 1),
    Field("customer_email_address", "Customer’s e-mail address", SHORT, 1),
    Field("customer_purchase_ip", "Network address of the order", SHORT, 1),
    Field("billing_address", "Billing address", SHORT, 3),
    Field("service_date", "First day of use", SHORT, 1),
    Field("refund_policy_disclosure", "What the terms say about money back"),
    Field("cancellation_policy_disclosure", "What the terms say about cancelling"),
    Field("uncategorized_text", "Order, consent, receipt and letters", rows=14),
)


def gather_evidence(dispute: Dispute) -> dict[str, str]:
    """What our rows say for us about a disputed payment, by field, within what the bank reads."""
    order = dispute.payment.order
    agreed = agreement(order)
    first = first_download_at(order)
    found = {
        "product_description": _description(order),
        "access_activity_log": access_log(order, LONG),
        "customer_name": order.name,
        "customer_email_address": order.email,
        "customer_purchase_ip": order.network,
        "billing_address": order.billing_address or dispute.payment.billing_country,
        "service_date": utc(first)[:10] if first else "",
        "refund_policy_disclosure": policy(
            order, ["Your right to cancel", "If something is wrong"]
        ),
        "cancellation_policy_disclosure": policy(order, ["Your right to cancel"]),
        "uncategorized_text": agreed + "\n\n" + letters_log(order, LONG - len(agreed) - 2),
    }
    return {field.name: clean_text(found[field.name])[: field.most] for field in FIELDS}


def evidence_of(dispute: Dispute) -> dict[str, str]:
    """The answer as a person left it, or as it is gathered now where nobody edited it."""
    kept = dispute.evidence
    if kept is None:
        return gather_evidence(dispute)
    return {field.name: str(kept.get(field.name, "")) for field in FIELDS}


def check_evidence(values: Mapping[str, str]) -> dict[str, str]:
    """The fields as they may be sent. Refuses (`InvalidFields`) what is longer than the bank reads."""
    texts = {field.name: clean_text(values.get(field.name, "")) for field in FIELDS}
    faults = {
        field.name: (
            f"{field.label}: {len(texts[field.name]):,} characters are more than the "
            f"{field.most:,} that the bank takes."
        )
        for field in FIELDS
        if len(texts[field.name]) > field.most
    }
    total = sum(len(text) for text in texts.values())
    if not faults and total > MOST_IN_ALL:
        faults["form"] = (
            f"All together it is {total:,} characters; the bank takes {MOST_IN_ALL:,}. Shorten it."
        )
    if faults:
        raise InvalidFields(faults)
    return texts


def _description(order: Order) -> str:
    told = [
        f"{line.title}: an electronic publication, delivered as files to download from a private "
        f"link that is mailed to the customer. {format_money(line.price_amount, order.currency)}"
        + (", ordered before it was published." if line.is_preorder else ".")
        for line in order.lines
    ]
    return "\n".join([*told, *_editions(order)])


def _editions(order: Order) -> list[str]:
    query = (
        sa.select(Edition)
        .where(
            Edition.publication_id.in_([line.publication_id for line in order.lines]),
            Edition.released_at.is_not(None),
        )
        .order_by(Edition.released_at.desc())
        .limit(NEWEST_EDITIONS)
    )
    return [
        f"Edition {edition.number}{f' ({edition.label})' if edition.label else ''} of “"
        f"{edition.publication.title}” was released {utc(edition.released_at)}."
        for edition in db.session.scalars(query)
    ]
