"""What needs a person at the desk: each in a sentence, with its act, nearest deadline first.

Every kind costs one statement, however much there is of it; a kind whose act a role may not do is
not asked for. What failed without an act of staff's says what becomes of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import url_for
from sqlalchemy.orm import joinedload

from store.backups.latest import last_backup, last_fault
from store.catalog.models import DateMove, Edition, EditionStatus
from store.catalog.publications import dates_due
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.formatting import format_day, format_moment, format_near, format_weekday
from store.kit.money import format_money
from store.mail import restores
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus, Repair, stands_at
from store.mail.outbox import ON_HOLD
from store.orders.models import Order
from store.payments.date_moves import BATCH
from store.payments.gateways.base import MANUAL
from store.payments.models import (
    Checkout,
    CheckoutStatus,
    Dispute,
    EventStatus,
    GatewayEvent,
    Payment,
    Refund,
    RefundStatus,
    TransferBack,
)
from store.payments.strays import open_strays
from store.staff.credentials import due_at
from store.staff.guard import may, signed_in
from store.staff.models import StaffMember

SLOW_EVENT = timedelta(minutes=1)
# Money goes back within 14 days of being asked for (Consumer Contracts Regulations 2013, 34).
REFUND_WITHIN = timedelta(days=14)
_NEVER = datetime.max.replace(tzinfo=UTC)
_FIRST = datetime(1970, 1, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Need:
    """`what` in bold, then `rest`; `more` small below; `act` leads to `url`; by when, if anything
    says so."""

    what: str
    rest: str = ""
    more: str = ""
    act: str = ""
    url: str = ""
    due: datetime | None = None


def needs(unrecorded: int = 0) -> list[Need]:
    """All of them. `unrecorded`: downloads that the full disk kept from being written down."""
    found = [need for ask in _asked() for need in ask()]
    if unrecorded:
        words = _many(unrecorded, "download", "downloads") + " went out without a record."
        more = "The disk was full; free it before more is lost"
        found.append(Need(words, more=more, act="See whether it is full", url="/readyz"))
    # Sorted is stable: what has no deadline keeps the order in which it was asked for.
    return sorted(found, key=lambda need: need.due or _NEVER)


def _asked() -> list[Callable[[], Iterator[Need]]]:
    asked: list[Callable[[], Iterator[Need]]] = []
    asked.append(_held_by_restore)
    if may("editors"):
        asked += [_paused, _paused_dates, _promises]
    if may("support"):
        asked += [_disputes, _failed_letters, _repairs, _held_letters, _held_orders, _transfers]
        asked += [_backs, _events, _strays]
    if may("owners"):
        asked += [_refunds, _without_second_step, _backup]
    return asked


def _held_by_restore() -> Iterator[Need]:
    restore = restores.holding()
    if restore is not None:
        made_at = format_moment(restore.made_at)
        yield Need(
            f"This shop was restored from the backup of {made_at}.",
            "No letter leaves until you say so."
            if may("owners")
            else "No letter leaves until an owner says so.",
            act="See what would leave",
            url=url_for("restores.one"),
            due=_FIRST,
        )


def _backup() -> Iterator[Need]:
    last, fault = last_backup(), last_fault()
    if last is not None and (fault or last.is_old):
        rest = (
            "Then none was whole."
            if fault
            else "Who runs the shop has to see why none was made since."
        )
        yield Need(f"The last backup is of {format_near(last.made_at)}.", rest, fault)
    elif fault:
        yield Need("No backup has been whole yet.", "", fault)


def _paused() -> Iterator[Need]:
    query = (
        sa.select(Edition, Batch)
        .join(Batch, sa.and_(Batch.subject_id == Edition.id, Batch.reason == "edition"))
        .where(Batch.status == BatchStatus.PAUSED)
        .options(joinedload(Edition.publication))
        .order_by(Batch.id.desc())
        .limit(10)
    )
    for edition, batch in db.session.execute(query):
        yield Need(
            f"Edition {edition.number} of {edition.publication.title} is paused.",
            "What has not left waits.",
            batch.pause_reason,
            "Look and go on",
            _edition_url(edition),
            batch.created_at,
        )


def _paused_dates() -> Iterator[Need]:
    query = (
        sa.select(DateMove, Batch)
        .join(Batch, sa.and_(Batch.subject_id == DateMove.id, Batch.reason == BATCH))
        .where(Batch.status == BatchStatus.PAUSED)
        .options(joinedload(DateMove.publication))
        .order_by(Batch.id.desc())
        .limit(10)
    )
    for move, batch in db.session.execute(query):
        slug = move.publication.slug
        yield Need(
            f"The letters about the date of {move.publication.title} are paused.",
            "What has not left waits.",
            batch.pause_reason,
            "Look and go on",
            url_for("date_moves.told", slug=slug, number=move.number),
            batch.created_at,
        )


def _promises() -> Iterator[Need]:
    today, zone = clock.today(config().zone), config().zone
    due = dates_due()[:10]
    drafts = sa.select(Edition.publication_id).where(
        Edition.publication_id.in_([one.id for one in due]), Edition.status == EditionStatus.DRAFT
    )
    begun = set(db.session.scalars(drafts)) if due else set()
    for publication in due:
        expected = publication.expected_on or today
        has_passed = expected < today
        yield Need(
            f"{publication.title} "
            + (
                f"was promised for {format_day(expected)}."
                if has_passed
                else f"is promised for {format_weekday(expected)}, {_in_days(expected, today)}."
            ),
            "",
            "Its edition is a draft"
            if publication.id in begun
            else "Nothing has been uploaded yet",
            "Move the date",
            url_for("date_moves.move", slug=publication.slug),
            # A promise that was broken comes before anything else.
            _FIRST if has_passed else clock.start_of(expected, zone),
        )


def _disputes() -> Iterator[Need]:
    is_open = [moment.is_(None) for moment in (Dispute.won_at, Dispute.lost_at, Dispute.closed_at)]
    found = _first(
        sa.select(Dispute, _all())
        .where(*is_open, Dispute.submitted_at.is_(None))
        .options(joinedload(Dispute.payment).joinedload(Payment.order))
        .order_by(Dispute.due_at.is_(None), Dispute.due_at, Dispute.id)
    )
    if not found:
        return
    dispute, count = found
    order = dispute.payment.order
    by = f"Answer by {_by_when(dispute.due_at)}." if dispute.due_at else "The bank waits."
    if count == 1:
        verb = "asks about" if dispute.is_inquiry else "disputes"
        yield Need(
            f"A bank {verb} {format_money(dispute.amount, dispute.currency)}.",
            by,
            f"Order {order.reference}, {order.name or order.email}: {dispute.reason_in_words}",
            "Answer it",
            url_for("disputes.one", number=dispute.id),
            dispute.due_at,
        )
    else:
        what = f"{count} disputes wait for our answer."
        more = f"First order {order.reference}, {order.name or order.email}"
        yield Need(what, by, more, "Answer them", url_for("disputes.all"), dispute.due_at)


def _failed_letters() -> Iterator[Need]:
    found = _first(
        sa.select(Delivery, _all())
        .where(stands_at(DeliveryStatus.FAILED))
        .order_by(Delivery.id.desc())
    )
    if found:
        letter, count = found
        words = "letter could not", "letters could not"
        yield Need(
            _many(count, *words) + " be delivered.",
            more=f"The newest: {letter.reason}" if letter.reason else "",
            act="Mend the address" if count == 1 else "Mend the addresses",
            url=url_for("letters.all", status="failed"),
        )


def _repairs() -> Iterator[Need]:
    found = _first(
        sa.select(Repair, _all()).where(Repair.ended_at.is_(None)).order_by(Repair.opened_at)
    )
    if found:
        repair, count = found
        more = f"The oldest on {format_day(repair.opened_at)}: {repair.words or repair.code}"
        what = _many(count, "reader’s letter", "readers’ letters") + " came back."
        act = "Mend it" if count == 1 else "Mend them"
        yield Need(what, "", more.rstrip(": "), act, url_for("repairs.all"))


def _held_letters() -> Iterator[Need]:
    # Those for which the address is to be mended are told of there.
    is_in_repair = sa.exists().where(
        Repair.customer_id == Delivery.customer_id, Repair.ended_at.is_(None)
    )
    is_told = sa.and_(Delivery.reason == ON_HOLD, is_in_repair)
    query = sa.select(Delivery, _all()).where(stands_at(DeliveryStatus.HELD), ~is_told)
    found = _first(query.order_by(Delivery.id))
    if found:
        letter, count = found
        what = _many(count, "letter is", "letters are") + " held back."
        url = url_for("letters.all", status="held")
        yield Need(what, "", letter.reason, "See why", url)


def _held_orders() -> Iterator[Need]:
    found = _first(
        sa.select(Order, _all()).where(Order.held_at.is_not(None)).order_by(Order.held_at)
    )
    if found:
        order, count = found
        what = _many(count, "order is", "orders are") + " held:"
        rest = "somebody objects to its new address." if count == 1 else "people object to moves."
        url = url_for("orders.all", status="held")
        act = "Decide whose it is" if count == 1 else "Decide whose they are"
        since = f"{'Since' if count == 1 else 'The oldest since'} {format_day(order.held_at)}"
        yield Need(what, rest, since, act, url)


def _transfers() -> Iterator[Need]:
    found = _first(
        sa.select(Checkout, _all())
        .where(Checkout.gateway == MANUAL, Checkout.status == CheckoutStatus.OPEN)
        .options(joinedload(Checkout.order))
        .order_by(Checkout.created_at, Checkout.id)
    )
    if found:
        checkout, count = found
        order = checkout.order
        what = _many(count, "order waits", "orders wait") + " for a bank transfer."
        more = f"{'' if count == 1 else 'The oldest: '}{order.organisation or order.name or order.email}"
        more += f", {format_money(checkout.amount, checkout.currency)}"
        more += f", ordered on {format_day(order.placed_at)}"
        yield Need(what, "", more, "Compare with the bank", url_for("transfers.all"))


def _backs() -> Iterator[Need]:
    found = _first(
        sa.select(TransferBack, _all())
        .where(TransferBack.sent_at.is_(None))
        .order_by(TransferBack.asked_at, TransferBack.id)
    )
    if found:
        back, count = found
        due = back.asked_at + REFUND_WITHIN
        what = _many(count, "refund is", "refunds are") + " to be sent by bank."
        first = format_money(back.amount, back.currency)
        rest = f"{first} by {_by_when(due)}."
        act = "See it" if count == 1 else "See them"
        if may("owners"):
            act = act.replace("See", "Send")
        yield Need(what, rest, "", act, url_for("transfers.all"), due)


def _refunds() -> Iterator[Need]:
    found = _first(
        sa.select(Refund, _all())
        .where(Refund.status == RefundStatus.FAILED)
        .options(joinedload(Refund.payment).joinedload(Payment.order))
        .order_by(Refund.id.desc())
    )
    if found:
        refund, count = found
        order = refund.payment.order
        what = _many(count, "refund was", "refunds were") + " refused by the payment firm."
        more = f"{'' if count == 1 else 'The newest: '}order {order.reference}, {refund.failure}"
        url = url_for("orders.one", reference=order.reference)
        yield Need(what, "", more.rstrip(", "), "Try again", url)


def _events() -> Iterator[Need]:
    late = clock.now() - SLOW_EVENT
    count = db.session.scalar(
        sa.select(sa.func.count()).where(
            GatewayEvent.status == EventStatus.RECEIVED, GatewayEvent.received_at < late
        )
    )
    if count:
        what = _many(count, "message about a payment waits", "messages about payments wait")
        yield Need(what + " for more than a minute.", "Each is tried again by itself.")


def _strays() -> Iterator[Need]:
    found = open_strays()
    if found:
        what = _many(len(found), "payment has", "payments have") + " no order here:"
        first = format_money(found[0].amount, found[0].currency)
        more = f"{'' if len(found) == 1 else 'The oldest: '}{first} for {found[0].order_reference}"
        act = "Look after it" if len(found) == 1 else "Look after them"
        rest = "a restore has lost it." if len(found) == 1 else "a restore has lost them."
        yield Need(what, rest, more, act, url_for("restores.one"), found[0].paid_at)


def _without_second_step() -> Iterator[Need]:
    """Others than oneself, whom each page reminds."""
    query = sa.select(StaffMember).where(
        StaffMember.active, StaffMember.totp_secret.is_(None), StaffMember.id != signed_in().id
    )
    for person in db.session.scalars(query.order_by(StaffMember.email).limit(10)):
        due = due_at(person)
        if due:
            what = f"{person.known_as} signs in with a password alone."
            rest = f"From {format_day(due)} the desk is closed to them without the second step."
            yield Need(what, rest, act="Ask for it", url=url_for("staff.all"), due=due)


def _all() -> Any:
    """How many rows there are of which one is fetched."""
    return sa.func.count().over()


def _first(query: sa.Select[Any]) -> Any:
    return db.session.execute(query.limit(1)).first()


def _edition_url(edition: Edition) -> str:
    return url_for("releases.one", slug=edition.publication.slug, number=edition.number)


def _many(count: int, one: str, more: str) -> str:
    """`A letter …`, `1,243 letters …`."""
    return f"{count:,} {one if count == 1 else more}"


def _by_when(moment: datetime) -> str:
    """`Monday 30 November, in 4 days`."""
    zone = config().zone
    day = moment.astimezone(zone).date()
    return f"{format_weekday(day)}, {_in_days(day, clock.today(zone))}"


def _in_days(day: date, today: date) -> str:
    days = (day - today).days
    if days < 0:
        return f"{-days} days ago" if days < -1 else "yesterday"
    return {0: "today", 1: "tomorrow"}.get(days, f"in {days} days")
