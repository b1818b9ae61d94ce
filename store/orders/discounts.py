"""Discounts: what may be given, the rows of those that were, and the places of limited ones: held by
orders, given out one after the other, counted.

A place belongs to orders that are paid, and to pending ones until `place_until`: two hours, 24 by bank
transfer, without end once money is on its way. Money that comes later is honoured above the limit.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from sqlalchemy.orm import joinedload

from store.catalog.models import Publication
from store.catalog.publications import publication_by_slug
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import InvalidFields, NotFound, Refusal
from store.kit.mailboxes import address_key
from store.kit.money import InvalidPrice, parse_price
from store.kit.paging import BEGINNING, Page, Place, paginate
from store.kit.text import clean_line, read_day, read_number
from store.orders.customers import InvalidAddress, parse_address
from store.orders.models import Customer, Discount, DiscountMember, Offer, Order, OrderStatus
from store.orders.orders import is_of_form

# How long an order keeps a place that it has not paid for; a bank takes longer than a card.
HELD_FOR = timedelta(hours=2)
HELD_FOR_TRANSFER = timedelta(hours=24)
_CODE = re.compile(r"[A-Z0-9]{3,30}")
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]{2,}")


class DiscountUnknown(NotFound):
    """No discount of this number or code."""

    sentence = "We have no discount of that name."


class CodeRefused(Refusal):
    """A code that takes nothing off this order; the sentence says why."""

    status = 422


class CodeByLetter(CodeRefused):
    """A code that counts a number of times for each person: only behind a link that was mailed,
    and said in the same words to everybody."""

    def __init__(self, discount: Discount) -> None:
        super().__init__(
            f"The code “{discount.code}” is for {_orders_each(discount)} per person: we mail you a "
            "link that has it. Press “Mail me the link”, or take the code out."
        )


@dataclass(frozen=True)
class Places:
    """The places of one discount: `used` by orders that are paid, `held` by orders that may be."""

    used: int = 0
    held: int = 0


def _number(value: object) -> object:
    try:
        return read_number(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("Enter a whole number, or leave it empty.") from None


def _moment(of_day: Callable[[date, ZoneInfo], datetime]) -> Callable[[object], object]:
    def moment(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            day = read_day(value)
            return of_day(day, config().zone) if day else None
        except ValueError:
            sentence = f"“{value[:40]}” is not a day of the calendar. Leave it empty for none."
            raise ValueError(sentence) from None

    return moment


def _words(value: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[\s,;]+", value) if word)


_Line = Annotated[str, BeforeValidator(clean_line)]
_Number = Annotated[int | None, BeforeValidator(_number)]
_Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
_Start = Annotated[datetime | None, BeforeValidator(_moment(clock.start_of))]
_End = Annotated[datetime | None, BeforeValidator(_moment(clock.end_of))]


class NewDiscount(BaseModel):
    """What may be given: less to pay by a code or, without one, for members, known by their
    addresses or the ends of them.

    Texts, as a form and options have them, are read; values are taken as they are. What is judged
    by another field stands below it. Each sentence is for the person who typed the field.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: _Line
    currency: _Line = ""
    amount: int | None = None  # minor units of `currency`
    percent: _Number = Field(None, validate_default=True)
    publication: Publication | None = None
    starts_at: _Start = Field(None, validation_alias=AliasChoices("starts_on", "starts_at"))
    ends_at: _End = Field(None, validation_alias=AliasChoices("ends_on", "ends_at"))
    max_orders: _Number = None
    max_orders_each: _Number = None
    domains: _Words = ()
    members: _Words = ()
    code: _Line = Field("", validate_default=True)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not 1 <= len(name) <= 60:
            raise ValueError("Enter a name of up to 60 characters; buyers read it.")
        return name

    @field_validator("amount", mode="before")
    @classmethod
    def _read_amount(cls, value: object, others: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        if not value.strip():
            return None
        try:
            return parse_price(value, others.data["currency"], noun="amount")
        except InvalidPrice as refusal:
            raise ValueError(refusal.sentence) from None

    @field_validator("percent")
    @classmethod
    def _check_percent(cls, percent: int | None, others: ValidationInfo) -> int | None:
        if "amount" in others.data and (percent is None) == (others.data["amount"] is None):
            raise ValueError("Enter either a percentage or an amount.")
        if percent is not None and not 1 <= percent <= 100:
            raise ValueError("Enter a percentage from 1 to 100.")
        return percent

    @field_validator("publication", mode="before")
    @classmethod
    def _read_publication(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return publication_by_slug(value) if value else None

    @field_validator("ends_at")
    @classmethod
    def _check_end(cls, ends_at: datetime | None, others: ValidationInfo) -> datetime | None:
        starts_at = others.data.get("starts_at")
        if starts_at and ends_at and ends_at <= starts_at:
            raise ValueError("The end must come after the beginning.")
        return ends_at

    @field_validator("max_orders", "max_orders_each")
    @classmethod
    def _check_limit(cls, most: int | None) -> int | None:
        if most is not None and most < 1:
            raise ValueError("Enter a number of 1 or more, or leave it empty.")
        return most

    @field_validator("domains")
    @classmethod
    def _check_domains(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _DOMAIN.fullmatch(host.lower()):
                raise ValueError(f"“{host}” is not the end of an address, such as nursery.example.")
        return tuple(dict.fromkeys(address_key(f"@{host}")[1:] for host in hosts))

    @field_validator("members")
    @classmethod
    def _check_members(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            try:
                parse_address(address)
            except InvalidAddress:
                raise ValueError(f"“{address}” is not an e-mail address.") from None
        return tuple(dict.fromkeys(address_key(parse_address(one)) for one in addresses))

    @field_validator("code")
    @classmethod
    def _check_code(cls, code: str, others: ValidationInfo) -> str:
        key = code_key(code)
        if {"domains", "members"} <= others.data.keys():
            has_members = bool(others.data["domains"] or others.data["members"])
            if not key and not has_members:
                raise ValueError("Enter a code, or the domains or addresses of the members.")
            if key and has_members:
                raise ValueError("Leave the members empty where there is a code, or the code.")
        if key and not _CODE.fullmatch(key):
            raise ValueError("A code has 3 to 30 letters (A to Z) and digits.")
        if key and db.session.scalar(sa.select(Discount.id).filter_by(code_key=key)):
            raise ValueError("There is a discount with this code already. Choose another.")
        return code


def add_discount(name: str, **given: Any) -> Discount:
    """A new discount; `given` are fields of `NewDiscount`, as typed or as values.

    Refuses (`InvalidFields`) naming each field that cannot be taken.
    """
    try:
        new = NewDiscount.model_validate({"name": name, **given})
    except ValidationError as invalid:
        faults = {str(one["loc"][0]): str(one["ctx"]["error"]) for one in invalid.errors()}
        raise InvalidFields(faults) from None
    discount = Discount(
        name=new.name,
        code=new.code or None,
        code_key=code_key(new.code) or None,
        percent=new.percent,
        amount=new.amount,
        currency=new.currency.upper() if new.amount else None,
        publication_id=new.publication.id if new.publication else None,
        starts_at=new.starts_at,
        ends_at=new.ends_at,
        max_orders=new.max_orders,
        max_orders_each=new.max_orders_each,
        domains=",".join(new.domains),
        created_at=clock.now(),
    )
    db.session.add(discount)
    db.session.flush()
    db.session.add_all(
        DiscountMember(discount_id=discount.id, email_key=key) for key in new.members
    )
    db.session.flush()
    return discount


def code_key(text: str) -> str:
    """A code without regard to case, blanks and hyphens."""
    return "".join(text.split()).replace("-", "").upper()


def end_discount(discount: Discount) -> None:
    """From now on it takes nothing off; orders that were placed keep what they agreed."""
    if discount.ended_at is None:
        discount.ended_at = clock.now()
        db.session.flush()


def list_discounts(place: Place = BEGINNING) -> Page[Discount]:
    """Every discount, newest first, ended ones too."""
    query = sa.select(Discount).options(joinedload(Discount.publication))
    return paginate(query, place, Discount.id.desc())


def discount_by_name(text: str) -> Discount:
    """The discount of a code, or of a number as lists show it. Refuses `DiscountUnknown`."""
    query = sa.select(Discount).where(Discount.code_key == code_key(text))
    found = db.session.scalar(query)
    if found is None and text.isdecimal() and len(text) < 10:
        found = db.session.get(Discount, int(text))
    if found is None:
        raise DiscountUnknown
    return found


def is_over(discount: Discount) -> bool:
    """Whether it was ended by staff, or its time is up."""
    now = clock.now()
    return discount.ended_at is not None or (
        discount.ends_at is not None and now >= discount.ends_at
    )


def state_of(discount: Discount) -> str:
    """counts, ended or later."""
    if is_over(discount):
        return "ended"
    return "later" if discount.starts_at and discount.starts_at > clock.now() else "counts"


def last_day(discount: Discount) -> date | None:
    """The last day on which it counts, in the shop's zone; None where it has no end."""
    if discount.ends_at is None:
        return None
    return (discount.ends_at - timedelta(seconds=1)).astimezone(config().zone).date()


def hold_place(discount_id: int | None, email: str, form_key: str) -> None:
    """Hold a place of a limited discount for the order of a form, one order after the other.

    The discount's row is locked until the order is written, so that the last place is given once:
    after the order's own, as every press takes them, and so that orders that name the discount can
    be added meanwhile. Refuses (`CodeRefused`).
    """
    if discount_id is None:
        return
    discount = db.session.scalars(
        sa.select(Discount)
        .where(Discount.id == discount_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).one()
    check_limits(discount, email, form_key)


def keep_place(order: Order, until: datetime | None) -> None:
    """Let a pending order keep its place until then; None for as long as it is pending, because
    money for it is on its way."""
    if order.place_until is not None and (until is None or until > order.place_until):
        order.place_until = until
        db.session.flush()


def give_place_back(order: Order) -> None:
    """Let a pending order whose money did not come after all keep its place no longer."""
    order.place_until = clock.now()
    db.session.flush()


def check_limits(discount: Discount, email: str, form_key: str) -> None:
    """Refuses (`CodeRefused`) where no place is left, in all or for the owner of this address."""
    if fault := limit_fault(discount, email, form_key):
        raise CodeRefused(fault)


def limit_fault(discount: Discount, email: str, form_key: str) -> str:
    """Why no place is left, in all or for the owner of this address; empty where one is. The order
    of this form does not count."""
    name = f"The code “{discount.code}”" if discount.code else f"“{discount.name}”"
    most, each = discount.max_orders, discount.max_orders_each
    if most is not None and orders_with(discount.id, but_form_key=form_key) >= most:
        return f"{name} has been used as often as it may be."
    if each is not None and email and orders_with(discount.id, email, form_key) >= each:
        return (
            f"{name} is for {_orders_each(discount)} per person, and you have placed "
            f"{'it' if each == 1 else 'them'}."
        )
    return ""


def orders_with(discount_id: int, email: str = "", but_form_key: str = "") -> int:
    """How many orders have a place of a discount; of one person, if an address is given: those that
    the address was proved for, wherever they are now, and all of its customer's."""
    query = sa.select(sa.func.count(Order.id)).where(
        Order.discount_id == discount_id, _has_place(), ~is_of_form(but_form_key)
    )
    if email:
        key = address_key(email)
        theirs = sa.select(Customer.id).where(Customer.email_key == key)
        proved = sa.select(Offer.order_id).where(
            Offer.email_key == key, Offer.order_id.is_not(None)
        )
        query = query.where(sa.or_(Order.customer_id.in_(theirs), Order.id.in_(proved)))
    return db.session.scalars(query).one()


def _has_place() -> sa.ColumnElement[bool]:
    """Orders that use a discount or hold a place of it: paid, whenever the money came, or pending
    and not for longer than a place is held."""
    is_held = sa.or_(Order.place_until.is_(None), Order.place_until > clock.now())
    return sa.or_(
        Order.status == OrderStatus.PAID, sa.and_(Order.status == OrderStatus.PENDING, is_held)
    )


def _orders_each(discount: Discount) -> str:
    each = discount.max_orders_each or 0
    return "one order" if each == 1 else f"{each} orders"


def places_by_discount(discount_ids: list[int]) -> dict[int, Places]:
    """How many orders have a place of each, in one statement."""
    is_paid = sa.case((Order.status == OrderStatus.PAID, 1), else_=0)
    counted = (
        sa.select(Order.discount_id, sa.func.sum(is_paid), sa.func.count(Order.id))
        .where(Order.discount_id.in_(discount_ids), _has_place())
        .group_by(Order.discount_id)
    )
    found = {row[0]: Places(row[1], row[2] - row[1]) for row in db.session.execute(counted)}
    return {one: found.get(one, Places()) for one in discount_ids}
