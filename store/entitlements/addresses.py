"""A customer's address changes hands: proved by a letter to the new one, told to the old one,
which may undo it for 14 days.

Undoing parts a history: what was ordered at the addresses that the customer had meanwhile stays
with those mailboxes.
"""

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute

from store.entitlements import erasure_journal
from store.entitlements.access import has_rights
from store.entitlements.erasures import end_asked_since, refuse_erasure
from store.entitlements.fresh_links import SameAddress, ask_mailbox, mail_links, start_afresh
from store.entitlements.links import (
    Ended,
    lock_link,
    make_link,
    revoke_links,
    use_up,
)
from store.entitlements.merging import (
    bring_together,
    lock_histories,
    refuse_merged,
    refuse_open_objection,
)
from store.entitlements.models import Entitlement, Link, OrderMove
from store.entitlements.on_file import Why, end_second
from store.entitlements.order_moves import ACCEPT, hand_over
from store.entitlements.parting import SAID_TOGETHER, keep, remember
from store.entitlements.repairs import free_address, send_missed
from store.entitlements.second_addresses import CONFIRM as CONFIRM_SECOND
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.errors import Refusal
from store.kit.mailboxes import address_key
from store.kit.status import record_change
from store.mail import outbox
from store.mail.models import Delivery, DeliveryStatus
from store.mail.outbox import forget_addresses, long_past
from store.orders.customers import find_or_add_customer, parse_address
from store.orders.models import Customer, Order, OrderLine, OrderStatus
from store.orders.offers import end_offers

CONFIRM = "confirm_address"
CHANGED = "address_changed"
RESTORED = "address_restored"

# Whether money of an unpaid order is here or under way: `payments` know, and the door hands it over.
MoneyJudge = Callable[[Order], bool]
Bought = Sequence[tuple[Order, str]]


class AddressTaken(Refusal):
    """Another customer has bought at the new address: two histories become one only by a person's
    hand."""

    status = 409
    heading = "This address has copies of its own"
    sentence = (
        "There are orders under both addresses already. Write to us: a person brings them "
        "together for you."
    )


def request_change(customer: Customer, new_email: str) -> Link:
    """Mail a link to the new address that proves it, as `ask_mailbox` does.

    Refuses with `InvalidAddress`, `SameAddress`.
    """
    address = parse_address(new_email)
    if address == customer.email:
        raise SameAddress
    return ask_mailbox(CONFIRM, "address", customer.id, address)


def count_orders_along(customer_id: int) -> int:
    """How many orders' copies change the address with a customer; each import counts as one."""
    kept = Entitlement.customer_id == customer_id, Entitlement.revoked_at.is_(None)
    orders = sa.select(OrderLine.order_id).join(
        Entitlement, Entitlement.order_line_id == OrderLine.id
    )
    imported = sa.select(sa.func.count(Entitlement.id)).where(
        *kept, Entitlement.order_line_id.is_(None)
    )
    found = set(db.session.scalars(orders.where(*kept)))
    return len(found) + (db.session.scalar(imported) or 0)


def _all_of_it(_: Order) -> bool:
    return True


def confirm_change(link: Link, *, has_money: MoneyJudge = _all_of_it) -> Customer:
    """Take the proved address over; every link that was mailed before dies. A customer who has
    the address and never bought, nor has money under way, becomes one with this one: anybody may
    have typed it in an order.

    Refuses with `AddressTaken` where another customer has bought there, `LinkExpired` where the
    link was used or ended meanwhile.
    """
    address = _address_of(link)
    customer, other = _lock_both(link.customer_id, address)
    lock_link(link)
    use_up(link)
    _refuse_taken(other, has_money)
    _take_over(customer, address, other, who="customer")
    return customer


def check_free(customer: Customer, new_email: str, *, has_money: MoneyJudge = _all_of_it) -> None:
    """Refuse what `correct_address` would: `InvalidAddress`, `SameAddress`, `AddressTaken`."""
    address = parse_address(new_email)
    if address == customer.email:
        raise SameAddress
    _refuse_taken(db.session.scalar(_who_else_has(address, customer.id)), has_money)


def correct_address(
    customer: Customer, new_email: str, who: str, *, has_money: MoneyJudge = _all_of_it
) -> Customer:
    """Staff's way: the same effects without the proof. `who` is kept beside the change.

    Refuses with `InvalidAddress`, `SameAddress`, `AddressTaken`, `CustomerMerged`.
    """
    address = parse_address(new_email)
    customer, other = _lock_both(customer.id, address)
    refuse_merged(customer)
    if address == customer.email:
        raise SameAddress
    _refuse_taken(other, has_money)
    _take_over(customer, address, other, who=who)
    return customer


def undo_change(link: Link) -> Customer:
    """Give the customer the address back that a change took from them, with all that was ordered
    there meanwhile; what was ordered at the other addresses since stays with those. Later changes
    are undone with it, and their own undo links end; earlier ones still work. Refuses with
    `LinkExpired` where the link was used or ended meanwhile.
    """
    address = _address_of(link)
    keys = {address_key(one) for one in (address, *(each for _, each in _bought_elsewhere(link)))}
    others = db.session.scalars(sa.select(Customer.id).where(Customer.email_key.in_(keys)))
    customers = lock_histories([link.customer_id, *others], beside=_is_moved_on(link))
    lock_link(link)
    bought, moved = _bought_elsewhere(link), _moved_on(link)
    customer = customers.pop(link.customer_id)
    for other in customers.values():
        if other.email_key == address_key(address):
            bring_together(other, customer, "customer")
    replaced = customer.email
    end_offers(replaced)
    _put(customer, address, "restored address", who="customer")
    use_up(link)
    erasure_journal.add_objection(link.id, clock.now())
    _end_later_undos(link)
    end_asked_since(customer.id, link.created_at, "customer")
    stayed = _leave_behind(link, bought, moved)
    start_afresh(customer, Ended.ADDRESS)
    mark = f"{customer.id}:{link.id}"
    if replaced != address:
        outbox.owe(
            RESTORED,
            f"{RESTORED}:{mark}",
            customer_id=customer.id,
            address=replaced,
            facts={"keeps_orders": address_key(replaced) in stayed},
            priority=0,
        )
    mail_links(customer.id, f"restored:{mark}")
    send_missed(customer.id, "customer")
    return customer


def merge_customers(gone: Customer, kept: Customer, who: str) -> Customer:
    """Staff's way of bringing two customers together under the address of `kept`; all links of
    both end, and both addresses are told. `parting.part_customers` takes it back for 14 days. Refuses
    with `SameAddress`, `ObjectionOpen`, `ErasureWaits`, and `CustomerMerged` where either was brought together with
    another meanwhile."""
    if gone.id == kept.id:
        raise SameAddress("That is the same customer.")
    customers = lock_histories([gone.id, kept.id])
    gone, kept = customers[gone.id], customers[kept.id]
    refuse_merged(gone, kept)
    refuse_open_objection(gone)
    refuse_erasure(gone, kept)
    before, gone_id = remember(gone, kept), gone.id
    old = gone.email
    end_offers(old)
    revoke_links(gone.id, Ended.ADDRESS)
    bring_together(gone, kept, who)
    keep(before, gone_id, kept.id, who)
    start_afresh(kept, Ended.ADDRESS)
    mark = f"{kept.id}:{clock.now().timestamp()}"
    outbox.owe(CHANGED, f"{CHANGED}:{mark}", customer_id=kept.id, address=old, priority=0)
    mail_links(kept.id, f"merged:{mark}", "as two customers became one", SAID_TOGETHER)
    send_missed(kept.id, who)
    return kept


def _address_of(link: Link) -> str:
    if link.new_email is None:
        raise ValueError("not a link about an address")
    return link.new_email


def _lock_both(customer_id: int, address: str) -> tuple[Customer, Customer | None]:
    """A customer, and who has the address that is to be theirs; all that both have is locked."""
    other = db.session.scalar(_who_else_has(address, customer_id))
    customers = lock_histories([customer_id, *([other.id] if other else [])])
    if other is not None and other.email_key != address_key(address):
        other = None  # until it was locked, it changed its address, or became one with another
    return customers[customer_id], other


def _who_else_has(address: str, customer_id: int) -> sa.Select[Customer]:
    theirs = Customer.email_key == address_key(address)
    return sa.select(Customer).where(theirs, Customer.id != customer_id)


def _refuse_taken(other: Customer | None, has_money: MoneyJudge) -> None:
    if other is None:
        return
    theirs = sa.select(Order).where(Order.customer_id == other.id)
    orders = db.session.scalars(theirs.execution_options(populate_existing=True)).all()
    if has_rights(other.id) or any(
        order.status is OrderStatus.PAID or has_money(order) for order in orders
    ):
        raise AddressTaken


def _take_over(customer: Customer, address: str, other: Customer | None, *, who: str) -> None:
    old = customer.email
    end_offers(old)
    came: list[int] = []
    if other is not None:
        orders = sa.select(Order.id).where(Order.customer_id == other.id)
        came = list(db.session.scalars(orders))
        bring_together(other, customer, who)
    _put(customer, address, "new address", who=who)
    start_afresh(customer, Ended.ADDRESS)
    undo = make_link("undo", customer.id, new_email=old)
    # What came with the address stays with it where the change is undone.
    db.session.execute(sa.update(Order).where(Order.id.in_(came)).values(came_at=undo.created_at))
    outbox.owe(
        CHANGED,
        f"{CHANGED}:{undo.id}",
        customer_id=customer.id,
        link_id=undo.id,
        address=old,
        priority=0,
    )
    mail_links(customer.id, f"moved:{undo.id}")
    send_missed(customer.id, who)


def _put(customer: Customer, address: str, what: str, *, who: str) -> None:
    # Given beside an address that is no more: who changed it may not have been who gave it.
    end_second(customer.id, Why.CHANGED, who, unless_key=address_key(address))
    try:
        with db.session.begin_nested():
            customer.email, customer.email_key = address, address_key(address)
            db.session.flush()
    except IntegrityError as taken:
        # Somebody ordered there first, after we had looked.
        raise AddressTaken from taken
    record_change(db.session(), "customers", customer.id, "old address", what, who=who, why="")
    db.session.flush()
    free_address(customer.id)


def _end_later_undos(link: Link) -> None:
    db.session.execute(
        sa.update(Link)
        .where(
            Link.customer_id == link.customer_id,
            Link.purpose == "undo",
            Link.order_id.is_(None),
            Link.id > link.id,
            Link.revoked_at.is_(None),
        )
        .values(revoked_at=clock.now(), revoked_reason=Ended.UNDONE)
    )


def _bought_elsewhere(link: Link) -> Bought:
    """What the customer of an undo link ordered, or accepted from another mailbox, since the
    change at another address than the restored one, or got with that address; each order with it."""
    came = sa.and_(
        OrderMove.order_id == Order.id,
        OrderMove.to_customer_id == Order.customer_id,
        OrderMove.is_given_back.is_(False),
    )
    accepted = sa.and_(
        Link.purpose == "move", Link.order_id == OrderMove.order_id, Link.used_at.is_not(None)
    )
    query = (
        sa.select(Order, sa.func.coalesce(Link.new_email, Order.email))
        .outerjoin(OrderMove, came)
        .outerjoin(Link, accepted)
        .where(
            Order.customer_id == link.customer_id,
            sa.func.coalesce(OrderMove.moved_at, Order.came_at, Order.placed_at) >= link.created_at,
        )
        .order_by(Order.id)
        .execution_options(populate_existing=True)
    )
    return _not_at(link, query)


def _is_moved_on(link: Link) -> sa.ColumnElement[bool]:
    """Orders that were placed likewise and moved on to another customer since, who keeps them:
    they go back, if at all, to where they were ordered."""
    unsettled = sa.select(OrderMove.order_id).where(
        OrderMove.from_customer_id == link.customer_id, OrderMove.settled_at.is_(None)
    )
    since = sa.func.coalesce(Order.came_at, Order.placed_at)
    return sa.and_(Order.id.in_(unsettled), since >= link.created_at)


def _moved_on(link: Link) -> Bought:
    """Those orders, each with the address that it was placed with."""
    query = sa.select(Order, Order.email).where(_is_moved_on(link)).order_by(Order.id)
    return _not_at(link, query.execution_options(populate_existing=True))


def _leave_behind(link: Link, bought: Bought, moved: Bought) -> set[str]:
    """Give what was bought elsewhere to the customers of those addresses, found or added, and mail
    them their links. Called once the restored address is on file; returns the addresses' keys."""
    mailboxes = set()
    for order, address in bought:
        old_id, mailbox_id = order.customer_id, find_or_add_customer(address, order.name).id
        hand_over(order, mailbox_id, f"stayed-{link.id}", Ended.ADDRESS)
        _rewrite(OrderMove.to_customer_id, order, old_id, mailbox_id)
        was, now, why = "changed address", "its own address", "the change of address was undone"
        record_change(db.session(), "orders", order.id, was, now, who="customer", why=why)
        mailboxes.add(mailbox_id)
    for order, address in moved:
        mailbox_id = find_or_add_customer(address, order.name).id
        _rewrite(OrderMove.from_customer_id, order, link.customer_id, mailbox_id)
        objects = Link.purpose == "undo", Link.order_id == order.id
        db.session.execute(sa.update(Link).where(*objects).values(customer_id=mailbox_id))
    for mailbox_id in sorted(mailboxes):
        mail_links(
            mailbox_id, f"stayed:{link.id}:{mailbox_id}", "as a change of address was undone"
        )
    return {address_key(address) for _, address in bought}


def _not_at(link: Link, query: sa.Select[Order, str]) -> Bought:
    restored = address_key(link.new_email or "")
    found = db.session.execute(query).all()
    return [(order, address) for order, address in found if address_key(address) != restored]


def _rewrite(column: InstrumentedAttribute[int], order: Order, old_id: int, new_id: int) -> None:
    which = OrderMove.order_id == order.id, column == old_id
    db.session.execute(sa.update(OrderMove).where(*which).values({column: new_id}))


def forget_unproved_addresses() -> None:
    """Blank the addresses that were asked whether they take a customer's letters, as the first or the
    second one, or an order, and that never said yes; the timetable calls it."""
    # A link works for a day from when its letter left, and that may be long after it was asked for.
    is_awaited = sa.exists().where(
        Delivery.link_id == Link.id,
        sa.or_(Delivery.status.in_(DeliveryStatus.open()), Delivery.sent_at >= long_past()),
    )
    unproved = (
        Link.purpose.in_(("address", "move", "second")),
        Link.used_at.is_(None),
        Link.created_at < long_past(),
        ~is_awaited,
    )
    with transaction() as session:
        forget_addresses(
            Delivery.kind.in_((CONFIRM, ACCEPT, CONFIRM_SECOND)),
            Delivery.link_id.in_(sa.select(Link.id).where(*unproved)),
        )
        session.execute(
            sa.update(Link)
            .where(*unproved, Link.new_email.is_not(None))
            .values(new_email=None)
            .execution_options(synchronize_session=False)
        )
