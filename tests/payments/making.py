"""Orders to be paid, the gateway's own side, and a picture of the rows that a history leaves."""

from typing import Any

import sqlalchemy as sa

from store.entitlements.models import Entitlement
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.models import Order
from store.payments.fulfilment import apply_state
from store.payments.gateways.base import GatewayState, Standing
from store.payments.gateways.demo import DemoEvent, DemoPayment, DemoRefund, new_name
from store.payments.models import Checkout, GatewayEvent, Payment, Refund
from tests.factories import every_table
from tests.purchases import start

BANK_SAID_NO = "Your bank did not make the payment."


def at_gateway(reference: str, **values: Any) -> None:
    """Something changes at the gateway and nobody is told."""
    with transaction() as session:
        session.execute(
            sa.update(DemoPayment).where(DemoPayment.reference == reference).values(**values)
        )


def paid_at_gateway(reference: str, at: Any) -> None:
    """The buyer paid; no news of it has left."""
    at_gateway(reference, state="paid", payment_id=new_name("pay"), paid_at=at)


def failed_slowly(order_id: int) -> None:
    """The buyer paid by a way that takes days, and after them the bank says no."""
    reference = start(order_id)
    order = order_of(order_id)
    values = {"amount": order.total_amount, "currency": order.currency, "checkout_id": None}
    for standing in (Standing.PROCESSING, Standing.FAILED):
        state = GatewayState(
            reference, standing, order_reference=order.reference, reason=BANK_SAID_NO, **values
        )
        with transaction():
            apply_state("demo", state)


def refunded_at_gateway(reference: str, amount: int = 1250) -> None:
    """Somebody refunds at the gateway's own desk."""
    with transaction() as session:
        payment = session.scalars(sa.select(DemoPayment).filter_by(reference=reference)).one()
        session.add(
            DemoRefund(
                demo_payment_id=payment.id,
                refund_id=new_name("re"),
                key=None,
                amount=amount,
                standing="succeeded",
            )
        )


def news(reference: str, kind: str, at: Any) -> int:
    """A message that the gateway holds back; returns its id there."""
    with transaction() as session:
        event = DemoEvent(event_id=new_name("evt"), reference=reference, kind=kind, happened_at=at)
        session.add(event)
        session.flush()
        return event.id


def order_of(order_id: int) -> Order:
    """The order as it stands now."""
    db.session.rollback()
    return db.session.get_one(Order, order_id)


def rows(*columns: Any) -> list[tuple[Any, ...]]:
    """The columns of every row, sorted, what is missing first."""
    db.session.rollback()
    found = [tuple(row) for row in db.session.execute(sa.select(*columns))]
    return sorted(found, key=lambda row: [(value is not None, value) for value in row])


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


def emptied() -> None:
    """Forget every order and all that came of it; who sells what stays."""
    kept = {"sellers", "publications", "customers", "pace"}
    db.session.rollback()
    with db.engine.begin() as connection:
        for table in reversed(every_table()):
            if table.name in kept:
                continue
            connection.execute(table.delete())
            if connection.dialect.name == "postgresql" and "id" in table.c:
                connection.exec_driver_sql(f"ALTER SEQUENCE {table.name}_id_seq RESTART")
