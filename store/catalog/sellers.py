"""Who sells, and to which countries: stated by staff, each wording kept, so that an order shows the
one it saw."""

import re
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from babel import Locale

from store.catalog.faces import COLUMNS, PLAIN, HouseFace, face_of
from store.catalog.models import Face, Seller
from store.kit import clock
from store.kit.database import db
from store.kit.errors import InvalidFields, Refusal
from store.kit.mailboxes import OwnAddressUnwritable, own_address
from store.kit.text import clean_line, clean_text, length_faults

# In the order in which they are asked for; bank details are changed by themselves.
FIELDS = (
    "trading_name",
    "legal_name",
    "charity_number",
    "company_number",
    "address",
    "email",
    "reply_to",
    "phone",
    "vat_number",
    "countries",
)
_LONGEST = {
    "trading_name": (200, "The trading name"),
    "legal_name": (200, "The legal name"),
    "charity_number": (40, "The charity number"),
    "company_number": (40, "The company number"),
    "email": (320, "The e-mail address"),
    "reply_to": (320, "The address for replies"),
    "phone": (60, "The telephone number"),
    "vat_number": (40, "The VAT number"),
}
_TEXTS = {
    "address": (400, "The address"),
    "bank_details": (600, "The bank details"),
}  # of several lines


class StatedSeller(NamedTuple):
    """A wording of who sells as plain values: every page has it, and none changes it."""

    id: int
    trading_name: str
    legal_name: str
    charity_number: str
    company_number: str
    address: str
    email: str
    reply_to: str
    phone: str
    vat_number: str
    countries: str
    bank_details: str
    stated_at: datetime
    face: HouseFace  # of today, whatever the wording


# Built once: building and taking apart a statement costs more than running it.
_sellers = cast(sa.Table, Seller.__table__)
_WORDING = StatedSeller._fields[:-1]
_NEWEST = (
    sa.select(*(_sellers.c[name] for name in _WORDING), *COLUMNS)
    .outerjoin(Face, Face.id == 1)
    .order_by(_sellers.c.id.desc())
    .limit(1)
)


class SellerUnknown(Refusal):
    """Nothing can be sold before it is said who sells."""

    sentence = "It is not said yet who sells. Fill in the seller first."


def current_seller() -> StatedSeller:
    """Who sells, as last stated. Refuses (`SellerUnknown`) where nobody has said."""
    seller = _newest_seller()
    if seller is None:
        raise SellerUnknown
    return seller


def current_face() -> HouseFace:
    """How the house looks, read with who sells; the plain face where nobody sells yet."""
    seller = _newest_seller()
    return seller.face if seller is not None else PLAIN


def state_seller(**fields: str) -> Seller:
    """Add a wording of who sells; what is not given stays as it stood. Orders keep what they saw.

    Refuses (`InvalidFields`) a missing trading name or e-mail address, and what is too long.
    """
    before = _newest_seller()
    names = (*_LONGEST, *_TEXTS)
    values = {name: getattr(before, name) if before else "" for name in names}
    for name, text in fields.items():
        values[name] = clean_text(text) if name in _TEXTS else clean_line(text)
    values["countries"], faults = _read_countries(fields.get("countries"), before)
    faults |= length_faults(values, _LONGEST | _TEXTS)
    if not values["trading_name"]:
        faults["trading_name"] = "Enter the name that you trade under."
    faults |= _unwritable(values)
    if faults:
        raise InvalidFields(faults)
    seller = Seller(**values, stated_at=clock.now())
    db.session.add(seller)
    db.session.flush()
    db.session.info.pop("seller", None)
    return seller


def countries_sold_to(seller: Seller | StatedSeller) -> list[tuple[str, str]]:
    """Code (ISO 3166) and English name of each country that the shop sells to, as staff list them."""
    return [(code, country_name(code)) for code in seller.countries.split(",") if code]


@lru_cache(maxsize=512)
def country_name(code: str) -> str:
    """`United Kingdom` for `GB`; the code itself where it is unknown."""
    return str(Locale("en", "GB").territories.get(code, code))


def _read_countries(text: str | None, before: StatedSeller | None) -> tuple[str, dict[str, str]]:
    """Codes as they are stored, and what is wrong with what was typed; None keeps what stood."""
    if text is None:
        return (before.countries if before else "GB"), {}
    codes = list(dict.fromkeys(re.split(r"[\s,]+", text.strip().upper())))
    unknown = [code for code in codes if len(code) != 2 or country_name(code) == code]
    if unknown:
        said = f"“{unknown[0]}” is not the code of a country" if unknown[0] else "Name a country"
        return ",".join(codes), {"countries": f"{said}. Write codes such as GB, IE."}
    return ",".join(codes), {}


def _unwritable(values: dict[str, Any]) -> dict[str, str]:
    """A sentence for each address that no letter could bear."""
    faults = {}
    if not values["email"]:
        faults["email"] = "Enter the e-mail address that customers can write to."
    for name in ("email", "reply_to"):
        try:
            _ = own_address(values[name]) if values[name] else ""
        except OwnAddressUnwritable as refusal:
            faults[name] = refusal.sentence
    return faults


def _newest_seller() -> StatedSeller | None:
    """Asked once in a transaction: a page has it in its head, its foot and for machines."""
    session = db.session()
    asked_in, known = session.info.get("seller", (None, None))
    if known is None or asked_in is not session.get_transaction():
        found = session.connection().execute(_NEWEST).first()
        if found is not None:
            face = face_of(found[len(_WORDING) :])
            known = StatedSeller._make((*found[: len(_WORDING)], face))
        session.info["seller"] = (session.get_transaction(), known)
    return cast(StatedSeller | None, known)
