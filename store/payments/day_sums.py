"""What came in and went back day by day: summed once for each day that is over, and kept. A row is
thrown out by a trigger where anything of its day changes afterwards (migration 0027), so that a
reader sums today, and what has been thrown out, and no other."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from store.kit import clock
from store.kit.config import config
from store.kit.database import Base, UtcDateTime, db, transaction
from store.orders.models import Order, OrderStatus
from store.payments.gateways.base import MANUAL
from store.payments.models import Dispute, Payment, Refund, RefundStatus, Transfer
from store.payments.sums import Sums

log = logging.getLogger(__name__)

# Thirty days beside the thirty before, and today.
_KEPT_DAYS = 61
# Who writes a payment of yesterday just now has committed it by then.
_OVER_FOR = timedelta(minutes=5)
_CHECKED_EVERY = timedelta(hours=6)

Interval = tuple[datetime, datetime]


class DaySum(Base):
    """One day that is over: from one midnight of the shop to the next, in UTC, and for each currency
    what moved."""

    __tablename__ = "day_sums"
    __table_args__ = (sa.UniqueConstraint("begins_at", "ends_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    begins_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    found: Mapped[dict[str, Any]]
    checked_at: Mapped[datetime]


def sums_by_day(first: date, zone: ZoneInfo) -> dict[date, list[Sums]]:
    """Sales and money of each day from `first` to today, as calendars in `zone` show days, by
    currency, in two statements. Days on which nothing moved are left out."""
    days = _days(first, zone)
    kept = {(row.begins_at, row.ends_at): row.found for row in _rows()}
    open_days = [interval for interval in days.values() if interval not in kept]
    found = {**kept, **_sum(open_days)}
    return {day: _in_order(found[interval]) for day, interval in days.items() if found[interval]}


def keep_days() -> int:
    """Sum the days that are over and not kept, and one that is kept once more, for the timetable;
    returns how many were written. Opens a transaction where there is something to write."""
    zone = config().zone
    today = clock.today(zone)
    days = _days(today - timedelta(days=_KEPT_DAYS - 1), zone).values()
    wanted = {one for one in days if one[1] <= clock.now() - _OVER_FOR}
    kept = {(row.begins_at, row.ends_at): row.checked_at for row in _rows()}
    old = [one for one, at in kept.items() if at < clock.now() - _CHECKED_EVERY]
    again = sorted(wanted & set(old), key=lambda one: kept[one])[:1]
    missing = sorted(wanted - set(kept))
    useless = set(kept) - wanted
    if not (missing or again or useless):
        return 0
    with transaction() as session:
        before = {(row.begins_at, row.ends_at): row for row in _rows()}
        for interval, found in _sum([*missing, *again]).items():
            row = before.get(interval)
            if row is None:
                begins_at, ends_at = interval
                row = DaySum(begins_at=begins_at, ends_at=ends_at, found=found)
                session.add(row)
            elif row.found != found:
                log.error("the sums of %s were wrong and are mended", interval[0].date())
                row.found = found
            row.checked_at = clock.now()
        for interval in useless & set(before):
            session.delete(before[interval])
    return len(missing) + len(again)


def _days(first: date, zone: ZoneInfo) -> dict[date, Interval]:
    count = (clock.today(zone) - first).days + 1
    days = [first + timedelta(days=number) for number in range(count)]
    return {day: (clock.start_of(day, zone), clock.end_of(day, zone)) for day in days}


def _rows() -> list[DaySum]:
    """At most `_KEPT_DAYS` of them, and what the zone of the shop was before."""
    return list(db.session.scalars(sa.select(DaySum)))


def _in_order(found: dict[str, Any]) -> list[Sums]:
    return [Sums(currency, **sums) for currency, sums in sorted(found.items())]


def _sum(intervals: Iterable[Interval]) -> dict[Interval, dict[str, Any]]:
    """From the rows, in one statement: of each interval what moved, by currency and kind."""
    numbered = list(intervals)
    found: dict[Interval, dict[str, Counter[str]]] = {
        interval: defaultdict(Counter) for interval in numbered
    }
    if numbered:
        for number, currency, kind, amount in db.session.execute(_moved(numbered)):
            found[numbered[number]][currency][kind] += int(amount)
    return {
        interval: {currency: dict(sums) for currency, sums in by_currency.items()}
        for interval, by_currency in found.items()
    }


def _moved(intervals: list[Interval]) -> sa.CompoundSelect[Any]:
    moments = sa.union_all(
        *(
            sa.select(
                sa.literal_column(str(number), sa.Integer).label("number"),
                sa.literal(begins_at, UtcDateTime()).label("begins_at"),
                sa.literal(ends_at, UtcDateTime()).label("ends_at"),
            )
            for number, (begins_at, ends_at) in enumerate(intervals)
        )
    ).cte("moments")
    return sa.union_all(
        *(
            sa.select(
                moments.c.number,
                table.currency,
                sa.literal_column(f"'{kind}'").label("kind"),
                sa.func.sum(amount),
            )
            .select_from(moments)
            .join(table, sa.and_(at >= moments.c.begins_at, at < moments.c.ends_at))
            .where(*only)
            .group_by(moments.c.number, table.currency)
            for table, at, amount, kind, only in _sources()
        )
    )


@cache
def _sources() -> tuple[tuple[Any, Any, Any, str, tuple[Any, ...]], ...]:
    """The tables of movements: when, how much, of what kind, and which rows count; as in `sums`."""
    # Not to be found by the index of statuses: most orders are paid, and few of one day.
    status = sa.type_coerce(Order.status, sa.String).concat("")
    is_sold = (status == OrderStatus.PAID.value, Order.given_reason == "")
    counted = Refund.status.in_(RefundStatus.counted())
    return (
        (Order, Order.paid_at, sa.literal(1), "sales", is_sold),
        (Payment, Payment.received_at, Payment.amount, "received", (Payment.gateway != MANUAL,)),
        (Transfer, Transfer.recorded_at, Transfer.amount, "received", ()),
        (Refund, Refund.requested_at, Refund.amount, "returned", (counted,)),
        (Dispute, Dispute.lost_at, Dispute.amount, "lost", ()),
    )
