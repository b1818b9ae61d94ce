"""Money as whole minor units beside a currency code (ISO 4217), never a float."""

import re
from decimal import Decimal
from functools import lru_cache

from babel.numbers import format_currency, get_currency_precision, is_currency

from store.kit.errors import Refusal

# Above this no shop of ours sells one copy; a slip of the keys is likelier.
LARGEST_PRICE = 10_000_000


# The least that Stripe charges in a currency; others are judged by it alone.
LEAST_CHARGE = {
    "AUD": 50, "CAD": 50, "CHF": 50, "EUR": 50, "GBP": 30, "JPY": 50, "NZD": 50, "USD": 50
}  # fmt: skip


class InvalidPrice(Refusal):
    """A price that is not written as a plain amount of its currency."""

    status = 422


class UnknownCurrency(InvalidPrice):
    """A price in no currency that we know."""


def parse_price(text: str, currency: str, *, noun: str = "price") -> int:
    """Read `12.50` as minor units of `currency` (1250). Never rounds.

    Refuses (`InvalidPrice`) signs, exponents, commas, more places than the currency has,
    nothing and too much; its sentence calls the sum `noun`.
    """
    currency = parse_currency(currency)
    places = get_currency_precision(currency)
    pattern = r"\d{1,9}" + (rf"(\.\d{{{places}}})?" if places else "")
    if not re.fullmatch(pattern, text.strip(), re.ASCII):
        example = "1500" if places == 0 else "12." + "50".ljust(places, "0")
        raise InvalidPrice(f"The {noun} “{text}” must be written like {example} for {currency}.")
    amount = int(Decimal(text.strip()).scaleb(places))
    if not 0 < amount <= LARGEST_PRICE:
        raise InvalidPrice(f"The {noun} “{text}” must be more than nothing and not beyond reason.")
    return amount


def charge_fault(amount: int, currency: str) -> str:
    """Why no payment service would charge this price; empty where it would.

    Stripe takes currencies of three places in tens of their minor unit alone.
    """
    least = LEAST_CHARGE.get(currency, 1)
    if amount < least:
        return (
            f"The price must be at least {format_money(least, currency)}: less cannot be charged."
        )
    if get_currency_precision(currency) == 3 and amount % 10:
        return f"A price in {currency} must end with 0, such as {format_money(12_340, currency)}."
    return ""


def parse_currency(text: str) -> str:
    """The ISO 4217 code in capitals; refuses (`UnknownCurrency`) any other."""
    code = text.strip().upper()
    if not is_currency(code):
        raise UnknownCurrency(f"The currency “{text}” must be a code like GBP or EUR.")
    return code


def to_decimal(amount: int, currency: str) -> Decimal:
    """The amount in major units, exact, with as many places as the currency has."""
    return Decimal(amount).scaleb(-get_currency_precision(currency))


@lru_cache(maxsize=1024)
def format_money(amount: int, currency: str) -> str:
    """What people read: `£12.50`, `¥1,500`."""
    sign = {"JPY": "¥"}.get(currency)
    if sign:
        return f"{sign}{amount:,}"
    return format_currency(to_decimal(amount, currency), currency, locale="en_GB")
