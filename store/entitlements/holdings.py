"""What customers have, in numbers: shown before two of them become one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from store.catalog.models import Publication
from store.entitlements.models import Download, Entitlement
from store.kit.database import db
from store.mail.models import Delivery
from store.orders.models import Order


@dataclass(frozen=True)
class Holdings:
    """What moves with a customer."""

    orders: int
    copies: list[str]  # titles under a right that stands
    letters: int
    downloads: int


def holdings(customer_ids: Iterable[int]) -> dict[int, Holdings]:
    """The same four statements however many are asked for."""
    ids = list(customer_ids)
    orders, letters, downloads = (_counts(model, ids) for model in (Order, Delivery, Download))
    titles: dict[int, list[str]] = {one: [] for one in ids}
    query = (
        sa.select(Entitlement.customer_id, Publication.title)
        .join(Publication, Publication.id == Entitlement.publication_id)
        .where(Entitlement.customer_id.in_(ids), Entitlement.revoked_at.is_(None))
        .distinct()
        .order_by(Publication.title)
    )
    for customer_id, title in db.session.execute(query):
        titles[customer_id].append(title)
    return {
        one: Holdings(orders.get(one, 0), titles[one], letters.get(one, 0), downloads.get(one, 0))
        for one in ids
    }


def _counts(model: Any, ids: list[int]) -> dict[int, int]:
    query = sa.select(model.customer_id, sa.func.count()).where(model.customer_id.in_(ids))
    return {row[0]: row[1] for row in db.session.execute(query.group_by(model.customer_id))}
