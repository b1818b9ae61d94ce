"""A library link as plain values: it opens what `links.open_link` opens, and what does not open is left
to that to refuse."""

from typing import NamedTuple

import sqlalchemy as sa

from store.entitlements import links
from store.entitlements.models import Link
from store.kit import tokens
from store.kit.database import db
from store.orders.models import Customer


class HeldLink(NamedTuple):
    """A library link that opens at this moment, and its customer's first address."""

    reference: str
    purpose: str
    customer_id: int
    email: str


_HELD = (
    sa.select(Link.reference, Link.purpose, Link.customer_id, Customer.email)
    .join(Customer, Customer.id == Link.customer_id)
    .where(
        Link.reference == sa.bindparam("reference"),
        Link.purpose == "library",
        Link.revoked_at.is_(None),
    )
)


def held_library(token: str) -> HeldLink:
    """The library link behind its own token; refuses as `links.open_link`."""
    reference = tokens.read_at_once(token, "library", links.MAX_AGE["library"])
    if reference is not None:
        found = db.session.connection().execute(_HELD, {"reference": reference}).first()
        if found is not None:
            return HeldLink(*found)
    link = links.open_link(token, "library")
    return HeldLink(link.reference, link.purpose, link.customer_id, link.customer.email)
