"""Making, finding and ending discounts."""

import re
import secrets
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
from store.orders.addresses import InvalidAddress, address_key, parse_address
from store.orders.customers import REFERENCE_LETTERS
from store.orders.discounts import COUNTED, code_key, is_over
from store.orders.models import Discount, DiscountMember, Order

_CODE = re.compile(r"[A-Z0-9]{3,30}")
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]{2,}")


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
    faults = _value_faults(percent, amount) | _period_faults(starts_at, ends_at)
    faults |= _limit_faults(max_orders=max_orders, max_orders_each=max_orders_each)
    faults |= _name_faults(typed, hosts, addresses)
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
    db.session.add(discount)
    db.session.flush()
    keys = dict.fromkeys(address_key(parse_address(one)) for one in addresses)
    db.session.add_all(DiscountMember(discount_id=discount.id, email_key=key) for key in keys)
    db.session.flush()
    return discount


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


def orders_by_discount(discount_ids: list[int]) -> dict[int, int]:
    """How many orders hold a place of each, in one statement."""
    held = sa.select(Order.discount_id, sa.func.count(Order.id)).where(
        Order.discount_id.in_(discount_ids), Order.status.in_(COUNTED)
    )
    found = db.session.execute(held.group_by(Order.discount_id))
    return dict.fromkeys(discount_ids, 0) | {row[0]: row[1] for row in found if row[0]}


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


def _value_faults(percent: int | None, amount: int | None) -> dict[str, str]:
    if (percent is None) == (amount is None):
        return {"percent": "Enter either a percentage or an amount."}
    if percent is not None and not 1 <= percent <= 100:
        return {"percent": "Enter a percentage from 1 to 100."}
    if amount is not None and amount < 1:
        return {"amount": "Enter an amount of more than nothing."}
    return {}


def _period_faults(starts_at: datetime | None, ends_at: datetime | None) -> dict[str, str]:
    if starts_at and ends_at and ends_at <= starts_at:
        return {"ends_at": "The end must come after the beginning."}
    return {}


def _limit_faults(**limits: int | None) -> dict[str, str]:
    return {
        name: "Enter a number of 1 or more, or leave it empty."
        for name, most in limits.items()
        if most is not None and most < 1
    }


def _name_faults(typed: dict[str, str], hosts: list[str], addresses: list[str]) -> dict[str, str]:
    faults: dict[str, str] = {}
    key = code_key(typed["code"])
    if not 1 <= len(typed["name"]) <= 60:
        faults["name"] = "Enter a name of up to 60 characters; buyers read it."
    if key and not _CODE.fullmatch(key):
        faults["code"] = "A code has 3 to 30 letters (A to Z) and digits."
    elif key and db.session.scalar(sa.select(Discount.id).filter_by(code_key=key)):
        faults["code"] = "There is a discount with this code already. Choose another."
    if not key and not hosts and not addresses:
        faults["code"] = "Enter a code, or the domains or addresses of the members."
    if key and (hosts or addresses):
        faults["domains"] = "Leave the members empty where there is a code, or the code."
    return faults | _member_faults(hosts, addresses)


def _member_faults(hosts: list[str], addresses: list[str]) -> dict[str, str]:
    faults: dict[str, str] = {}
    for host in hosts:
        if not _DOMAIN.fullmatch(host.lower()):
            faults["domains"] = f"“{host}” is not the end of an address, such as nursery.example."
    for address in addresses:
        try:
            parse_address(address)
        except InvalidAddress:
            faults["members"] = f"“{address}” is not an e-mail address."
    return faults
