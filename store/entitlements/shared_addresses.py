"""What an erasure does where an address of the person is somebody else's, too, or stands in a row that is
somebody else's. The others keep all that is theirs."""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from store.entitlements.fresh_links import mail_links, start_afresh
from store.entitlements.links import Ended
from store.entitlements.models import Link, SecondAddress
from store.entitlements.on_file import Why, end_second
from store.entitlements.person import Person
from store.kit import clock
from store.kit.database import db
from store.kit.mailboxes import ERASED, address_key
from store.mail import outbox
from store.mail.marks import marks_in, numbers_behind
from store.mail.models import Attempt, CapturedLetter, Delivery, DeliveryStatus
from store.orders.models import Customer, Order

_SAID = (
    "Your second e-mail address works no longer: it was taken out. You can give another one on the "
    "page of your copies."
)
_HEAD = 4000  # octets of a letter in which its Message-ID stands
_AT_ONCE = 500


def keys_of_others(ids: Collection[int], addresses: Collection[str | None]) -> set[str]:
    """Which of these addresses are another customer's by now, the first or the second."""
    keys = {address_key(one) for one in addresses if one}
    first = sa.select(Customer.email_key).where(
        Customer.email_key.in_(keys), Customer.id.not_in(ids)
    )
    second = sa.select(SecondAddress.email_key).where(
        SecondAddress.email_key.in_(keys), SecondAddress.customer_id.not_in(ids)
    )
    return {*db.session.scalars(first), *db.session.scalars(second)}


def who_has_as_second(customer_id: int) -> list[int]:
    """Customers whose second address is this one's first. It is theirs as long as this one is known."""
    key = sa.select(Customer.email_key).where(Customer.id == customer_id).scalar_subquery()
    query = sa.select(SecondAddress.customer_id).where(
        SecondAddress.email_key == key, SecondAddress.customer_id != customer_id
    )
    return list(db.session.scalars(query))


def end_as_second(others: Collection[int], address: str, before: datetime) -> None:
    """Whose mailbox asked to be forgotten is nobody's second address any more. They are told that it was
    taken out and not why, and have fresh links, as those before went there. One that was proved since
    `before` stays. Called under the locks of their histories."""
    for customer_id in others:
        second = db.session.scalars(
            sa.select(SecondAddress).where(SecondAddress.customer_id == customer_id)
        ).first()
        if second is None or second.proved_at >= before:
            continue
        spellings = {second.email, address}
        end_second(customer_id, Why.TAKEN_OUT, "the shop", unless_key=address_key(address))
        start_afresh(db.session.get_one(Customer, customer_id), Ended.SECOND)
        mark = f"taken-out:{customer_id}:{clock.now().timestamp()}"
        mail_links(customer_id, mark, "as a second address was taken out", _SAID)
        _forget_letters(customer_id, spellings)


def _forget_letters(customer_id: int, spellings: Collection[str]) -> None:
    """Letters of a customer that went to these addresses, or were to go there alone."""
    theirs = sa.select(Delivery.id).where(Delivery.customer_id == customer_id)
    addressed = list(db.session.scalars(theirs.where(Delivery.address.in_(spellings))))
    tried = Attempt.address.in_(spellings), Attempt.delivery_id.in_(theirs)
    went = db.session.scalars(sa.select(Attempt.delivery_id).where(*tried).distinct()).all()
    kept = captured_elsewhere(went, spellings)
    outbox.leave_out(ERASED, Delivery.id.in_(addressed))
    closed = Delivery.status.not_in(DeliveryStatus.open())
    for statement in (
        sa.update(Delivery).where(Delivery.id.in_(addressed), closed).values(address=None),
        sa.update(Attempt).where(*tried).values(address="", reply=""),
        sa.delete(CapturedLetter).where(CapturedLetter.id.in_(kept)),
    ):
        db.session.execute(statement.execution_options(synchronize_session=False))


def forget_elsewhere(person: Person) -> None:
    """Addresses of the person in rows that are somebody else's: a link that asked them, with its letter, an
    order that was placed with their address and moved on. An address that another had before, and can have
    again, is that one's."""
    asked = sa.update(Link).where(
        Link.new_email.in_(person.spellings),
        sa.or_(Link.customer_id.in_(person.ids), Link.purpose != "undo"),
    )
    asked = asked.values(new_email=None).execution_options(synchronize_session=False)
    db.session.execute(asked)
    told = sa.select(Delivery.customer_id).where(
        Delivery.address.in_(person.spellings), Delivery.customer_id.not_in(person.ids)
    )
    for customer_id in db.session.scalars(told.distinct()).all():
        if customer_id is not None:
            _forget_letters(customer_id, person.spellings)
    moved = sa.select(Order).where(
        Order.email.in_(person.spellings), Order.customer_id.not_in(person.ids)
    )
    for order in db.session.scalars(moved):
        order.email = order.customer.email
    db.session.flush()


def letters_to_others(orders: Collection[int]) -> list[int]:
    """Letters about these orders that name an address and no customer: one that was asked to take an order."""
    found = list[int]()
    numbers = list(orders)
    for start in range(0, len(numbers), _AT_ONCE):
        some = Delivery.order_id.in_(numbers[start : start + _AT_ONCE])
        query = sa.select(Delivery.id).where(some, Delivery.customer_id.is_(None))
        found += db.session.scalars(query)
    return found


def captured_elsewhere(
    letters: Collection[int], places: Collection[str] | None = None
) -> list[int]:
    """Letters that a shop without a mail server kept, of these deliveries, wherever they went or to these
    places: by the mark of their Message-ID, as the mailbox may be somebody else's, too."""
    went = set(places or ()) or _where_went(list(letters))
    kept = sa.select(CapturedLetter.id, sa.func.substr(CapturedLetter.octets, 1, _HEAD)).where(
        CapturedLetter.recipient.in_({place.casefold() for place in went})
    )
    chosen = set(letters)
    return [
        number
        for number, head in db.session.execute(kept)
        if any(
            chosen.intersection(numbers_behind(mark))
            for mark in marks_in(bytes(head).decode("ascii", "replace"))
        )
    ]


def _where_went(letters: list[int]) -> set[str]:
    found = set[str]()
    for start in range(0, len(letters), _AT_ONCE):
        some = Attempt.delivery_id.in_(letters[start : start + _AT_ONCE])
        found.update(db.session.scalars(sa.select(Attempt.address).where(some).distinct()))
    return found
