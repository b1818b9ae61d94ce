"""Asking for the links again: the same statements for whom we know and whom we do not."""

import hashlib
from typing import Any

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.mail import outbox
from store.mail.models import Delivery, DeliveryStatus
from store.orders.customers import InvalidAddress, address_key, parse_address
from store.orders.models import Customer
from store.orders.references import reference_in

FIND = "find_my_copies"
# Whoever presses again within this many seconds gets the one letter.
WINDOW_SECONDS = 600


def ask_for_copies(text: str) -> None:
    """Owe the letter with all links to the address in `text`, or to the owner of the order
    reference in it; who that is, the worker looks up.

    Refuses (`InvalidFields`) what is neither an address nor a reference.
    """
    reference = None if "@" in text else reference_in(text)
    if reference is not None:
        _owe(reference, facts={"reference": reference})
        return
    try:
        address = parse_address(text)
    except InvalidAddress as fault:
        raise InvalidFields({"who": _in_words(text, fault)}) from None
    _owe(address_key(address), address=address)


def send_copies_to(customer: Customer) -> None:
    """Owe the letter with all links to the address on file."""
    _owe(customer.email_key, address=customer.email)


def forget_unknown_addresses() -> None:
    """Blank the addresses of those whom we did not know; the timetable calls it."""
    with transaction() as session:
        session.execute(
            sa.update(Delivery)
            .where(
                Delivery.kind == FIND,
                Delivery.status == DeliveryStatus.SKIPPED,
                Delivery.address.is_not(None),
            )
            .values(address=None)
        )


def _owe(whose: str, **given: Any) -> None:
    # Who was unknown a minute ago may have bought since, and asks again.
    outbox.owe(FIND, _once_per_window(whose), priority=0, again_if_skipped=True, **given)


def _once_per_window(what: str) -> str:
    digest = hashlib.sha256(what.encode()).hexdigest()
    return f"find:{digest}:{int(clock.now().timestamp()) // WINDOW_SECONDS}"


def _in_words(text: str, fault: InvalidAddress) -> str:
    if "@" in text:
        return fault.sentence
    return "Enter the e-mail address you ordered with, or your order reference."
