"""Fresh links, mailed: because somebody asked for them, by the same statements for whom we know and
whom we do not; because those before have ended; or to ask a mailbox for its agreement."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from store.entitlements.links import (
    Ended,
    ensure_links,
    make_link,
    order_link,
    revoke_links,
    revoke_pending,
)
from store.entitlements.merging import lock_histories, refuse_merged
from store.entitlements.models import Entitlement, Link, SecondAddress
from store.entitlements.on_file import Why, end_second, is_on_file, owner_of_second, second_of
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.errors import InvalidFields, Refusal
from store.kit.mailboxes import address_key
from store.kit.status import record_change
from store.mail import outbox
from store.mail.models import Delivery, DeliveryStatus, stands_at
from store.mail.outbox import forget_addresses, long_past
from store.orders.customers import InvalidAddress, parse_address
from store.orders.models import Customer, Order
from store.orders.offers import end_offers
from store.orders.orders import reference_in

FIND = "find_my_copies"
DATA = "your_data"
# How the dedupe key of one begins that was asked for with a second address.
SECOND = "find:second:"
# Within these minutes, counted from the one on the clock when it was asked, there is one letter.
WINDOW_MINUTES = 10
BY_FORM = "the customer, with the form"
BY_LINK = "the customer, from a link that no longer works"
BY_ORDER_PAGE = "the customer, from the order page"


@dataclass(frozen=True)
class Asked:
    """When the letter with all links was asked for, to the minute (UTC), and whether that was
    an earlier press than this one."""

    at: datetime
    is_again: bool

    @property
    def again_at(self) -> datetime:
        """From when on a press asks for another letter."""
        return again_at(self.at)


class SameAddress(Refusal):
    """The new address is the one on file."""

    status = 422
    sentence = "That is the address we have already."


def ask_for_copies(text: str) -> Asked:
    """Owe the letter with all links to the address in `text`, or to the owner of the order
    reference in it. The answer is the same whether that is somebody or nobody.

    Of an address two letters are owed, as it may be the first of one customer and the second of
    another.

    Refuses (`InvalidFields`) what is neither an address nor a reference.
    """
    reference = None if "@" in text else reference_in(text)
    if reference is not None:
        owner = sa.select(Order.customer_id).where(Order.reference == reference)
        facts = {"reference": reference, "asked_by": BY_FORM}
        return _ask(f"reference:{reference}", owner.scalar_subquery(), facts=facts)
    try:
        address = parse_address(text)
    except InvalidAddress as fault:
        neither = "Enter the e-mail address you ordered with, or your order reference."
        sentence = fault.sentence if "@" in text else neither
        raise InvalidFields({"who": sentence}) from None
    key = address_key(address)
    customer = sa.select(Customer.id).where(Customer.email_key == key).scalar_subquery()
    second = owner_of_second(key).scalar_subquery()
    facts = {"asked_by": BY_FORM}
    asked = _ask(f"address:{key}", customer, address=address, facts=facts)
    _ask(f"address:{key}", second, SECOND, address=address, facts=facts)
    return asked


def send_copies_to(customer: Customer, door: str, *, by: str, order_id: int | None = None) -> Asked:
    """Owe the letter with all links to the address on file. `door` says where the press was, and
    each door has its own ten minutes: none tells what was asked for at another. `by` is kept for
    staff."""
    return _ask(door, customer.id, order_id=order_id, facts={"asked_by": by})


def ask_second(second: SecondAddress, *, by: str) -> Asked:
    """Owe the letter with all links to a customer's second address, as who reads it asks for them
    with it."""
    return _ask(
        f"desk:second:{second.customer_id}",
        second.customer_id,
        SECOND,
        address=second.email,
        facts={"asked_by": by},
    )


def ask_mailbox(
    letter: str, purpose: str, customer_id: int, address: str, *, order_id: int | None = None
) -> Link:
    """Mail an address a link of this purpose, good for 24 hours, by which its reader agrees to
    have what the customer has, or this order; only the newest counts. Does not say whose the
    address is."""
    if order_id is None:
        revoke_pending(purpose, Ended.NEWER, customer_id=customer_id)
    else:
        revoke_pending(purpose, Ended.NEWER, order_id=order_id)
    link = make_link(purpose, customer_id, order_id=order_id, new_email=address)
    outbox.owe(
        letter,
        f"{letter}:{link.id}",
        customer_id=customer_id if order_id is None else None,
        order_id=order_id,
        link_id=link.id,
        address=address,
        priority=0,
    )
    return link


def mail_data_link(customer: Customer) -> Link:
    """Mail the first address a link to the copy of a customer's data, good for 24 hours: a library
    link may have been passed on, so that the mailbox is asked. Only the newest counts."""
    revoke_pending("data", Ended.NEWER, customer_id=customer.id)
    link = make_link("data", customer.id)
    outbox.owe(DATA, f"{DATA}:{link.id}", customer_id=customer.id, link_id=link.id, priority=0)
    return link


def end_links(customer: Customer, who: str) -> None:
    """End every link that was mailed to a customer, as some got out, and mail fresh ones to the
    address on file. Links that object hold: they are another mailbox's. A second address that is
    not on file yet ends too, as somebody who got a link may have given it. Refuses with
    `CustomerMerged`."""
    customer = lock_histories([customer.id])[customer.id]
    refuse_merged(customer)
    second = second_of(customer.id)
    if second is not None and not is_on_file(second):
        end_second(customer.id, Why.LINKS, who)
    record_change(
        db.session(), "customers", customer.id, "old links", "fresh links", who=who, why=""
    )
    start_afresh(customer, Ended.ASKED)
    mail_links(customer.id, f"ended:{customer.id}:{clock.now().timestamp()}")


def start_afresh(customer: Customer, why: Ended) -> None:
    """End all links of a customer, and make fresh ones of those that letters lead to."""
    revoke_links(customer.id, why)
    end_offers(customer.email)
    theirs = Entitlement.customer_id == customer.id
    publications = sa.select(Entitlement.publication_id).where(theirs).distinct()
    for publication_id in db.session.scalars(publications).all():
        ensure_links(customer.id, publication_id)
    orders = sa.select(Order.id).where(Order.customer_id == customer.id)
    for order_id in db.session.scalars(orders).all():
        order_link(order_id, customer.id)


def mail_links(
    customer_id: int, mark: str, why: str = "as the links before had ended", said: str = ""
) -> None:
    """Owe the letter with all links without being asked, once for `mark`; the letter begins with what
    is `said`, a sentence of ours, and the desk is told `why` it went."""
    facts = {"asked_by": f"the shop, {why}"} | ({"said": said} if said else {})
    outbox.owe(FIND, f"find:{mark}", customer_id=customer_id, facts=facts, priority=0)


def asked_lately(customer_id: int) -> Delivery | None:
    """The newest letter with all links of a customer that went to the first address, or waits to,
    and stands for another press now, whatever door it was asked for at."""
    return _newest(
        Delivery.customer_id == customer_id,
        ~Delivery.dedupe_key.startswith(SECOND),
        Delivery.created_at >= start_of_window(clock.now()),
        Delivery.status.in_({*DeliveryStatus.open(), DeliveryStatus.SENT}),
    )


def asked_from_order(order_id: int) -> Delivery | None:
    """The newest letter with all links that was asked for on this order's page, for whose order it
    is now."""
    return db.session.scalars(_FROM_ORDER, {"order_id": order_id}).first()


_order = sa.select(Order.customer_id).where(Order.id == sa.bindparam("order_id"))
_FROM_ORDER = (
    sa.select(Delivery)
    .where(
        Delivery.kind == FIND,
        Delivery.order_id == sa.bindparam("order_id"),
        Delivery.customer_id == _order.scalar_subquery(),
    )
    .order_by(Delivery.id.desc())
    .limit(1)
)


def asked_at(delivery: Delivery) -> Asked:
    """When a letter was first asked for; one that was left out is owed again under the same key."""
    minute = int(delivery.dedupe_key.rpartition(":")[2])
    return Asked(datetime.fromtimestamp(minute * 60, UTC), is_again=True)


def start_of_window(moment: datetime) -> datetime:
    """The first moment at which a letter was asked for that a press at `moment` does not repeat."""
    return _minute(moment) - timedelta(minutes=WINDOW_MINUTES - 1)


def again_at(asked_at: datetime) -> datetime:
    """From when on a press asks for another letter than the one asked for then."""
    return _minute(asked_at) + timedelta(minutes=WINDOW_MINUTES)


def forget_unknown_addresses() -> None:
    """Blank the addresses of those who asked for their copies and whom we did not know; the
    timetable calls it."""
    is_stuck = sa.and_(Delivery.customer_id.is_(None), Delivery.created_at < long_past())
    failed, held, skipped = DeliveryStatus.FAILED, DeliveryStatus.HELD, DeliveryStatus.SKIPPED
    stuck = sa.and_(is_stuck, sa.or_(stands_at(failed), stands_at(held)))
    with transaction():
        forget_addresses(Delivery.kind == FIND, sa.or_(stands_at(skipped), stuck))


def _ask(subject: str, customer_id: Any, mark: str = "find:", **given: Any) -> Asked:
    """What is answered follows from the keys alone: what became of a letter would tell whether
    anybody has the address."""
    digest = hashlib.sha256(subject.encode()).hexdigest()
    now = int(clock.now().timestamp()) // 60
    keys = {f"{mark}{digest}:{now - back}": now - back for back in range(WINDOW_MINUTES)}
    query = sa.select(Delivery.dedupe_key).where(Delivery.dedupe_key.in_(keys))
    earlier = db.session.scalars(query.order_by(Delivery.id.desc())).first()
    key = earlier or next(iter(keys))
    # Who was unknown a minute ago may have bought since, and asks again.
    outbox.owe(FIND, key, customer_id=customer_id, priority=0, again_if_skipped=True, **given)
    # Always: a bell that rings only for a new letter takes time that somebody could measure.
    outbox.wake()
    return Asked(datetime.fromtimestamp(keys[key] * 60, UTC), earlier is not None)


def _newest(*which: Any) -> Delivery | None:
    query = sa.select(Delivery).where(Delivery.kind == FIND, *which)
    return db.session.scalars(query.order_by(Delivery.id.desc()).limit(1)).first()


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
