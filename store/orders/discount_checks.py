"""What is wrong with a discount as it was typed: a sentence for each field."""

import re
from datetime import datetime

import sqlalchemy as sa

from store.kit.database import db
from store.orders.customers import InvalidAddress, parse_address
from store.orders.discounts import code_key
from store.orders.models import Discount

_CODE = re.compile(r"[A-Z0-9]{3,30}")
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]{2,}")


def value_faults(percent: int | None, amount: int | None) -> dict[str, str]:
    """Either a percentage from 1 to 100, or an amount in minor units."""
    if (percent is None) == (amount is None):
        return {"percent": "Enter either a percentage or an amount."}
    if percent is not None and not 1 <= percent <= 100:
        return {"percent": "Enter a percentage from 1 to 100."}
    if amount is not None and amount < 1:
        return {"amount": "Enter an amount of more than nothing."}
    return {}


def period_faults(starts_at: datetime | None, ends_at: datetime | None) -> dict[str, str]:
    """An end, where there is one, after the beginning (UTC)."""
    if starts_at and ends_at and ends_at <= starts_at:
        return {"ends_at": "The end must come after the beginning."}
    return {}


def limit_faults(**limits: int | None) -> dict[str, str]:
    """Limits of at least one order, where there are any."""
    return {
        name: "Enter a number of 1 or more, or leave it empty."
        for name, most in limits.items()
        if most is not None and most < 1
    }


def name_faults(typed: dict[str, str], hosts: list[str], addresses: list[str]) -> dict[str, str]:
    """A name and a code that can be used, or members without a code."""
    faults: dict[str, str] = {}
    key, has_members = code_key(typed["code"]), bool(hosts or addresses)
    if not 1 <= len(typed["name"]) <= 60:
        faults["name"] = "Enter a name of up to 60 characters; buyers read it."
    if key:
        faults |= _code_faults(key)
    elif not has_members:
        faults["code"] = "Enter a code, or the domains or addresses of the members."
    if key and has_members:
        faults["domains"] = "Leave the members empty where there is a code, or the code."
    return faults | _member_faults(hosts, addresses)


def _code_faults(key: str) -> dict[str, str]:
    if not _CODE.fullmatch(key):
        return {"code": "A code has 3 to 30 letters (A to Z) and digits."}
    if db.session.scalar(sa.select(Discount.id).filter_by(code_key=key)):
        return {"code": "There is a discount with this code already. Choose another."}
    return {}


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
