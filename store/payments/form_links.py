"""What the key of an order form still opens: the way to its order, for the press that placed it,
and nothing once a link to that order has ended. Nobody else is led there but by letter."""

from datetime import timedelta

import sqlalchemy as sa

from store.entitlements.models import Link
from store.entitlements.order_moves import move_of
from store.kit import clock, tokens
from store.kit.database import db
from store.kit.errors import Refusal
from store.orders.models import Order
from store.orders.orders import is_for

# A second press, a second tab and a way back happen within it.
KEY_HOLDS = timedelta(days=1)


class FormSent(Refusal):
    """A form that was sent before, and whose order its key does not open (any more). `token` is
    that of the order's newest link without its signature, for the button that mails a fresh one to
    the address on file; "" where it has none. `slug` is of the publication."""

    status = 410
    heading = "This form was sent already"
    sentence = "The link to its order comes by letter alone."

    def __init__(self, order: Order) -> None:
        links = _links(order.id)
        self.token = tokens.unsigned(links[-1].reference) if links else ""
        self.slug = order.lines[0].publication.slug
        super().__init__()


def key_opens(order: Order) -> bool:
    """Whether the key of an order's form still leads to it: on the day after it was first sent,
    while the order is its first customer's, at their first address, and no link to it has ended."""
    links = _links(order.id)
    first_sent = min([order.placed_at, *(link.created_at for link in links)])
    return (
        clock.now() < first_sent + KEY_HOLDS
        and is_for(order, order.email)
        and move_of(order.id) is None
        and all(link.revoked_at is None for link in links)
    )


def check_form(order: Order, held_id: int | None, email: str | None = None) -> None:
    """Refuse (`FormSent`) a press whose key does not open the order, or that is for another
    `email` than the order. `held_id` is the order whose standing link the press came with."""
    if order.id == held_id:
        return
    if not key_opens(order) or (email is not None and not is_for(order, email)):
        raise FormSent(order)


def _links(order_id: int) -> list[Link]:
    query = sa.select(Link).where(Link.order_id == order_id, Link.purpose == "order")
    fresh = query.order_by(Link.id).execution_options(populate_existing=True)
    return list(db.session.scalars(fresh))
