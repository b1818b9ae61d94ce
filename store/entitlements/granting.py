"""Giving and taking away the right to read; the one place that decides what a grant still owes, and
the confirmation of its order, which is owed with it and again where somebody asks.

Granting locks the publication's row `FOR SHARE` before it looks at editions, releasing locks it
`FOR UPDATE`: so a customer is either seen by the release, or sees its edition.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from store.catalog.editions import edition_before, ever_released
from store.catalog.models import Edition, Publication
from store.catalog.publications import lock_publication, newest_released
from store.entitlements.access import (
    customers_with_rights,
    editions_of_order,
    has_rights,
    rights_of,
    rights_of_order,
)
from store.entitlements.links import ensure_links, ensure_links_of, order_link
from store.entitlements.models import DISPUTE_LOST, REFUNDED, Entitlement
from store.entitlements.notices import (
    FIRST_COPIES,
    leave_older_out,
    owe_copy,
    owe_what_was_missed,
    settle_notices,
)
from store.entitlements.received import CONFIRMATION, NOTICE
from store.entitlements.shelves import editions_within, stands
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, insert_into
from store.kit.errors import Refusal
from store.mail import outbox
from store.mail.models import Delivery, DeliveryStatus, Occasion
from store.orders.consents import agreed_at, has_waiver, supply_starts_at
from store.orders.customers import rename
from store.orders.models import Customer, Order, OrderLine, OrderStatus

# What money took, money brings back; what a person took back stays so.
ENDED_BY_MONEY = frozenset({REFUNDED, DISPUTE_LOST})
CONFIRMED = "came with the order’s confirmation"
TWICE_WITHIN = timedelta(days=1)


class NotPaid(Refusal):
    """There is no confirmation of an order that nobody paid."""

    sentence = "This order is not paid, so there is no confirmation to send."


def grant_order(order: Order, paid_at: datetime) -> list[Entitlement]:
    """Grant what an order bought and owe its confirmation; called once, where it becomes paid.

    The confirmation carries the newest edition where the copy may be had at once; where the
    right to cancel still stands, a notice of that edition falls due when it has passed.
    """
    # Where nothing was paid there is no money to cool off about: the copy is there at once.
    is_at_once = has_waiver(order.id) or order.total_amount == 0
    available_at = paid_at if is_at_once else supply_starts_at(agreed_at(order, paid_at))
    name_first(order.customer, order.name)
    granted = [
        _grant_line(line, order.customer_id, paid_at, max(available_at, paid_at))
        for line in sorted(order.lines, key=lambda line: line.publication_id)
    ]
    outbox.look_again(order.customer_id)
    order_link(order.id, order.customer_id)
    carried = [right.from_edition_id for right in granted if right.available_at <= paid_at]
    outbox.owe(
        CONFIRMATION,
        confirmation_key(order.id),
        customer_id=order.customer_id,
        order_id=order.id,
        edition_id=next((edition for edition in carried if edition), None),
        priority=0,
    )
    return granted


def name_first(customer: Customer, name: str) -> None:
    """Name a customer before their first right, by what came with it.

    The name of a customer who never had a right may be anybody's who typed the address, so that of
    the first right stands for it, an empty one too; a customer who has had a right keeps theirs.
    """
    if not has_rights(customer.id):
        rename(customer, name)


def grant_imported(
    publication: Publication, ordered_at: Mapping[int, datetime | None], *, notify: bool
) -> set[int]:
    """Grant customers, by id, a copy that each bought elsewhere; returns those who had none.

    Where it is known when one ordered (UTC), they have the edition of that day, a pre-order
    where there was none, and the months of editions count from it. Else they count as having the
    newest edition; with `notify` as having all but that, so that it is news to them, and the
    earlier ones are not. Nobody hears of an edition that was out before the import, except, with
    `notify`, of the newest one if it is news to them and within their months.

    As many statements for a hundred as for one, but for the letters of those who hear of it.
    """
    lock_publication(publication.id)
    newest, now = newest_released(publication.id), clock.now()
    released = ever_released(publication.id)
    held = customers_with_rights(ordered_at, publication.id)
    rows = []
    for customer_id in sorted(ordered_at.keys() - held):
        at = ordered_at[customer_id]
        if at is None:
            had, begins = edition_before(newest) if newest and notify else newest, now
        else:
            had, begins = _bought_elsewhere(released, at)
        row = {
            "customer_id": customer_id,
            "publication_id": publication.id,
            "seat": 1,
            "granted_at": now,
            "available_at": now,
            "from_edition_id": had.id if had else None,
            "updates_months": publication.updates_months,
            "updates_until": _updates_until(publication.updates_months, newest, begins),
            "revoked_reason": "",
        }
        rows.append(row)
    granted = _insert_rights(rows)
    ensure_links_of(granted, publication.id)
    if notify and newest is not None:
        _tell_of(newest, granted, ordered_at)
    return granted


def _tell_of(newest: Edition, granted: set[int], ordered_at: Mapping[int, datetime | None]) -> None:
    """Owe the newest edition to those of the imported to whom it is news, within their months."""
    theirs = sa.select(Entitlement).where(
        Entitlement.publication_id == newest.publication_id, Entitlement.customer_id.in_(granted)
    )
    for right in db.session.scalars(theirs.order_by(Entitlement.customer_id)):
        had = right.from_edition
        is_news = had is None or had.number < newest.number
        if is_news and editions_within(right, [newest]):
            waited = had is None and ordered_at[right.customer_id] is not None
            occasion = Occasion.FIRST_COPY if waited else Occasion.RELEASED
            owe_copy(newest.id, right.customer_id, right.available_at, occasion)


def _insert_rights(rows: list[dict[str, Any]]) -> set[int]:
    """The customers whose right is new: a second import at the same moment may have given it."""
    if not rows:
        return set()
    added = insert_into(Entitlement).on_conflict_do_nothing().returning(Entitlement.customer_id)
    return set(db.session.scalars(added, rows))


def _bought_elsewhere(
    released: Sequence[Edition], ordered_at: datetime
) -> tuple[Edition | None, datetime]:
    """The edition that an order brought, none where it was a pre-order, and when its months begin;
    of all that was ever released, in the order of their numbers."""
    moments = [(edition, edition.released_at) for edition in released if edition.released_at]
    had = [edition for edition, moment in moments if moment <= ordered_at]
    if had:
        return had[-1], ordered_at
    # A pre-order's months begin with the first edition, also where that is out by now.
    return None, moments[0][1] if moments else ordered_at


def start_supply(order: Order) -> None:
    """The customer asked for the copy at once after all: what waited falls due now.
    `confirm_consent` leaves that notice out, where its own letter carries the edition."""
    now = clock.now()
    _close_doors(order)
    for right in rights_of_order(order.id):
        if right.available_at <= now:
            continue
        right.available_at = now
        db.session.execute(
            sa.update(Delivery)
            .where(
                Delivery.customer_id == right.customer_id,
                Delivery.kind == NOTICE,
                Delivery.status == DeliveryStatus.QUEUED,
                Delivery.occasion.in_(FIRST_COPIES),
                Delivery.due_at > now,
                Delivery.edition_id.in_(
                    sa.select(Edition.id).where(Edition.publication_id == right.publication_id)
                ),
            )
            .values(due_at=now, occasion=Occasion.ASKED)
        )
    outbox.wake()


def resend_confirmation(order: Order, who: str) -> None:
    """Owe one more confirmation with fresh links; within a minute the same press counts once.

    It carries the newest edition that the order opens now. Refuses `NotPaid`.
    """
    if order.status is not OrderStatus.PAID:
        raise NotPaid
    minute = int(clock.now().timestamp() // 60)
    confirm_again(order, f"again:{minute}", asked_by=who)


def confirm_consent(order: Order) -> None:
    """Owe the confirmation that repeats the consent to immediate supply (regulation 16(3)), once
    for the order. It carries the edition, so that no notice of it leaves beside it."""
    is_new, edition_id = confirm_again(order, "consent", asked_by="customer")
    if is_new and edition_id is not None:
        outbox.leave_out(
            CONFIRMED,
            Delivery.customer_id == order.customer_id,
            Delivery.kind == NOTICE,
            Delivery.occasion == Occasion.ASKED,
            Delivery.edition_id.in_(
                sa.select(Edition.id).where(Edition.publication_id == order.lines[0].publication_id)
            ),
        )


def confirm_again(order: Order, why: str, *, asked_by: str = "") -> tuple[bool, int | None]:
    """Owe one more confirmation, once for `why`, with the newest edition that the order opens now.
    Says whether it is new, and which edition it carries."""
    readable = editions_of_order(order.id)
    edition_id = readable[0].id if readable else None
    is_new = outbox.owe(
        CONFIRMATION,
        confirmation_key(order.id, why),
        customer_id=order.customer_id,
        order_id=order.id,
        edition_id=edition_id,
        facts={"asked_by": asked_by} if asked_by else None,
        priority=0,
    )
    return is_new, edition_id


def confirmation_key(order_id: int, why: str = "") -> str:
    """What makes an order's confirmation one; of those sent again, one for each reason."""
    return f"{CONFIRMATION}:{order_id}:{why}" if why else f"{CONFIRMATION}:{order_id}"


def revoke_order(order: Order, reason: str) -> bool:
    """Take back what an order gave; every door closes on the next request. Says whether anything
    still stood."""
    _close_doors(order)
    now, stood = clock.now(), False
    for right in rights_of_order(order.id):
        if right.revoked_at is None:
            right.revoked_at, stood = now, True
            right.revoked_reason = reason
        elif right.revoked_reason in ENDED_BY_MONEY:
            right.revoked_reason = reason
        right.suspended_at = None
    db.session.flush()
    _settle_notices(order)
    return stood


def settle_access(
    order: Order,
    *,
    is_refunded: bool = False,
    is_lost: bool = False,
    is_suspended: bool = False,
    is_cancelled: bool = False,
) -> None:
    """Let what an order gave follow from how its money stands at this moment, whatever it was
    before: ended, at rest, or there. Called under the order's lock, as often as one likes.

    A customer whose access returns is owed the newest edition, unless a letter has brought it.
    """
    if is_refunded or is_cancelled or is_lost:
        revoke_order(order, REFUNDED if is_refunded or is_cancelled else DISPUTE_LOST)
        return
    _close_doors(order)
    for right in sorted(rights_of_order(order.id), key=lambda right: right.publication_id):
        _settle_right(right, is_suspended=is_suspended)
    db.session.flush()
    if is_suspended:
        _settle_notices(order)


def lock_titles(order: Order) -> None:
    """Lock the publications of an order, as everybody does who grants."""
    for publication_id in sorted({line.publication_id for line in order.lines}):
        lock_publication(publication_id)


def _settle_notices(order: Order) -> None:
    for publication_id in sorted({line.publication_id for line in order.lines}):
        settle_notices(order.customer_id, publication_id)


def _close_doors(order: Order) -> None:
    """Before a right changes: a release waits and sees the change, or its letters are seen here."""
    lock_titles(order)
    outbox.look_again(order.customer_id)


def _settle_right(right: Entitlement, *, is_suspended: bool) -> None:
    if right.revoked_at is not None and right.revoked_reason not in ENDED_BY_MONEY:
        return
    was_closed = right.revoked_at is not None or right.suspended_at is not None
    if is_suspended:
        right.suspended_at = right.suspended_at or clock.now()
    if not is_suspended:
        right.suspended_at = None
    right.revoked_at, right.revoked_reason = None, ""
    if was_closed and not is_suspended:
        db.session.flush()
        owe_what_was_missed(right.customer_id, right.publication_id, Occasion.ACCESS_BACK)


def _grant_line(
    line: OrderLine, customer_id: int, paid_at: datetime, available_at: datetime
) -> Entitlement:
    lock_publication(line.publication_id)
    newest = newest_released(line.publication_id)
    right = Entitlement(
        customer_id=customer_id,
        publication_id=line.publication_id,
        order_line_id=line.id,
        granted_at=min(paid_at, clock.now()),
        available_at=available_at,
        from_edition_id=newest.id if newest else None,
        updates_months=line.updates_months,
        updates_until=_updates_until(line.updates_months, newest, paid_at),
    )
    db.session.add(right)
    db.session.flush()
    ensure_links(customer_id, line.publication_id)
    if newest is not None and available_at > paid_at:
        _owe_when_days_are_over(newest, right)
    return right


def _owe_when_days_are_over(edition: Edition, bought: Entitlement) -> None:
    """Owe the edition just bought, where the right to cancel still stands, in place of an older
    first copy that waits. It is due when the first right that opens it is theirs, so that nobody
    who bought twice waits longer."""
    opens_at = [
        right.available_at
        for right in rights_of(bought.customer_id, bought.publication_id)
        if stands(right) and right.available_at > clock.now() and editions_within(right, [edition])
    ]
    due_at = min(opens_at, default=bought.available_at)
    if owe_copy(edition.id, bought.customer_id, due_at, Occasion.DAYS_OVER):
        leave_older_out(bought.publication_id, [bought.customer_id])


def _updates_until(months: int | None, newest: Edition | None, at: datetime) -> datetime | None:
    # A pre-order's term begins with the release of its first edition.
    if months is None or newest is None:
        return None
    zone = config().zone
    day = clock.add_months(at.astimezone(zone).date(), months)
    return clock.end_of(day, zone)


def earlier_twin(order: Order) -> Order | None:
    """The order that was paid at most a day before this one, by the same customer for the same
    title, and still gives its copy; None for a copy that was given, or cost nothing."""
    if order.total_amount <= 0 or order.status is not OrderStatus.PAID or order.paid_at is None:
        return None
    titles = [line.publication_id for line in order.lines]
    query = (
        sa.select(Order)
        .join(OrderLine, OrderLine.order_id == Order.id)
        .join(Entitlement, Entitlement.order_line_id == OrderLine.id)
        .where(
            Order.customer_id == order.customer_id,
            OrderLine.publication_id.in_(titles),
            Order.status == OrderStatus.PAID,
            Order.total_amount > 0,
            Entitlement.revoked_at.is_(None),
            Order.paid_at >= order.paid_at - TWICE_WITHIN,
            sa.tuple_(Order.paid_at, Order.id) < sa.tuple_(order.paid_at, order.id),
        )
        .order_by(Order.paid_at.desc(), Order.id.desc())
    )
    return db.session.scalars(query.limit(1)).first()


def later_twins(order_ids: Collection[int]) -> list[tuple[Order, Order]]:
    """Of the orders of one shelf each that still stands and was paid within a day of another that
    does: the later one and the earlier."""
    query = sa.select(Order).where(Order.id.in_(order_ids)).order_by(Order.placed_at, Order.id)
    found = (
        (order, earlier_twin(order))
        for order in db.session.scalars(query).all()
        if any(right.revoked_at is None for right in rights_of_order(order.id))
    )
    return [(order, twin) for order, twin in found if twin is not None]
