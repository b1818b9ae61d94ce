"""Links as plain values, for the doors that are asked most: the library and the downloads behind it or
behind an order. They open what `links.open_link` opens; what does not open is left to that to refuse."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from store.entitlements import links
from store.entitlements.models import Link
from store.kit import tokens
from store.kit.database import db
from store.orders.models import Customer, Order


class HeldLink(NamedTuple):
    """A library or order link that opens at this moment, and its customer's first address."""

    id: int
    reference: str
    purpose: str
    customer_id: int
    order_id: int | None
    email: str


# As `open_link` judges the row: it was not ended, and its order is still its customer's.
_HELD = (
    sa.select(
        Link.id, Link.reference, Link.purpose, Link.customer_id, Link.order_id, Customer.email
    )
    .join(Customer, Customer.id == Link.customer_id)
    .outerjoin(Order, Order.id == Link.order_id)
    .where(
        Link.reference == sa.bindparam("reference"),
        Link.revoked_at.is_(None),
        sa.or_(Link.purpose == "library", Order.customer_id == Link.customer_id),
    )
)


def held_library(token: str) -> HeldLink:
    """The library link behind its own token; refuses as `links.open_link`."""
    return _held(token, {"library": "library"}, lambda: links.open_link(token, "library"))


def held_download(token: str) -> HeldLink:
    """The library or order link that a download's token was made behind; refuses alike."""
    return _held(token, links.DOWNLOADS, lambda: links.open_download(token))


def _held(token: str, signed_for: Mapping[str, str], judged: Callable[[], Link]) -> HeldLink:
    """The link that a token names, signed for what `signed_for` says of its purpose."""
    try:
        whose = {"reference": tokens.reference_of(token)}
        found = db.session.connection().execute(_HELD, whose).first()
        signed = signed_for.get(found.purpose) if found else None
        if found is not None and signed is not None:
            tokens.read(token, signed, links.MAX_AGE[signed])
            return HeldLink(*found)
    except (tokens.Unreadable, tokens.NotValid):
        pass
    link = judged()
    return HeldLink(
        link.id, link.reference, link.purpose, link.customer_id, link.order_id, link.customer.email
    )
