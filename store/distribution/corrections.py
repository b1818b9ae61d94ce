"""Addresses corrected from a pasted list: read, judged line by line, then changed by the same rule
as one alone."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from store.catalog.models import Edition
from store.distribution.people import of_column
from store.entitlements import addresses
from store.entitlements.fresh_links import SameAddress
from store.entitlements.merging import CustomerMerged
from store.kit.database import db, transaction
from store.kit.errors import Refusal
from store.kit.mailboxes import address_key
from store.orders.customers import InvalidAddress, key_of_typed
from store.orders.models import Customer

MOST_LINES = 200
# Who did not get it, so that another address helps.
_MISSED = ("undeliverable", "came_back", "held")
_TAKEN = "Another customer has bought at this address. Look at both before you go on."


class TooManyLines(Refusal):
    """More than one look can take in."""

    status = 422
    sentence = f"A list may have {MOST_LINES} lines. Paste the rest when these are done."


@dataclass(frozen=True)
class Correction:
    """One line of the list: what stands there, whose address it is, and why it cannot be done."""

    line: int
    old: str
    new: str
    customer_id: int | None = None
    name: str = ""
    fault: str = ""


def read_corrections(
    edition: Edition, text: str, has_money: addresses.MoneyJudge
) -> list[Correction]:
    """What a pasted list of old and new addresses would change, among those who did not get the
    edition. Writes nothing. Refuses `TooManyLines`."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line]
    if len(lines) > MOST_LINES:
        raise TooManyLines
    pairs = [(number, re.split(r"[\s,;]+", line)) for number, line in lines]
    known = _missed(edition, [key_of_typed(words[0]) for _, words in pairs])
    found: list[Correction] = []
    seen: set[str] = set()
    for number, words in pairs:
        old, new = words[0], words[1] if len(words) > 1 else ""
        customer = known.get(key_of_typed(old))
        fault = _fault(words, customer, new, has_money)
        repeated = {f"old {key_of_typed(old)}", f"new {address_key(new)}"} & seen
        if not fault and repeated:
            fault = "This address stands in an earlier line, too."
        if not fault:
            seen |= {f"old {key_of_typed(old)}", f"new {address_key(new)}"}
        whose, name = (customer.id, customer.name) if customer else (None, "")
        found.append(Correction(number, old, new, whose, name, fault))
    return found


def correct_all(
    corrections: Iterable[Correction],
    who: str,
    has_money: addresses.MoneyJudge,
    record: Callable[[Customer, str], object],
) -> list[Correction]:
    """Change each address that can be; returns the lines that could not be changed after all, with
    why. A transaction for each, so called outside any, in which `record` is told of the customer and
    the old address. The letters that they missed go at once."""
    left: list[Correction] = []
    for one in corrections:
        if one.fault or one.customer_id is None:
            continue
        try:
            with transaction() as session:
                customer = session.get_one(Customer, one.customer_id)
                was = customer.email
                addresses.correct_address(customer, one.new, who, has_money=has_money)
                record(customer, was)
        except addresses.AddressTaken:
            left.append(_refused(one, _TAKEN))
        except (InvalidAddress, SameAddress, CustomerMerged) as refusal:
            left.append(_refused(one, refusal.sentence))
    return left


def _refused(one: Correction, why: str) -> Correction:
    return Correction(one.line, one.old, one.new, one.customer_id, one.name, why)


def _missed(edition: Edition, keys: list[str]) -> dict[str, Customer]:
    """By address, the customers among these who did not get the edition: one statement."""
    missed = sa.union_all(*(sa.select(of_column(edition, one).subquery().c[0]) for one in _MISSED))
    query = sa.select(Customer).where(Customer.email_key.in_(keys), Customer.id.in_(missed))
    return {customer.email_key: customer for customer in db.session.scalars(query)}


def _fault(
    words: list[str], customer: Customer | None, new: str, has_money: addresses.MoneyJudge
) -> str:
    if len(words) != 2:
        return "A line has two addresses: the old one, then the new one."
    if customer is None:
        return "Nobody who did not get this edition has the old address."
    try:
        addresses.check_free(customer, new, has_money=has_money)
    except addresses.AddressTaken:
        return _TAKEN
    except (InvalidAddress, SameAddress) as refusal:
        return refusal.sentence
    return ""
