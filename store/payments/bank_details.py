"""Where buyers transfer money to: changed by owners alone, kept in the history, told to owners."""

import re

import sqlalchemy as sa

from store.catalog.models import Seller
from store.catalog.sellers import current_seller, state_seller
from store.kit.database import db
from store.kit.status import StatusChange, record_change
from store.kit.text import clean_text
from store.mail.outbox import alert_staff

CHANGED = "changed"
_SHOWN_DIGITS = 3


def change_bank_details(text: str, who: str) -> Seller:
    """State where money is transferred to from now on; empty text: nobody can pay so. The same
    text changes nothing. Owners are alerted, with the digits masked.

    Refuses (`SellerUnknown`, `InvalidFields`).
    """
    before = current_seller()
    old, new = before.bank_details, clean_text(text)
    if new == old:
        return before
    seller = state_seller(bank_details=new)
    change = f"{masked(old)}, now {masked(new)}"
    record_change(
        db.session(), "sellers", seller.id, "bank details", CHANGED, who=who, why=f"was {change}"
    )
    alert_staff(
        "The bank details of the shop were changed",
        f"Buyers who pay by bank transfer are told another account from now on. It was {change}.\n\n"
        "“Who sells”, “Bank details” says who changed it and when. If none of you did, change it "
        "back, and change your passwords.",
        f"bank_details:{seller.id}",
    )
    return seller


def bank_changes() -> list[StatusChange]:
    """The newest changes of the bank details, the last one first."""
    query = sa.select(StatusChange).filter_by(entity="sellers", to_status=CHANGED)
    return list(db.session.scalars(query.order_by(StatusChange.id.desc()).limit(20)))


def masked(text: str) -> str:
    """Bank details on one line, of whose digits only the last ones can be read."""
    if not text:
        return "none"
    line = ", ".join(one.strip() for one in text.splitlines() if one.strip())
    shown = len(re.findall(r"\d", line)) - _SHOWN_DIGITS
    seen = 0

    def hide(found: re.Match[str]) -> str:
        nonlocal seen
        seen += 1
        return "•" if seen <= shown else found[0]

    return re.sub(r"\d", hide, line)
