"""What a customer writes into the order form, cleaned and judged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from store.kit.errors import InvalidFields
from store.kit.text import clean_line
from store.orders.customers import InvalidAddress, parse_address

_LONGEST = {
    "name": (200, "Your name"),
    "organisation": (200, "The organisation"),
    "purchase_order_number": (60, "The purchase order number"),
    "code": (40, "The discount code"),
}


@dataclass(frozen=True)
class Details:
    """Who orders, as typed; `wants_now` is the consent to immediate supply, `network` and
    `user_agent` say where the form came from."""

    email: str
    name: str = ""
    organisation: str = ""
    purchase_order_number: str = ""
    code: str = ""
    country: str = ""  # ISO 3166; asked where the shop sells to several
    wants_now: bool = False
    network: str = ""
    user_agent: str = ""


def check_details(typed: Details, countries: Sequence[str] = ()) -> Details:
    """The details cleaned; refuses (`InvalidFields`) naming each field that cannot be taken.

    `countries` are those that the shop sells to: of one alone nobody is asked.
    """
    faults: dict[str, str] = {}
    try:
        email = parse_address(typed.email)
    except InvalidAddress as fault:
        email = ""
        faults["email"] = fault.sentence
    lines: dict[str, Any] = {name: clean_line(getattr(typed, name)) for name in _LONGEST}
    for name, text in lines.items():
        most, label = _LONGEST[name]
        if len(text) > most:
            faults[name] = f"{label} can have at most {most} characters; this has {len(text)}."
    country = countries[0] if len(countries) == 1 else typed.country
    if countries and country not in countries:
        faults["country"] = "Choose the country that you live in. We sell to those in the list."
    if faults:
        raise InvalidFields(faults)
    return replace(typed, email=email, country=country, **lines)
