"""Who is a member for a discount without a code: known by the address, on a list or by its end."""

import sqlalchemy as sa

from store.kit.database import db
from store.orders.customers import address_key
from store.orders.models import Discount, DiscountMember


def rules_for(email: str) -> list[Discount]:
    """The discounts that an address earns by itself, whether or not they count today."""
    key = address_key(email)
    domain = key.rpartition("@")[2]
    listed = sa.exists().where(
        DiscountMember.discount_id == Discount.id, DiscountMember.email_key == key
    )
    rules = db.session.execute(
        sa.select(Discount, listed).where(
            Discount.code_key.is_(None), sa.or_(listed, Discount.domains != "")
        )
    )
    return [rule for rule, is_listed in rules if is_listed or domain in rule.domains.split(",")]
