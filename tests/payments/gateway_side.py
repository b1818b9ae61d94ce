"""What happens at the demonstration's gateway, while the shop has not heard of it."""

from typing import Any

import sqlalchemy as sa

from store.kit.database import transaction
from store.payments.fulfilment import apply_state
from store.payments.gateways.base import GatewayState, Standing
from store.payments.gateways.demo import DemoEvent, DemoPayment, DemoRefund, new_name
from tests.purchases import start
from tests.rows import order_of

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
