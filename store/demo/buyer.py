"""What the demonstration gateway does when its buyer decides, and how its news travels."""

from enum import StrEnum

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db, end_read, transaction
from store.kit.errors import NotFound
from store.payments.gateways.demo import (
    NAME,
    DemoEvent,
    DemoPayment,
    new_name,
    present_state,
    signed_event,
)
from store.payments.inbox import receive_event


class Decision(StrEnum):
    """What a buyer may do on the demonstration's page: the state that follows."""

    PAY = "paid"
    DECLINE = "declined"
    ABANDON = "abandoned"


class Arrival(StrEnum):
    """How the news of it arrives."""

    ONCE = "once"
    TWICE = "twice"
    LATE = "late"
    OUT_OF_ORDER = "out-of-order"


class PaymentUnknown(NotFound):
    """No payment of the demonstration has this reference."""

    sentence = "There is no payment at this address."


def payment_by_reference(reference: str) -> DemoPayment:
    """The demonstration's own row. Refuses (`PaymentUnknown`)."""
    payment = db.session.scalars(sa.select(DemoPayment).filter_by(reference=reference)).first()
    if payment is None:
        raise PaymentUnknown
    return payment


def decide(reference: str, decision: Decision, arrival: Arrival = Arrival.ONCE) -> bool:
    """The buyer pays, is declined or leaves; the news goes out as `arrival` says.

    False where the payment had ended before, as after a second press. Refuses
    (`PaymentUnknown`). Opens its own transactions, as a machine of somebody else's would.
    """
    with transaction():
        is_ours = _decide(payment_by_reference(reference), decision)
        event_ids = _write_news(reference, decision, arrival) if is_ours else []
    end_read()
    for event_id in event_ids:
        if arrival is not Arrival.LATE:
            deliver(event_id)
    return is_ours


def held_news(reference: str) -> list[int]:
    """Events of a payment that were not delivered yet."""
    query = sa.select(DemoEvent.id).where(
        DemoEvent.reference == reference, DemoEvent.delivered_at.is_(None)
    )
    return list(db.session.scalars(query.order_by(DemoEvent.id)))


def deliver_held(reference: str) -> int:
    """Deliver what was held; returns how many messages."""
    held = held_news(reference)
    end_read()
    for event_id in held:
        deliver(event_id)
    return len(held)


def deliver(event_id: int) -> None:
    """Send one event to the shop's inbox, signed at this moment."""
    event = db.session.get_one(DemoEvent, event_id)
    happened_at = int(event.happened_at.timestamp())
    headers, body = signed_event(event.event_id, event.kind, event.reference, happened_at)
    end_read()
    receive_event(NAME, headers, body)
    with transaction() as session:
        session.get_one(DemoEvent, event_id).delivered_at = clock.now()
    end_read()


def _decide(payment: DemoPayment, decision: Decision) -> bool:
    if present_state(payment) != "open":
        return False
    now = clock.now()
    values: dict[str, object] = {"state": decision.value}
    if decision is Decision.PAY:
        values |= {"payment_id": new_name("pay"), "paid_at": now}
    won = db.session.execute(
        sa.update(DemoPayment)
        .where(DemoPayment.id == payment.id, DemoPayment.state == "open")
        .values(values)
        .returning(DemoPayment.id)
    ).first()
    return won is not None


def _write_news(reference: str, decision: Decision, arrival: Arrival) -> list[int]:
    """Rows of the news, in the order in which it is to arrive."""
    kinds = [f"checkout.{decision.value}"]
    if arrival is Arrival.OUT_OF_ORDER:
        # What happened before comes after: an earlier card that failed, and the opening.
        kinds += ["checkout.card_failed", "checkout.opened"]
    events = [
        DemoEvent(event_id=new_name("evt"), reference=reference, kind=kind, happened_at=clock.now())
        for kind in kinds
    ]
    db.session.add_all(events)
    db.session.flush()
    ids = [event.id for event in events]
    return ids * 2 if arrival is Arrival.TWICE else ids
