"""Lines of the record that the desk and the command line write alike."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from store.catalog.models import DateMove, Edition, Publication, Seller
from store.catalog.publications import publication_by_slug
from store.catalog.sellers import FIELDS, SellerUnknown, current_seller
from store.catalog.uploads import ReceivedFile
from store.kit.database import db
from store.kit.formatting import format_size
from store.kit.money import format_money
from store.orders.models import Customer, Discount
from store.payments import money_back
from store.payments.models import Dispute, Transfer, TransferBack
from store.payments.transfers import change_bank_details, masked
from store.staff.acts import Act
from store.staff.audit import facts_of, record, record_once

_PUBLICATION = (
    "slug",
    "title",
    "subtitle",
    "author",
    "language",
    "isbn",
    "description",
    "contents",
    "audience",
    "planned_formats",
    "planned_length",
    "planned_access",
    "vat_treatment",
    "expected_on",
    "updates_months",
)
_DISCOUNT = (
    "code",
    "percent",
    "amount",
    "currency",
    "starts_at",
    "ends_at",
    "max_orders",
    "domains",
)
EDITION = ("label", "notes", "severity")


def publication_facts(found: Publication) -> dict[str, Any]:
    """What a publication says and costs."""
    return {"price": format_money(found.price_amount, found.currency)} | facts_of(
        found, _PUBLICATION
    )


def discount_added(found: Discount) -> None:
    """A discount with what it takes off, and for whom."""
    facts = facts_of(found, _DISCOUNT)
    record(Act.DISCOUNT_ADDED, found, after={name: value for name, value in facts.items() if value})


def edition_uploaded(draft: Edition, files: Iterable[ReceivedFile]) -> None:
    """Files that came into a draft, with their sizes."""
    sizes = {one.format.upper(): format_size(one.size) for one in files}
    record(Act.EDITION_UPLOADED, draft, after=sizes)


def date_moved(move: DateMove, people: int) -> None:
    """A date that so many people are told of."""
    before, after = {"expected_on": move.old_on}, {"expected_on": move.new_on}
    told = {"reason": move.reason, "people": people}
    record(Act.DATE_MOVED, (Publication, move.publication_id), before=before, after=after | told)


def seller_facts() -> dict[str, Any]:
    """Who sells, as last stated; nothing where nobody has said."""
    try:
        seller = current_seller()
    except SellerUnknown:
        return {}
    return {name: getattr(seller, name) for name in FIELDS}


def seller_stated(seller: Seller, before: dict[str, Any]) -> None:
    """Who sells from now on."""
    record(Act.SELLER_STATED, seller, before=before, after=facts_of(seller, FIELDS))


def bank_changed(text: str, who: str) -> None:
    """Change the bank details, and keep the last digits of both; the same ones are no act."""
    old = current_seller()
    change_bank_details(text, who)
    new = current_seller()
    if new.bank_details != old.bank_details:
        # Both, though what can be read of them may be the same.
        facts = {"was": masked(old.bank_details), "is": masked(new.bank_details)}
        record(Act.BANK_CHANGED, (Seller, new.id), after=facts)


def address_corrected(customer: Customer, before: str) -> None:
    """A customer's address, which was another before."""
    facts = {"address": customer.email}
    record(Act.ADDRESS_CORRECTED, customer, before={"address": before}, after=facts)


def customers_imported(slug: str, rows: int) -> bool:
    """A file of customers who bought elsewhere."""
    return record(Act.CUSTOMERS_IMPORTED, publication_by_slug(slug), after={"rows": rows})


def refunds_asked(order_id: int, key: str) -> bool:
    """The refunds that one press asked for."""
    for row in money_back.asked_for(order_id, key):
        amount = format_money(row.amount, row.currency)
        record_once(Act.MONEY_REFUNDED, row, after={"amount": amount})
    return True


def transfer_noted(form_key: str) -> bool:
    """Money that one press noted."""
    row = db.session.scalars(sa.select(Transfer).filter_by(form_key=form_key)).one()
    facts = {"amount": format_money(row.amount, row.currency), "arrived": row.received_on}
    return record_once(Act.MONEY_NOTED, row, after=facts)


def sent_back(back_id: int) -> bool:
    """Money that a person has sent back."""
    row = db.session.get_one(TransferBack, back_id)
    return record_once(
        Act.MONEY_SENT_BACK, row, after={"amount": format_money(row.amount, row.currency)}
    )


def dispute_answered(number: int) -> bool:
    """An answer, once it is submitted: one that the gateway does not take is tried again."""
    dispute = db.session.get_one(Dispute, number, populate_existing=True)
    return dispute.submitted_at is not None and record_once(Act.DISPUTE_ANSWERED, dispute)
