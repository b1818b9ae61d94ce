"""Bank transfers: where the money goes, which owners alone may change; what is awaited, what a person
saw arrive, what goes back, and who is told."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from store.catalog.sellers import SellerUnknown, current_seller, state_seller
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, end_read, insert_once, transaction
from store.kit.errors import InvalidFields, NotFound, Refusal
from store.kit.formatting import format_day
from store.kit.money import format_money
from store.kit.status import StatusChange, record_change
from store.kit.text import clean_line, clean_text, note_fault
from store.mail.models import Delivery, DeliveryStatus
from store.mail.outbox import SOMEBODY_WAITS, alert_staff, owe
from store.orders.discounts import keep_place
from store.orders.models import Order, OrderStatus
from store.orders.orders import lock_order
from store.payments.gateways.base import MANUAL
from store.payments.inbox import fulfil_checkout
from store.payments.models import Checkout, CheckoutStatus, Payment, Transfer, TransferBack
from store.payments.sums import received_amount, received_sum

DETAILS = "transfer_details"
# How the history calls it.
DETAILS_CHANGED = "changed"
_SHOWN_DIGITS = 3
TIME_TO_TRANSFER = timedelta(days=30)
HOUR = timedelta(hours=1)
AT_ONCE = 200
# Older than this it is a slip of the keys.
OLDEST = timedelta(days=400)


@dataclass(frozen=True)
class AwaitedTransfer:
    """A bank transfer as it stands; amounts in minor units."""

    checkout_id: int
    amount: int
    received: int
    currency: str
    bank_details: str
    pay_by: datetime
    is_open: bool

    @property
    def due(self) -> int:
        """What is still to come."""
        return self.amount - self.received

    @property
    def part(self) -> str:
        """`£5.00 of £12.50 has arrived`; empty while nothing has."""
        if not 0 < self.received < self.amount:
            return ""
        received = format_money(self.received, self.currency)
        return f"{received} of {format_money(self.amount, self.currency)} has arrived"


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


def change_bank_details(text: str, who: str) -> None:
    """State where money is transferred to from now on; empty text: nobody can pay so. The same
    text changes nothing. Owners are alerted, with the digits masked.

    Refuses (`SellerUnknown`, `InvalidFields`).
    """
    before = current_seller()
    old, new = before.bank_details, clean_text(text)
    if new == old:
        return
    seller = state_seller(bank_details=new)
    change = f"{masked(old)}, now {masked(new)}"
    record_change(
        db.session(),
        "sellers",
        seller.id,
        "bank details",
        DETAILS_CHANGED,
        who=who,
        why=f"was {change}",
    )
    alert_staff(
        "The bank details of the shop were changed",
        f"Buyers who pay by bank transfer are told another account from now on. It was {change}.\n\n"
        "“Who sells”, “Bank details” says who changed it and when. If none of you did, change it "
        "back, and change your passwords.",
        f"bank_details:{seller.id}",
    )


def bank_changes() -> list[StatusChange]:
    """The newest changes of the bank details, the last one first."""
    query = sa.select(StatusChange).filter_by(entity="sellers", to_status=DETAILS_CHANGED)
    return list(db.session.scalars(query.order_by(StatusChange.id.desc()).limit(20)))


def masked(text: str) -> str:
    """Bank details on one line, of whose digits only the last ones can be read."""
    if not text:
        return "none"
    line = ", ".join(one.strip() for one in text.splitlines() if one.strip())
    shown = len(re.findall(r"\d", line)) - _SHOWN_DIGITS
    seen = 0

    def hide(found: re.Match[str]) -> str:
        nonlocal seen
        seen += 1
        return "•" if seen <= shown else found[0]

    return re.sub(r"\d", hide, line)


def takes_transfers() -> bool:
    """Whether the seller has said where money can be transferred to."""
    try:
        return bool(current_seller().bank_details)
    except SellerUnknown:
        return False


def awaited_transfer(order: Order) -> AwaitedTransfer | None:
    """The newest try to pay an order by bank transfer, whatever became of it; None for none."""
    checkout = newest_checkout(order.id)
    if checkout is None:
        return None
    # An account that has moved since the order: the money must go to the one of today.
    bank_details = current_seller().bank_details or order.seller.bank_details
    return as_awaited(checkout, received_amount(checkout.id), bank_details)


def as_awaited(checkout: Checkout, received: int, bank_details: str) -> AwaitedTransfer:
    """A try to pay by bank of which so much has come."""
    return AwaitedTransfer(
        checkout_id=checkout.id,
        amount=checkout.amount,
        received=received,
        currency=checkout.currency,
        bank_details=bank_details,
        pay_by=checkout.expires_at,
        is_open=checkout.status is CheckoutStatus.OPEN,
    )


def newest_checkout(order_id: int) -> Checkout | None:
    """The newest try to pay an order by bank transfer."""
    query = sa.select(Checkout).filter_by(order_id=order_id, gateway=MANUAL)
    return db.session.scalars(query.order_by(Checkout.id.desc()).limit(1)).first()


def has_part(checkout: Checkout) -> bool:
    """Whether money has arrived for a try that is not paid in full."""
    return checkout.gateway == MANUAL and received_amount(checkout.id) > 0


def is_partly_received(order_id: int) -> bool:
    """Whether part of an order's price has come by bank, so that only the rest, or a person, can
    end it."""
    arrived = sa.select(Transfer.id).where(Transfer.checkout_id == Checkout.id)
    found = sa.select(Checkout.id).where(
        Checkout.order_id == order_id,
        Checkout.gateway == MANUAL,
        Checkout.status != CheckoutStatus.COMPLETED,
        sa.exists(arrived),
    )
    return db.session.scalars(found.limit(1)).first() is not None


def record_transfer(
    order_id: int, *, amount: int, received_on: date, note: str = "", who: str, form_key: str
) -> Transfer:
    """Note money that arrived for an order (minor units of its currency), once per form key; with
    the last part the order is paid and fulfilled, also one that ran out or was given up.

    Opens its own transactions. Refuses (`NoTransferAwaited`, `MoreThanDue`, `InvalidFields`).
    """
    known = sa.select(Transfer).filter_by(form_key=form_key)
    with transaction() as session:
        order = lock_order(order_id)
        if session.scalars(known).first() is None:
            note = _check(received_on, note)
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
            if (
                order.status is not OrderStatus.PENDING
                and received_amount(checkout.id) < checkout.amount
            ):
                _alert_part(checkout)
        transfer = session.scalars(known).one()
        transfer_id, checkout_id = transfer.id, transfer.checkout_id
    fulfil_checkout(checkout_id)
    return db.session.get_one(Transfer, transfer_id)


def _check(received_on: date, note: str) -> str:
    note, today, faults = clean_line(note), clock.today(config().zone), {}
    if received_on > today:
        faults["received_on"] = "The day is still to come. Enter the day on which it arrived."
    elif received_on < today - OLDEST:
        faults["received_on"] = "That is more than a year ago. Check the year."
    if fault := note_fault(note, "The note"):
        faults["note"] = fault
    if faults:
        raise InvalidFields(faults)
    return note


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
            gateway=MANUAL, gateway_payment_id=back.payment_id
        )
        checkout_id = session.scalars(paid).one()
    if checkout_id is not None:
        fulfil_checkout(checkout_id)
    return db.session.get_one(TransferBack, back_id)


def owe_details(checkout: Checkout) -> None:
    """Owe the letter that says where to transfer the money: once per try, and at most once an hour
    for a customer. Somebody who orders in another's name mails them no more than that; further
    orders say it on their own pages. Another try of the same order corrects what the letter said."""
    customer_id, order_id = checkout.order.customer_id, checkout.order_id
    theirs = sa.select(Delivery).filter_by(kind=DETAILS, customer_id=customer_id)
    told = db.session.scalars(theirs.order_by(Delivery.id.desc())).all()
    went = [one for one in told if one.status is not DeliveryStatus.SKIPPED]
    last = went[0] if went and went[0].due_at > clock.now() - HOUR else None
    # One that waits to leave finds its facts when it does.
    if last is not None and (last.order_id != order_id or last.status is DeliveryStatus.QUEUED):
        return
    if any((one.facts or {}).get("checkout_id") == checkout.id for one in told):
        return
    owe(
        DETAILS,
        # Two orders that are placed at once follow the same letter, so that one of them owes.
        f"{DETAILS}:{customer_id}:{told[0].id if told else 0}",
        customer_id=customer_id,
        order_id=order_id,
        facts={"checkout_id": checkout.id},
        due_at=last.due_at + HOUR if last else None,
        priority=SOMEBODY_WAITS,
    )


def look_after_transfers() -> None:
    """For the timetable: fulfil what arrived in full while nobody finished it, and tell staff of
    money that came in part and whose time is over."""
    unpaid = sa.and_(Checkout.gateway == MANUAL, Checkout.status != CheckoutStatus.COMPLETED)
    in_full = (
        sa.select(Checkout.id)
        .join(Order)
        .where(unpaid, Checkout.amount > 0, received_sum() >= Checkout.amount)
        # What does not fit its order was held back, and a person looks at it: it is not tried again.
        .where(Order.total_amount == Checkout.amount, Order.currency == Checkout.currency)
        .order_by(Checkout.id)
        .limit(AT_ONCE)
    )
    checkout_ids = list(db.session.scalars(in_full))
    end_read()
    for checkout_id in checkout_ids:
        fulfil_checkout(checkout_id)
    late = (
        sa.select(Checkout)
        .where(unpaid, Checkout.expires_at <= clock.now())
        .where(received_sum() > 0, received_sum() < Checkout.amount)
        .order_by(Checkout.id)
        .limit(AT_ONCE)
    )
    with transaction() as session:
        for checkout in session.scalars(late).all():
            _alert_part(checkout)
    end_read()


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
