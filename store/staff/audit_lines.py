"""The record of acts, read: which lines, and the names of what stands in them as they are today."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from store.catalog.models import Edition, Publication
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.paging import PAGE_SIZE, Page, Place, paginate
from store.mail.models import Delivery, Repair
from store.orders.customers import customer_by_address
from store.orders.models import Customer, Discount, Order
from store.orders.orders import reference_in
from store.payments.models import Checkout, Dispute, Payment, Refund, Transfer, TransferBack
from store.staff.acts import Act, Kind
from store.staff.models import AuditEntry, StaffMember

TERMINAL = "terminal"


@dataclass(frozen=True)
class Asked:
    """Which lines: of a member of staff or the terminal, of one kind, about one thing as somebody
    calls it, of some days (the shop's, both counted)."""

    who: str = ""
    kind: str = ""
    thing: str = ""
    first_day: date | None = None
    last_day: date | None = None


@dataclass(frozen=True)
class Thing:
    """What a line is about, as it is called today; `key` is what its page is found by."""

    name: str
    key: Any = None


def lines(asked: Asked, place: Place, *, size: int = PAGE_SIZE) -> Page[AuditEntry]:
    """The lines that were asked for, newest first."""
    query = sa.select(AuditEntry).where(*_conditions(asked))
    return paginate(query, place, AuditEntry.id.desc(), size=size)


def acts_about_staff(limit: int) -> Sequence[AuditEntry]:
    """The newest lines about people of the desk, but those of signing in and out."""
    query = sa.select(AuditEntry).filter_by(entity="staff")
    query = query.where(AuditEntry.act.not_in([Act.SIGNED_IN.value, Act.SIGNED_OUT.value]))
    return db.session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit)).all()


def _conditions(asked: Asked) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if asked.who == TERMINAL:
        found.append(AuditEntry.staff_id.is_(None))
    elif asked.who.isascii() and asked.who.isdigit():
        found.append(AuditEntry.staff_id == min(int(asked.who), 2**31 - 1))
    if asked.kind in set(Kind):
        found.append(AuditEntry.act.in_([act.value for act in Act if act.kind == asked.kind]))
    if asked.first_day:
        found.append(AuditEntry.at >= clock.start_of(asked.first_day, config().zone))
    if asked.last_day:
        found.append(AuditEntry.at < clock.end_of(asked.last_day, config().zone))
    if asked.thing.strip():
        found.append(_about(asked.thing.strip()))
    return found


def _about(text: str) -> sa.ColumnElement[bool]:
    """The thing and what belongs to it: an order by its reference, a customer or member of staff by
    address, a publication by its address or title."""
    wanted: dict[str, Any] = {}
    if "@" in text:
        customer = customer_by_address(text)
        person = sa.select(StaffMember.id).where(StaffMember.email == text.casefold())
        orders = sa.select(Order.id).where(Order.customer_id == (customer.id if customer else 0))
        wanted = {
            "customers": [customer.id if customer else 0],
            "staff": person,
            **_of_orders(orders),
        }
    elif (reference := reference_in(text)) is not None:
        wanted = _of_orders(sa.select(Order.id).where(Order.reference == reference))
    if "@" not in text:
        named = sa.or_(Publication.slug == text.lower(), Publication.title == text)
        of_title = sa.select(Publication.id).where(named)
        editions = sa.select(Edition.id).where(Edition.publication_id.in_(of_title))
        wanted |= {"publications": of_title, "editions": editions}
    return sa.or_(
        *(
            sa.and_(AuditEntry.entity == entity, AuditEntry.entity_id.in_(ids))
            for entity, ids in wanted.items()
        )
    )


def _of_orders(orders: Any) -> dict[str, Any]:
    payments = sa.select(Payment.id).where(Payment.order_id.in_(orders))
    return {
        "orders": orders,
        "refunds": sa.select(Refund.id).where(Refund.payment_id.in_(payments)),
        "disputes": sa.select(Dispute.id).where(Dispute.payment_id.in_(payments)),
        "transfers": sa.select(Transfer.id)
        .join(Checkout, Checkout.id == Transfer.checkout_id)
        .where(Checkout.order_id.in_(orders)),
    }


def things_of(entries: Iterable[AuditEntry]) -> dict[tuple[str, int], Thing]:
    """What each line is about, by table and id: one statement for each kind of thing among them."""
    ids = defaultdict(set)
    for entry in entries:
        if entry.entity_id is not None:
            ids[entry.entity].add(entry.entity_id)
    return {
        (entity, row[0]): Thing(_WORDS[entity].format(*row), row[1])
        for entity, some in ids.items()
        if entity in _WORDS
        for row in db.session.execute(_QUERIES[entity].where(_TABLES[entity].id.in_(some)))
    }


def people_of(entries: Iterable[AuditEntry]) -> dict[int, StaffMember]:
    """Who did it, by id."""
    ids = {entry.staff_id for entry in entries if entry.staff_id is not None}
    found = db.session.scalars(sa.select(StaffMember).where(StaffMember.id.in_(ids)))
    return {one.id: one for one in found}


def _called(table: Any) -> Any:
    """Name and address of a person, or the address alone."""
    both = table.name + " (" + table.email + ")"
    return sa.case((table.name == "", table.email), else_=both)


_TABLES: dict[str, Any] = {
    "publications": Publication,
    "editions": Edition,
    "customers": Customer,
    "repairs": Repair,
    "discounts": Discount,
    "deliveries": Delivery,
    "staff": StaffMember,
    "orders": Order,
    "refunds": Refund,
    "transfers": Transfer,
    "transfers_back": TransferBack,
    "disputes": Dispute,
}
# Id, key, and what the words need.
_QUERIES: dict[str, Any] = {
    "publications": sa.select(Publication.id, Publication.slug, Publication.title),
    "editions": sa.select(Edition.id, Publication.slug, Edition.number, Publication.title).join(
        Publication, Publication.id == Edition.publication_id
    ),
    "customers": sa.select(Customer.id, Customer.id, _called(Customer)),
    "repairs": sa.select(Repair.id, Customer.id, _called(Customer)).join(
        Customer, Customer.id == Repair.customer_id
    ),
    "discounts": sa.select(Discount.id, Discount.id, Discount.name),
    "deliveries": sa.select(Delivery.id, Delivery.id),
    "staff": sa.select(StaffMember.id, StaffMember.id, _called(StaffMember)),
    "orders": sa.select(Order.id, Order.reference),
    "refunds": sa.select(Refund.id, Order.reference)
    .join(Payment, Payment.id == Refund.payment_id)
    .join(Order, Order.id == Payment.order_id),
    "transfers": sa.select(Transfer.id, Order.reference)
    .join(Checkout, Checkout.id == Transfer.checkout_id)
    .join(Order, Order.id == Checkout.order_id),
    "transfers_back": sa.select(TransferBack.id, Order.reference)
    .join(Payment, Payment.gateway_payment_id == TransferBack.payment_id)
    .join(Order, Order.id == Payment.order_id),
    "disputes": sa.select(Dispute.id, Dispute.id, Order.reference)
    .join(Payment, Payment.id == Dispute.payment_id)
    .join(Order, Order.id == Payment.order_id),
}
_WORDS = {
    "publications": "{2}",
    "editions": "edition {2} of {3}",
    "customers": "{2}",
    "repairs": "{2}",
    "discounts": "{2}",
    "deliveries": "letter {1}",
    "staff": "{2}",
    "orders": "{1}",
    "refunds": "{1}",
    "transfers": "{1}",
    "transfers_back": "{1}",
    "disputes": "the dispute about {2}",
}
