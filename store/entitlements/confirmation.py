"""The order confirmation: owed once more where somebody asks, and what it says. It is the durable
copy of the contract (Consumer Contracts Regulations 2013, regulation 16)."""

from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus, Seller
from store.catalog.publications import newest_released, promised_date
from store.entitlements.access import (
    copy_waits,
    editions_of_order,
    readable_editions,
    rights_of_order,
)
from store.entitlements.links import library_url, order_url
from store.entitlements.models import Entitlement
from store.entitlements.received import CONFIRMATION, NOTICE
from store.entitlements.shelves import earlier_twin
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.formatting import format_day
from store.kit.money import format_money
from store.mail import outbox
from store.mail.letters import Letter, Skip
from store.mail.mime import Mailbox
from store.mail.models import Delivery, Occasion
from store.orders.consents import (
    CONSENT_WORDINGS,
    CURRENT_TERMS,
    accepted_terms,
    given_consent,
    last_day_to_cancel,
    promise_in_words,
    term_in_words,
)
from store.orders.models import Order, OrderStatus
from store.orders.prices import order_vat_note

CONFIRMED = "came with the order’s confirmation"


class NotPaid(Refusal):
    """There is no confirmation of an order that nobody paid."""

    sentence = "This order is not paid, so there is no confirmation to send."


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


def facts(delivery: Delivery) -> Letter | Skip:
    """Everything that was agreed, as it stands when the letter leaves; left out once refunded."""
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
    return Letter(Mailbox(order.customer.email, order.name or order.customer.name), _context(words))


def sample() -> dict[str, Any]:
    """A paid order of an edition that is there."""
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
        "title": "Effective SEND Practice in the Early Years",
        "author": "",
        "term": "for 2 years",
        "consent": {"wording": next(iter(CONSENT_WORDINGS.values())), "given_at": moment},
        "cancel_until": date(2027, 3, 15),
        "is_ready": True,
        "edition_number": 1,
        "is_preorder": False,
        "copy_waits": False,
        "promised": "",
        "available_at": moment,
        "formats": ["PDF", "EPUB"],
        "twin": None,
        "order_url": f"{config().base_url}/orders/sample",
        "library_url": f"{config().base_url}/library/sample",
    }
    return _context(words)


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


def _context(words: dict[str, Any]) -> dict[str, Any]:
    outer = ("seller", "order", "title", "is_preorder", "is_gift")
    return {"letter": words} | {name: words[name] for name in outer}


def _agreed(order: Order) -> dict[str, Any]:
    line = order.lines[0]
    return {
        "seller": order.seller,
        "order": {
            name: getattr(order, name)
            for name in (
                "reference",
                "total_amount",
                "currency",
                "placed_at",
            )
        }
        | {"paid_at": order.paid_at or order.placed_at},
        "price": format_money(line.price_amount * line.quantity, order.currency),
        "discount": _discount(order),
        "vat": order_vat_note(order),
        "terms": _terms(order),
        "is_free": order.total_amount == 0,
        "is_gift": bool(order.given_reason),
        "title": line.title,
        "author": line.publication.author,
        "term": term_in_words(line.updates_months),
        "consent": given_consent(order.id),
        "cancel_until": last_day_to_cancel(order),
    }


def _discount(order: Order) -> dict[str, str] | None:
    if not order.discount_amount or order.given_reason:
        return None
    amount = format_money(order.discount_amount, order.currency)
    return {"label": order.discount_label or "Discount", "amount": amount}


def _terms(order: Order) -> dict[str, str]:
    accepted = accepted_terms(order)
    if accepted is None:
        return {"url": f"{config().base_url}/terms", "words": "Our terms"}
    words = f"The terms you accepted: version {accepted.version} of {format_day(accepted.since)}"
    return {"url": config().base_url + accepted.path, "words": words}


def _supply(order: Order, rights: list[Entitlement], edition: Edition | None) -> dict[str, Any]:
    line = order.lines[0]
    available_at = min(right.available_at for right in rights)
    newest = edition or newest_released(line.publication_id)
    is_preorder = edition is None and all(right.from_edition_id is None for right in rights)
    # As of today: a date may have moved since the order, and must not be promised once it passed.
    promised = promised_date(line.publication) if is_preorder else None
    return {
        "is_ready": edition is not None,
        "edition_number": edition.number if edition else None,
        "is_preorder": is_preorder,
        "copy_waits": copy_waits(available_at, promised),
        "promised": promise_in_words(promised) if promised else "",
        "available_at": available_at,
        "formats": sorted({asset.format.upper() for asset in newest.assets}, reverse=True)
        if newest
        else [],
    }
