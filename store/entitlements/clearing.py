"""What goes by itself once its time is over: names, networks, answers of servers, the record of acts.

Most tables grow with time, and so do their ids: of each clearing one row says up to which id it has
been done, and the timetable looks at what stands right behind it. So no index is needed, a pass
costs the same however much there is, and nothing is looked at twice. Why each time is as long as it
is, and how people are told, stands in `keeping`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from store.kit import clock
from store.kit.database import Base, db, insert_once, transaction
from store.mail.models import DeliveryStatus
from store.mail.outbox import FORGOTTEN

# As long as a link to an order holds: nobody pays it any more.
UNPAID = timedelta(days=400)
# 18 months: a bank may contest a payment for 540 days.
EVIDENCE = timedelta(days=548)
# Seven years: records are kept for six years after the end of the financial year that they fall in
# (HMRC), and an order of its first day waits longest.
RECORDS = timedelta(days=2557)
# What is kept of members is of no use once their price has ended.
MEMBERS = timedelta(days=30)
AT_ONCE = 500
_TYPED = ("email", "name", "organisation", "purchase_order_number", "billing_address", "vat_number")
_PLACE = ("network", "user_agent")


class Clearing(Base):
    """How far one clearing has come: all rows up to this id are done."""

    __tablename__ = "clearings"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40), unique=True)
    up_to: Mapped[int]


Which = Callable[[Any], sa.ColumnElement[bool]]


@dataclass(frozen=True)
class Walk:
    """One clearing: rows of `table` that are older, by `moment`, than `after`, get `values`; without
    any they are removed. `only` says which."""

    name: str
    table: str
    moment: str
    after: timedelta
    values: dict[str, Any] | None
    only: Which = lambda row: row.id.is_not(None)


def _blank(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, "")


def _unpaid(row: Any) -> sa.ColumnElement[bool]:
    return sa.and_(row.paid_at.is_(None), row.given_reason == "")


def _closed(row: Any) -> sa.ColumnElement[bool]:
    return row.status.not_in(DeliveryStatus.open())  # type: ignore[no-any-return]


def _quoting(row: Any) -> sa.ColumnElement[bool]:
    return sa.and_(_closed(row), row.reason.contains("@"))


WALKS = (
    Walk("unpaid", "orders", "placed_at", UNPAID, _blank(*_TYPED, *_PLACE, "search_key"), _unpaid),
    Walk("orders", "orders", "placed_at", EVIDENCE, _blank(*_PLACE)),
    Walk("names", "orders", "placed_at", RECORDS, _blank(*_TYPED, "given_reason", "search_key")),
    Walk("cards", "payments", "received_at", EVIDENCE, _blank("card_last4")),
    Walk("evidence", "disputes", "opened_at", EVIDENCE, {"evidence": sa.null()}),
    Walk("refunds", "refunds", "requested_at", RECORDS, _blank("why", "who", "failure")),
    Walk("transfers", "transfers", "recorded_at", RECORDS, _blank("note", "who")),
    Walk("downloads", "downloads", "started_at", EVIDENCE, _blank(*_PLACE)),
    Walk("links", "links", "created_at", EVIDENCE, {"new_email": None}),
    Walk("letters", "deliveries", "created_at", EVIDENCE, {"address": None}, _closed),
    Walk("answers", "deliveries", "created_at", EVIDENCE, {"reason": FORGOTTEN}, _quoting),
    Walk("attempts", "attempts", "started_at", EVIDENCE, _blank("address", "reply")),
    Walk("returned", "returned_letters", "came_at", EVIDENCE, _blank("address", "words")),
    Walk("captured", "captured_letters", "captured_at", EVIDENCE, None),
    Walk("standstills", "standstills", "began_at", EVIDENCE, _blank("words")),
    Walk("notes", "customer_notes", "written_at", RECORDS, None),
    Walk("changes", "status_changes", "at", RECORDS, _blank("who", "why")),
    Walk("acts", "audit_entries", "at", RECORDS, None),
)


def clear_old() -> None:
    """Clear what is old enough, a few hundred rows of each kind (timetable)."""
    for walk in WALKS:
        _take(walk)
    _clear_few()


def _take(walk: Walk) -> None:
    table = Base.metadata.tables[walk.table]
    place = sa.select(Clearing.up_to).where(Clearing.name == walk.name).scalar_subquery()
    behind = (
        sa.select(table.c.id, table.c[walk.moment])
        .where(table.c.id > sa.func.coalesce(place, 0))
        .order_by(table.c.id)
    )
    before = clock.now() - walk.after
    first = db.session.execute(behind.limit(1)).first()
    if first is None or not _is_old(first[1], before):
        return  # mostly: nothing is written
    with transaction() as session:
        last = 0
        for row_id, moment in session.execute(behind.limit(AT_ONCE)):
            if not _is_old(moment, before):
                break
            last = row_id
        done = sa.and_(table.c.id > sa.func.coalesce(place, 0), table.c.id <= last)
        which = sa.and_(done, walk.only(table.c))
        if walk.values is None:
            session.execute(sa.delete(table).where(which))
        else:
            session.execute(sa.update(table).where(which).values(walk.values))
        insert_once(Clearing, name=walk.name, up_to=0)
        session.execute(sa.update(Clearing).where(Clearing.name == walk.name).values(up_to=last))


def _is_old(moment: datetime | None, before: datetime) -> bool:
    return moment is None or moment < before


def _clear_few() -> None:
    """Tables that stay small, where the moment that counts comes later than the row."""
    tables, now = Base.metadata.tables, clock.now()
    repairs, discounts = tables["repairs"], tables["discounts"].c
    members, staff = tables["discount_members"], tables["staff"]
    ended = sa.select(discounts.id).where(
        sa.or_(discounts.ended_at < now - MEMBERS, discounts.ends_at < now - MEMBERS)
    )
    told = sa.or_(repairs.c.address_key != "", repairs.c.word != "")
    chosen = sa.select(members.c.id).where(members.c.discount_id.in_(ended)).limit(AT_ONCE)
    statements: list[tuple[sa.Select[Any], sa.Update | sa.Delete]] = [
        (
            sa.select(repairs.c.id).where(repairs.c.ended_at < now - EVIDENCE, told),
            sa.update(repairs).values(_blank("address_key", "words", "word", "who")),
        ),
        (chosen, sa.delete(members)),
        (
            sa.select(staff.c.id).where(staff.c.removed_at < now - RECORDS, staff.c.name != "gone"),
            sa.update(staff).values(name="gone", email="gone:" + sa.cast(staff.c.id, sa.String)),
        ),
    ]
    for query, statement in statements:
        ids = db.session.scalars(query.limit(AT_ONCE)).all()
        if ids:
            with transaction() as session:
                session.execute(statement.where(statement.table.c.id.in_(ids)))
