"""An order that was placed with a wrong address goes to another one, and to nobody else: accepted
by the new mailbox, told to the old one, whose objection holds it until a person decides.

Its new customer misses no edition and gets none twice, and nothing more goes to the old one.
"""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from store.catalog.models import Asset, Edition, EditionStatus
from store.entitlements import erasure_journal
from store.entitlements.access import rights_of_order
from store.entitlements.fresh_links import FIND, SameAddress, ask_mailbox
from store.entitlements.granting import confirm_again, confirmation_key, lock_titles, name_first
from store.entitlements.links import (
    Ended,
    ensure_links,
    lock_link,
    make_link,
    order_link,
    revoke_order_links,
    use_up,
)
from store.entitlements.models import Download, Entitlement, Link, OrderMove
from store.entitlements.notices import UNSENT, notice_key, owe_what_was_missed
from store.entitlements.received import CONFIRMATION, NOTICE
from store.entitlements.shelves import Right
from store.kit import clock
from store.kit.database import UtcDateTime, db
from store.kit.errors import Refusal
from store.kit.mailboxes import address_key
from store.kit.status import record_change
from store.mail import outbox
from store.mail.models import Delivery, DeliveryStatus, Occasion
from store.orders.customers import find_or_add_customer, lock_customers, parse_address
from store.orders.models import Order, OrderLine, OrderStatus
from store.orders.orders import lock_order

ACCEPT = "accept_order"
MOVED = "order_moved"
SETTLED = "order_settled"
DAYS = 14
MOVED_AWAY = "the order went to another address"
CAME_WITH = "came with an order that changed hands"

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


# Whether the order was moved, and whether what it bought was fetched behind a library link since it
# was placed.
_TOLD_OF = sa.select(
    sa.exists(sa.select(OrderMove.id).where(OrderMove.order_id == sa.bindparam("order_id"))),
    sa.exists(
        sa.select(Download.id)
        .join(Asset, Asset.id == Download.asset_id)
        .join(Edition, Edition.id == Asset.edition_id)
        .join(OrderLine, OrderLine.publication_id == Edition.publication_id)
        .where(
            OrderLine.order_id == sa.bindparam("order_id"),
            Download.customer_id == sa.bindparam("customer_id"),
            Download.order_id.is_(None),
            Download.started_at >= sa.bindparam("placed_at", type_=UtcDateTime()),
        )
    ),
)


def why_unmovable(order: Order, rights: Sequence[Entitlement | Right] | None = None) -> str:
    """Why an order cannot be moved at this moment, in a sentence; "" where it can. `rights` are
    those that it gave, where the caller has read them."""
    rights = rights_of_order(order.id) if rights is None else rights
    kept = [right for right in rights if right.revoked_at is None]
    which = {"order_id": order.id, "placed_at": order.placed_at, "customer_id": order.customer_id}
    was_moved, was_fetched = db.session.execute(_TOLD_OF, which).one()
    is_over = clock.now() >= order.placed_at + timedelta(days=DAYS)
    faults = (
        (order.status is not OrderStatus.PAID, NOT_PAID),
        (order.held_at is not None, HELD),
        (not kept, ENDED),
        (any(right.suspended_at for right in kept), DISPUTED),
        (was_moved, MOVED_ONCE),
        (is_over, TOO_LATE),
        (was_fetched, FETCHED),
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
    # Nothing but the address is known of the new customer.
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
    rights = [right for right in rights_of_order(order.id) if right.revoked_at is None]
    if move is None or move.settled_at is not None or not rights:
        raise NothingToHold
    use_up(link)
    erasure_journal.add_objection(link.id, now)
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
    Both are told, and the customer who has it then is owed what they missed meanwhile.

    Refuses with `NothingHeld`.
    """
    order = _locked(order_id)
    move = move_of(order.id)
    if order.held_at is None or move is None or move.settled_at is not None:
        raise NothingHeld
    move.settled_at, move.settled_by, move.is_given_back = clock.now(), who, is_given_back
    order.held_at = None
    for right in rights_of_order(order.id):
        right.held_at = None
    db.session.flush()
    winner, loser = move.to_customer_id, move.from_customer_id
    if is_given_back:
        winner, loser = loser, winner
        hand_over(order, winner, "given-back")
    else:
        outbox.look_again(winner)
        _confirm_moved(order, "left")
        _carry_over(order, winner)
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


def hand_over(order: Order, customer_id: int, why: str, ended: Ended = Ended.MOVED) -> None:
    """The order and all that hangs on it become the customer's; the other keeps what was sent.
    Its links end for the reason `ended`; its confirmation is owed again, once for `why`. Called
    under the locks of the order and its publications."""
    old_id = order.customer_id
    lock_customers([old_id, customer_id])
    for one in (old_id, customer_id):
        outbox.look_again(one)
    order.customer_id = customer_id
    for right in rights_of_order(order.id):
        right.customer_id = customer_id
    db.session.execute(
        sa.update(Download)
        .where(Download.order_id == order.id, Download.customer_id == old_id)
        .values(customer_id=customer_id)
    )
    db.session.flush()
    db.session.expire_all()
    revoke_order_links(order.id, ended)
    _confirm_moved(order, why)
    _carry_over(order, customer_id, old_id)


def _confirm_moved(order: Order, why: str) -> None:
    """Owe the order's confirmation with fresh links to the customer who has it now, once for `why`; it
    carries the newest edition that the order opens. Letters of it that wait go there, too, or are
    left out where this one says the same."""
    for line in order.lines:
        ensure_links(order.customer_id, line.publication_id)
    order_link(order.id, order.customer_id)
    outbox.leave_out(
        MOVED_AWAY,
        Delivery.order_id == order.id,
        Delivery.kind == CONFIRMATION,
        Delivery.dedupe_key != confirmation_key(order.id, why),
    )
    db.session.execute(
        sa.update(Delivery)
        .where(
            Delivery.order_id == order.id,
            Delivery.status.in_(UNSENT),
            Delivery.address.is_(None),
            # Those to the other customer: that it is theirs no more, and the links they asked for.
            Delivery.kind.not_in((MOVED, SETTLED, FIND)),
        )
        .values(customer_id=order.customer_id)
        .execution_options(synchronize_session=False)
    )
    confirm_again(order, why)


def _carry_over(order: Order, customer_id: int, old_id: int | None = None) -> None:
    """Owe the customer what the order's rights open and nothing has brought; of several editions
    the newest alone, the others are noted as left out. What waits for the old one is left out,
    unless another right of theirs is owed it."""
    rights = rights_of_order(order.id)
    for publication_id in sorted({right.publication_id for right in rights}):
        editions = db.session.scalars(
            sa.select(Edition)
            .where(
                Edition.publication_id == publication_id,
                Edition.status == EditionStatus.RELEASED,
            )
            .order_by(Edition.number)
        ).all()
        theirs = [right for right in rights if right.publication_id == publication_id]
        if old_id is not None:
            _leave_out(old_id, publication_id, editions)
        owe_what_was_missed(customer_id, publication_id, Occasion.FIRST_COPY)
        for edition in editions:
            if _concerns(theirs, edition):
                _note_as_carried(customer_id, edition)


def _leave_out(old_id: int, publication_id: int, editions: Sequence[Edition]) -> None:
    kept = db.session.scalars(
        sa.select(Entitlement).where(
            Entitlement.customer_id == old_id,
            Entitlement.publication_id == publication_id,
            Entitlement.revoked_at.is_(None),
        )
    ).all()
    over = [edition.id for edition in editions if not _concerns(kept, edition, is_carried=True)]
    outbox.leave_out(
        MOVED_AWAY,
        Delivery.customer_id == old_id,
        Delivery.kind == NOTICE,
        Delivery.edition_id.in_(over),
    )


def _concerns(rights: Sequence[Entitlement], edition: Edition, *, is_carried: bool = False) -> bool:
    """Whether a release of the edition concerns any of the rights; with `is_carried` also where
    the edition came with the purchase."""
    firsts = [right.from_edition.number if right.from_edition else 0 for right in rights]
    return any(first < edition.number + is_carried for first in firsts)


def _note_as_carried(customer_id: int, edition: Edition) -> None:
    """Account for an edition that no letter of this customer is about."""
    theirs = Delivery.customer_id == customer_id, Delivery.edition_id == edition.id
    if db.session.scalar(sa.select(sa.exists().where(*theirs))):
        return
    now = clock.now()
    db.session.add(
        Delivery(
            kind=NOTICE,
            status=DeliveryStatus.SKIPPED,
            reason=CAME_WITH,
            dedupe_key=notice_key(edition.id, customer_id),
            customer_id=customer_id,
            edition_id=edition.id,
            occasion=Occasion.RELEASED,
            created_at=now,
            due_at=now,
        )
    )
    db.session.flush()


def _judged(order_id: int) -> Order:
    order = _locked(order_id)
    sentence = why_unmovable(order)
    if sentence:
        raise NotMovable(sentence)
    return order


def _locked(order_id: int) -> Order:
    """The order's row and its publications', locked as granting does."""
    order = lock_order(order_id)
    lock_titles(order)
    return order


def _note(order: Order, old: str, new: str, who: str, why: str) -> None:
    record_change(db.session(), "orders", order.id, old, new, who=who, why=why)
