"""Orders as rows: their references, their locks, the orders of one form, the end of one that was never
paid; and orders and customers found by what staff remember of them."""

import secrets
from collections.abc import Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload

from store.kit.database import db
from store.kit.errors import NotFound
from store.kit.mailboxes import address_key
from store.kit.paging import BEGINNING, PAGE_SIZE, SHORT_PAGE, Page, Place, paginate
from store.kit.status import advance
from store.kit.text import clean_line
from store.mail.marks import marked_letter, marks_in
from store.mail.models import Delivery
from store.orders.customers import InvalidAddress, parse_address
from store.orders.models import Customer, Order, OrderStatus
from store.orders.search import customers_with, orders_with

# No 0 or O, 1, I or L: a reference is read aloud and copied by hand.
REFERENCE_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
# What a form carries: the key it was opened with, or that of an order which followed from it.
FORM_KEY = r"[\w-]{22}(?:\.[0-9a-f]{16})?"

_Query = TypeVar("_Query", bound=sa.Select[*tuple[Any, ...]])


class OrderUnknown(NotFound):
    """No order has this reference."""

    sentence = "We know no order with that reference."


def readable(count: int) -> str:
    """Random letters and digits that can be read aloud and not guessed."""
    return "".join(secrets.choice(REFERENCE_LETTERS) for _ in range(count))


def new_reference() -> str:
    """Eight letters and digits that can be read aloud: `K7QM-2XWP`."""
    return f"{readable(4)}-{readable(4)}"


def reference_in(text: str) -> str | None:
    """An order's reference as stored (`ABCD-EFGH`), whatever case, blanks and hyphens it came
    with; None where `text` is none."""
    letters = "".join(one for one in clean_line(text).upper() if one.isalnum())
    if len(letters) != 8 or set(letters) - set(REFERENCE_LETTERS):
        return None
    return f"{letters[:4]}-{letters[4:]}"


def order_by_reference(text: str) -> Order:
    """The order with this reference, whatever case, blanks and hyphens; refuses `OrderUnknown`."""
    reference = reference_in(text)
    order = db.session.scalar(sa.select(Order).where(Order.reference == reference))
    if reference is None or order is None:
        raise OrderUnknown
    return order


def locking(query: _Query) -> _Query:
    """The query with its orders locked and read again as they stand then, so that what happens to
    one order happens one step after the other.

    Weaker than FOR UPDATE, so that a letter or a link that names the order can be written meanwhile.
    """
    query = query.with_for_update(of=Order, key_share=True)
    return query.execution_options(populate_existing=True)


def lock_order(order_id: int) -> Order:
    """The order, locked until the transaction ends."""
    return db.session.scalars(locking(sa.select(Order).where(Order.id == order_id))).one()


def first_key(form_key: str) -> str:
    """The key of the form's first order, at whose row presses of the form wait for each other."""
    return form_key.partition(".")[0]


def is_of_form(form_key: str) -> sa.ColumnElement[bool]:
    """Whether an order came from this form, for whatever address."""
    base = first_key(form_key)
    return sa.or_(Order.form_key == base, Order.form_key.startswith(f"{base}.", autoescape=True))


def orders_of_form(form_key: str, *, is_locked: bool = False) -> Sequence[Order]:
    """Every order of a form as it stands now, the first one first; locked in that order, so that
    none is paid between judging and writing it."""
    query = sa.select(Order).where(is_of_form(form_key)).order_by(Order.id)
    query = locking(query) if is_locked else query.execution_options(populate_existing=True)
    return db.session.scalars(query).all()


def is_for(order: Order, email: str) -> bool:
    """Whether an order is for this address, however it is spelt."""
    return order.customer.email_key == address_key(email)


def cancel_pending(order: Order, who: str, why: str = "given up before payment") -> bool:
    """Give up an order that is not paid; says whether it was still pending."""
    return order.status is OrderStatus.PENDING and advance(
        order, OrderStatus.CANCELLED, who=who, why=why
    )


def expire_order(order: Order, why: str) -> bool:
    """End an order whose last checkout has run out; says whether it was still pending."""
    return order.status is OrderStatus.PENDING and advance(
        order, OrderStatus.EXPIRED, who="shop", why=why
    )


def search_customers(
    text: str = "", place: Place = BEGINNING, *, is_part: bool = False, size: int = PAGE_SIZE
) -> Page[Customer]:
    """Customers whose address or name holds `text`, newest first; unless it `is_part` of one, the
    one alone whose address, or whose order's reference, it is."""
    query: Any = sa.select(Customer).where(
        Customer.merged_into_id.is_(None), Customer.erased_at.is_(None)
    )
    key: Any = Customer.id
    if text.strip():
        _, customer_id = (None, None) if is_part else found_exactly(text)
        if customer_id is None:
            query, key = customers_with(query, text)
        else:
            query = query.where(Customer.id == customer_id)
    return paginate(query, place, key.desc(), size=size)


def list_orders(
    place: Place = BEGINNING,
    status: OrderStatus | None = None,
    text: str = "",
    *,
    is_held: bool = False,
    is_part: bool = False,
    size: int = PAGE_SIZE,
) -> Page[Order]:
    """Orders with customer and lines, newest first; `text` is looked for in address, name and
    organisation, and where it is a reference or an address, and not said to be only part of one,
    finds that order, or that customer's, alone; `is_held` asks for those that wait for a person to
    decide whose they are. The number of statements does not grow with the list."""
    query = sa.select(Order).options(joinedload(Order.customer), selectinload(Order.lines))
    if status is not None:
        query = query.where(Order.status == status)
    if is_held:
        query = query.where(Order.held_at.is_not(None))
    if text.strip():
        order_id, customer_id = (None, None) if is_part else found_exactly(text)
        if order_id is not None:
            query = query.where(Order.id == order_id)
        elif customer_id is not None:
            query = query.where(Order.customer_id == customer_id)
        else:
            query = orders_with(query, text)
    return paginate(query, place, Order.id.desc(), size=size)


def orders_of(customer_id: int) -> Page[Order]:
    """A customer's orders, newest first."""
    query = (
        sa.select(Order).where(Order.customer_id == customer_id).options(selectinload(Order.lines))
    )
    return paginate(query, BEGINNING, Order.id.desc(), size=SHORT_PAGE)


def is_whole(text: str) -> bool:
    """Whether `text` is the whole of a known order's reference or of a known customer's address, so
    that a search finds that one alone."""
    return any(found_exactly(text))


def found_exactly(text: str) -> tuple[int | None, int | None]:
    """The ids of the order whose reference `text` is and of its customer, or that of the customer
    whose address it is, or whose letter came back to it: an index finds them, while parts of words
    are looked for in every row."""
    reference = reference_in(text)
    if reference is not None:
        named = sa.select(Order.id, Order.customer_id).where(Order.reference == reference)
        order = db.session.execute(named).first()
        if order is not None:
            return order.id, order.customer_id
    letter_id = marked_letter(marks_in(text))
    if letter_id is not None:
        return None, db.session.scalar(
            sa.select(Delivery.customer_id).where(Delivery.id == letter_id)
        )
    try:
        key = address_key(parse_address(text))
    except InvalidAddress:
        return None, None
    return None, db.session.scalar(sa.select(Customer.id).where(Customer.email_key == key))
