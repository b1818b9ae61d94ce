"""The form of a discount, read into what the rules take."""

from datetime import date, datetime
from typing import Any

from store.catalog import publications
from store.kit import clock
from store.kit.config import config
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Typed
from store.kit.money import InvalidPrice, parse_price
from store.orders import discount_rows


def add_typed(values: Typed) -> None:
    """Add the discount of a form. Refuses (`InvalidFields`) naming each field."""
    faults: dict[str, str] = {}
    read: dict[str, Any] = {
        "percent": _number(values, "percent", faults),
        "amount": _amount(values, faults),
        "starts_at": _moment(values, "starts_on", faults, is_end=False),
        "ends_at": _moment(values, "ends_on", faults, is_end=True),
        "max_orders": _number(values, "max_orders", faults),
        "max_orders_each": _number(values, "max_orders_each", faults),
    }
    if faults:
        raise InvalidFields(faults)
    texts = {name: values[name] for name in ("code", "currency", "domains", "members")}
    with transaction():
        slug = values["publication"]
        of = publications.publication_by_slug(slug) if slug else None
        discount_rows.add_discount(values["name"], publication=of, **texts, **read)


def _number(values: Typed, name: str, faults: dict[str, str]) -> int | None:
    text = values[name].strip()
    if text and not (text.isdecimal() and len(text) < 9):
        faults[name] = "Enter a whole number, or leave it empty."
        return None
    return int(text) if text else None


def _amount(values: Typed, faults: dict[str, str]) -> int | None:
    if not values["amount"].strip():
        return None
    try:
        return parse_price(values["amount"], values["currency"])
    except InvalidPrice as refusal:
        faults["amount"] = refusal.sentence.replace("The price", "The amount", 1)
        return None


def _moment(values: Typed, name: str, faults: dict[str, str], *, is_end: bool) -> datetime | None:
    text = values[name].strip()
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        faults[name] = "Enter the day like 2027-03-31, or leave it empty."
        return None
    return (clock.end_of if is_end else clock.start_of)(day, config().zone)
