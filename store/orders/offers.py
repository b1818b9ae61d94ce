"""Offers: a price that depends on who one is goes by letter, to the address that earns it.

Typing an address tells nothing about it: the row, the letter owed and the answer are the same
for members and others, and for customers and others. What the address earns is judged when the
letter leaves, when its link is opened and when the order is placed.
"""

import hashlib
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from store.catalog.models import Publication, PublicationStatus
from store.kit import clock, tokens
from store.kit.config import config
from store.kit.database import db, insert_once, transaction
from store.kit.errors import Refusal
from store.kit.mailboxes import address_key
from store.mail import outbox
from store.mail.letters import Letter, Skip, letter
from store.mail.mime import Mailbox
from store.mail.models import Delivery, DeliveryStatus
from store.mail.outbox import forget_addresses, long_past
from store.orders.customers import parse_address
from store.orders.discounts import CodeRefused
from store.orders.models import Offer, Order, OrderStatus
from store.orders.orders import is_of_form
from store.orders.prices import Reduction, code_that_counts, member_reduction, reduction_for

OFFER = "offer"
# Pressing again within this many seconds brings no second letter.
WINDOW_SECONDS = 600
GOOD_FOR = timedelta(hours=24)

OLD = "It was good for 24 hours."
ENDED = "It was ended with the other links that were mailed to its address."
BROKEN = "Part of it is missing, or was changed on its way. Open it from our letter again."
PLACED = "It was good for one order, and that was placed. The letters about it lead there."


class OfferUnknown(Refusal):
    """No link of ours, or one whose row is gone."""

    status = 404
    heading = "We do not know this link"
    sentence = "Part of it may be missing. Open it from our letter again, or ask for a new one."
    way_out = ("/", "See what we publish")


class OfferOver(Refusal):
    """A link of ours that is older than a day, wrongly signed, ended, or whose order is placed."""

    status = 410
    heading = "This link no longer works"

    def __init__(self, offer: Offer, reason: str) -> None:
        super().__init__(f"{reason} To order, ask for a new link.")
        path = f"/publications/{offer.publication.slug}"
        by_code = offer.discount_id is not None
        self.way_out = (f"{path}/{'order' if by_code else 'members'}", "Ask for a new link")


class OfferUsed(Refusal):
    """The link has brought another order already."""

    sentence = "This link was good for one order, and that is placed."


def ask_for_offer(publication: Publication, text: str, code: str = "") -> str:
    """Owe a letter to the address in `text`: with a link to order at the price that it earns as a
    member, or with this code, or saying that it earns none. Returns the address.

    Refuses (`InvalidAddress`, `CodeRefused`) what is no address, or no code that counts for anybody.
    """
    address = parse_address(text)
    discount = code_that_counts(publication, code) if code.strip() else None
    what = f"{address_key(address)} {publication.id} {discount.id if discount else ''}"
    window = int(clock.now().timestamp()) // WINDOW_SECONDS
    offer_id = insert_once(
        Offer,
        reference=tokens.new_reference(),
        asked_key=f"{hashlib.sha256(what.encode()).hexdigest()}:{window}",
        email=address,
        email_key=address_key(address),
        publication_id=publication.id,
        discount_id=discount.id if discount else None,
        created_at=clock.now(),
    )
    if offer_id is not None:
        outbox.owe(
            OFFER, _told_key(offer_id), address=address, facts={"offer_id": offer_id}, priority=0
        )
    return address


def _told_key(offer_id: int) -> str:
    return f"{OFFER}:{offer_id}"


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


def earned(offer: Offer) -> Reduction | None:
    """What the offer's address earns now, by itself or with the code that it was asked for with."""
    if offer.discount is None or offer.discount.code is None:
        return member_reduction(offer.publication, offer.email)
    code = offer.discount.code
    try:
        return reduction_for(offer.publication, proven=offer.email, code=code)
    except CodeRefused:
        return None


def is_told_already(offer: Offer) -> bool:
    """Whether a letter has told this address within a day that it earns nothing, or an earlier
    one is about to."""
    lately = clock.now() - timedelta(days=1)
    mine = Offer.email_key == offer.email_key
    others = db.session.scalars(
        sa.select(Offer).where(mine, Offer.id != offer.id, Offer.order_id.is_(None))
    ).all()
    keys = {_told_key(one.id): one for one in others}
    before = [key for key, one in keys.items() if one.id < offer.id]
    gone = sa.or_(
        Delivery.status == DeliveryStatus.SENDING,
        sa.and_(Delivery.status == DeliveryStatus.SENT, Delivery.sent_at > lately),
        # Two workers look at the same moment: the later letter gives way to the earlier.
        sa.and_(Delivery.status == DeliveryStatus.QUEUED, Delivery.dedupe_key.in_(before)),
    )
    told = sa.select(Delivery.dedupe_key).where(Delivery.dedupe_key.in_(keys), gone)
    return any(earned(keys[key]) is None for key in db.session.scalars(told))


def offer_url(offer: Offer) -> str:
    """The absolute address of the order form at this price, good for 24 hours."""
    return f"{config().base_url}/offer/{tokens.sign(offer.reference, OFFER)}"


def open_offer(token: str) -> Offer:
    """The row behind a link. Refuses (`OfferUnknown`) what is none of ours, and (`OfferOver`) one
    that is too old, wrongly signed, ended, or whose order is not to be paid any more."""
    fault = ""
    try:
        reference = tokens.read(token, OFFER, int(GOOD_FOR.total_seconds()))
    except tokens.NotValid as refused:
        reference, fault = refused.reference, OLD if refused.is_old else BROKEN
    except tokens.Unreadable:
        raise OfferUnknown from None
    offer = db.session.scalars(sa.select(Offer).where(Offer.reference == reference)).first()
    if offer is None:
        raise OfferUnknown
    order = offer.order
    if order is not None:
        is_theirs = order.customer.email_key == offer.email_key
        if not is_theirs or order.status is not OrderStatus.PENDING:
            fault = fault or PLACED
    if offer.ended_at is not None:
        fault = ENDED
    if fault:
        raise OfferOver(offer, fault)
    return offer


def offer_of_form(form_key: str, email: str) -> Offer | None:
    """The offer that the order of a form came by, while the same address is on the form."""
    query = sa.select(Offer).join(Order).where(is_of_form(form_key))
    return db.session.scalars(query.where(Offer.email_key == address_key(email))).first()


def use_offer(offer: Offer, order: Order) -> None:
    """An offer is for one order. Refuses (`OfferUsed`) a second one, also when both come at once."""
    taken = db.session.execute(
        sa.update(Offer)
        .where(
            Offer.id == offer.id,
            Offer.ended_at.is_(None),
            sa.or_(Offer.order_id.is_(None), Offer.order_id == order.id),
        )
        .values(order_id=order.id)
        .returning(Offer.id)
    )
    if taken.first() is None:
        raise OfferUsed


def end_offers(email: str) -> None:
    """End every link that an address was mailed, in whatever spelling; asking again brings a new one."""
    db.session.execute(
        sa.update(Offer)
        .where(Offer.email_key == address_key(email), Offer.ended_at.is_(None))
        # Another press within the same minutes is to bring a link that opens.
        .values(ended_at=clock.now(), asked_key=Offer.reference)
    )


def forget_offers() -> None:
    """Take out old offers that brought no order, and the addresses that strangers typed; the
    timetable calls it. The refusals of a day are counted by these rows (`is_told_already`), so
    they are kept for longer than that."""
    with transaction() as session:
        session.execute(
            sa.delete(Offer).where(Offer.order_id.is_(None), Offer.created_at < long_past())
        )
        forget_addresses(Delivery.kind == OFFER, Delivery.created_at < long_past())
