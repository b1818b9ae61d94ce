"""What one order has brought, as its page shows it: plain values, read by two statements that are built
once. Nothing else of its customer is among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from store.catalog import released
from store.catalog.models import Asset, Edition
from store.catalog.released import ReleasedEdition
from store.entitlements.models import Entitlement
from store.entitlements.shelves import Carried, Right, Standing, readable
from store.kit.database import db
from store.orders.models import OrderLine


@dataclass
class OrderShelf(Standing):
    """The rights of an order to its publication, none before it is paid, and the editions that
    they open now, newest first."""

    rights: Sequence[Right]
    editions: list[ReleasedEdition]
    is_published: bool
    cover: str | None  # SHA-256 of page one of the newest edition's PDF

    @property
    def is_taken_back(self) -> bool:
        """Whether it gave something, and all of that was taken back."""
        return bool(self.rights) and self.is_refunded

    @property
    def first_at(self) -> datetime | None:
        """When the copy may first be had, taken back or not; None where nothing was given."""
        return min((right.available_at for right in self.rights), default=None)


_carried = sa.alias(Edition.__table__)
_RIGHTS = (
    sa.select(
        _carried.c.number,
        _carried.c.status,
        Entitlement.granted_at,
        Entitlement.available_at,
        Entitlement.updates_until,
        Entitlement.suspended_at,
        Entitlement.held_at,
        Entitlement.revoked_at,
        Entitlement.revoked_reason,
    )
    .select_from(Entitlement)
    .join(OrderLine, OrderLine.id == Entitlement.order_line_id)
    .outerjoin(_carried, _carried.c.id == Entitlement.from_edition_id)
    .where(OrderLine.order_id == sa.bindparam("order_id"))
    .order_by(Entitlement.id)
)
_EDITIONS = released.ROWS.where(
    Edition.publication_id == sa.bindparam("publication_id")
).add_columns(Asset.cover_sha256)


def shelf_of_order(order_id: int, publication_id: int) -> OrderShelf:
    """What an order of this publication has brought, asked now."""
    connection = db.session.connection()
    rights = [
        Right(Carried(*row[:2]) if row[0] is not None else None, None, *row[2:])
        for row in connection.execute(_RIGHTS, {"order_id": order_id})
    ]
    rows = connection.execute(_EDITIONS, {"publication_id": publication_id}).all()
    editions = released.read_released(row[:-1] for row in rows)
    covers = [row[-1] for row in rows if row[0] == editions[0].id and row[-1]] if rows else []
    return OrderShelf(
        rights, readable(rights, editions), bool(editions), covers[0] if covers else None
    )
