"""What a customer writes into the order form, cleaned and judged."""

from dataclasses import dataclass

from store.kit.errors import InvalidFields
from store.kit.text import clean_line
from store.orders.addresses import InvalidAddress, parse_address

_LONGEST = {
    "name": (200, "Your name"),
    "organisation": (200, "The organisation"),
    "purchase_order_number": (60, "The purchase order number"),
}


@dataclass(frozen=True)
class Details:
    """Who orders, as typed; `wants_now` is the consent to immediate supply."""

    email: str
    name: str = ""
    organisation: str = ""
    purchase_order_number: str = ""
    wants_now: bool = False


def check_details(typed: Details) -> Details:
    """The details cleaned; refuses (`InvalidFields`) naming each field that cannot be taken."""
    faults: dict[str, str] = {}
    try:
        email = parse_address(typed.email)
    except InvalidAddress as fault:
        email = ""
        faults["email"] = fault.sentence
    lines = {name: clean_line(getattr(typed, name)) for name in _LONGEST}
    for name, text in lines.items():
        most, label = _LONGEST[name]
        if len(text) > most:
            faults[name] = f"{label} can have at most {most} characters; this has {len(text)}."
    if faults:
        raise InvalidFields(faults)
    return Details(email=email, wants_now=typed.wants_now, **lines)
