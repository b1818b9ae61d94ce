"""Bank transfers by a person's hand: money seen to arrive, money sent back."""

from datetime import date, timedelta

import sqlalchemy as sa

from store.kit import clock
from store.kit.config import config
from store.kit.database import db, end_read, insert_once, transaction
from store.kit.errors import InvalidFields, NotFound, Refusal
from store.kit.formatting import format_day
from store.kit.money import format_money
from store.kit.text import clean_line
from store.mail.outbox import alert_staff
from store.orders.discount_places import keep_place
from store.orders.models import Order, OrderStatus
from store.orders.orders import lock_order
from store.payments.gateways import manual
from store.payments.gateways.manual import received_amount
from store.payments.inbox import fulfil_checkout
from store.payments.models import Checkout, CheckoutStatus, Payment, Transfer, TransferBack
from store.payments.transfer_rows import AT_ONCE, newest_checkout

LONGEST_NOTE = 300
# Older than this it is a slip of the keys.
OLDEST = timedelta(days=400)


class NoTransferAwaited(Refusal):
    """An order whose buyer never chose to pay by bank."""

    heading = "This order waits for no transfer"
    sentence = (
        "The buyer did not choose to pay this order by bank transfer, so no money can be recorded "
        "for it. Ask them to choose it: “Pay now” on their order page leads there."
    )


class MoreThanDue(Refusal):
    """More money than the order still waits for."""

    status = 422
    heading = "More than is due"


class NothingToSend(Refusal):
    """An order of which no money waits to be sent back by bank."""

    heading = "Nothing to send"
    sentence = "No refund of this order waits to be sent by bank."


class BackUnknown(NotFound):
    """Nothing of this number is to be sent back."""

    sentence = "There is no refund of this number to send by bank."


def record_transfer(
    order_id: int, *, amount: int, received_on: date, note: str = "", who: str, form_key: str
) -> Transfer:
    """Note money that arrived for an order (minor units of its currency), once per form key; with
    the last part the order is paid and fulfilled, also one that ran out or was given up.

    Opens its own transactions. Refuses (`NoTransferAwaited`, `MoreThanDue`, `InvalidFields`).
    """
    with transaction():
        order = lock_order(order_id)
        transfer = _of_key(form_key)
        if transfer is None:
            note = _check(received_on, note)
            transfer = _add(order, amount, received_on, note, who, form_key)
        transfer_id, checkout_id = transfer.id, transfer.checkout_id
    fulfil_checkout(checkout_id)
    return db.session.get_one(Transfer, transfer_id)


def mark_sent_back(back_id: int, who: str) -> TransferBack:
    """Note that a person has sent money back; the refund has then succeeded, and the customer is
    told. A second press changes nothing. Opens its own transactions. Refuses (`BackUnknown`)."""
    with transaction() as session:
        session.execute(
            sa.update(TransferBack)
            .where(TransferBack.id == back_id, TransferBack.sent_at.is_(None))
            .values(sent_at=clock.now(), sent_by=who)
        )
        back = session.get(TransferBack, back_id, populate_existing=True)
        if back is None:
            raise BackUnknown
        paid = sa.select(Payment.checkout_id).filter_by(
            gateway=manual.NAME, gateway_payment_id=back.payment_id
        )
        checkout_id = session.scalars(paid).one()
    if checkout_id is not None:
        fulfil_checkout(checkout_id)
    return db.session.get_one(TransferBack, back_id)


def look_after_transfers() -> None:
    """For the timetable: fulfil what arrived in full while nobody finished it, and tell staff of
    money that came in part and whose time is over."""
    for checkout_id in _arrived_in_full():
        fulfil_checkout(checkout_id)
    now = clock.now()
    late = (
        sa.select(Checkout)
        .where(_is_unpaid(), Checkout.expires_at <= now, _received() > 0)
        .where(_received() < Checkout.amount)
        .order_by(Checkout.id)
        .limit(AT_ONCE)
    )
    with transaction() as session:
        for checkout in session.scalars(late).all():
            _alert_part(checkout)
    end_read()


def _of_key(form_key: str) -> Transfer | None:
    return db.session.scalars(sa.select(Transfer).filter_by(form_key=form_key)).first()


def _check(received_on: date, note: str) -> str:
    note, today, faults = clean_line(note), clock.today(config().zone), {}
    if received_on > today:
        faults["received_on"] = "The day is still to come. Enter the day on which it arrived."
    elif received_on < today - OLDEST:
        faults["received_on"] = "That is more than a year ago. Check the year."
    if len(note) > LONGEST_NOTE:
        faults["note"] = f"The note can have at most {LONGEST_NOTE} characters."
    if faults:
        raise InvalidFields(faults)
    return note


def _add(
    order: Order, amount: int, received_on: date, note: str, who: str, form_key: str
) -> Transfer:
    checkout = newest_checkout(order.id)
    if checkout is None:
        raise NoTransferAwaited
    _refuse_too_much(checkout, amount)
    insert_once(
        Transfer,
        checkout_id=checkout.id,
        form_key=form_key,
        amount=amount,
        currency=checkout.currency,
        received_on=received_on,
        note=note,
        who=who,
        recorded_at=clock.now(),
    )
    keep_place(order, None)
    if order.status is not OrderStatus.PENDING and received_amount(checkout.id) < checkout.amount:
        _alert_part(checkout)
    transfer = _of_key(form_key)
    if transfer is None:
        raise RuntimeError("a transfer that was just recorded is not there")
    return transfer


def _refuse_too_much(checkout: Checkout, amount: int) -> None:
    received = received_amount(checkout.id)
    due = checkout.amount - received
    if amount <= due:
        return
    whole = format_money(checkout.amount, checkout.currency)
    if due == 0:
        raise MoreThanDue(f"All {whole} of this order has arrived. Send back what came on top.")
    left = format_money(due, checkout.currency)
    raise MoreThanDue(
        f"Only {left} of {whole} is still due. Record {left}, and send back what came on top."
    )


def _received() -> sa.ScalarSelect[int]:
    return (
        sa.select(sa.func.coalesce(sa.func.sum(Transfer.amount), 0))
        .where(Transfer.checkout_id == Checkout.id)
        .scalar_subquery()
    )


def _is_unpaid() -> sa.ColumnElement[bool]:
    return sa.and_(Checkout.gateway == manual.NAME, Checkout.status != CheckoutStatus.COMPLETED)


def _arrived_in_full() -> list[int]:
    full = sa.select(Checkout.id).where(
        _is_unpaid(), Checkout.amount > 0, _received() >= Checkout.amount
    )
    # What does not fit its order was held back, and a person looks at it: it is not tried again.
    fits = full.join(Order).where(
        Order.total_amount == Checkout.amount, Order.currency == Checkout.currency
    )
    found = list(db.session.scalars(fits.order_by(Checkout.id).limit(AT_ONCE)))
    end_read()
    return found


def _alert_part(checkout: Checkout) -> None:
    received = format_money(received_amount(checkout.id), checkout.currency)
    whole = format_money(checkout.amount, checkout.currency)
    alert_staff(
        f"Part of the money for order {checkout.order.reference} has arrived",
        f"{received} of {whole} has arrived by bank transfer; the time to pay ended on "
        f"{format_day(checkout.expires_at)}. Nothing was delivered. Ask the customer for the "
        "rest, or send the part back.",
        f"transfer_part:{checkout.id}",
    )
