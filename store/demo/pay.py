"""The demonstration's payment page: pay, be declined or leave, what the gateway does then, and how the
news of it travels."""

from enum import StrEnum

import sqlalchemy as sa
from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as Answer

from store.kit import clock
from store.kit.config import config
from store.kit.database import db, end_read, transaction
from store.kit.errors import NotFound
from store.kit.limits import limiter
from store.kit.web import private_page, same_site
from store.payments.gateways.demo import (
    NAME,
    DemoEvent,
    DemoPayment,
    new_name,
    present_state,
    signed_event,
)
from store.payments.inbox import receive_event

bp = Blueprint("demo_pay", __name__)


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


DECISIONS = {"pay": Decision.PAY, "decline": Decision.DECLINE, "abandon": Decision.ABANDON}
ARRIVALS = [
    (Arrival.ONCE.value, "Once, at once"),
    (Arrival.TWICE.value, "Twice"),
    (Arrival.LATE.value, "Late", "Held until you deliver it here, or the shop asks by itself."),
    (Arrival.OUT_OF_ORDER.value, "Out of order", "Older news of the same payment comes last."),
]


@bp.get("/demo/pay/<token>")
def page(token: str) -> Response:
    """What is to be paid, or what became of it."""
    payment = payment_by_reference(token)
    return private_page(
        render_template(
            "demo/pay.html",
            payment=payment,
            state=present_state(payment),
            way_on=_way_on(payment),
            held=len(held_news(token)),
            arrivals=ARRIVALS,
        )
    )


@bp.post("/demo/pay/<token>")
@limiter.limit("60 per minute")
def answer(token: str) -> Answer:
    """The buyer's decision; then back to the shop, as from any gateway."""
    same_site(request)
    try:
        decision = DECISIONS[request.form.get("decision", "")]
        arrival = Arrival(request.form.get("news", Arrival.ONCE.value))
    except (KeyError, ValueError):
        raise BadRequest from None
    decide(token, decision, arrival)
    return redirect(_way_on(payment_by_reference(token)), 303)


@bp.post("/demo/pay/<token>/news")
@limiter.limit("60 per minute")
def news(token: str) -> Answer:
    """Deliver the news that was held."""
    same_site(request)
    payment_by_reference(token)
    deliver_held(token)
    return redirect(url_for(".page", token=token), 303)


def _way_on(payment: DemoPayment) -> str:
    """Back to the shop: to the order's page where it is paid, else to the review page."""
    url = payment.success_url if present_state(payment) == "paid" else payment.cancel_url
    # The shop's own pages by path, so that another name of this machine leads there too.
    return url.removeprefix(config().base_url)


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
