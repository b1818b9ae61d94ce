"""Letters about copies and addresses: their facts, asked at the moment of sending."""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from store.entitlements import confirmation
from store.entitlements.access import Doors, doors_of, shelves
from store.entitlements.addresses import CHANGED, CONFIRM
from store.entitlements.finding import FIND
from store.entitlements.granting import CONFIRMATION
from store.entitlements.links import address_url
from store.entitlements.models import Link
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.mail.letters import Letter, Skip, letter
from store.mail.message import Mailbox
from store.mail.models import Attempt, Delivery, DeliveryStatus
from store.orders.customers import customer_by_address, mask
from store.orders.models import Customer, Order, OrderStatus

STATES = {
    OrderStatus.PENDING: "not paid yet",
    OrderStatus.PAID: "paid",
    OrderStatus.EXPIRED: "not paid in time",
    OrderStatus.CANCELLED: "cancelled",
}


letter(CONFIRMATION, sample=confirmation.sample)(confirmation.facts)


def _sample_links() -> dict[str, Any]:
    base = config().base_url
    return {
        "library_url": f"{base}/library/sample",
        "titles": ["Effective SEND Practice in the Early Years, edition 2"],
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


@letter(FIND, sample=_sample_links)
def find_my_copies(delivery: Delivery) -> Letter | Skip:
    """Library and orders of whoever asked; an address that we do not know gets nothing."""
    customer = _who_asked(delivery)
    if customer is None:
        return Skip("unknown address")
    if _told_lately(delivery, customer.email):
        return Skip("sent a moment ago")
    doors = doors_of(customer.id)
    titles = [_title(shelf.publication.title, shelf.editions) for shelf in shelves(customer.id)]
    orders = _orders(customer.id, doors)
    if not titles and not orders:
        return Skip("nothing bought")
    path = doors.library_path() if titles else None
    context = {"library_url": path and _absolute(path), "titles": titles, "orders": orders}
    return Letter(Mailbox(customer.email, customer.name), context)


def _told_lately(delivery: Delivery, address: str) -> bool:
    """Whether the links went to this address in the last ten minutes, however they were asked for."""
    told = (
        sa.select(Attempt.id)
        .join(Delivery, Delivery.id == Attempt.delivery_id)
        .where(
            Delivery.kind == FIND,
            Delivery.id != delivery.id,
            Delivery.status == DeliveryStatus.SENT,
            Delivery.sent_at > clock.now() - timedelta(minutes=10),
            Attempt.address == address,
        )
    )
    return db.session.scalars(told.limit(1)).first() is not None


@letter(CONFIRM, sample=lambda: {"url": f"{config().base_url}/address/sample"})
def confirm_address(delivery: Delivery) -> Letter | Skip:
    """The link that proves a new address, while it is the newest that was asked for."""
    link = db.session.get(Link, delivery.link_id)
    if link is None or link.revoked_at is not None or link.new_email is None:
        return Skip("a later change was asked for")
    return Letter(Mailbox(link.new_email), {"url": address_url(link)})


@letter(CHANGED, sample=lambda: {"masked": "n•••@reader.example"})
def address_changed(delivery: Delivery) -> Letter | Skip:
    """The last letter to an address that is no longer a customer's."""
    customer = db.session.get(Customer, delivery.customer_id)
    if customer is None or delivery.address is None:
        return Skip("nobody to tell")
    return Letter(Mailbox(delivery.address), {"masked": mask(customer.email)})


def _who_asked(delivery: Delivery) -> Customer | None:
    reference = (delivery.facts or {}).get("reference")
    if reference is not None:
        owner = sa.select(Customer).join(Order).where(Order.reference == reference)
        return db.session.scalars(owner).first()
    return customer_by_address(delivery.address or "")


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
            "state": STATES[order.status],
            "url": _absolute(path),
        }
        for order in orders
        if (path := doors.order_path(order.id))
    ]


def _title(title: str, editions: list[Any]) -> str:
    return f"{title}, edition {editions[0].number}" if editions else title


def _absolute(path: str) -> str:
    return config().base_url + path
