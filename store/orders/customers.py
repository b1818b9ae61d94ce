"""Customers: persons known by an e-mail address, one row for all its spellings; and addresses as
people type and paste them, cleaned, judged, compared and shown."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa
from email_validator import EmailNotValidError, validate_email

from store.kit import clock
from store.kit.database import db, insert_into
from store.kit.errors import NotFound, Refusal
from store.kit.mailboxes import address_key
from store.kit.text import clean_line
from store.orders.models import Customer

EXAMPLE = "name@example.com"
_LONGEST = 254  # RFC 5321, 4.5.3.1.3, less the angle brackets of a path
# Full-width letters and signs, as East Asian keyboards type them, and their ASCII twins.
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
# An address in somebody else's words, wherever it stands.
# Begun where a word begins: tried at every letter of a long one it takes seconds.
_ADDRESS = re.compile(r"(?<![^\s<>\"'(),;:])[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+")
_IN_BRACKETS = re.compile(r"[^<>]*<([^<>]*)>")
# Format, private, unassigned, surrogate and separator characters show as nothing or a blank.
_UNSEEN = {"Cf", "Cc", "Co", "Cn", "Cs", "Zs", "Zl", "Zp"}

_BIG_DOMAINS = (
    "gmail.com",
    "googlemail.com",
    "hotmail.com",
    "hotmail.co.uk",
    "outlook.com",
    "yahoo.com",
    "yahoo.co.uk",
    "icloud.com",
    "btinternet.com",
    "protonmail.com",
    "talktalk.net",
)
# A slip away from a big one, and somebody's real domain all the same.
_REAL_NEIGHBOURS = {"mail.com", "ymail.com", "gmx.com", "email.com", "fmail.com", "hotmail.co"}


class CustomerUnknown(NotFound):
    """No customer has this number."""

    sentence = "There is no customer of this number."


class InvalidAddress(Refusal):
    """Something that no letter can be sent to."""

    status = 422
    sentence = f"Enter an e-mail address like {EXAMPLE}."

    def __init__(self, sentence: str = "", typed: str = "") -> None:
        self.typed = typed
        super().__init__(sentence or None)

    @property
    def for_staff(self) -> str:
        """The same to who types the address of somebody else."""
        if not self.typed:
            return "Enter their e-mail address."
        return f"That is not an e-mail address: “{self.typed[:80]}”."


def parse_address(text: str) -> str:
    """The address in `text`, kept as typed, without what pasting adds: blanks, line ends,
    characters that nobody sees, `Anna <…>`, `mailto:`, full-width letters.

    Takes what RFC 6531 (SMTPUTF8) allows; no server is asked. Refuses (`InvalidAddress`) the
    rest, naming the fault.
    """
    address = clean_line(text.translate(_FULL_WIDTH))
    if found := _IN_BRACKETS.fullmatch(address):
        address = found[1].strip()
    if address[:7].lower() == "mailto:":
        address = clean_line(unquote(address[7:].partition("?")[0]))
    if fault := _plain_fault(address):
        raise InvalidAddress(fault, address)
    try:
        validate_email(address, check_deliverability=False, allow_smtputf8=True)
    except EmailNotValidError:
        raise InvalidAddress(
            f"“{address}” is not an e-mail address that we can write to. Check it for slips; "
            f"it should look like {EXAMPLE}.",
            address,
        ) from None
    return address


def _plain_fault(address: str) -> str:
    if not address:
        return "Enter your e-mail address."
    if len(address) > _LONGEST:
        return f"An e-mail address has at most {_LONGEST} characters."
    if "@" not in address:
        return f"“{address}” has no @. It should look like {EXAMPLE}."
    if " " in address:
        return f"“{address}” has a space in it. Take it out, or give one address."
    if odd := next((letter for letter in address if unicodedata.category(letter) in _UNSEEN), None):
        name = unicodedata.name(odd, f"U+{ord(odd):04X}").lower()
        return (
            f"There is a character in the address that cannot be seen ({name}). "
            "Type the address again instead of pasting it."
        )
    return ""


def key_of_typed(text: str) -> str:
    """The key of the address in what somebody typed, so that each spelling counts as one; of the
    text as it stands, where there is none."""
    try:
        return address_key(parse_address(text))
    except InvalidAddress:
        return address_key(text.strip())


def suggest_correction(email: str) -> str | None:
    """The address that was probably meant, where the domain is one slip from a big one."""
    local, _, domain = email.rpartition("@")
    domain = domain.lower()
    if domain in _BIG_DOMAINS or domain in _REAL_NEIGHBOURS:
        return None
    meant = next((big for big in _BIG_DOMAINS if _is_one_slip(domain, big)), None)
    return f"{local}@{meant}" if meant else None


def _is_one_slip(typed: str, meant: str) -> bool:
    """One letter too many, too few, wrong, or two neighbours swapped."""
    if abs(len(typed) - len(meant)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(typed, meant, strict=False)) if a != b), None)
    if start is None:
        return True
    rest, goal = typed[start:], meant[start:]
    swapped = rest[1::-1] + rest[2:] if len(rest) > 1 else rest
    return rest[1:] == goal[1:] or rest[1:] == goal or rest == goal[1:] or swapped == goal


def mask(email: str) -> str:
    """`a•••@example.org`: enough for its owner, of no use to anybody else."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}•••@{domain}"


def mask_addresses(text: str) -> str:
    """The text with each address in it masked."""
    return _ADDRESS.sub(lambda found: mask(found[0]), text)


def customer_by_id(customer_id: int) -> Customer:
    """The customer of this number, brought together with another or not. Refuses with 404."""
    found = db.session.get(Customer, customer_id)
    if found is None:
        raise CustomerUnknown
    return found


def customers_of(rows: Iterable[Any]) -> dict[int, Customer]:
    """The customers whom rows with a `customer_id` name, by id."""
    ids = {row.customer_id for row in rows if row.customer_id is not None}
    query = sa.select(Customer).where(Customer.id.in_(ids))
    return {customer.id: customer for customer in db.session.scalars(query)}


def customer_by_address(text: str) -> Customer | None:
    """The customer of an address as typed or pasted; None for an unknown or unreadable one."""
    try:
        return _by_key(address_key(parse_address(text)))
    except InvalidAddress:
        return None


def known_customer(text: str) -> Customer:
    """The same; refuses (`CustomerUnknown`) where there is none."""
    found = customer_by_address(text)
    if found is None:
        raise CustomerUnknown("No customer has this address.")
    return found


def find_or_add_customer(email: str, name: str = "") -> Customer:
    """The customer of a parsed address, added where there is none; safe when two ask at once.

    The address stays as it was first typed, and so does the name: anybody may type an address, so
    a known customer is not renamed by it (`take_name` and `rename` are for those who may).
    """
    return find_or_add_customers({email: name})[address_key(email)]


def find_or_add_customers(named: Mapping[str, str]) -> dict[str, Customer]:
    """The same for many addresses, each with a name, in as many statements as for one; by
    `address_key`."""
    now, found = clock.now(), dict[str, Customer]()
    # In one order, so that two who add the same do not wait for each other.
    missing = dict(sorted((address_key(email), email) for email in named))
    for _ in range(5):
        if not missing:
            return found
        rows = [
            {
                "email": email,
                "email_key": key,
                "name": named[email],
                "created_at": now,
            }
            for key, email in missing.items()
        ]
        db.session.execute(insert_into(Customer).on_conflict_do_nothing(), rows)
        for customer in db.session.scalars(_kept(Customer.email_key.in_(missing))):
            found[customer.email_key] = customer
            del missing[customer.email_key]
        # What is missing still was just given up, or its customer brought together with another.
    raise RuntimeError("a customer that was just added is not there")


def _by_key(key: str) -> Customer | None:
    return db.session.scalar(sa.select(Customer).where(Customer.email_key == key))


def _kept(which: sa.ColumnElement[bool]) -> sa.Select[Customer]:
    """Customers, locked so that a change of their addresses waits until what is being written for
    them stands."""
    return (
        sa.select(Customer)
        .where(which)
        .order_by(Customer.id)
        .with_for_update(read=True, key_share=True)
        .execution_options(populate_existing=True)
    )


def take_name(customer: Customer, name: str) -> None:
    """Know a customer by this name; an empty one changes nothing."""
    if name:
        rename(customer, name)


def rename(customer: Customer, name: str) -> None:
    """Know a customer by this name from now on; with an empty one, by none."""
    if name != customer.name:
        customer.name = name
        db.session.flush()


def lock_customers(
    customer_ids: Iterable[int], *, for_address: bool = False
) -> dict[int, Customer]:
    """The rows of customers, locked one after the other in a fixed order; before an address
    changes (`for_address`), after everything that is being written for it."""
    query = (
        sa.select(Customer)
        .where(Customer.id.in_(sorted(set(customer_ids))))
        .order_by(Customer.id)
        .with_for_update(key_share=not for_address)
        .execution_options(populate_existing=True)
    )
    return {customer.id: customer for customer in db.session.scalars(query)}
