"""Letters about copies and addresses: their facts, asked at the moment of sending."""

from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa

from store.catalog.covers import cover_in_letter
from store.catalog.models import Edition, EditionStatus, Publication, Seller
from store.catalog.publications import cover_of, moves_of, newest_released, promised_date
from store.entitlements.access import copy_waits, readable_editions, rights_of_order
from store.entitlements.addresses import CHANGED, CONFIRM, RESTORED, count_orders_along
from store.entitlements.erasures import STOPPED, TOLD, open_erasure
from store.entitlements.fresh_links import DATA
from store.entitlements.granting import earlier_twin
from store.entitlements.links import library_url, link_url, order_url, stop_url, undo_ends_at
from store.entitlements.models import Entitlement, Link, News
from store.entitlements.news import NEWS_STOPPED, news_of
from store.entitlements.on_file import NO_LONGER
from store.entitlements.order_moves import ACCEPT, MOVED, SETTLED
from store.entitlements.received import CONFIRMATION
from store.entitlements.second_addresses import ADDED
from store.entitlements.second_addresses import CONFIRM as CONFIRM_SECOND
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.formatting import format_day
from store.kit.money import format_money
from store.mail.letters import Letter, Skip, letter
from store.mail.mime import Mailbox
from store.mail.models import Delivery
from store.orders.consents import (
    CONSENT_WORDINGS,
    CURRENT_TERMS,
    accepted_terms,
    given_consent,
    last_day_to_cancel,
    promise_in_words,
    term_in_words,
)
from store.orders.customers import mask
from store.orders.models import Customer, Order
from store.orders.prices import order_vat_note

_TITLE = "Effective SEND Practice in the Early Years"


def _context(words: dict[str, Any]) -> dict[str, Any]:
    outer = ("seller", "cover_url")
    return {"letter": words} | {name: words[name] for name in outer}


def _sample_seller() -> Seller:
    return Seller(
        trading_name="Early Years Sample Press",
        legal_name="",
        charity_number="000000",
        company_number="",
        vat_number="",
        address="1 Sample Street, London",
        email="hello@publisher.example",
        reply_to="",
        phone="020 7946 0000",
    )


def _sample_confirmation() -> dict[str, Any]:
    moment = datetime(2027, 3, 1, 10, tzinfo=UTC)
    words = {
        "seller": _sample_seller(),
        "order": {
            "reference": "K7QM-2XWP",
            "total_amount": 1250,
            "currency": "GBP",
            "placed_at": moment,
            "paid_at": moment,
        },
        "price": "£12.50",
        "discount": None,
        "vat": "No VAT to pay",
        "terms": {
            "url": f"{config().base_url}/terms/{CURRENT_TERMS}",
            "words": f"The terms you accepted: version {CURRENT_TERMS} of 25 November 2026",
        },
        "is_free": False,
        "is_gift": False,
        "title": _TITLE,
        "cover_url": "",
        "author": "",
        "term": "for 2 years",
        "consent": {"wording": next(iter(CONSENT_WORDINGS.values())), "given_at": moment},
        "cancel_until": date(2027, 3, 15),
        "is_ready": True,
        "edition_number": 1,
        "is_preorder": False,
        "copy_waits": False,
        "promised": "",
        "promised_first": "",
        "moves": [],
        "available_at": moment,
        "formats": ["PDF", "EPUB"],
        "twin": None,
        "erased_from": None,
        "order_url": f"{config().base_url}/orders/sample",
        "library_url": f"{config().base_url}/library/sample",
    }
    return _context(words)


@letter(CONFIRMATION, sample=_sample_confirmation)
def order_confirmation(delivery: Delivery) -> Letter | Skip:
    """Everything that was agreed, as it stands when the letter leaves; left out once refunded. It is
    the durable copy of the contract (Consumer Contracts Regulations 2013, regulation 16)."""
    order = db.session.scalars(sa.select(Order).where(Order.id == delivery.order_id)).one()
    rights = rights_of_order(order.id)
    if not any(right.revoked_at is None for right in rights):
        return Skip("refunded")
    if order.held_at is not None:
        return Skip("held")
    edition = db.session.get(Edition, delivery.edition_id) if delivery.edition_id else None
    if edition is not None and edition.status is EditionStatus.WITHDRAWN:
        # Withdrawn since: what the link leads to now, if anything.
        readable = readable_editions(order.customer_id, edition.publication_id)
        edition = readable[0] if readable else None
    words = _agreed(order) | _supply(order, rights, edition)
    words["order_url"] = order_url(order.id)
    twin = earlier_twin(order)
    # The order of the same title that this one may repeat by a slip.
    words["twin"] = {"reference": twin.reference, "paid_at": twin.paid_at} if twin else None
    words["library_url"] = library_url(order.customer_id)
    waits = open_erasure(order.customer_id)
    # What is bought meanwhile goes with all the rest.
    words["erased_from"] = waits.due_at if waits else None
    return Letter(Mailbox(order.customer.email, order.name or order.customer.name), _context(words))


def _agreed(order: Order) -> dict[str, Any]:
    line = order.lines[0]
    accepted = accepted_terms(order)
    terms = {"url": f"{config().base_url}/terms", "words": "Our terms"}
    if accepted is not None:
        on = format_day(accepted.since)
        terms = {
            "url": config().base_url + accepted.path,
            "words": f"The terms you accepted: version {accepted.version} of {on}",
        }
    discount = None
    if order.discount_amount and not order.given_reason:
        discount = {
            "label": order.discount_label or "Discount",
            "amount": format_money(order.discount_amount, order.currency),
        }
    return {
        "seller": order.seller,
        "order": {
            "reference": order.reference,
            "total_amount": order.total_amount,
            "currency": order.currency,
            "placed_at": order.placed_at,
            "paid_at": order.paid_at or order.placed_at,
        },
        "price": format_money(line.price_amount, order.currency),
        "discount": discount,
        "vat": order_vat_note(order),
        "terms": terms,
        "is_free": order.total_amount == 0,
        "is_gift": bool(order.given_reason),
        "title": line.title,
        "cover_url": cover_in_letter(
            cover_of(line.publication), line.publication.slug, line.publication.title
        ),
        "author": line.publication.author,
        "term": term_in_words(line.updates_months),
        "consent": given_consent(order.id),
        "cancel_until": last_day_to_cancel(order),
    }


def _supply(order: Order, rights: list[Entitlement], edition: Edition | None) -> dict[str, Any]:
    line = order.lines[0]
    available_at = min(right.available_at for right in rights)
    newest = edition or newest_released(line.publication_id)
    is_preorder = edition is None and all(right.from_edition_id is None for right in rights)
    # As of today: a date may have moved since the order, and must not be promised once it passed.
    promised = promised_date(line.publication) if is_preorder else None
    moves = moves_of(line.publication_id, order.placed_at) if is_preorder else []
    return {
        "is_ready": edition is not None,
        "edition_number": edition.number if edition else None,
        "is_preorder": is_preorder,
        "copy_waits": copy_waits(available_at, promised),
        "promised": promise_in_words(promised) if promised else "",
        "promised_first": promise_in_words(line.expected_on) if line.expected_on else "",
        "moves": [(one.moved_at, promise_in_words(one.new_on)) for one in moves if one.new_on],
        "available_at": available_at,
        "formats": sorted({asset.format.upper() for asset in newest.assets}, reverse=True)
        if newest
        else [],
    }


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


@letter(CONFIRM_SECOND, sample=lambda: {"url": f"{config().base_url}/second-address/sample"})
def confirm_second_address(delivery: Delivery) -> Letter | Skip:
    """The link that proves a second address, while it is the newest that was asked for."""
    link = db.session.get(Link, delivery.link_id)
    if link is None or link.revoked_at is not None or link.new_email is None:
        return Skip("a later one was asked for, or it was refused")
    return Letter(Mailbox(link.new_email), {"url": link_url(link)})


@letter(DATA, sample=lambda: {"url": f"{config().base_url}/your-data/sample"})
def your_data(delivery: Delivery) -> Letter | Skip:
    """The link to the copy of somebody's data, while it is the newest that was asked for."""
    link = db.session.get(Link, delivery.link_id)
    if link is None or link.revoked_at is not None:
        return Skip("it was asked for again, or all links ended")
    return Letter(Mailbox(link.customer.email, link.customer.name), {"url": link_url(link)})


def _sample_second() -> dict[str, object]:
    url = f"{config().base_url}/refuse/sample"
    until = datetime(2027, 3, 15, 10, tzinfo=UTC)
    return {"masked": "n•••@reader.example", "works_from": until, "url": url, "until": until}


@letter(ADDED, sample=_sample_second)
def second_address_added(delivery: Delivery) -> Letter | Skip:
    """Tells the first address of a second one, with the way to refuse it."""
    link = db.session.get(Link, delivery.link_id)
    if link is None or link.revoked_at is not None:
        return Skip("it was refused or taken out already")
    words = {"masked": mask(link.new_email or ""), "works_from": undo_ends_at(link)}
    return Letter(Mailbox(link.customer.email, link.customer.name), words | _undo_words(link))


@letter(NO_LONGER, sample=lambda: {"why": "REFUSED"})
def second_address_ended(delivery: Delivery) -> Letter:
    """Tells a second address that it is none any more, and why."""
    return Letter(Mailbox(delivery.address or ""), {"why": (delivery.facts or {})["why"]})


@letter(
    NEWS_STOPPED,
    sample=lambda: {"title": _TITLE, "stop_url": f"{config().base_url}/stop/sample"},
)
def news_stopped(delivery: Delivery) -> Letter | Skip:
    """That notices of a publication are stopped, with the way to undo it; left out once undone."""
    publication_id = (delivery.facts or {})["publication_id"]
    customer = db.session.get_one(Customer, delivery.customer_id)
    if news_of(customer.id, publication_id) is not News.NOTHING:
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


def _sample_told() -> dict[str, object]:
    url = f"{config().base_url}/keep/sample"
    due_at = datetime(2027, 3, 15, 10, tzinfo=UTC)
    return {"url": url, "due_at": due_at, "is_at_once": False, "is_other": False}


@letter(TOLD, sample=_sample_told)
def erasure_told(delivery: Delivery) -> Letter | Skip:
    """Tells an address of the person what is to be erased and when, with the way to stop it."""
    link = db.session.get_one(Link, delivery.link_id)
    waits = open_erasure(link.customer_id)
    if link.revoked_at is not None or waits is None:
        return Skip("it was stopped already")
    words = {
        "url": link_url(link),
        "due_at": waits.due_at,
        "is_at_once": waits.due_at <= clock.now(),
        "is_other": delivery.address is not None,
    }
    return Letter(_mailbox(delivery, link.customer), words)


@letter(STOPPED, sample=lambda: {"is_other": False})
def erasure_stopped(delivery: Delivery) -> Letter:
    """Tells an address of the person that nothing is erased."""
    customer = db.session.get_one(Customer, delivery.customer_id)
    return Letter(_mailbox(delivery, customer), {"is_other": delivery.address is not None})


def _mailbox(delivery: Delivery, customer: Customer) -> Mailbox:
    """The address that a letter names, else the one on file with its name."""
    if delivery.address is not None:
        return Mailbox(delivery.address)
    return Mailbox(customer.email, customer.name)
