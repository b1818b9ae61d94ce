"""A customer's address changes hands: proved by a letter to the new one, told to the old one."""

import sqlalchemy as sa

from store.entitlements.copies import send_missed
from store.entitlements.finding import FIND
from store.entitlements.links import (
    ADDRESS_CHANGED,
    ensure_links,
    make_link,
    order_link,
    revoke_links,
)
from store.entitlements.models import Entitlement, Link
from store.kit import clock
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.status import record_change
from store.mail import outbox
from store.orders.customers import address_key, parse_address
from store.orders.models import Customer, Order

CONFIRM = "confirm_address"
CHANGED = "address_changed"


class SameAddress(Refusal):
    """The new address is the one on file."""

    status = 422
    sentence = "That is the address we have already."


class AddressTaken(Refusal):
    """Another customer has the new address: two histories become one only by a person's hand."""

    status = 409
    heading = "This address has copies of its own"
    sentence = (
        "There are orders under both addresses already. Write to us: a person brings them "
        "together for you."
    )


def request_change(customer: Customer, new_email: str) -> Link:
    """Mail a link to the new address that proves it, good for 24 hours; only the newest counts.

    Says nothing of who else may have the address. Refuses with `InvalidAddress`, `SameAddress`.
    """
    address = parse_address(new_email)
    if address == customer.email:
        raise SameAddress
    _forget_earlier(customer.id)
    link = make_link("address", customer.id, new_email=address)
    outbox.owe(
        CONFIRM,
        f"{CONFIRM}:{link.id}",
        customer_id=customer.id,
        link_id=link.id,
        address=address,
        priority=0,
    )
    return link


def confirm_change(link: Link) -> Customer:
    """Take the proved address over; every link that was mailed before dies.

    Refuses with `AddressTaken` where another customer has it.
    """
    if link.new_email is None:
        raise ValueError("not a link that proves an address")
    _take_over(link.customer, link.new_email, who="customer")
    link.used_at = clock.now()
    db.session.flush()
    return link.customer


def correct_address(customer: Customer, new_email: str, who: str) -> Customer:
    """Staff's way: the same effects without the proof. `who` is kept beside the change.

    Refuses with `InvalidAddress`, `SameAddress`, `AddressTaken`.
    """
    address = parse_address(new_email)
    if address == customer.email:
        raise SameAddress
    _take_over(customer, address, who=who)
    return customer


def _take_over(customer: Customer, address: str, *, who: str) -> None:
    key = address_key(address)
    other = sa.select(Customer.id).where(Customer.email_key == key, Customer.id != customer.id)
    if db.session.scalars(other).first() is not None:
        raise AddressTaken
    old = customer.email
    customer.email, customer.email_key = address, key
    record_change(
        db.session(), "customers", customer.id, "old address", "new address", who=who, why=""
    )
    db.session.flush()
    revoke_links(customer.id, ADDRESS_CHANGED)
    _make_links_anew(customer.id)
    _tell(customer, old)
    send_missed(customer.id, who)


def _make_links_anew(customer_id: int) -> None:
    publications = (
        sa.select(Entitlement.publication_id)
        .where(Entitlement.customer_id == customer_id)
        .distinct()
    )
    for publication_id in db.session.scalars(publications).all():
        ensure_links(customer_id, publication_id)
    for order_id in db.session.scalars(
        sa.select(Order.id).where(Order.customer_id == customer_id)
    ).all():
        order_link(order_id, customer_id)


def _tell(customer: Customer, old: str) -> None:
    # One change, one pair of letters; the moment tells two changes apart.
    change = f"{customer.id}:{clock.now().timestamp()}"
    outbox.owe(CHANGED, f"{CHANGED}:{change}", customer_id=customer.id, address=old, priority=0)
    outbox.owe(
        FIND, f"find:moved:{change}", customer_id=customer.id, address=customer.email, priority=0
    )


def _forget_earlier(customer_id: int) -> None:
    db.session.execute(
        sa.update(Link)
        .where(
            Link.customer_id == customer_id,
            Link.purpose == "address",
            Link.revoked_at.is_(None),
        )
        .values(revoked_at=clock.now())
    )
