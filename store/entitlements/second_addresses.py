"""A second address of a customer: asked for behind the library link, proved by a press in a letter to
it, told to the first, which may refuse it for 14 days; on file from then on.

It proves nobody and opens nothing by itself: what it gets are the customer's own letters.
"""

from sqlalchemy.exc import IntegrityError

from store.entitlements.fresh_links import SameAddress, ask_mailbox, mail_links, start_afresh
from store.entitlements.links import (
    Ended,
    lock_link,
    make_link,
    revoke_pending,
    undo_ends_at,
    use_up,
)
from store.entitlements.merging import lock_histories, refuse_merged
from store.entitlements.models import Link, SecondAddress
from store.entitlements.on_file import Why, end_second, second_is
from store.kit import clock
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.mailboxes import address_key
from store.kit.status import record_change
from store.mail import holds, outbox
from store.orders.customers import parse_address
from store.orders.models import Customer

CONFIRM = "confirm_second_address"
ADDED = "second_address_added"


class SecondTaken(Refusal):
    """The mailbox is another customer's second address, and is to be one customer's alone."""

    heading = "This is somebody’s second address already"
    sentence = (
        "This mailbox is the second address of other copies. Take it out on the page of those "
        "copies first, or choose another mailbox."
    )


def request_second(customer: Customer, typed: str) -> Link:
    """Mail the address a link that proves it, as `ask_mailbox` does.

    Refuses with `InvalidAddress`, `SameAddress`.
    """
    address = parse_address(typed)
    if address_key(address) == customer.email_key or second_is(customer.id, address):
        raise SameAddress
    return ask_mailbox(CONFIRM, "second", customer.id, address)


def confirm_second(link: Link) -> SecondAddress:
    """Take the proved address as the second one, in place of any before, and tell the first, which
    may refuse it for 14 days; until then nothing goes there.

    Refuses with `SecondTaken` where it is another customer's, `LinkExpired` where the link was used
    or ended meanwhile.
    """
    customer = lock_histories([link.customer_id])[link.customer_id]
    lock_link(link)
    use_up(link)
    address = link.new_email or ""
    _take_out(customer, Why.REPLACED, "customer")
    refusal = make_link("refuse", customer.id, new_email=address)
    second = SecondAddress(
        customer_id=customer.id,
        email=address,
        email_key=address_key(address),
        proved_at=refusal.created_at,
        on_file_at=undo_ends_at(refusal),
    )
    try:
        with db.session.begin_nested():
            db.session.add(second)
            db.session.flush()
    except IntegrityError as taken:
        raise SecondTaken from taken
    outbox.owe(
        ADDED, f"{ADDED}:{refusal.id}", customer_id=customer.id, link_id=refusal.id, priority=0
    )
    record_change(
        db.session(), "customers", customer.id, "none", "second address", who="customer", why=""
    )
    # Somebody reads it, whatever came back from it before.
    holds.note_proved(second.email_key)
    db.session.flush()
    return second


def refuse_second(link: Link) -> None:
    """The first mailbox does not want it: it is taken out, with what else was asked to become
    one. Refuses with `LinkExpired` where it is out already."""
    customer = lock_histories([link.customer_id])[link.customer_id]
    lock_link(link)
    use_up(link)
    revoke_pending("second", Ended.UNDONE, customer_id=customer.id)
    _take_out(customer, Why.REFUSED, "customer")


def remove_second(customer: Customer, who: str) -> None:
    """Take a customer's second address out, if there is one. Where letters went to it, all links
    that were mailed end, and fresh ones go to the first. Refuses with `CustomerMerged`."""
    customer = lock_histories([customer.id])[customer.id]
    refuse_merged(customer)
    _take_out(customer, Why.TAKEN_OUT, who)


def _take_out(customer: Customer, why: Why, who: str) -> None:
    if end_second(customer.id, why, who):
        start_afresh(customer, Ended.SECOND)
        mark = f"taken-out:{customer.id}:{clock.now().timestamp()}"
        mail_links(customer.id, mark, "as a second address was taken out")
