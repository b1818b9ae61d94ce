"""The first page of the desk: money, what goes out next, what failed, what waits for a person."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, redirect, render_template, url_for
from sqlalchemy.orm import joinedload

from store.catalog.models import Edition, EditionStatus, Publication, PublicationStatus, Seller
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.space import unrecorded_downloads
from store.mail import standstills
from store.mail.models import (
    Batch,
    BatchStatus,
    Delivery,
    DeliveryStatus,
    Repair,
    open_letters,
    stands_at,
)
from store.orders.models import Order
from store.payments.gateways.base import MANUAL
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
from store.payments.sums import sums_since
from store.staff.guard import STAFF, opens_to

bp = Blueprint("home", __name__, url_prefix="/admin")

SLOW_EVENT = timedelta(minutes=1)


@bp.get("/")
@opens_to(STAFF)
def home() -> Any:
    """What there is to know and to do today."""
    failed, zone = _failed(), config().zone
    scheduled, waiting, due = _goes_out_next()
    return render_template(
        "admin/home.html",
        steps=_first_steps(),
        standstills=standstills.unseen(),
        today=sums_since(clock.start_of(clock.today(zone), zone)),
        total=sums_since(),
        scheduled=scheduled,
        waiting=waiting,
        next_due=due if due and due > clock.now() else None,
        failed=failed,
        needs=_needs_a_person(),
    )


@bp.get("", strict_slashes=False)
@opens_to(STAFF)
def bare() -> Any:
    """The address without its slash."""
    return redirect(url_for("home.home"), 301)


def _goes_out_next() -> tuple[Sequence[Edition], int, datetime | None]:
    """Editions that are scheduled, letters that wait, and when the next one falls due."""
    scheduled = db.session.scalars(
        sa.select(Edition)
        .where(Edition.status == EditionStatus.SCHEDULED)
        .options(joinedload(Edition.publication))
        .order_by(Edition.release_at)
    ).all()
    found = open_letters(Delivery.due_at).subquery("open_letters")
    waiting, due = db.session.execute(sa.select(sa.func.count(), sa.func.min(found.c.due_at))).one()
    return scheduled, waiting, due


def _failed() -> dict[str, int]:
    """What went wrong and stands so: downloads without a record, letters, refunds, payments that
    nobody could apply. Called before anything else is read, as it gives the connection back."""
    return {
        "downloads": unrecorded_downloads(),
        "letters": _count(Delivery, stands_at(DeliveryStatus.FAILED)),
        "refunds": _count(Refund, Refund.status == RefundStatus.FAILED),
        "events": _count(
            GatewayEvent,
            GatewayEvent.status == EventStatus.RECEIVED,
            GatewayEvent.received_at < clock.now() - SLOW_EVENT,
        ),
    }


def _needs_a_person() -> dict[str, Any]:
    """Disputes to answer, refunds to send by bank, transfers to look out for, held orders and
    letters, letters that came back, paused releases, drafts, promised dates that have passed."""
    paused = sa.select(Batch.subject_id).where(Batch.status == BatchStatus.PAUSED)
    return {
        "disputes": _count(
            Dispute,
            *(moment.is_(None) for moment in (Dispute.won_at, Dispute.lost_at, Dispute.closed_at)),
            Dispute.submitted_at.is_(None),
        ),
        "backs": _count(TransferBack, TransferBack.sent_at.is_(None)),
        "transfers": _count(
            Checkout, Checkout.gateway == MANUAL, Checkout.status == CheckoutStatus.OPEN
        ),
        "orders": _count(Order, Order.held_at.is_not(None)),
        "repairs": _count(Repair, Repair.ended_at.is_(None)),
        "held": _count(Delivery, stands_at(DeliveryStatus.HELD)),
        "paused": _editions(Edition.id.in_(paused)),
        "drafts": _editions(Edition.status == EditionStatus.DRAFT),
        "overdue": _overdue(),
    }


def _first_steps() -> list[tuple[str, str, bool]]:
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
