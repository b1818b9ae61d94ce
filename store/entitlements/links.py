"""Signed addresses for customers: made once, looked up on every use, dead when the row says so."""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload

from store.entitlements import erasure_journal
from store.entitlements.models import Link
from store.kit import clock, tokens
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import Refusal
from store.mail import outbox
from store.orders.models import Customer, Order, OrderLine

DAY = 86_400
# Seconds that a token of each purpose is good for. A stop holds until it is revoked; the
# serializer wants an age all the same, and a century is longer than any key is kept.
MAX_AGE = {
    "library": 400 * DAY,
    "order": 400 * DAY,
    "stop": 36_500 * DAY,
    "address": DAY,
    "move": DAY,
    "undo": 14 * DAY,
    "second": DAY,
    "refuse": 14 * DAY,
    "data": DAY,
    "keep": 400 * DAY,
    "download": DAY,
    "order_download": DAY,
}
# What a token of these purposes refers to: the row of another link.
_BEHIND = {"download": "library", "order_download": "order"}
# What the token of a download behind a link is signed for.
DOWNLOADS = {link: download for download, link in _BEHIND.items()}
PATHS = {
    "library": "/library/",
    "order": "/orders/",
    "stop": "/stop/",
    "address": "/address/",
    "move": "/move/",
    "undo": "/undo/",
    "second": "/second-address/",
    "refuse": "/refuse/",
    "data": "/your-data/",
    "keep": "/keep/",
}
# They belong to the mailbox that lost something or was told, and hold while all others end.
OBJECTING = ("undo", "refuse", "keep")


class Ended(StrEnum):
    """What ended a link before its time, for the page that says so."""

    ADDRESS = "address"  # the address on file changed
    ASKED = "asked"  # somebody asked for fresh ones
    MOVED = "moved"  # its order went to another address
    NEWER = "newer"  # only the newest of its kind counts
    USED = "used"
    UNDONE = "undone"  # an earlier undo took back what it would have
    SECOND = "second"  # letters went to a second address too, which was taken out
    KEPT = "kept"  # an erasure was stopped, so that there is none to stop
    ERASED = "erased"  # all that is known of its customer is gone
    RESTORED = "restored"  # a restore, and nothing told which links had ended since its backup


class LinkUnknown(Refusal):
    """No link of ours, or one whose row is gone."""

    status = 404
    sentence = "Part of it may be missing. We can mail you a fresh one."
    heading = "We do not know this link"
    way_out = ("/find-my-copies", "Find my copies")


# Why a link of ours opens nothing, where its text is at fault and not its row.
TOO_OLD = "too old"
BROKEN = "broken"


class LinkExpired(Refusal):
    """A link of ours that is too old, wrongly signed or cut, used up, ended, or of an order that
    is another customer's now; `reason` is one of those above or of `Ended`, or empty."""

    status = 410
    heading = "This link no longer works"
    sentence = "This link no longer works. One press mails a fresh one to the address on file."

    def __init__(self, link: Link, reason: str = "") -> None:
        self.link = link
        self.reason = reason or link.revoked_reason
        super().__init__()


def make_link(
    purpose: str,
    customer_id: int,
    *,
    order_id: int | None = None,
    publication_id: int | None = None,
    new_email: str | None = None,
) -> Link:
    """A new row behind a signed address."""
    link = Link(
        reference=tokens.new_reference(),
        purpose=purpose,
        customer_id=customer_id,
        order_id=order_id,
        publication_id=publication_id,
        new_email=new_email,
        created_at=clock.now(),
    )
    db.session.add(link)
    db.session.flush()
    return link


def ensure_links(customer_id: int, publication_id: int) -> None:
    """The library link and the stop link of a customer, made where they are missing."""
    ensure_links_of([customer_id], publication_id)


def ensure_links_of(customer_ids: Collection[int], publication_id: int) -> None:
    """The same for many customers, in as many statements."""
    for purpose, title in (("library", None), ("stop", publication_id)):
        standing = sa.select(Link.customer_id).where(
            Link.purpose == purpose, Link.revoked_at.is_(None), Link.customer_id.in_(customer_ids)
        )
        if title is not None:
            standing = standing.where(Link.publication_id == title)
        have = set(db.session.scalars(standing))
        missing = [
            {
                "reference": tokens.new_reference(),
                "purpose": purpose,
                "customer_id": customer_id,
                "publication_id": title,
                "created_at": clock.now(),
            }
            for customer_id in sorted(set(customer_ids) - have)
        ]
        if missing:
            db.session.execute(sa.insert(Link), missing)


def order_link(order_id: int, customer_id: int) -> Link:
    """The link of an order, made where it is missing."""
    found = _standing("order", customer_id, order_id=order_id)
    return found or make_link("order", customer_id, order_id=order_id)


def library_url(customer_id: int) -> str:
    """The absolute address of a customer's library, good for 400 days. Needs `ensure_links`."""
    return link_url(_needed("library", customer_id))


def order_url(order_id: int, at: datetime | None = None) -> str:
    """The absolute address of an order's page, good for 400 days from `at`. Needs `order_link`."""
    # An order that came to another customer has a link of each.
    owner = sa.select(Order.customer_id).where(Order.id == order_id).scalar_subquery()
    query = _query("order").where(Link.order_id == order_id, Link.customer_id == owner)
    return link_url(db.session.scalars(query).one(), at)


def stop_url(customer_id: int, publication_id: int) -> str:
    """The absolute address that stops news of a publication. Needs `ensure_links`."""
    return link_url(_needed("stop", customer_id, publication_id=publication_id))


def newest_reference(
    purpose: str, customer_id: Any, publication_id: Any = None
) -> sa.ScalarSelect[str]:
    """The reference of a customer's standing link as part of another query; `url_to` takes it."""
    query = _query(purpose).where(Link.customer_id == customer_id)
    if publication_id is not None:
        query = query.where(Link.publication_id == publication_id)
    return query.with_only_columns(Link.reference).scalar_subquery()


def url_to(purpose: str, reference: str | None) -> str:
    """The absolute address behind a reference that `newest_reference` found."""
    if reference is None:
        raise LookupError(f"there is no {purpose} link")
    return f"{config().base_url}{PATHS[purpose]}{tokens.sign(reference, purpose)}"


def link_url(link: Link, at: datetime | None = None) -> str:
    """The absolute address behind a link, signed now or as of `at`."""
    return f"{config().base_url}{PATHS[link.purpose]}{token_of(link, at)}"


def token_of(link: Link, at: datetime | None = None) -> str:
    """A token for a link's own purpose, signed now or as of `at`."""
    return tokens.sign(link.reference, link.purpose, at)


def open_link(token: str, purpose: str) -> Link:
    """The row behind a token, asked at this moment.

    Refuses with `LinkUnknown` (404) what is no link of ours, and with `LinkExpired` (410, the row
    beside it) a known one whose signature or age fails or that was revoked.
    """
    try:
        reference = tokens.read(token, purpose, MAX_AGE[purpose])
        fault = ""
    except tokens.NotValid as refused:
        reference, fault = refused.reference, TOO_OLD if refused.is_old else BROKEN
    except tokens.Unreadable:
        raise LinkUnknown from None
    link = db.session.scalars(
        sa.select(Link).where(
            Link.reference == reference, Link.purpose == _BEHIND.get(purpose, purpose)
        )
    ).first()
    if link is None:
        raise LinkUnknown
    if link.revoked_at is not None:
        raise LinkExpired(link)
    owner = sa.select(Order.customer_id).where(Order.id == link.order_id)
    if link.purpose == "order" and db.session.scalar(owner) != link.customer_id:
        # Its order came to another customer: moved, or placed again under their address.
        raise LinkExpired(link, Ended.MOVED)
    if purpose in {"undo", "refuse"} and clock.now() > undo_ends_at(link):
        fault = fault or TOO_OLD
    if fault:
        raise LinkExpired(link, fault)
    return link


def undo_ends_at(link: Link) -> datetime:
    """Until when a change can be undone, or a second address refused: 14 days from then, however
    late the letter left."""
    return link.created_at + timedelta(seconds=MAX_AGE["undo"])


def link_named(token: str) -> Link:
    """The row that a token names, whatever became of its signature and of the row: to mail a
    fresh link to the address on file, and for nothing else. Refuses `LinkUnknown`."""
    try:
        reference = tokens.reference_of(token)
    except tokens.Unreadable:
        raise LinkUnknown from None
    link = db.session.scalars(sa.select(Link).where(Link.reference == reference)).first()
    if link is None:
        raise LinkUnknown
    return link


def open_order(token: str) -> Order:
    """The order behind the token of its own link; refuses as `open_link`."""
    return order_behind(open_link(token, "order"))


def order_behind(link: Link) -> Order:
    """The order that an order link opens, with lines, customer and seller."""
    query = (
        sa.select(Order)
        .where(Order.id == link.order_id)
        .options(
            joinedload(Order.customer),
            joinedload(Order.seller),
            selectinload(Order.lines).joinedload(OrderLine.publication),
        )
    )
    return db.session.scalars(query).one()


def open_download(token: str) -> Link:
    """The library or order link that a download's token was made behind; refuses as
    `open_link`."""
    try:
        return open_link(token, "download")
    except LinkUnknown:
        return open_link(token, "order_download")


def revoke_links(customer_id: int, why: Ended) -> None:
    """Every link that was mailed to a customer ends, but for those that object: nobody else may end
    them. What a worker has written with the old ones, or to the old address, does not leave."""
    outbox.look_again(customer_id)
    _revoke(why, Link.customer_id == customer_id, Link.purpose.not_in(OBJECTING))


def revoke_order_links(order_id: int, why: Ended) -> None:
    """Every link to an order ends, but for those that undo."""
    _revoke(why, Link.order_id == order_id, Link.purpose != "undo")


def revoke_pending(purpose: str, why: Ended, **which: int | None) -> None:
    """End the links of one purpose whose columns have the values of `which`."""
    chosen = [getattr(Link, name) == value for name, value in which.items()]
    _revoke(why, Link.purpose == purpose, *chosen)


def use_up(link: Link) -> None:
    """The link has done its one act."""
    link.used_at = link.revoked_at = clock.now()
    link.revoked_reason = Ended.USED
    db.session.flush()


def lock_link(link: Link) -> None:
    """Look at a link again once what it acts on is locked: of two presses at once the second
    finds it used. Refuses `LinkExpired`."""
    db.session.refresh(link)
    if link.revoked_at is not None:
        raise LinkExpired(link)


def _revoke(why: Ended, *which: sa.ColumnElement[bool]) -> None:
    ended = (
        sa.update(Link)
        .where(Link.revoked_at.is_(None), *which)
        .values(revoked_at=clock.now(), revoked_reason=why)
    )
    ids = db.session.scalars(ended.returning(Link.id)).all()
    if ids:
        erasure_journal.add_ended_links(ids, why, clock.now())


def address_on_file(link: Link) -> Customer:
    """Whose address gets fresh links where this one is dead: the order's customer of today, where
    it is of an order. Refuses (`LinkExpired`) where that customer is erased."""
    order = db.session.get(Order, link.order_id) if link.order_id else None
    customer = order.customer if order else link.customer
    if customer.erased_at is not None:
        raise LinkExpired(link, Ended.ERASED)
    return customer


def _query(purpose: str) -> sa.Select[Link]:
    return (
        sa.select(Link)
        .where(Link.purpose == purpose, Link.revoked_at.is_(None))
        .order_by(Link.id.desc())
        .limit(1)
    )


def _standing(
    purpose: str,
    customer_id: int,
    *,
    publication_id: int | None = None,
    order_id: int | None = None,
) -> Link | None:
    query = _query(purpose).where(Link.customer_id == customer_id)
    if publication_id is not None:
        query = query.where(Link.publication_id == publication_id)
    if order_id is not None:
        query = query.where(Link.order_id == order_id)
    return db.session.scalars(query).first()


def _needed(purpose: str, customer_id: int, *, publication_id: int | None = None) -> Link:
    link = _standing(purpose, customer_id, publication_id=publication_id)
    if link is None:
        raise LookupError(f"customer {customer_id} has no {purpose} link")
    return link
