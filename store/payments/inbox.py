"""The inbox of gateway events, and asking how a try stands: for the bell, pages and timetable.

Sweeps are fair: the timetable takes what was tried longest ago first and marks it before it asks, so
that a few that are stuck keep no others waiting.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from store.kit import clock, limits
from store.kit.config import config
from store.kit.database import db, end_read, insert_once, transaction
from store.kit.formatting import format_moment
from store.kit.happenings import Happening, tell
from store.kit.jobs import ring
from store.kit.space import reading_goes_on
from store.kit.status import advance
from store.mail.models import Delivery
from store.mail.outbox import alert_staff, is_alert
from store.payments.fulfilment import Applied, apply_state
from store.payments.gateways.base import GatewayRefused, GatewayUnreachable, News
from store.payments.gateways.registry import gateway_named, gateways
from store.payments.models import Checkout, CheckoutStatus, EventStatus, GatewayEvent
from store.payments.strays import note_stray

log = logging.getLogger(__name__)

OVERDUE = timedelta(minutes=1)
AT_ONCE = 100
MISSED_NEWS_SECONDS = 3600
BURST_WITHIN = timedelta(minutes=10)
BURST_OVER = 10
ONE_ALERT_IN = timedelta(hours=1)
_BURST = "declines:"


def receive_event(gateway: str, headers: Mapping[str, str], body: bytes) -> int:
    """Store what a gateway says, once, and ring for somebody to apply it; returns the row's id.

    Raises `BadSignature` (answer 400), refuses `GatewayUnknown` (404). Any other fault means that
    it was not stored (answer 5xx, so that the gateway tells us again).
    """
    news = gateway_named(gateway).read_event(headers, body)
    with transaction():
        return store_news(gateway, news)


def apply_event(event_id: int) -> None:
    """Apply an event of the inbox: fetch the present state, then one transaction for the effect
    and the mark. Raises `GatewayUnreachable`; the event then stays for the timetable."""
    event = db.session.get(GatewayEvent, event_id)
    if event is None or event.status is not EventStatus.RECEIVED:
        end_read()
        return
    name, subject = event.gateway, event.subject
    end_read()
    asked_at = clock.now()
    state = gateway_named(name).fetch(subject)
    with transaction():
        applied = apply_state(name, state, asked_at)
        if state is not None and applied.status is EventStatus.IGNORED:
            note_stray(name, state)
        _mark(db.session.get_one(GatewayEvent, event_id), applied)


def fulfil_checkout(checkout_id: int) -> None:
    """Ask the gateway how a checkout stands and apply it. Raises `GatewayUnreachable`."""
    checkout = db.session.get(Checkout, checkout_id)
    if checkout is None or checkout.gateway_reference is None:
        end_read()
        return
    name, reference = checkout.gateway, checkout.gateway_reference
    end_read()
    asked_at = clock.now()
    state = gateway_named(name).fetch(reference)
    with transaction():
        apply_state(name, state, asked_at)


def fulfil_order(order_id: int, reference: str = "") -> bool:
    """For the order page and the way back to the review page: whatever the gateways know of the
    order's open try, and of the one that `reference` names, is applied, so that the page is right
    before the news arrives. A reference of another order is not asked about.

    Says whether each of them answered and was applied; one that did not changes nothing and is no
    fault of the page, which then must not say how the money stands (`charge.charge_of`).
    """
    is_asked = Checkout.status == CheckoutStatus.OPEN
    if reference:
        # An older try, which we took for ended: the money wins.
        is_asked = sa.or_(is_asked, Checkout.gateway_reference == reference)
    query = sa.select(Checkout.id).where(Checkout.order_id == order_id, is_asked)
    checkout_ids = db.session.scalars(query.order_by(Checkout.id)).all()
    end_read()
    is_heard = True
    for checkout_id in checkout_ids:
        try:
            with reading_goes_on():
                fulfil_checkout(checkout_id)
                continue
        except (GatewayUnreachable, GatewayRefused):
            log.warning("the gateway does not answer about checkout %s", checkout_id)
        is_heard = False
    return is_heard


def take_missed_news() -> None:
    """For the timetable: once an hour, what a gateway could not deliver to us."""
    for name, gateway in gateways().items():
        if not limits.is_turn(f"missed news of {name}", MISSED_NEWS_SECONDS):
            continue
        end_read()
        try:
            missed = gateway.missed_news()
        except GatewayUnreachable:
            log.warning("%s does not answer about news that we missed", name)
            continue
        for news in missed:
            with transaction():
                store_news(name, news)


def sweep() -> None:
    """For the timetable: events that nobody applied, and open checkouts whose turn it is. Those
    that were tried longest ago come first, so that stuck ones keep no others waiting."""
    now = clock.now()
    events = (
        sa.select(GatewayEvent.id)
        .where(
            GatewayEvent.status == EventStatus.RECEIVED, GatewayEvent.received_at < now - OVERDUE
        )
        .order_by(
            sa.func.coalesce(GatewayEvent.asked_at, GatewayEvent.received_at), GatewayEvent.id
        )
        .limit(AT_ONCE)
    )
    _each(apply_event, _taken_up(events, GatewayEvent, asked_at=now))
    checkouts = (
        sa.select(Checkout.id)
        .where(
            Checkout.status == CheckoutStatus.OPEN,
            Checkout.ask_at <= now,
            Checkout.gateway_reference.is_not(None),
        )
        .order_by(Checkout.ask_at, Checkout.id)
        .limit(AT_ONCE)
    )
    _each(fulfil_checkout, _taken_up(checkouts, Checkout, ask_at=now))


def _taken_up(
    query: sa.Select[int], table: type[GatewayEvent] | type[Checkout], **mark: datetime
) -> list[int]:
    """The ids that a query finds, marked as tried now: whatever comes of it, others are next."""
    ids = list(db.session.scalars(query))
    if ids:
        with transaction() as session:
            session.execute(sa.update(table).where(table.id.in_(ids)).values(**mark))
    return ids


def store_news(gateway: str, news: News) -> int:
    """Store a message once, and ring for somebody to apply it; its row's id. In the caller's
    transaction."""
    status = EventStatus.IGNORED if news.fault else EventStatus.RECEIVED
    now = clock.now()
    added = insert_once(
        GatewayEvent,
        gateway=gateway,
        event_id=news.event_id,
        kind=news.kind,
        subject=news.subject,
        payload=news.payload,
        is_decline=news.is_decline,
        status=status,
        note=f"Ignored: {news.fault}." if news.fault else "",
        received_at=now,
        handled_at=now if news.fault else None,
    )
    if added is not None:
        tell(
            Happening.EVENT_RECEIVED,
            gateway=gateway,
            event_id=news.event_id,
            kind=news.kind,
            gateway_event=added,
        )
        _tell_staff(gateway, news)
    else:
        known = sa.select(GatewayEvent.id, GatewayEvent.status)
        query = known.filter_by(gateway=gateway, event_id=news.event_id)
        added, status = db.session.execute(query).one()
    if status is EventStatus.RECEIVED:
        ring("apply_event", added)
    return added


def _tell_staff(gateway: str, news: News) -> None:
    if news.warning:
        alert_staff("A payment may be fraudulent", news.warning, f"{gateway}:{news.event_id}")
    if news.fault:
        log.warning("event %s of %s was ignored: %s", news.event_id, gateway, news.fault)
        alert_staff(
            "Messages about payments were ignored",
            f"The message {news.event_id} ({news.kind}) was ignored: {news.fault}. Set up one "
            "endpoint for each mode, with its own secret. Others like it are in the log.",
            f"ignored:{gateway}:{clock.today(config().zone)}",
        )


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
        if applied.status is EventStatus.IGNORED:
            log.warning("event %s (%s) was ignored: %s", event.event_id, event.kind, applied.note)
        event.note = applied.note
        event.handled_at = clock.now()


def alert_on_burst() -> bool:
    """For the timetable: alert staff where more payments were declined within ten minutes than
    buyers' slips explain, once an hour, as somebody may be trying stolen cards on our payment page;
    says whether it did. Opens its own transaction, none where there is nothing to say."""
    # As the index is written, which holds nothing but declines.
    declined = sa.select(sa.func.count(GatewayEvent.id)).where(
        sa.text("is_decline"), GatewayEvent.received_at > clock.now() - BURST_WITHIN
    )
    count = db.session.scalars(declined).one()
    end_read()
    if count <= BURST_OVER:
        return False
    with transaction():
        if _burst_is_told():
            return False
        now = clock.now()
        alert_staff(
            "Many payments are being declined",
            f"{count} payments were declined in the ten minutes before {format_moment(now)}. Buyers "
            "mistype; this many are more likely somebody who tries stolen cards.\n\nLook at the "
            "payments on the gateway's own page, and block there what they have in common. The shop "
            "limits how many payments one network and one address start in an hour; nothing else "
            "has been stopped. The next alert comes in an hour, if it goes on.",
            # Two workers at once say it once.
            f"{_BURST}{now:%Y-%m-%dT%H}",
        )
    return True


def _burst_is_told() -> bool:
    told = sa.select(Delivery.id).where(
        is_alert(_BURST),
        Delivery.created_at > clock.now() - ONE_ALERT_IN,
    )
    return db.session.scalars(told.limit(1)).first() is not None
