"""Letters about money: where to transfer it, that it never came, that it went back; and the letter with
all links of a customer, whose orders stand as their money does."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from store.catalog.publications import still_promised
from store.entitlements.access import copy_waits, rights_of_order
from store.entitlements.doors import Doors, doors_of
from store.entitlements.fresh_links import FIND, SECOND, start_of_window
from store.entitlements.links import order_url
from store.entitlements.models import Link
from store.entitlements.on_file import owner_of_second, second_of
from store.entitlements.shelves import Shelf, Standing, shelves
from store.kit.config import config
from store.kit.database import db
from store.kit.formatting import format_day
from store.kit.mailboxes import address_key
from store.kit.money import format_money
from store.mail.letters import Letter, Skip, letter
from store.mail.mime import Mailbox
from store.mail.models import Delivery, DeliveryStatus
from store.orders.consents import promise_in_words
from store.orders.customers import customer_by_address
from store.orders.models import Customer, Order, OrderStatus
from store.payments.charge import is_bank_at_work
from store.payments.fulfilment import GIVEN_BACK
from store.payments.gateways.registry import takes_payments_online
from store.payments.models import Checkout, Refund, RefundStatus
from store.payments.money_back import CANCELLED_KEYS, is_cancelled
from store.payments.sums import is_wholly_refunded, paid_amount, refunded_amount, refunds_of
from store.payments.transfers import DETAILS, awaited_transfer


def _sample_refund() -> dict[str, Any]:
    return {
        "reference": "K7QM-2XWP",
        "titles": ["Effective SEND Practice in the Early Years"],
        "amount": 1250,
        "paid": 1250,
        "currency": "GBP",
        "is_whole": True,
        "was_cancelled": True,
        "asked_at": datetime(2027, 3, 3, 9, 0, tzinfo=UTC),
        "order_url": "https://shop.example.org/orders/sample",
    }


@letter("order_refunded", sample=_sample_refund)
def order_refunded(delivery: Delivery) -> Letter:
    """How much goes back for which order, and what remains of it."""
    refund = db.session.get_one(Refund, (delivery.facts or {})["refund_id"])
    order = db.session.get_one(Order, delivery.order_id)
    context = {
        "seller": order.seller,
        "reference": order.reference,
        "titles": [line.title for line in order.lines],
        "amount": refund.amount,
        "paid": paid_amount(order.id),
        "currency": refund.currency,
        "is_whole": is_wholly_refunded(order.id),
        "was_cancelled": refund.request_key.partition("~")[0] in CANCELLED_KEYS,
        "asked_at": refund.requested_at,
        "order_url": order_url(order.id),
    }
    return Letter(Mailbox(order.customer.email, order.name), context)


def _sample_transfer() -> dict[str, Any]:
    return {
        "reference": "K7QM-2XWP",
        "titles": ["Effective SEND Practice in the Early Years"],
        "amount": 1250,
        "due": 1250,
        "part": "",
        "currency": "GBP",
        "bank_details": ["Early Years Sample Press", "Sort code 00-00-00", "Account 00000000"],
        "pay_by": datetime(2027, 3, 31, 9, 0, tzinfo=UTC),
        "takes_cards": True,
        "order_url": "https://shop.example.org/orders/sample",
    }


@letter(DETAILS, sample=_sample_transfer)
def transfer_details(delivery: Delivery) -> Letter | Skip:
    """How much to transfer, to whom, under which reference; left out once nothing is awaited."""
    order = db.session.get_one(Order, delivery.order_id)
    transfer = awaited_transfer(order)
    if order.status is not OrderStatus.PENDING or transfer is None or not transfer.is_open:
        return Skip("no transfer is awaited")
    if _is_told_later(delivery):
        return Skip("a later letter says it")
    context = {
        "seller": order.seller,
        "reference": order.reference,
        "titles": [line.title for line in order.lines],
        "amount": transfer.amount,
        "due": transfer.due,
        "part": transfer.part,
        "currency": transfer.currency,
        "bank_details": transfer.bank_details.splitlines(),
        "pay_by": transfer.pay_by,
        "takes_cards": takes_payments_online(),
        "order_url": order_url(order.id),
    }
    return Letter(Mailbox(order.customer.email, order.name), context)


def _is_told_later(delivery: Delivery) -> bool:
    """Whether a newer letter says where to transfer the money for the same order."""
    newer = sa.select(Delivery.id).where(
        Delivery.kind == DETAILS,
        Delivery.order_id == delivery.order_id,
        Delivery.id > delivery.id,
        Delivery.status != DeliveryStatus.SKIPPED,
    )
    return db.session.scalars(newer.limit(1)).first() is not None


def _sample_failure() -> dict[str, Any]:
    return {
        "reference": "K7QM-2XWP",
        "titles": ["Effective SEND Practice in the Early Years"],
        "amount": 1250,
        "currency": "GBP",
        "reason": "Your bank did not make the payment.",
        "was_given_back": False,
        "is_open": True,
        "order_url": "https://shop.example.org/orders/sample",
    }


@letter("payment_failed", sample=_sample_failure)
def payment_failed(delivery: Delivery) -> Letter | Skip:
    """That a slow payment did not arrive after all; left out once the order is paid."""
    order = db.session.get_one(Order, delivery.order_id)
    if order.status is OrderStatus.PAID:
        return Skip("paid since")
    checkout = db.session.get_one(Checkout, (delivery.facts or {})["checkout_id"])
    context = {
        "seller": order.seller,
        "reference": order.reference,
        "titles": [line.title for line in order.lines],
        "amount": checkout.amount,
        "currency": checkout.currency,
        "reason": checkout.failure,
        "was_given_back": checkout.failure == GIVEN_BACK,
        "is_open": order.status is OrderStatus.PENDING,
        "order_url": order_url(order.id),
    }
    return Letter(Mailbox(order.customer.email, order.name), context)


def _sample_copies() -> dict[str, Any]:
    base = config().base_url
    return {
        "said": "",
        "library_url": f"{base}/library/sample",
        "titles": ["Effective SEND Practice in the Early Years, edition 2"],
        "waiting": ["Effective Practice for Two-Year-Olds: we publish it by the end of June 2027."],
        "orders": [
            {
                "reference": "K7QM-2XWP",
                "placed_at": datetime(2027, 3, 1, 10, tzinfo=UTC),
                "title": "Effective SEND Practice in the Early Years",
                "state": "paid",
                "url": f"{base}/orders/sample",
            }
        ],
    }


@letter(FIND, sample=_sample_copies)
def find_my_copies(delivery: Delivery) -> Letter | Skip:
    """All links of a customer: library and orders, each as it stands with its money at the moment of
    sending. An address that we do not know gets nothing."""
    customer = _who_asked(delivery)
    if customer is None:
        return Skip("unknown address")
    if _told_lately(delivery, customer.id):
        return Skip("sent a moment ago")
    doors = doors_of(customer.id)
    owned = [
        shelf for shelf in shelves(customer.id) if not (shelf.is_refunded or shelf.is_suspended)
    ]
    orders = _orders(customer.id, doors)
    if not owned and not orders:
        return Skip("nothing bought")
    context = {
        "said": (delivery.facts or {}).get("said", ""),
        "library_url": _absolute((owned and doors.library_path()) or ""),
        "titles": [
            f"{shelf.publication.title}, edition {shelf.editions[0].number}"
            for shelf in owned
            if shelf.editions
        ],
        "waiting": [_waits_in_words(shelf) for shelf in owned if not shelf.editions],
        "orders": orders,
    }
    second = second_of(customer.id) if _is_second(delivery) else None
    return Letter(Mailbox((second or customer).email, customer.name), context)


def _is_second(delivery: Delivery) -> bool:
    """Whether it was asked for with a second address, and goes there."""
    return delivery.dedupe_key.startswith(SECOND)


def _who_asked(delivery: Delivery) -> Customer | None:
    if _is_second(delivery):
        return _whose_second(delivery)
    if delivery.customer_id is not None:
        return db.session.get(Customer, delivery.customer_id)
    # Bought between asking and sending.
    reference = (delivery.facts or {}).get("reference")
    if reference is not None:
        owner = sa.select(Customer).join(Order).where(Order.reference == reference)
        return db.session.scalars(owner).first()
    return customer_by_address(delivery.address or "")


def _whose_second(delivery: Delivery) -> Customer | None:
    """Whose second address it was asked for with, where it still is theirs at this moment."""
    owner_id = db.session.scalar(owner_of_second(address_key(delivery.address or "")))
    if owner_id is None or owner_id != delivery.customer_id:
        return None
    return db.session.get(Customer, owner_id)


def _told_lately(delivery: Delivery, customer_id: int) -> bool:
    """Whether a letter that was asked for in the same ten minutes, at whatever door, has brought
    the links or is about to; not one from before the links were ended."""
    gone = sa.or_(
        Delivery.status.in_({DeliveryStatus.SENT, DeliveryStatus.SENDING}),
        # Two workers look at the same moment: the later letter gives way to the earlier.
        sa.and_(Delivery.status == DeliveryStatus.QUEUED, Delivery.id < delivery.id),
    )
    told = (
        sa.select(Delivery.id)
        .where(
            Delivery.kind == FIND,
            Delivery.customer_id == customer_id,
            Delivery.id != delivery.id,
            # What went to the one address is not in the other mailbox.
            Delivery.dedupe_key.startswith(SECOND) == _is_second(delivery),
            gone,
            Delivery.created_at >= start_of_window(delivery.created_at),
            Delivery.created_at <= delivery.created_at,
        )
        .where(
            ~sa.exists().where(
                Link.customer_id == customer_id,
                Link.purpose.in_(("library", "order")),
                Link.revoked_at >= sa.func.coalesce(Delivery.sent_at, Delivery.claimed_at),
            )
        )
    )
    return db.session.scalars(told.limit(1)).first() is not None


def _waits_in_words(shelf: Shelf) -> str:
    title = shelf.publication.title
    day = None if shelf.is_published else still_promised(shelf.publication.expected_on)
    if shelf.is_withdrawn:
        return f"{title}: withdrawn; we mail you as soon as the corrected edition is there."
    if shelf.available_at and copy_waits(shelf.available_at, day):
        return f"{title}: ready on {format_day(shelf.available_at)}."
    if day:
        return f"{title}: we publish it {promise_in_words(day)}."
    return f"{title}: we mail you the link on the day it is published."


def _orders(customer_id: int, doors: Doors) -> list[dict[str, Any]]:
    query = sa.select(Order).where(Order.customer_id == customer_id)
    orders = db.session.scalars(
        query.options(selectinload(Order.lines)).order_by(Order.id.desc())
    ).all()
    return [
        {
            "reference": order.reference,
            "placed_at": order.placed_at,
            "title": ", ".join(line.title for line in order.lines),
            "state": _order_in_words(order),
            "url": _absolute(doors.order_path(order.id) or ""),
        }
        for order in orders
    ]


def _absolute(path: str) -> str:
    return config().base_url + path if path else ""


def _order_in_words(order: Order) -> str:
    if order.status is not OrderStatus.PAID:
        return _unpaid_in_words(order)
    standing = Standing(rights_of_order(order.id))
    if standing.rights and standing.is_refunded:
        return _ended_in_words(order, standing)
    if order.held_at is not None:
        return "held, as somebody objected to its move; a person will look at it"
    if standing.is_suspended:
        return "disputed with your bank; its copies rest until that is decided"
    return _paid_in_words(order)


def _unpaid_in_words(order: Order) -> str:
    transfer = awaited_transfer(order)
    if transfer is not None and transfer.part:
        return f"{transfer.part}, the rest is not paid"
    if order.status is OrderStatus.EXPIRED:
        return "not paid in time"
    if order.status is OrderStatus.CANCELLED:
        return "given up before it was paid"
    if is_bank_at_work(order):
        return "your bank is making the payment"
    if transfer is not None and transfer.is_open:
        return "waits for your bank transfer"
    return "not paid yet"


def _ended_in_words(order: Order, standing: Standing) -> str:
    """Of a paid order none of whose rights is left."""
    if standing.is_gift_back:
        return "a gift that was taken back"
    if standing.is_lost:
        return "your bank took the payment back, so its copies are closed"
    return _given_back(order)


def _paid_in_words(order: Order) -> str:
    """Of a paid order whose copies are open: what of its money went back."""
    back = refunded_amount(order.id)
    if 0 < paid_amount(order.id) <= back:
        return _given_back(order)
    if order.given_reason:
        return "a gift"
    paid = "paid" if order.total_amount else "nothing to pay"
    return f"{paid}; {_money_back(order)}" if back else paid


def _given_back(order: Order) -> str:
    if not refunded_amount(order.id):
        return "taken back"
    return f"{'cancelled' if is_cancelled(order.id) else 'refunded'}; {_money_back(order)}"


def _money_back(order: Order) -> str:
    amount = format_money(refunded_amount(order.id), order.currency)
    is_under_way = any(one.status is RefundStatus.REQUESTED for one in refunds_of(order.id))
    return f"{amount} {'is on its way' if is_under_way else 'went'} back to you"
