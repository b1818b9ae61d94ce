"""The tables of moves, cell by cell, and what `advance` makes of each cell."""

from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from store.kit.database import db, transaction
from store.kit.status import ForbiddenMove, Status, StatusChange, advance
from store.payments.models import (
    Checkout,
    CheckoutStatus,
    EventStatus,
    GatewayEvent,
    Payment,
    Refund,
    RefundStatus,
)
from tests.purchases import an_order

AT = datetime(2027, 3, 1, tzinfo=UTC)
TABLES: dict[type[Status], dict[str, set[str]]] = {
    CheckoutStatus: {
        "open": {"completed", "expired", "failed"},
        "completed": set(),
        "expired": {"completed"},
        "failed": {"completed"},
    },
    RefundStatus: {
        "requested": {"succeeded", "failed"},
        "succeeded": {"failed"},
        "failed": set(),
    },
    EventStatus: {"received": {"applied", "ignored"}, "applied": set(), "ignored": set()},
}
CELLS = [
    (status, old, new, new in table[old])
    for status, table in TABLES.items()
    for old in table
    for new in table
]


def _row(status: type[Status], value: str) -> Any:
    order_id = an_order()
    with transaction() as session:
        if status is CheckoutStatus:
            row: Any = Checkout(
                order_id=order_id, gateway="demo", amount=1, currency="GBP", expires_at=AT
            )
            row.created_at = AT
        elif status is EventStatus:
            row = GatewayEvent(
                gateway="demo", event_id="e", kind="k", subject="s", payload={}, received_at=AT
            )
        else:
            payment = Payment(
                order_id=order_id, gateway="demo", gateway_payment_id="p", amount=1, currency="GBP"
            )
            payment.received_at = AT
            session.add(payment)
            session.flush()
            row = Refund(payment_id=payment.id, request_key="r", amount=1, currency="GBP")
            row.requested_at = AT
        row.status = status(value)
        session.add(row)
        session.flush()
    return row


def test_the_tables_name_every_status() -> None:
    assert {status: set(table) for status, table in TABLES.items()} == {
        status: {member.value for member in status} for status in TABLES
    }


@pytest.mark.parametrize(("status", "old", "new", "is_allowed"), CELLS)
def test_each_move_is_made_or_refused_as_the_table_says(
    app: Flask, status: type[Status], old: str, new: str, is_allowed: bool
) -> None:
    row = _row(status, old)
    with transaction() as session:
        if is_allowed:
            assert advance(row, status(new), who="test", why="cell") is True
        else:
            with pytest.raises(ForbiddenMove):
                advance(row, status(new))
        assert str(row.status) == (new if is_allowed else old)
        kept = session.query(StatusChange.from_status, StatusChange.to_status).all()
    assert [tuple(one) for one in kept] == ([(old, new)] if is_allowed else [])


def test_the_loser_of_a_race_is_told_and_sees_the_new_status(app: Flask) -> None:
    row = _row(EventStatus, "received")
    with transaction() as session:
        session.refresh(row)
        session.execute(
            GatewayEvent.__table__.update().values(status="applied")  # type: ignore[attr-defined]
        )
        assert advance(row, EventStatus.IGNORED) is False
        assert row.status is EventStatus.APPLIED
        assert db.session.query(StatusChange).count() == 0
