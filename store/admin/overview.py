"""What the first page of the desk says: money, what goes out next, what failed, what waits."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from store.catalog.models import Edition, EditionStatus, Publication, PublicationStatus, Seller
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.space import unrecorded_downloads
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus
from store.orders.models import Order
from store.payments.models import (
    Checkout,
    CheckoutStatus,
    Dispute,
    EventStatus,
    GatewayEvent,
    Refund,
    RefundStatus,
    TransferBack,
)

SLOW_EVENT = timedelta(minutes=1)


def today() -> datetime:
    """The moment at which the day began that the shop's clock shows."""
    zone = config().zone
    return clock.start_of(clock.today(zone), zone)


def goes_out_next() -> tuple[Sequence[Edition], int, datetime | None]:
    """Editions that are scheduled, letters that wait, and when the next one falls due."""
    scheduled = db.session.scalars(
        sa.select(Edition)
        .where(Edition.status == EditionStatus.SCHEDULED)
        .options(joinedload(Edition.publication))
        .order_by(Edition.release_at)
    ).all()
    waiting, due = db.session.execute(
        sa.select(sa.func.count(), sa.func.min(Delivery.due_at)).where(
            Delivery.status.in_(DeliveryStatus.open())
        )
    ).one()
    return scheduled, waiting, due


def failed() -> dict[str, int]:
    """What went wrong and stands so: downloads without a record, letters, refunds, payments that
    nobody could apply. Called before anything else is read, as it gives the connection back."""
    return {
        "downloads": unrecorded_downloads(),
        "letters": _count(Delivery, Delivery.status == DeliveryStatus.FAILED),
        "refunds": _count(Refund, Refund.status == RefundStatus.FAILED),
        "events": _count(
            GatewayEvent,
            GatewayEvent.status == EventStatus.RECEIVED,
            GatewayEvent.received_at < clock.now() - SLOW_EVENT,
        ),
    }


def needs_a_person() -> dict[str, Any]:
    """Disputes to answer, refunds to send by bank, transfers to look out for, held orders and
    letters, paused releases, drafts, promised dates that have passed."""
    paused = sa.select(Batch.subject_id).where(Batch.status == BatchStatus.PAUSED)
    return {
        "disputes": _count(
            Dispute,
            *(moment.is_(None) for moment in (Dispute.won_at, Dispute.lost_at, Dispute.closed_at)),
            Dispute.submitted_at.is_(None),
        ),
        "backs": _count(TransferBack, TransferBack.sent_at.is_(None)),
        "transfers": _count(
            Checkout, Checkout.gateway == "manual", Checkout.status == CheckoutStatus.OPEN
        ),
        "orders": _count(Order, Order.held_at.is_not(None)),
        "held": _count(Delivery, Delivery.status == DeliveryStatus.HELD),
        "paused": _editions(Edition.id.in_(paused)),
        "drafts": _editions(Edition.status == EditionStatus.DRAFT),
        "overdue": _overdue(),
    }


def first_steps() -> list[tuple[str, str, bool]]:
    """What a new shop does first: words, address, whether it is done; empty once all is."""
    steps = [
        ("Say who sells", "/admin/seller", _exists(Seller)),
        ("Add a publication", "/admin/publications/new", _exists(Publication)),
        (
            "Put it on sale",
            "/admin/publications",
            _exists(Publication, Publication.status != PublicationStatus.DRAFT),
        ),
        ("Upload its first edition", "/admin/publications", _exists(Edition)),
    ]
    return [] if steps[-1][2] and steps[0][2] and steps[2][2] else steps


def _count(table: Any, *only: Any) -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(table).where(*only)) or 0


def _exists(table: Any, *only: Any) -> bool:
    return bool(db.session.scalar(sa.select(sa.exists().select_from(table).where(*only))))


def _editions(which: Any) -> Sequence[Edition]:
    query = sa.select(Edition).where(which).options(joinedload(Edition.publication))
    return db.session.scalars(query.order_by(Edition.id.desc()).limit(10)).all()


def _overdue() -> Sequence[Publication]:
    released = sa.exists().where(
        Edition.publication_id == Publication.id, Edition.released_at.is_not(None)
    )
    query = sa.select(Publication).where(
        Publication.status == PublicationStatus.LISTED,
        Publication.expected_on < clock.today(config().zone),
        ~released,
    )
    return db.session.scalars(query.order_by(Publication.expected_on).limit(10)).all()
