"""Letters about copies and addresses: their facts, asked at the moment of sending."""

from datetime import UTC, datetime

from store.catalog.models import Publication
from store.entitlements import confirmation
from store.entitlements.addresses import CHANGED, CONFIRM, RESTORED, count_orders_along
from store.entitlements.links import link_url, stop_url, undo_ends_at
from store.entitlements.models import Link
from store.entitlements.order_moves import ACCEPT, MOVED, SETTLED
from store.entitlements.received import CONFIRMATION
from store.entitlements.stops import NEWS_STOPPED, is_stopped
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.mail.letters import Letter, Skip, letter
from store.mail.mime import Mailbox
from store.mail.models import Delivery
from store.orders.customers import mask
from store.orders.models import Customer, Order

_TITLE = "Effective SEND Practice in the Early Years"

letter(CONFIRMATION, sample=confirmation.sample)(confirmation.facts)


@letter(CONFIRM, sample=lambda: {"url": f"{config().base_url}/address/sample", "orders": 2})
def confirm_address(delivery: Delivery) -> Letter | Skip:
    """The link that proves a new address, while it is the newest that was asked for."""
    link = db.session.get(Link, delivery.link_id)
    if link is None or link.revoked_at is not None or link.new_email is None:
        return Skip("a later change was asked for")
    words = {"url": link_url(link), "orders": count_orders_along(link.customer_id)}
    return Letter(Mailbox(link.new_email), words)


def _sample_undo() -> dict[str, object]:
    url = f"{config().base_url}/undo/sample"
    return {"url": url, "until": datetime(2027, 3, 15, 10, tzinfo=UTC)}


def _undo_words(link: Link | None) -> dict[str, object]:
    """No way to undo in a letter that leaves when it is too late."""
    if link is None or undo_ends_at(link) <= clock.now():
        return {"url": "", "until": None}
    return {"url": link_url(link), "until": undo_ends_at(link)}


@letter(
    CHANGED,
    sample=lambda: {"masked": "n•••@reader.example"} | _sample_undo(),
)
def address_changed(delivery: Delivery) -> Letter | Skip:
    """The last letter to an address that is no longer a customer's, with the way to undo it."""
    customer = db.session.get(Customer, delivery.customer_id)
    if customer is None or delivery.address is None:
        return Skip("nobody to tell")
    undo = db.session.get(Link, delivery.link_id) if delivery.link_id else None
    if undo is not None and undo.revoked_at is not None:
        return Skip("the change was undone")
    return Letter(Mailbox(delivery.address), {"masked": mask(customer.email)} | _undo_words(undo))


@letter(RESTORED, sample=lambda: {"keeps_orders": True})
def address_restored(delivery: Delivery) -> Letter:
    """Tells an address that a customer's copies were moved to it and are not its own any more."""
    keeps_orders = (delivery.facts or {}).get("keeps_orders", False)
    return Letter(Mailbox(delivery.address or ""), {"keeps_orders": keeps_orders})


@letter(
    NEWS_STOPPED,
    sample=lambda: {"title": _TITLE, "stop_url": f"{config().base_url}/stop/sample"},
)
def news_stopped(delivery: Delivery) -> Letter | Skip:
    """That notices of a publication are stopped, with the way to undo it; left out once undone."""
    publication_id = (delivery.facts or {})["publication_id"]
    customer = db.session.get_one(Customer, delivery.customer_id)
    if not is_stopped(customer.id, publication_id):
        return Skip("undone since")
    context = {
        "title": db.session.get_one(Publication, publication_id).title,
        "stop_url": stop_url(customer.id, publication_id),
    }
    return Letter(Mailbox(customer.email, customer.name), context)


def _sample_order(**more: object) -> dict[str, object]:
    return {"reference": "K7QM-2XWP", "title": _TITLE} | more


def _order_words(order_id: int | None) -> dict[str, object]:
    order = db.session.get_one(Order, order_id)
    title = ", ".join(line.title for line in order.lines)
    return {"reference": order.reference, "title": title}


@letter(ACCEPT, sample=lambda: _sample_order(url=f"{config().base_url}/move/sample"))
def accept_order(delivery: Delivery) -> Letter | Skip:
    """Asks an address whether it takes an order; nothing in it was typed by the one who asks."""
    link = db.session.get(Link, delivery.link_id)
    if link is None or link.revoked_at is not None or link.new_email is None:
        return Skip("it was asked for again, or the order is elsewhere")
    words = _order_words(link.order_id) | {"url": link_url(link)}
    return Letter(Mailbox(link.new_email), words)


@letter(MOVED, sample=lambda: _sample_order(**_sample_undo()))
def order_moved(delivery: Delivery) -> Letter | Skip:
    """Tells the old address that an order went elsewhere, with the way to object."""
    link = db.session.get(Link, delivery.link_id)
    if link is None or link.revoked_at is not None:
        return Skip("somebody has objected already")
    words = _order_words(delivery.order_id) | _undo_words(link)
    return Letter(Mailbox(link.customer.email), words)


@letter(SETTLED, sample=lambda: _sample_order(is_given_back=True, keeps_it=False))
def order_settled(delivery: Delivery) -> Letter | Skip:
    """Tells each of the two addresses of an order what a person decided about it."""
    customer = db.session.get_one(Customer, delivery.customer_id)
    words = _order_words(delivery.order_id)
    facts = delivery.facts or {}
    words |= {name: facts[name] for name in ("is_given_back", "keeps_it")}
    return Letter(Mailbox(customer.email), words)
