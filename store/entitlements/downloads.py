"""Downloads as they are noted: once for a granted transfer, with where it went."""

import hashlib

import sqlalchemy as sa

from store.catalog.models import Asset
from store.entitlements.models import Download
from store.kit import clock
from store.kit.database import db, insert_once
from store.kit.text import clean_line


def record_download(
    grant_token: str,
    customer_id: int,
    asset: Asset,
    *,
    order_id: int | None = None,
    network: str = "",
    user_agent: str = "",
) -> bool:
    """Count a granted transfer once, however many ranges and tries it takes; True if it is new.
    `order_id` is that of the order link it was fetched behind; `network` and `user_agent` of the
    first are kept, should the payment be disputed."""
    added = insert_once(
        Download,
        grant_digest=grant_digest(grant_token),
        customer_id=customer_id,
        asset_id=asset.id,
        order_id=order_id,
        started_at=clock.now(),
        network=network[:45],
        user_agent=clean_line(user_agent)[:300],
    )
    return added is not None


def is_recorded(grant_token: str, asset: Asset) -> bool:
    """Whether this transfer was counted already, so that a resumed one need not write."""
    query = sa.select(Download.id).where(
        Download.grant_digest == grant_digest(grant_token), Download.asset_id == asset.id
    )
    return db.session.scalars(query).first() is not None


def grant_digest(token: str) -> str:
    """What stands for a download's token in the table: it must not be usable from there."""
    return hashlib.sha256(token.encode()).hexdigest()
