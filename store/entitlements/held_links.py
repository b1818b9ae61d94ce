"""Library and order links opened by one statement that is built once: they open what `links.open_link`
opens, and what does not open is left to that to refuse."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from store.entitlements import links
from store.entitlements.erasures import open_erasure
from store.entitlements.models import Erasure, Link
from store.kit import tokens
from store.kit.database import db
from store.orders.models import Customer, Order, OrderLine


class HeldLink(NamedTuple):
    """A library link that opens at this moment, its customer's first address, and whether they are
    to be erased."""

    reference: str
    purpose: str
    customer_id: int
    email: str
    # From when on all that is known of them is erased, where they asked for it.
    erased_from: datetime | None


_WAITS = sa.and_(
    Erasure.customer_id == Link.customer_id,
    Erasure.stopped_at.is_(None),
    Erasure.done_at.is_(None),
)
_HELD = (
    sa.select(Link.reference, Link.purpose, Link.customer_id, Customer.email, Erasure.due_at)
    .join(Customer, Customer.id == Link.customer_id)
    .outerjoin(Erasure, _WAITS)
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
    waits = open_erasure(link.customer_id)
    erased_from = waits.due_at if waits else None
    return HeldLink(
        link.reference, link.purpose, link.customer_id, link.customer.email, erased_from
    )


_HELD_ORDER = (
    sa.select(Link, Order)
    .join(Order, sa.and_(Order.id == Link.order_id, Order.customer_id == Link.customer_id))
    .where(
        Link.reference == sa.bindparam("reference"),
        Link.purpose == "order",
        Link.revoked_at.is_(None),
    )
    .options(
        joinedload(Order.customer),
        joinedload(Order.seller),
        joinedload(Order.lines).joinedload(OrderLine.publication),
    )
)


def held_order(token: str) -> tuple[Link, Order]:
    """The order link behind its own token, and its order with lines, customer and seller; refuses as
    `links.open_link`."""
    reference = tokens.read_at_once(token, "order", links.MAX_AGE["order"])
    if reference is not None:
        found = db.session.execute(_HELD_ORDER, {"reference": reference}).unique().first()
        if found is not None:
            return found[0], found[1]
    link = links.open_link(token, "order")
    return link, links.order_behind(link)
