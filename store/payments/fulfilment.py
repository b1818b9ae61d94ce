"""The inbox of gateway events, and applying them: by the bell, the order page and the timetable."""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db, end_read, transaction
from store.kit.jobs import ring
from store.kit.status import advance
from store.orders.inserting import insert_once
from store.payments.applying import Applied, apply_state
from store.payments.gateways.base import GatewayUnreachable
from store.payments.gateways.registry import gateway_named
from store.payments.models import Checkout, CheckoutStatus, EventStatus, GatewayEvent

log = logging.getLogger(__name__)

OVERDUE = timedelta(minutes=1)
AT_ONCE = 100


def receive_event(gateway: str, headers: Mapping[str, str], body: bytes) -> int:
    """Store what a gateway says, once, and ring for somebody to apply it; returns the row's id.

    Raises `BadSignature` (answer 400), refuses `GatewayUnknown` (404). Any other fault means that
    it was not stored (answer 5xx, so that the gateway tells us again).
    """
    news = gateway_named(gateway).read_event(headers, body)
    with transaction():
        insert_once(
            GatewayEvent,
            gateway=gateway,
            event_id=news.event_id,
            kind=news.kind,
            subject=news.subject,
            payload=news.payload,
            status=EventStatus.RECEIVED,
            note="",
            received_at=clock.now(),
        )
        event = db.session.scalars(
            sa.select(GatewayEvent).filter_by(gateway=gateway, event_id=news.event_id)
        ).one()
        if event.status is EventStatus.RECEIVED:
            ring("apply_event", event.id)
        return event.id


def apply_event(event_id: int) -> None:
    """Apply an event of the inbox: fetch the present state, then one transaction for the effect
    and the mark. Raises `GatewayUnreachable`; the event then stays for the timetable."""
    event = db.session.get(GatewayEvent, event_id)
    if event is None or event.status is not EventStatus.RECEIVED:
        end_read()
        return
    name, subject = event.gateway, event.subject
    end_read()
    state = gateway_named(name).fetch(subject)
    with transaction():
        applied = apply_state(name, state)
        _mark(db.session.get_one(GatewayEvent, event_id), applied)


def fulfil_checkout(checkout_id: int) -> None:
    """Ask the gateway how a checkout stands and apply it. Raises `GatewayUnreachable`."""
    checkout = db.session.get(Checkout, checkout_id)
    if checkout is None or checkout.gateway_reference is None:
        end_read()
        return
    name, reference = checkout.gateway, checkout.gateway_reference
    end_read()
    state = gateway_named(name).fetch(reference)
    with transaction():
        apply_state(name, state)


def fulfil_order(order_id: int) -> None:
    """For the order page and the way back to the review page: whatever the gateway knows of the
    order's open checkout is applied, so that the page is right before the news arrives.

    A gateway that does not answer changes nothing and is no fault of the page.
    """
    query = sa.select(Checkout.id).where(
        Checkout.order_id == order_id, Checkout.status == CheckoutStatus.OPEN
    )
    checkout_ids = db.session.scalars(query).all()
    end_read()
    for checkout_id in checkout_ids:
        try:
            fulfil_checkout(checkout_id)
        except GatewayUnreachable:
            log.warning("the gateway does not answer about checkout %s", checkout_id)


def sweep() -> None:
    """For the timetable: events that nobody applied, and open checkouts whose turn it is."""
    now = clock.now()
    events = sa.select(GatewayEvent.id).where(
        GatewayEvent.status == EventStatus.RECEIVED, GatewayEvent.received_at < now - OVERDUE
    )
    _each(apply_event, db.session.scalars(events.order_by(GatewayEvent.id).limit(AT_ONCE)).all())
    checkouts = sa.select(Checkout.id).where(
        Checkout.status == CheckoutStatus.OPEN,
        Checkout.ask_at <= now,
        Checkout.gateway_reference.is_not(None),
    )
    _each(fulfil_checkout, db.session.scalars(checkouts.order_by(Checkout.ask_at).limit(AT_ONCE)))


def _each(work: Callable[[int], None], ids: Iterable[int]) -> None:
    for row_id in list(ids):
        try:
            work(row_id)
        except GatewayUnreachable:
            log.warning("the gateway does not answer about %s(%s)", work.__name__, row_id)
        except Exception:
            # One that fails must not keep the others waiting; it is tried again.
            log.exception("%s(%s) failed", work.__name__, row_id)
        finally:
            end_read()


def _mark(event: GatewayEvent, applied: Applied) -> None:
    if event.status is EventStatus.RECEIVED and advance(event, applied.status, why=applied.note):
        event.note = applied.note
        event.handled_at = clock.now()
