"""The letter about an offer: a link to order at the price, or that there is none for this address."""

from typing import Any

from store.catalog.models import PublicationStatus
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.mail.letters import Letter, Skip, letter
from store.mail.mime import Mailbox
from store.mail.models import Delivery
from store.orders.models import Offer
from store.orders.offers import GOOD_FOR, OFFER, earned, is_told_already, offer_url


def _sample() -> dict[str, Any]:
    return {
        "title": "Effective SEND Practice in the Early Years",
        "code": "",
        "price": 1250,
        "total": 1000,
        "currency": "GBP",
        "url": f"{config().base_url}/offer/sample",
    }


@letter(OFFER, sample=_sample)
def offer_letter(delivery: Delivery) -> Letter | Skip:
    """Judged now: what the address earns, or, at most once a day, that it earns nothing."""
    offer = db.session.get(Offer, (delivery.facts or {}).get("offer_id", 0))
    if offer is None or offer.created_at < clock.now() - GOOD_FOR:
        return Skip("asked for too long ago")
    if offer.ended_at is not None:
        return Skip("ended with all other links")
    if offer.order_id is not None:
        return Skip("ordered already")
    publication = offer.publication
    if publication.status is not PublicationStatus.LISTED:
        return Skip("no longer on sale")
    less = earned(offer)
    if less is None and is_told_already(offer):
        return Skip("told within the last day")
    context = {
        "title": publication.title,
        "code": offer.discount.code if offer.discount else "",
        "price": publication.price_amount,
        "total": publication.price_amount - less.amount if less else None,
        "currency": publication.currency,
        "url": offer_url(offer) if less else "",
    }
    return Letter(Mailbox(offer.email), context)
