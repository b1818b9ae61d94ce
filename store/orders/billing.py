"""Where a receipt goes: what the buyer adds to an order at any time, money and rights untouched."""

from dataclasses import asdict, dataclass

from store.kit.database import db
from store.kit.errors import InvalidFields
from store.kit.text import clean_line, clean_text, length_faults
from store.orders.models import Order

_LONGEST = {
    "organisation": (200, "The organisation"),
    "billing_address": (400, "The address"),
    "purchase_order_number": (60, "The purchase order number"),
    "vat_number": (40, "The VAT number"),
}
_MOST_LINES = 8


@dataclass(frozen=True)
class Billing:
    """Whom a receipt is made out to, as typed; `billing_address` may have several lines."""

    organisation: str = ""
    billing_address: str = ""
    purchase_order_number: str = ""
    vat_number: str = ""


def billing_of(order: Order) -> Billing:
    """What stands on the order now."""
    return Billing(**{name: getattr(order, name) for name in _LONGEST})


def set_billing(order: Order, typed: Billing) -> None:
    """Write whom the receipt is made out to; nothing else of the order changes.

    Refuses (`InvalidFields`) what is longer than a receipt has room for.
    """
    values = {name: clean_line(text) for name, text in asdict(typed).items()}
    address = map(clean_line, clean_text(typed.billing_address).split("\n"))
    values["billing_address"] = "\n".join(filter(None, address))
    faults = length_faults(values, _LONGEST)
    lines = values["billing_address"].count("\n") + 1
    if lines > _MOST_LINES:
        faults.setdefault(
            "billing_address",
            f"The address can have at most {_MOST_LINES} lines; this has {lines}.",
        )
    if faults:
        raise InvalidFields(faults)
    for name, text in values.items():
        setattr(order, name, text)
    db.session.flush()
