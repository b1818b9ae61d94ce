"""Making, finding and ending discounts."""

import re
import secrets
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from store.catalog.models import Publication
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import InvalidFields, NotFound
from store.kit.paging import Page, paginate
from store.kit.text import clean_line
from store.orders.customers import address_key, parse_address
from store.orders.discount_checks import limit_faults, name_faults, period_faults, value_faults
from store.orders.discount_limits import has_place
from store.orders.discounts import code_key, is_over
from store.orders.models import Discount, DiscountMember, Order, OrderStatus
from store.orders.orders import REFERENCE_LETTERS


class DiscountUnknown(NotFound):
    """No discount of this number or code."""

    sentence = "We have no discount of that name."


def add_discount(
    name: str,
    *,
    code: str = "",
    percent: int | None = None,
    amount: int | None = None,
    currency: str = "",
    publication: Publication | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    max_orders: int | None = None,
    max_orders_each: int | None = None,
    domains: str = "",
    members: str = "",
) -> Discount:
    """A new discount, by a code or, without one, for members: `domains` and `members` (addresses)
    as they were typed, blanks or commas between. `amount` is in minor units of `currency`.

    Refuses (`InvalidFields`) naming each field that cannot be taken.
    """
    typed = {"name": clean_line(name), "code": clean_line(code)}
    hosts, addresses = _words(domains), _words(members)
    faults = value_faults(percent, amount) | period_faults(starts_at, ends_at)
    faults |= limit_faults(max_orders=max_orders, max_orders_each=max_orders_each)
    faults |= name_faults(typed, hosts, addresses)
    if faults:
        raise InvalidFields(faults)
    discount = Discount(
        name=typed["name"],
        code=typed["code"] or None,
        code_key=code_key(code) or None,
        percent=percent,
        amount=amount,
        currency=currency if amount else None,
        publication_id=publication.id if publication else None,
        starts_at=starts_at,
        ends_at=ends_at,
        max_orders=max_orders,
        max_orders_each=max_orders_each,
        domains=",".join(dict.fromkeys(address_key(f"@{host}")[1:] for host in hosts)),
        created_at=clock.now(),
    )
    _save(discount, addresses)
    return discount


def _save(discount: Discount, addresses: list[str]) -> None:
    db.session.add(discount)
    db.session.flush()
    keys = dict.fromkeys(address_key(parse_address(one)) for one in addresses)
    db.session.add_all(DiscountMember(discount_id=discount.id, email_key=key) for key in keys)
    db.session.flush()


def suggested_code() -> str:
    """Eight letters and digits that can be read aloud and not guessed."""
    return "".join(secrets.choice(REFERENCE_LETTERS) for _ in range(8))


def end_discount(discount: Discount) -> None:
    """From now on it takes nothing off; orders that were placed keep what they agreed."""
    if discount.ended_at is None:
        discount.ended_at = clock.now()
        db.session.flush()


def list_discounts(page: int = 1) -> Page[Discount]:
    """Every discount, newest first, ended ones too."""
    query = sa.select(Discount).options(joinedload(Discount.publication))
    return paginate(query.order_by(Discount.id.desc()), page)


def discount_by_name(text: str) -> Discount:
    """The discount of a code, or of a number as lists show it. Refuses `DiscountUnknown`."""
    query = sa.select(Discount).where(Discount.code_key == code_key(text))
    found = db.session.scalar(query)
    if found is None and text.isdecimal() and len(text) < 10:
        found = db.session.get(Discount, int(text))
    if found is None:
        raise DiscountUnknown
    return found


@dataclass(frozen=True)
class Places:
    """The places of one discount: `used` by orders that are paid, `held` by orders that may be."""

    used: int = 0
    held: int = 0


def places_by_discount(discount_ids: list[int]) -> dict[int, Places]:
    """How many orders have a place of each, in one statement."""
    is_paid = sa.case((Order.status == OrderStatus.PAID, 1), else_=0)
    counted = (
        sa.select(Order.discount_id, sa.func.sum(is_paid), sa.func.count(Order.id))
        .where(Order.discount_id.in_(discount_ids), has_place())
        .group_by(Order.discount_id)
    )
    found = {row[0]: Places(row[1], row[2] - row[1]) for row in db.session.execute(counted)}
    return {one: found.get(one, Places()) for one in discount_ids}


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


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,;]+", text) if word]
