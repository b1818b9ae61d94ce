"""Every movement of money as the accountant wants it: one row each, with what it holds of VAT and the
evidence of the buyer's country; nobody's name or address is in it.
"""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import sqlalchemy as sa

from store.kit import clock
from store.kit.config import config
from store.kit.database import one_look
from store.kit.money import to_decimal
from store.orders.models import Order, OrderLine
from store.payments.gateways.base import MANUAL
from store.payments.models import Checkout, Dispute, Payment, Refund, RefundStatus, Transfer

HEADING = (
    "date",
    "moment",
    "movement",
    "order",
    "publication",
    "gross",
    "net",
    "vat",
    "vat_rate",
    "vat_treatment",
    "currency",
    "fee",
    "method",
    "gateway",
    "gateway_reference",
    "country",
    "billing_country",
    "card_country",
)
PIECE = 500
_SALE, _REFUND, _DISPUTE = "sale", "refund", "dispute"

Row = tuple[str | Decimal | date | None, ...]


def movements(first: date, last: date) -> Iterator[list[Row]]:
    """What moved from one day to another, both in it, as calendars in the shop's zone show days, the
    earliest first; some hundred rows at a time, read while they are written, after `HEADING`.

    A sale counts as it arrived, a refund from when it was asked for, a dispute once it is lost; the
    last two are negative. `fee` stays empty: what a gateway keeps is told to nobody but its own desk.
    """
    yield [HEADING]
    zone = config().zone
    found = _numbered().subquery("numbered")
    query = (
        sa.select(found)
        .where(found.c.at >= clock.start_of(first, zone), found.c.at < clock.end_of(last, zone))
        .order_by(found.c.at, found.c.kind, found.c.id)
    )
    with one_look() as connection:
        rows = connection.execution_options(yield_per=PIECE).execute(query)
        for piece in rows.partitions():
            yield [_told(row) for row in piece]


def _told(row: Any) -> Row:
    at: datetime = row.at
    vat = _vat_in(row.balance, row) - _vat_in(row.balance - row.amount, row)
    return (
        at.astimezone(config().zone).date(),
        at.isoformat(timespec="seconds"),
        row.kind,
        row.reference,
        row.title,
        to_decimal(row.amount, row.currency),
        to_decimal(row.amount - vat, row.currency),
        to_decimal(vat, row.currency),
        Decimal(row.vat_rate) / 100,
        row.vat_treatment,
        row.currency,
        None,
        row.method,
        row.gateway,
        row.gateway_reference,
        row.country,
        row.billing_country,
        row.card_country,
    )


def _vat_in(balance: int, row: Any) -> int:
    """What so much of an order's money holds of its VAT, so that parts and their refunds sum up to
    the whole; what was paid on top of the order holds none."""
    if not row.total_amount:
        return 0
    part = min(max(balance, 0), row.total_amount)
    return int((2 * row.vat_amount * part + row.total_amount) // (2 * row.total_amount))


@cache
def _numbered() -> sa.Select[*tuple[Any, ...]]:
    """Every movement with its order, and how the order's money stood after it."""
    moved = _moved().subquery("moved")
    balance = sa.func.sum(moved.c.amount).over(
        partition_by=moved.c.order_id,
        order_by=(moved.c.at, moved.c.kind.desc(), moved.c.id),
        rows=(None, 0),
    )
    return (
        sa.select(
            moved,
            sa.cast(balance, sa.Integer).label("balance"),
            Order.reference,
            Order.total_amount,
            Order.country,
            OrderLine.title,
            OrderLine.vat_treatment,
            OrderLine.vat_rate,
            OrderLine.vat_amount,
        )
        .join(Order, Order.id == moved.c.order_id)
        .join(OrderLine, OrderLine.order_id == Order.id)
    )


def _moved() -> sa.CompoundSelect[Any]:
    """What `sums` counts, one row a movement."""
    nothing = sa.literal("")
    # What came by bank is counted as it arrived, so that its payment is not counted again.
    arrived = sa.select(
        *_entry(Transfer, _SALE, Transfer.recorded_at, Transfer.amount),
        Checkout.order_id,
        sa.literal("bank transfer").label("method"),
        sa.literal(MANUAL).label("gateway"),
        *(nothing.label(name) for name in _OF_PAYMENT),
    ).join(Checkout, Checkout.id == Transfer.checkout_id)
    paid = _beside_payment(Payment, _SALE, Payment.received_at, Payment.amount)
    returned = _beside_payment(Refund, _REFUND, Refund.requested_at, -Refund.amount).join(Payment)
    lost = _beside_payment(Dispute, _DISPUTE, Dispute.lost_at, -Dispute.amount).join(Payment)
    return sa.union_all(
        paid.where(Payment.gateway != MANUAL, Payment.amount > 0),
        arrived,
        returned.where(Refund.status.in_(RefundStatus.counted())),
        lost.where(Dispute.lost_at.is_not(None)),
    )


_OF_PAYMENT = ("gateway_reference", "billing_country", "card_country")


def _beside_payment(table: Any, kind: str, at: Any, amount: Any) -> Any:
    return sa.select(
        *_entry(table, kind, at, amount),
        Payment.order_id,
        Payment.method,
        Payment.gateway,
        Payment.gateway_payment_id.label("gateway_reference"),
        Payment.billing_country,
        Payment.card_country,
    ).select_from(table)


def _entry(table: Any, kind: str, at: Any, amount: Any) -> tuple[Any, ...]:
    named = sa.literal(kind).label("kind")
    return (table.id.label("id"), named, at.label("at"), amount.label("amount"), table.currency)
