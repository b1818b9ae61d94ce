"""What stands in the tables."""

from typing import Any

import sqlalchemy as sa

from store.entitlements.models import Entitlement
from store.kit.database import db
from store.mail.models import Delivery
from store.orders.models import Order
from store.payments.gateways.demo import DemoRow
from store.payments.models import Checkout, GatewayEvent, Payment, Refund


def every_table() -> list[sa.Table]:
    """The shop's tables and those of the demonstration's gateway, after those that they point to."""
    return [*db.metadata.sorted_tables, *DemoRow.metadata.sorted_tables]


def rows(*columns: Any) -> list[tuple[Any, ...]]:
    """The columns of every row, sorted, what is missing first."""
    db.session.rollback()
    found = [tuple(row) for row in db.session.execute(sa.select(*columns))]
    return sorted(found, key=lambda row: [(value is not None, value) for value in row])


def order_of(order_id: int) -> Order:
    """The order as it stands now."""
    db.session.rollback()
    return db.session.get_one(Order, order_id)


def count_rows() -> dict[str, int]:
    """How many rows each table has: what a page that writes nothing leaves alone."""
    db.session.rollback()
    return {
        table.name: db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        for table in every_table()
    }


def dump() -> dict[str, list[tuple[Any, ...]]]:
    """What a history left, without ids and times that tell runs apart."""
    return {
        "orders": rows(Order.status, Order.total_amount),
        "checkouts": rows(Checkout.status, Checkout.amount, Checkout.failure),
        "payments": rows(Payment.amount, Payment.currency),
        "refunds": rows(Refund.status, Refund.amount, Refund.who, Refund.why),
        "entitlements": rows(Entitlement.customer_id, Entitlement.seat, Entitlement.revoked_reason),
        "deliveries": rows(Delivery.kind, Delivery.status, Delivery.order_id),
        "events": rows(GatewayEvent.status, GatewayEvent.note),
    }


def emptied(*also: str) -> None:
    """Forget every order and all that came of it; who sells what stays, but for these tables."""
    kept = {"sellers", "publications", "customers", "pace"} - set(also)
    db.session.rollback()
    with db.engine.begin() as connection:
        for table in reversed(every_table()):
            if table.name in kept:
                continue
            connection.execute(table.delete())
            if connection.dialect.name == "postgresql" and "id" in table.c:
                connection.exec_driver_sql(f"ALTER SEQUENCE {table.name}_id_seq RESTART")
