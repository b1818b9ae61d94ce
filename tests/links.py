"""A customer's links, and the paths behind them."""

import sqlalchemy as sa

from store.entitlements.links import PATHS, make_link, order_link, token_of
from store.entitlements.models import Link
from store.entitlements.second_addresses import confirm_second, request_second
from store.kit.database import db, transaction
from store.orders.customers import customer_by_address
from store.orders.models import Customer, Order
from tests.purchases import ANNA


def anna() -> Customer:
    """The customer."""
    found = customer_by_address(ANNA)
    assert found is not None
    return found


def link_to(purpose: str, customer_id: int) -> Link:
    """The standing link of one purpose."""
    query = sa.select(Link).where(
        Link.customer_id == customer_id, Link.purpose == purpose, Link.revoked_at.is_(None)
    )
    return db.session.scalars(query.order_by(Link.id.desc())).first() or _new(purpose, customer_id)


def _new(purpose: str, customer_id: int) -> Link:
    with transaction():
        return make_link(purpose, customer_id)


def given_second(customer: Customer, email: str) -> Link:
    """Give a customer a second address, as they and that mailbox would; the link that refuses it.
    Within a transaction."""
    confirm_second(request_second(customer, email))
    refusals = sa.select(Link).where(Link.customer_id == customer.id, Link.purpose == "refuse")
    return db.session.scalars(refusals.order_by(Link.id.desc())).first()  # type: ignore[return-value]


def path_to(purpose: str, customer_id: int) -> str:
    """The path of a standing link."""
    return PATHS[purpose] + token_of(link_to(purpose, customer_id))


def order_path(order_id: int) -> str:
    """The order's page, by its standing link."""
    with transaction() as session:
        link = order_link(order_id, session.get_one(Order, order_id).customer_id)
        return PATHS["order"] + token_of(link)
