"""An order that was placed with a wrong address goes to another one, and to nobody else: accepted
by the new mailbox, told to the old one, whose objection holds it until a person decides."""

from datetime import timedelta

import sqlalchemy as sa

from store.catalog.models import Asset, Edition
from store.catalog.publications import lock_publication
from store.entitlements.access import rights_of_order
from store.entitlements.addresses import SameAddress
from store.entitlements.carrying import carry_over, confirm_moved, hand_over
from store.entitlements.granting import name_first
from store.entitlements.links import (
    ask_mailbox,
    lock_link,
    make_link,
    use_up,
)
from store.entitlements.models import Download, Entitlement, Link, OrderMove
from store.kit import clock
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.status import record_change
from store.mail import outbox
from store.orders.customers import (
    address_key,
    find_or_add_customer,
    parse_address,
)
from store.orders.models import Order, OrderStatus
from store.orders.orders import lock_order

ACCEPT = "accept_order"
MOVED = "order_moved"
SETTLED = "order_settled"
DAYS = 14

NOT_PAID = "It is not paid. Give it up, and order again with the right address."
ENDED = "It was cancelled or refunded, so there is nothing to move."
DISPUTED = "Its payment is disputed with the bank. Until that is decided it stays where it is."
HELD = "Somebody objected to its move, and a person will look at it."
MOVED_ONCE = "It was moved already. Write to us, and a person helps you."
ELSEWHERE = "It belongs to another address by now."
TOO_LATE = f"It was placed more than {DAYS} days ago. Write to us, and a person helps you."
FETCHED = (
    "Somebody has opened its copies from the mailbox that it was sent to, so that mailbox has an "
    "owner. Write to us, and a person helps you."
)


class NotMovable(Refusal):
    """The order stays where it is; the sentence says why."""

    heading = "This order cannot be moved"


class NothingToHold(Refusal):
    """An objection to the move of an order that gives nothing any more."""

    heading = "There is nothing to hold"
    sentence = "This order was cancelled or refunded, so its copies are closed already."


class NothingHeld(Refusal):
    """There is nothing to decide about this order."""

    sentence = "This order is not held, or somebody has decided already."


def why_unmovable(order: Order) -> str:
    """Why an order cannot be moved at this moment, in a sentence; "" where it can."""
    rights = rights_of_order(order.id)
    kept = [right for right in rights if right.revoked_at is None]
    is_over = clock.now() >= order.placed_at + timedelta(days=DAYS)
    faults = (
        (order.status is not OrderStatus.PAID, NOT_PAID),
        (order.held_at is not None, HELD),
        (not kept, ENDED),
        (any(right.suspended_at for right in kept), DISPUTED),
        (move_of(order.id) is not None, MOVED_ONCE),
        (is_over, TOO_LATE),
        (_was_fetched(order), FETCHED),
    )
    return next((sentence for is_so, sentence in faults if is_so), "")


def move_of(order_id: int) -> OrderMove | None:
    """The move of an order, where there was one."""
    return db.session.scalars(sa.select(OrderMove).where(OrderMove.order_id == order_id)).first()


def request_move(order_id: int, new_email: str) -> Link:
    """Ask the new address, as `ask_mailbox` does, whether it takes the order.

    Refuses with `InvalidAddress`, `SameAddress`, `NotMovable`.
    """
    address = parse_address(new_email)
    order = _judged(order_id)
    if address_key(address) == order.customer.email_key:
        raise SameAddress("That is the address that this order has already.")
    return ask_mailbox(ACCEPT, "move", order.customer_id, address, order_id=order.id)


def accept_move(link: Link) -> Order:
    """Give the order, and that order alone, to the address that accepted it: its rights, what is
    owed of it, fresh links. The old address is told and may object for 14 days.

    All is judged again under the order's lock. Refuses with `NotMovable`, and with `LinkExpired`
    where the link was used or ended meanwhile.
    """
    if link.order_id is None or link.new_email is None:
        raise ValueError("not a link that moves an order")
    order = _judged(link.order_id)
    lock_link(link)
    if order.customer_id != link.customer_id:
        raise NotMovable(ELSEWHERE)
    taker = find_or_add_customer(link.new_email)
    old_id, new_id = order.customer_id, taker.id
    if new_id == old_id:
        raise SameAddress("That is the address that this order has already.")
    use_up(link)
    # Of who accepts it nothing but the address is known.
    name_first(taker, "")
    db.session.add(
        OrderMove(
            order_id=order.id,
            from_customer_id=old_id,
            to_customer_id=new_id,
            moved_at=clock.now(),
            is_given_back=False,
        )
    )
    _note(order, "first address", "new address", "customer", "moved by its page")
    hand_over(order, new_id, "moved")
    undo = make_link("undo", old_id, order_id=order.id)
    outbox.owe(
        MOVED,
        f"{MOVED}:{order.id}",
        customer_id=old_id,
        order_id=order.id,
        link_id=undo.id,
        priority=0,
    )
    return order


def hold_order(link: Link) -> Order:
    """The old address objects: nobody opens the order's copies until a person decides.

    Refuses with `NothingToHold` where its copies are closed already, and with `LinkExpired` where
    the link was used or ended meanwhile.
    """
    order = _locked(link.order_id or 0)
    lock_link(link)
    move, now = move_of(order.id), clock.now()
    rights = [right for right in _rights(order) if right.revoked_at is None]
    if move is None or move.settled_at is not None or not rights:
        raise NothingToHold
    use_up(link)
    outbox.look_again(order.customer_id)
    move.held_at = order.held_at = now
    for right in rights:
        right.held_at = now
    _note(order, "in use", "held", "customer", "the address it was moved from objects")
    outbox.alert_staff(
        f"Order {order.reference} is held",
        f"Order {order.reference} was moved to another address, and the address that it had before "
        "objects. Nobody can open its copies until somebody decides.\n\nOpen the order at the "
        "desk: give it back, or leave it where it is.",
        f"held:{order.id}",
    )
    db.session.flush()
    return order


def settle_held(order_id: int, *, is_given_back: bool, who: str) -> Order:
    """A person decides about a held order: back to the address it had, or left at the new one.
    Both are told, and who has it then is owed what they missed meanwhile.

    Refuses with `NothingHeld`.
    """
    order = _locked(order_id)
    move = move_of(order.id)
    if order.held_at is None or move is None or move.settled_at is not None:
        raise NothingHeld
    move.settled_at, move.settled_by, move.is_given_back = clock.now(), who, is_given_back
    order.held_at = None
    for right in _rights(order):
        right.held_at = None
    db.session.flush()
    winner, loser = move.to_customer_id, move.from_customer_id
    if is_given_back:
        winner, loser = loser, winner
        hand_over(order, winner, "given-back")
    else:
        outbox.look_again(winner)
        confirm_moved(order, "left")
        carry_over(order, winner)
    _note(order, "held", "given back" if is_given_back else "left", who, "after the objection")
    for customer_id in (winner, loser):
        outbox.owe(
            SETTLED,
            f"{SETTLED}:{order.id}:{customer_id}",
            customer_id=customer_id,
            order_id=order.id,
            facts={"is_given_back": is_given_back, "keeps_it": customer_id == winner},
            priority=0,
        )
    return order


def _judged(order_id: int) -> Order:
    order = _locked(order_id)
    sentence = why_unmovable(order)
    if sentence:
        raise NotMovable(sentence)
    return order


def _locked(order_id: int) -> Order:
    """The order's row and its publications', locked as granting does."""
    order = lock_order(order_id)
    for publication_id in sorted({line.publication_id for line in order.lines}):
        lock_publication(publication_id)
    return order


def _rights(order: Order) -> list[Entitlement]:
    return rights_of_order(order.id)


def _was_fetched(order: Order) -> bool:
    """Whether what the order bought was fetched behind a library link since it was placed."""
    titles = [line.publication_id for line in order.lines]
    query = (
        sa.select(Download.id)
        .join(Asset, Asset.id == Download.asset_id)
        .join(Edition, Edition.id == Asset.edition_id)
        .where(
            Download.customer_id == order.customer_id,
            Download.order_id.is_(None),
            Download.started_at >= order.placed_at,
            Edition.publication_id.in_(titles),
        )
    )
    return db.session.scalars(query.limit(1)).first() is not None


def _note(order: Order, old: str, new: str, who: str, why: str) -> None:
    record_change(db.session(), "orders", order.id, old, new, who=who, why=why)
