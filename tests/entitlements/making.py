"""Orders that were paid and granted by the real rules, and what the outbox then sends."""

import email
import re
from email.message import EmailMessage
from email.policy import default
from typing import cast

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus, Publication
from store.entitlements.links import PATHS, make_link, token_of
from store.entitlements.models import Link
from store.entitlements.order_moves import accept_move, hold_order, request_move
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.status import advance
from store.mail.models import CapturedLetter
from store.mail.worker import send_due_letters
from store.orders.customers import customer_by_address
from store.orders.models import Customer
from tests.factories import a_publication, a_released_edition, a_seller, every_table
from tests.purchases import ANNA, a_paid_order


def a_shop(*, editions: int = 1, slug: str = "send-early-years") -> Publication:
    """A seller and a listed publication with so many released editions."""
    with transaction() as session:
        if session.scalars(sa.text("SELECT count(*) FROM sellers")).one() == 0:
            a_seller()
        publication = a_publication(slug)
        for number in range(1, editions + 1):
            a_released_edition(publication, number)
    return publication


def annas_order() -> int:
    """A paid order of Anna's in a shop of its own, whose letters have left; its number."""
    made = a_paid_order(a_shop()).id
    sent()
    return made


def guide(publication_id: int) -> Publication:
    """The publication, in the session that is open now."""
    db.session.rollback()
    return db.session.get_one(Publication, publication_id)


def edition_of(edition_id: int) -> Edition:
    """The edition, in the session that is open now."""
    db.session.rollback()
    return db.session.get_one(Edition, edition_id)


def release(publication: Publication, number: int) -> Edition:
    """An edition, released at this moment."""
    with transaction():
        return a_released_edition(publication, number, released_at=clock.now())


def withdraw(edition: Edition) -> None:
    """An edition is taken out of circulation."""
    with transaction():
        advance(edition, EditionStatus.WITHDRAWN)
        edition.withdrawn_at = clock.now()


def hold(order_id: int) -> None:
    """Somebody moved the order to another address, and the address that it had objects."""
    with transaction() as session:
        accept_move(request_move(order_id, "carl@other.example"))
        undo = sa.select(Link).where(Link.purpose == "undo", Link.order_id == order_id)
        hold_order(session.scalars(undo).one())


def anna() -> Customer:
    """The customer."""
    found = customer_by_address(ANNA)
    assert found is not None
    return found


def link_to(purpose: str, customer_id: int) -> Link:
    """The standing link of one purpose."""
    query = sa.select(Link).where(
        Link.customer_id == customer_id, Link.purpose == purpose, Link.revoked_at.is_(None)
    )
    return db.session.scalars(query.order_by(Link.id.desc())).first() or _new(purpose, customer_id)


def _new(purpose: str, customer_id: int) -> Link:
    with transaction():
        return make_link(purpose, customer_id)


def path_to(purpose: str, customer_id: int) -> str:
    """The path of a standing link."""
    return PATHS[purpose] + token_of(link_to(purpose, customer_id))


def sent() -> list[EmailMessage]:
    """Send what is due; every letter that was captured so far, oldest first."""
    send_due_letters()
    octets = db.session.scalars(sa.select(CapturedLetter.octets).order_by(CapturedLetter.id))
    return [cast(EmailMessage, email.message_from_bytes(each, policy=default)) for each in octets]


def text_of(message: EmailMessage) -> str:
    """The text part."""
    body = message.get_body(("plain",))
    assert body is not None
    return cast(str, body.get_content())


def links_in(text: str) -> list[str]:
    """The paths of our own links in a letter's text, in their order."""
    return re.findall(r"http://127\.0\.0\.1:8000(/\S+)", text)


def html_of(message: EmailMessage) -> str:
    """The HTML part."""
    body = message.get_body(("html",))
    assert body is not None
    return cast(str, body.get_content())


def count_rows() -> dict[str, int]:
    """How many rows each table has: what a page that writes nothing leaves alone."""
    db.session.rollback()
    return {
        table.name: db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        for table in every_table()
    }
