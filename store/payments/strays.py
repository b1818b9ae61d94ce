"""Money for orders that a restore has lost: paid since the backup, for what it does not know. Nothing
can be delivered for it, so it is named to a person, who gives it back or makes the order by hand."""

from datetime import timedelta

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db, insert_once
from store.kit.errors import NotFound
from store.kit.money import format_money
from store.mail.models import Restore
from store.mail.outbox import alert_staff
from store.payments.gateways.base import DisputeOutcome, GatewayState, RefundStanding, Standing
from store.payments.models import Checkout, StrayPayment

# A page to pay at that was open as the shop fell is open for a day; the bank takes its time, too.
_PAID_LATE = timedelta(days=14)


class StrayUnknown(NotFound):
    """None has this number."""

    sentence = "There is no money of this number to look after."


def open_strays() -> list[StrayPayment]:
    """Those that wait for a person, the oldest first."""
    waiting = sa.select(StrayPayment).where(StrayPayment.settled_at.is_(None))
    return list(db.session.scalars(waiting.order_by(StrayPayment.paid_at, StrayPayment.id)))


def note_stray(gateway: str, state: GatewayState) -> None:
    """Keep account of money that belongs to no order here, where a restore may have lost its order;
    what has gone back meanwhile is noted with it. In the caller's transaction."""
    if state.standing is not Standing.PAID or state.payment_id is None or state.fault:
        return
    if not _may_be_lost(gateway, state):
        return
    returned = _gone_back(state)
    added = insert_once(
        StrayPayment,
        gateway=gateway,
        gateway_reference=state.reference[:120],
        payment_id=state.payment_id[:120],
        order_reference=(state.order_reference or "")[:40],
        amount=state.amount,
        returned=returned,
        currency=state.currency,
        paid_at=state.paid_at or clock.now(),
        found_at=clock.now(),
        settled_by="",
    )
    known = sa.select(StrayPayment).filter_by(gateway=gateway, gateway_reference=state.reference)
    stray = db.session.scalars(known.with_for_update()).one()
    stray.returned = returned
    if stray.settled_at is None and returned >= stray.amount:
        stray.settled_at, stray.settled_by = clock.now(), f"gateway:{gateway}"
    elif added is not None:
        _tell_staff(stray)
    db.session.flush()


def settle_stray(number: int, who: str) -> StrayPayment:
    """A person has given it back, or made the order by hand. Refuses (`StrayUnknown`)."""
    stray = db.session.get(StrayPayment, number, with_for_update=True)
    if stray is None:
        raise StrayUnknown
    if stray.settled_at is None:
        stray.settled_at, stray.settled_by = clock.now(), who
    return stray


def _may_be_lost(gateway: str, state: GatewayState) -> bool:
    paid_at = state.paid_at or clock.now()
    # The gateway counts in seconds, by a clock of its own.
    lost = Restore.made_at <= paid_at + clock.MINUTE, Restore.restored_at >= paid_at - _PAID_LATE
    if db.session.scalars(sa.select(Restore.id).where(*lost).limit(1)).first() is None:
        return False
    known = sa.select(Checkout.id).filter_by(gateway=gateway, gateway_reference=state.reference)
    return db.session.scalars(known).first() is None


def _gone_back(state: GatewayState) -> int:
    given = [one.amount for one in state.refunds if one.standing is RefundStanding.SUCCEEDED]
    lost = [one.amount for one in state.disputes if one.outcome is DisputeOutcome.LOST]
    return sum(given) + sum(lost)


def _tell_staff(stray: StrayPayment) -> None:
    alert_staff(
        "Money came for an order that this shop does not have",
        f"{format_money(stray.amount, stray.currency)} was paid for the order {stray.order_reference}, which "
        "is not in the backup that the shop was restored from.\n\nLook for the payment "
        f"{stray.payment_id} at {stray.gateway.capitalize()}. It has the buyer’s address. Refund it there, or give "
        "that address a copy (“Give a copy”), then say under “After the restore” that it is settled.",
        f"stray:{stray.id}",
    )
