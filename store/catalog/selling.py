"""Who sells: stated by staff, each wording kept, so that an order shows the one it saw."""

from typing import Any

import sqlalchemy as sa

from store.catalog.models import Seller
from store.kit import clock
from store.kit.database import db
from store.kit.errors import InvalidFields, Refusal
from store.kit.text import clean_line, clean_text

_LONGEST = {
    "trading_name": 200,
    "legal_name": 200,
    "charity_number": 40,
    "company_number": 40,
    "email": 320,
    "reply_to": 320,
    "phone": 60,
    "vat_number": 40,
}


class SellerUnknown(Refusal):
    """Nothing can be sold before it is said who sells."""

    sentence = "It is not said yet who sells. Fill in the seller first."


def current_seller() -> Seller:
    """Who sells, as last stated. Refuses (`SellerUnknown`) where nobody has said."""
    seller = _newest_seller()
    if seller is None:
        raise SellerUnknown
    return seller


def state_seller(**fields: str) -> Seller:
    """State anew who sells; what is not given stays as it stood. Orders keep what they saw.

    Refuses (`InvalidFields`) a missing trading name or e-mail address, and what is too long.
    """
    before = _newest_seller()
    names = (*_LONGEST, "address")
    values = {name: getattr(before, name) if before else "" for name in names}
    for name, text in fields.items():
        values[name] = clean_text(text) if name == "address" else clean_line(text)
    faults = too_long(values, _LONGEST | {"address": 400})
    if not values["trading_name"]:
        faults["trading_name"] = "Enter the name that you trade under."
    if "@" not in values["email"]:
        faults["email"] = "Enter the e-mail address that customers can write to."
    if faults:
        raise InvalidFields(faults)
    seller = Seller(**values, stated_at=clock.now())
    db.session.add(seller)
    db.session.flush()
    return seller


def _newest_seller() -> Seller | None:
    return db.session.scalars(sa.select(Seller).order_by(Seller.id.desc()).limit(1)).first()


def too_long(values: dict[str, Any], longest: dict[str, int]) -> dict[str, str]:
    """A sentence for each value that has more characters than its column takes."""
    return {
        name: f"This must be {most} characters or fewer."
        for name, most in longest.items()
        if len(values.get(name) or "") > most
    }
