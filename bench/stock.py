"""Shops with a history: so many customers with an order each, their rights, links and letters."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bench.shops import add_customers, insert, link
from store.catalog.models import Asset, Edition, EditionStatus, Publication, PublicationStatus
from store.catalog.sellers import current_seller
from store.entitlements.models import Entitlement, Link
from store.kit import tokens
from store.kit.database import db, transaction
from store.kit.storage import storage
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus, Occasion
from store.orders.models import Order, OrderLine, OrderStatus
from store.orders.orders import REFERENCE_LETTERS
from store.staff.people import add_staff

SLUG = "guide"
STAFF = {"email": "owner@press.example", "password": "a-long-password-for-measuring"}
# However many they are, they came over this time, the last of them just now: a page that shows
# sixty days shows as many with few orders as with many.
SOLD_FOR = timedelta(days=347)
FILE = b"%PDF-1.7\n" + b"x" * 5_000


def stock(count: int) -> None:
    """One publication with a released edition and a file, so many paid orders of it, and staff."""
    now = datetime.now(UTC)
    with transaction():
        edition = _edition(now)
        ids = add_customers(count, now)
        _add_orders(edition, ids, now)
        add_staff(STAFF["email"], "owner", STAFF["password"])


def _edition(now: datetime) -> Edition:
    publication = Publication(
        slug=SLUG,
        status=PublicationStatus.LISTED,
        title="A guide",
        price_amount=1250,
        currency="GBP",
        created_at=now,
    )
    digest = hashlib.sha256(FILE).hexdigest()
    storage().put_bytes(f"assets/{digest}", FILE)
    file = Asset(
        format="pdf",
        sha256=digest,
        uploaded_sha256=digest,
        size=len(FILE),
        facts={},
        findings=[],
        uploaded_at=now,
    )
    edition = Edition(
        publication=publication,
        number=1,
        status=EditionStatus.RELEASED,
        notes="- First point\n- Second point",
        created_at=now,
        release_at=now,
        released_at=now,
        assets=[file],
    )
    draft = Edition(publication=publication, number=2, status=EditionStatus.DRAFT, created_at=now)
    db.session.add_all([edition, draft])
    db.session.flush()
    return edition


def _add_orders(edition: Edition, ids: range, now: datetime) -> None:
    """Orders, lines and rights have the numbers of their customers."""
    seller = current_seller()
    batch = Batch(
        reason="edition", subject_id=edition.id, status=BatchStatus.FINISHED, created_at=now
    )
    db.session.add(batch)
    db.session.flush()
    for model, row in (
        (Order, lambda i: _order(i, seller.id, now - (ids.stop - i) * (SOLD_FOR / len(ids)))),
        (OrderLine, lambda i: _line(i, edition.publication_id)),
        (Entitlement, lambda i: _right(i, edition, now)),
        (Delivery, lambda i: _letter(i, edition.id, batch.id, now)),
    ):
        insert(model, [row(i) for i in ids])
    insert(Link, [_order_link(i, now) for i in ids])
    insert(Link, [link("stop", i, edition.publication_id, now) for i in ids])


def _order(i: int, seller_id: int, at: datetime) -> dict[str, Any]:
    return {
        "id": i,
        "reference": reference(i),
        "form_key": tokens.new_reference(),
        "customer_id": i,
        "seller_id": seller_id,
        "status": OrderStatus.PAID,
        "email": f"reader{i}@reader.example",
        "name": f"Reader {i}",
        "total_amount": 1250,
        "currency": "GBP",
        "placed_at": at,
        "paid_at": at,
    }


def reference(i: int) -> str:
    """The reference of an order by its number."""
    letters = "".join(REFERENCE_LETTERS[int(digit)] for digit in f"{i:08d}")
    return f"{letters[:4]}-{letters[4:]}"


def _line(i: int, publication_id: int) -> dict[str, Any]:
    return {
        "id": i,
        "order_id": i,
        "publication_id": publication_id,
        "title": "A guide",
        "price_amount": 1250,
        "is_preorder": True,
    }


def _right(i: int, edition: Edition, now: datetime) -> dict[str, Any]:
    return {
        "customer_id": i,
        "publication_id": edition.publication_id,
        "order_line_id": i,
        "seat": 1,
        "granted_at": now,
        "available_at": now,
        "revoked_reason": "",
    }


def _letter(i: int, edition_id: int, batch_id: int, now: datetime) -> dict[str, Any]:
    return {
        "kind": "edition_notice",
        "status": DeliveryStatus.SENT,
        "occasion": Occasion.FIRST_COPY,
        "dedupe_key": f"edition:{edition_id}:{i:010}",
        "batch_id": batch_id,
        "customer_id": i,
        "edition_id": edition_id,
        "created_at": now,
        "due_at": now,
        "tries": 1,
        "sent_at": now,
    }


def _order_link(i: int, now: datetime) -> dict[str, Any]:
    return {
        "reference": tokens.new_reference(),
        "purpose": "order",
        "customer_id": i,
        "order_id": i,
        "created_at": now,
    }


def links(count: int, purpose: str = "library") -> list[Link]:
    """The library links, or those to their orders, of the first so many customers."""
    query = sa.select(Link).where(Link.purpose == purpose).order_by(Link.customer_id)
    return list(db.session.scalars(query.limit(count)))
