"""What the desk reads for its lists, in a fixed number of statements however long they are."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from flask import request
from sqlalchemy.orm import joinedload

from store.catalog.models import Edition, EditionStatus
from store.entitlements.models import Download, Entitlement
from store.kit.database import db
from store.kit.paging import Page, paginate
from store.kit.status import StatusChange
from store.mail.models import Attempt, Batch, Delivery, DeliveryStatus
from store.orders.models import Customer, Order

PAGE_SIZE = 25


def searched() -> str:
    """What is looked for: `?q=`, or `?email=` as other programs write it."""
    return (request.args.get("q") or request.args.get("email") or "").strip()


def newest_editions(publication_ids: list[int]) -> dict[int, dict[str, Edition]]:
    """Per publication its newest `released` edition and its newest `draft` or scheduled one."""
    query = (
        sa.select(Edition)
        .where(
            Edition.publication_id.in_(publication_ids), Edition.status != EditionStatus.WITHDRAWN
        )
        .order_by(Edition.number)
    )
    found: dict[int, dict[str, Edition]] = {}
    for edition in db.session.scalars(query):
        kind = "released" if edition.status is EditionStatus.RELEASED else "draft"
        found.setdefault(edition.publication_id, {})[kind] = edition
    return found


def customers_of(publication_id: int) -> int:
    """How many customers hold a right to a publication."""
    query = sa.select(sa.func.count(Entitlement.customer_id.distinct())).where(
        Entitlement.publication_id == publication_id, Entitlement.revoked_at.is_(None)
    )
    return db.session.scalar(query) or 0


def history(entity: str, ids: Iterable[int]) -> list[StatusChange]:
    """What happened to rows of one table, oldest first."""
    return _history_of({entity: list(ids)})


def edition_history(edition_id: int) -> list[StatusChange]:
    """What happened to an edition and to the letters of its release, oldest first."""
    batches = sa.select(Batch.id).where(Batch.reason == "edition", Batch.subject_id == edition_id)
    return _history_of({"editions": [edition_id], "batches": batches})


def publication_history(publication_id: int) -> list[StatusChange]:
    """What happened to a publication, oldest first; its editions tell their own."""
    return history("publications", [publication_id])


def _history_of(rows: dict[str, Any]) -> list[StatusChange]:
    wanted = [
        sa.and_(StatusChange.entity == entity, StatusChange.entity_id.in_(ids))
        for entity, ids in rows.items()
    ]
    query = sa.select(StatusChange).where(sa.or_(*wanted))
    return list(db.session.scalars(query.order_by(StatusChange.at, StatusChange.id)))


def letters(
    *, status: DeliveryStatus | None = None, kind: str = "", page: int = 1
) -> Page[Delivery]:
    """Letters owed or sent, newest first."""
    query = sa.select(Delivery).order_by(Delivery.id.desc())
    if status is not None:
        query = query.where(Delivery.status == status)
    if kind:
        query = query.where(Delivery.kind == kind)
    return paginate(query, page, PAGE_SIZE)


def letters_of(
    *, customer_id: int | None = None, order_id: int | None = None, page: int = 1
) -> Page[Delivery]:
    """The letters of one customer or one order, newest first."""
    query = sa.select(Delivery).order_by(Delivery.id.desc())
    if customer_id is not None:
        query = query.where(Delivery.customer_id == customer_id)
    if order_id is not None:
        query = query.where(Delivery.order_id == order_id)
    return paginate(query, page, PAGE_SIZE)


def people(rows: Iterable[Any]) -> dict[int, Customer]:
    """The customers whom rows with a `customer_id` name, by id."""
    ids = {row.customer_id for row in rows if row.customer_id is not None}
    query = sa.select(Customer).where(Customer.id.in_(ids))
    return {customer.id: customer for customer in db.session.scalars(query)}


def attempts_of(delivery_id: int) -> list[Attempt]:
    """Every try to hand one letter over, oldest first."""
    query = sa.select(Attempt).where(Attempt.delivery_id == delivery_id).order_by(Attempt.id)
    return list(db.session.scalars(query))


def troubled(batch_id: int, page: int = 1) -> Page[Delivery]:
    """The letters of a release that could not be delivered or wait for a person."""
    query = (
        sa.select(Delivery)
        .where(
            Delivery.batch_id == batch_id,
            Delivery.status.in_((DeliveryStatus.FAILED, DeliveryStatus.HELD)),
        )
        .order_by(Delivery.id)
    )
    return paginate(query, page, PAGE_SIZE)


def downloads_of(customer_id: int, page: int = 1) -> Page[Download]:
    """What a customer fetched, newest first."""
    query = (
        sa.select(Download)
        .where(Download.customer_id == customer_id)
        .options(joinedload(Download.asset))
        .order_by(Download.id.desc())
    )
    return paginate(query, page, PAGE_SIZE)


def released_for(customer_id: int) -> dict[int, list[Edition]]:
    """Per publication of a customer the ten newest editions that were ever released."""
    mine = sa.select(Entitlement.publication_id).where(Entitlement.customer_id == customer_id)
    query = (
        sa.select(Edition)
        .where(Edition.publication_id.in_(mine), Edition.released_at.is_not(None))
        .order_by(Edition.number.desc())
    )
    found: dict[int, list[Edition]] = {}
    for edition in db.session.scalars(query):
        found.setdefault(edition.publication_id, []).append(edition)
    return {publication_id: editions[:10] for publication_id, editions in found.items()}


def orders_of(customer_id: int, page: int = 1) -> Page[Order]:
    """A customer's orders, newest first."""
    query = (
        sa.select(Order)
        .where(Order.customer_id == customer_id)
        .options(sa.orm.selectinload(Order.lines))
        .order_by(Order.id.desc())
    )
    return paginate(query, page, PAGE_SIZE)
