"""Which addresses of a customer are on file: the first, and a second that proved itself and was not
refused for 14 days; and how a second one ends."""

from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from store.entitlements import erasure_journal
from store.entitlements.erasure_journal import EndedSecond
from store.entitlements.links import Ended, revoke_pending
from store.entitlements.models import Link, SecondAddress
from store.kit import clock
from store.kit.database import db
from store.kit.mailboxes import address_key
from store.kit.status import record_change
from store.mail import outbox
from store.orders.customers import lock_customers
from store.orders.models import Customer

NO_LONGER = "second_address_ended"


class Why(StrEnum):
    """Why a second address is none any more, for the letter to it and for staff."""

    REFUSED = "refused at the first address"
    TAKEN_OUT = "taken out"
    REPLACED = "another one in its place"
    LINKS = "the links were ended"
    CHANGED = "the first address changed"
    MERGED = "two customers became one"


# What a restore takes back, too, and the second address with it.
_WITH_THE_CHANGE = (Why.CHANGED, Why.MERGED)


def second_of(customer_id: int) -> SecondAddress | None:
    """The second address of a customer that proved itself, on file already or not yet."""
    theirs = sa.select(SecondAddress).where(SecondAddress.customer_id == customer_id)
    return db.session.scalars(theirs.execution_options(populate_existing=True)).first()


def is_on_file(second: SecondAddress) -> bool:
    """Whether letters may go to it: its 14 days are over."""
    return second.on_file_at <= clock.now()


def owner_of_second(key: str) -> sa.Select[int]:
    """Whose second address has this key and is on file, as a query of the customer's number."""
    is_theirs = SecondAddress.email_key == key, SecondAddress.on_file_at <= clock.now()
    return sa.select(SecondAddress.customer_id).where(*is_theirs)


def customers_at(address: str) -> list[int]:
    """The ids of those to whom letters may go at this address: whose first it is, and whose second
    it is by now."""
    key = address_key(address)
    first = sa.select(Customer.id).where(Customer.email_key == key)
    return list(db.session.scalars(sa.union(first, owner_of_second(key))))


def end_second(customer_id: int, why: Why, who: str, *, unless_key: str = "") -> bool:
    """Take a customer's second address out and tell it, unless it is one that we write to all the
    same, with this key; what waits to go there is written again. Says whether it was on file: then
    links that it got may still be open, which is for the caller to end. Its links forget it. Called
    under the customer's lock."""
    second = second_of(customer_id)
    if second is None:
        return False
    was_on_file = is_on_file(second)
    facts: dict[str, Any] = {"why": why.name}
    if second.email_key != unless_key:
        outbox.owe(
            NO_LONGER,
            # Numbers of rows that are gone may come again.
            f"{NO_LONGER}:{customer_id}:{second.proved_at.timestamp()}",
            customer_id=customer_id,
            address=second.email,
            facts=facts,
            priority=0,
        )
    revoke_pending("refuse", Ended.SECOND, customer_id=customer_id)
    about_it = Link.customer_id == customer_id, Link.new_email == second.email
    forgotten = sa.update(Link).where(*about_it, Link.purpose.in_(("second", "refuse")))
    db.session.execute(forgotten.values(new_email=None))
    db.session.delete(second)
    db.session.flush()
    if why not in _WITH_THE_CHANGE:
        erasure_journal.add_ended_second(customer_id, why.name, clock.now())
    outbox.look_again(customer_id)
    record_change(
        db.session(), "customers", customer_id, "second address", "none", who=who, why=why
    )
    return was_on_file


def end_second_as_told(customer_id: int, told: EndedSecond) -> None:
    """Take a second address out of a database from a backup that was taken out after it; one that proved
    itself later stays."""
    second = second_of(customer_id)
    if second is not None and second.proved_at <= told.at:
        lock_customers([customer_id], for_address=True)
        end_second(customer_id, Why[told.why], "the journal, after a restore")


def second_is(customer_id: int, address: str) -> bool:
    """Whether this is the customer's second address already."""
    second = second_of(customer_id)
    return second is not None and second.email_key == address_key(address)
