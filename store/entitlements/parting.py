"""Two customers whom staff made one are parted again, for 14 days: what was the one's goes back, as far
as it is still where it went, and each has links of their own. What came meanwhile stays, but for what
belongs to an order that goes back, and what was ordered at the address that was free."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus
from store.entitlements.fresh_links import mail_links, start_afresh
from store.entitlements.links import Ended
from store.entitlements.merging import TOGETHER, bring_together, lock_histories, refuse_merged
from store.entitlements.models import (
    CustomerMerge,
    Download,
    Entitlement,
    Link,
    NoticeStop,
    fewer_news,
    news_by,
)
from store.entitlements.news import news_of
from store.entitlements.notices import UNSENT, owe_held_back
from store.entitlements.received import NOTICE
from store.kit import clock
from store.kit.database import Base, UtcDateTime, db, transaction
from store.kit.errors import NotFound, Refusal
from store.kit.mailboxes import address_key
from store.kit.status import StatusChange, advance, record_change
from store.mail import outbox
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus
from store.orders.customers import rename
from store.orders.models import Customer

DAYS = timedelta(days=14)
APART = "two customers were parted again"
# How the letters with fresh links begin; no address stands in them, as a stranger may have typed it.
SAID_TOGETHER = (
    "We brought two addresses of yours together: the copies and orders of both are here now."
)
SAID_APART = (
    "We had brought two addresses together, and parted them again: here are the copies and orders "
    "of this one."
)
_AT_ONCE = 500
_HISTORY = "status_changes.entity_id"
# Columns of a right that two imports of one publication may have changed when they became one.
_JOINED = (
    "granted_at",
    "available_at",
    "updates_months",
    "updates_until",
    "from_edition_id",
    "suspended_at",
    "revoked_at",
    "revoked_reason",
)


class MergeUnknown(NotFound):
    """No two customers became one under this number."""

    sentence = "There is nothing to part at this address."


class TooLateToPart(Refusal):
    """Parted already, or more than 14 days ago."""

    heading = "These two can be parted no more"
    sentence = "They were parted already, or became one more than 14 days ago."


class AddressInUse(Refusal):
    """The one customer has the address of the other by now."""

    heading = "The address is theirs by now"
    sentence = (
        "The customer writes from that address now. Correct the address first, then part the two."
    )


def remember(gone: Customer, kept: Customer) -> dict[str, Any]:
    """What is needed to part two customers, as it is before they become one. Called under the locks
    of their histories."""
    both = (gone.id, kept.id)
    imported = Entitlement.customer_id.in_(both), Entitlement.order_line_id.is_(None)
    notices = (
        Delivery.kind == NOTICE,
        Delivery.edition_id.is_not(None),
        Delivery.customer_id.in_(both),
    )
    return {
        "email": gone.email,
        "name": gone.name,
        "kept_name": kept.name,
        "rows": {where: _ids(where, gone.id) for where in _columns()},
        "rights": _rows(Entitlement, *imported),
        "stops": _rows(NoticeStop, NoticeStop.customer_id.in_(both)),
        "notices": _rows(Delivery, *notices),
    }


def keep(before: dict[str, Any], gone_id: int, kept_id: int, who: str) -> None:
    """Write down that two customers became one, with what parts them."""
    # Of letters these alone; the rest of them has gone or goes its own way.
    names = ("id", "customer_id", "dedupe_key", "batch_id", "status")
    before["notices"] = [{name: row[name] for name in names} for row in before["notices"]]
    db.session.add(
        CustomerMerge(
            gone_id=gone_id, kept_id=kept_id, who=who, merged_at=clock.now(), before=before
        )
    )
    db.session.flush()


def merges_of(customer_id: int) -> list[CustomerMerge]:
    """Whom staff made one with a customer and may still part, the newest first."""
    query = sa.select(CustomerMerge).where(CustomerMerge.kept_id == customer_id, *_partable())
    return list(db.session.scalars(query.order_by(CustomerMerge.id.desc())))


def merge_by_id(number: int, customer_id: int) -> CustomerMerge:
    """One of them. Refuses `MergeUnknown`, `TooLateToPart`."""
    found = db.session.get(CustomerMerge, number)
    if found is None or found.kept_id != customer_id:
        raise MergeUnknown
    if found.parted_at is not None or found.before is None or found.merged_at <= _too_old():
        raise TooLateToPart
    return found


def merge_with(customer_id: int, address: str) -> CustomerMerge:
    """The newest one with whom was known by this address. Refuses `MergeUnknown`."""
    key = address_key(address)
    for found in merges_of(customer_id):
        if found.before and address_key(found.before["email"]) == key:
            return found
    raise MergeUnknown("No customer of this address became one with them within 14 days.")


def part_until(merge: CustomerMerge) -> datetime:
    """Until when two customers can be parted (UTC)."""
    return merge.merged_at + DAYS


def part_customers(number: int, customer_id: int, who: str) -> tuple[Customer, Customer]:
    """Part two customers: gives back who was gone, and who was kept; both have fresh links mailed.
    Refuses `MergeUnknown`, `TooLateToPart`, `AddressInUse`, `CustomerMerged`."""
    merge = merge_by_id(number, customer_id)
    email = str((merge.before or {})["email"])
    there = sa.select(Customer.id).where(Customer.email_key == address_key(email))
    other_id = db.session.scalar(there)
    if other_id == customer_id:
        raise AddressInUse
    customers = lock_histories([merge.gone_id, customer_id, *([other_id] if other_id else [])])
    db.session.refresh(merge, with_for_update=True)
    merge = merge_by_id(number, customer_id)
    before: dict[str, Any] = merge.before or {}
    gone, kept = customers[merge.gone_id], customers[customer_id]
    refuse_merged(kept)
    if other_id is not None:  # who came to the free address reads the same mailbox
        bring_together(customers[other_id], gone, who)
    gone.email, gone.email_key, gone.name = email, address_key(email), before["name"]
    gone.merged_into_id = None
    if kept.name == before["name"] and not before["kept_name"]:
        rename(kept, "")
    db.session.flush()
    _give_back(before, gone.id, kept.id)
    _part_rights(before["rights"], gone.id, kept.id)
    _part_stops(before["stops"], gone.id, kept.id)
    _part_notices(before["notices"], who)
    _owe_held_back(before["stops"], gone.id, kept.id)
    merge.parted_at, merge.parted_by, merge.before = clock.now(), who, None
    db.session.flush()
    db.session.expire_all()
    for customer in (gone, kept):
        record_change(db.session(), "customers", customer.id, "one", "two", who=who, why=APART)
        start_afresh(customer, Ended.ADDRESS)
        mail_links(customer.id, f"parted:{number}:{customer.id}", f"as {APART}", SAID_APART)
    return gone, kept


def forget_merges() -> None:
    """For the timetable: what parts two customers, their address and name among it, goes when it
    is too late."""
    late = CustomerMerge.merged_at <= _too_old(), CustomerMerge.before.is_not(sa.null())
    if db.session.scalars(sa.select(CustomerMerge.id).where(*late).limit(1)).first() is None:
        return
    with transaction() as session:
        session.execute(sa.update(CustomerMerge).where(*late).values(before=sa.null()))


def _partable() -> tuple[sa.ColumnElement[bool], ...]:
    return CustomerMerge.parted_at.is_(None), CustomerMerge.merged_at > _too_old()


def _too_old() -> datetime:
    return clock.now() - DAYS


def _columns() -> dict[str, Any]:
    """Every column of every table that names a customer, so that none can be forgotten."""
    found = {
        f"{table.name}.{column.name}": column
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if table.name != "customers"
        and any(key.column.table.name == "customers" for key in column.foreign_keys)
    }
    history = StatusChange.__table__.c.entity_id
    return found | {_HISTORY: history}


def _of(where: str, customer_id: int) -> list[sa.ColumnElement[bool]]:
    column = _columns()[where]
    is_theirs = [column == customer_id]
    return [*is_theirs, StatusChange.entity == "customers"] if where == _HISTORY else is_theirs


def _ids(where: str, customer_id: int) -> list[int]:
    table = _columns()[where].table
    return list(db.session.scalars(sa.select(table.c.id).where(*_of(where, customer_id))))


def _rows(model: type[Base], *which: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
    table = model.__table__
    found = db.session.execute(sa.select(table).where(*which).order_by(table.c.id)).mappings()
    return [
        {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in row.items()
        }
        for row in found
    ]


def _read(model: type[Base], name: str, value: Any) -> Any:
    is_moment = isinstance(model.__table__.c[name].type, UtcDateTime)
    return datetime.fromisoformat(value) if is_moment and value is not None else value


def _give_back(before: dict[str, Any], gone_id: int, kept_id: int) -> None:
    """What is still where it went; and what came since of the orders that go back."""
    for where, ids in before["rows"].items():
        column = _columns()[where]
        table = column.table
        for start in range(0, len(ids), _AT_ONCE):
            some = table.c.id.in_(ids[start : start + _AT_ONCE])
            db.session.execute(
                sa.update(table).where(some, *_of(where, kept_id)).values({column.name: gone_id})
            )
    orders = before["rows"]["orders.customer_id"]
    for start in range(0, len(orders), _AT_ONCE):
        for model in (Delivery, Link, Download):
            of_order = model.order_id.in_(orders[start : start + _AT_ONCE])
            db.session.execute(
                sa.update(model)
                .where(of_order, model.customer_id == kept_id)
                .values(customer_id=gone_id)
                .execution_options(synchronize_session=False)
            )


def _lost(
    rows: list[dict[str, Any]], gone_id: int
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The rows that became one with another's of the same publication, each with that other, whose
    customer may have become one with a third since."""
    theirs = {row["publication_id"]: row for row in rows if row["customer_id"] != gone_id}
    for row in rows:
        if row["customer_id"] == gone_id and row["publication_id"] in theirs:
            yield row, theirs[row["publication_id"]]


def _part_rights(rows: list[dict[str, Any]], gone_id: int, kept_id: int) -> None:
    """Of two imported rights that became one, each is what it was, unless it was ended since."""
    for row, mine in _lost(rows, gone_id):
        values = {name: _read(Entitlement, name, mine[name]) for name in _JOINED}
        right = Entitlement.id == mine["id"], Entitlement.customer_id == kept_id
        is_open = Entitlement.revoked_at.is_(None)
        db.session.execute(sa.update(Entitlement).where(*right, is_open).values(values))
        lost = {name: _read(Entitlement, name, value) for name, value in row.items()}
        del lost["id"]  # which may be another's by now
        db.session.execute(sa.insert(Entitlement).values(lost))


def _part_stops(rows: list[dict[str, Any]], gone_id: int, kept_id: int) -> None:
    """Each choice of news is what it was, the kept one's unless they have chosen since."""
    for row, mine in _lost(rows, gone_id):
        theirs, was = _choice(row), _choice(mine)
        joined = fewer_news(was, theirs)
        if joined != was:
            stop = NoticeStop.id == mine["id"], NoticeStop.customer_id == kept_id
            is_same = NoticeStop.stopped_at == joined[0], NoticeStop.matters_pass == joined[1]
            values = {"stopped_at": was[0], "matters_pass": was[1]}
            db.session.execute(sa.update(NoticeStop).where(*stop, *is_same).values(values))
        lost = {name: _read(NoticeStop, name, value) for name, value in row.items()}
        del lost["id"]
        db.session.execute(sa.insert(NoticeStop).values(lost))


def _choice(row: dict[str, Any]) -> tuple[datetime | None, bool]:
    stopped_at = _read(NoticeStop, "stopped_at", row["stopped_at"])
    return stopped_at, row.get("matters_pass", False)


def _part_notices(rows: list[dict[str, Any]], who: str) -> None:
    """Each has its place in the account of a release again, and is sent what was left out because the
    two were one, unless the edition was recalled or withdrawn since."""
    known = {row["id"]: row for row in rows}
    query = sa.select(Delivery).where(Delivery.id.in_(known)).order_by(Delivery.id)
    found = db.session.scalars(
        query.with_for_update().execution_options(populate_existing=True)
    ).all()
    for letter in found:
        letter.dedupe_key = f"parting:{letter.id}"
    db.session.flush()
    for letter in found:
        row = known[letter.id]
        letter.dedupe_key, letter.batch_id = row["dedupe_key"], row["batch_id"]
        was_waiting = row["status"] in UNSENT and letter.status is DeliveryStatus.SKIPPED
        if was_waiting and letter.reason == TOGETHER and _still_goes(letter):
            advance(letter, DeliveryStatus.QUEUED, who=who, why=APART)
            letter.reason = ""
            if letter.batch_id is not None:
                outbox.reopen_batches(Batch.id == letter.batch_id, APART, who)
    db.session.flush()


def _owe_held_back(rows: list[dict[str, Any]], gone_id: int, kept_id: int) -> None:
    """The kept one is owed what the other's choice held back from them meanwhile."""
    for row in rows:
        mine = news_of(kept_id, row["publication_id"])
        if row["customer_id"] == gone_id and mine.is_more_than(news_by(*_choice(row))):
            owe_held_back(kept_id, row["publication_id"], mine)


def _still_goes(letter: Delivery) -> bool:
    edition = db.session.get(Edition, letter.edition_id)
    batch = db.session.get(Batch, letter.batch_id) if letter.batch_id else None
    is_recalled = batch is not None and batch.status is BatchStatus.RECALLED
    return edition is not None and edition.status == EditionStatus.RELEASED and not is_recalled
