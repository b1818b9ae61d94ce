"""Order forms that are sent: the order is placed, or written again, where money for it may be on its
way; and what the key of a form still opens.

A key opens the way to its order for the press that placed it, and nothing once a link to that order
has ended. Nobody else is led there but by letter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from store.catalog.models import Publication
from store.entitlements.models import Link
from store.entitlements.order_moves import move_of
from store.kit import clock, tokens
from store.kit.database import db, transaction
from store.kit.errors import Refusal
from store.orders.models import Offer, Order, OrderStatus
from store.orders.orders import is_for, is_of_form
from store.orders.placing import Change, Details, Judge, place_order
from store.payments.charge import is_money_under_way, may_be_paid, tries_of
from store.payments.checkout import PaymentsUnavailable, end_open_try, own_page
from store.payments.inbox import fulfil_order
from store.payments.models import CheckoutStatus

# Another press may open a try between its end and our writing.
TRIES = 3
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


class TryIsOpen(Refusal):
    """An order is to be changed while it can still be paid as it was: that try has to end first,
    at its gateway, outside any transaction."""

    def __init__(self, order_id: int) -> None:
        self.order_id = order_id
        super().__init__()


@dataclass(frozen=True)
class Placed:
    """The order of a press; `page` is the address of its own page where it is paid, or money for
    it is here or under way, so that it was left as it was."""

    order_id: int
    status: OrderStatus
    page: str


def ask_about_form(form_key: str) -> bool:
    """Before the orders of a form are written again: one may be paid, and only the news be late.
    Says whether each gateway that was asked has answered."""
    known = sa.select(Order.id).where(is_of_form(form_key), Order.status != OrderStatus.PAID)
    order_ids = list(db.session.scalars(known))
    return all(fulfil_order(order_id) for order_id in order_ids)


def place_from_form(
    find: Callable[[], Publication],
    details: Details,
    *,
    form_key: str,
    seen_amount: int,
    seen_currency: str | None = None,
    is_heard: bool,
    offer_id: int | None = None,
    held_id: int | None = None,
) -> Placed:
    """The order of this press (`placing.place_order`, of the publication that `find` gives, by the
    offer that its link came with). A try at another price, or of an order that is given up, ends at
    its gateway before anything is written. `is_heard` is what `ask_about_form` said, `held_id` the
    order whose own link came with the press.

    Opens its own transactions. Refuses as `place_order` does, (`FormSent`) where the key of the form
    does not open the order that it has, and (`PaymentsUnavailable`) while a silent gateway may
    have taken money for what would be changed.
    """
    for _ in range(TRIES):
        try:
            with transaction() as session:
                order = place_order(
                    find(),
                    details,
                    form_key=form_key,
                    seen_amount=seen_amount,
                    seen_currency=seen_currency,
                    offer=session.get(Offer, offer_id) if offer_id else None,
                    judge=_judge(is_heard, held_id),
                )
                is_left = order.status is OrderStatus.PAID or is_money_under_way(order)
                if is_left:
                    check_form(order, held_id, details.email)
                return Placed(order.id, order.status, own_page(order) if is_left else "")
        except TryIsOpen as found:
            end_open_try(found.order_id)
    raise PaymentsUnavailable


def _judge(is_heard: bool, held_id: int | None) -> Judge:
    """What is asked under the order's lock: whether the form may touch it, then of its money."""
    of_money = judge_rewriting(is_heard=is_heard)

    def judge(order: Order, change: Change) -> bool:
        if order.status is OrderStatus.PENDING:
            check_form(order, held_id)
        return of_money(order, change)

    return judge


def judge_rewriting(*, is_heard: bool) -> Judge:
    """What `placing.place_order` asks under the order's lock: an order with money under way is
    left as it is. None gets another price, or is given up, that can still be paid as it was, and
    none is changed at all of which a silent gateway may know more (`TryIsOpen`)."""

    def judge(order: Order, change: Change) -> bool:
        if is_money_under_way(order):
            return True
        is_open = [one for one in tries_of(order.id) if one.status is CheckoutStatus.OPEN]
        is_silent = not is_heard and any(may_be_paid(one) for one in is_open)
        if is_open and (change is Change.PRICE or (change is Change.DETAILS and is_silent)):
            raise TryIsOpen(order.id)
        return False

    return judge


def check_form(order: Order, held_id: int | None, email: str | None = None) -> None:
    """Refuse (`FormSent`) a press whose key does not open the order, or that is for another
    `email` than the order. `held_id` is the order whose standing link the press came with."""
    if order.id == held_id:
        return
    if not key_opens(order) or (email is not None and not is_for(order, email)):
        raise FormSent(order)


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


def _links(order_id: int) -> list[Link]:
    query = sa.select(Link).where(Link.order_id == order_id, Link.purpose == "order")
    fresh = query.order_by(Link.id).execution_options(populate_existing=True)
    return list(db.session.scalars(fresh))
