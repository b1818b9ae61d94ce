"""What the outbox sends: letters as rows, as a mail program reads them, and what was owed."""

import email
import re
from email.message import EmailMessage
from email.policy import default
from typing import cast

import sqlalchemy as sa
from flask import current_app

from store.catalog.models import Edition
from store.kit.database import db
from store.mail.models import CapturedLetter, Delivery, DeliveryStatus
from store.mail.worker import send_due_letters, sweep
from store.orders.models import Customer


def send() -> list[CapturedLetter]:
    """Let a worker send all that is due; every letter that was captured so far, oldest first."""
    _work()
    found = list(db.session.scalars(sa.select(CapturedLetter).order_by(CapturedLetter.id)))
    db.session.rollback()
    return found


def sent() -> list[EmailMessage]:
    """The same, as a mail program reads them."""
    _work()
    octets = db.session.scalars(sa.select(CapturedLetter.octets).order_by(CapturedLetter.id))
    return [cast(EmailMessage, email.message_from_bytes(each, policy=default)) for each in octets]


def _work() -> None:
    with current_app.app_context():  # a worker's session is its own
        send_due_letters()
        sweep()
    db.session.rollback()


def text_of(message: EmailMessage) -> str:
    """The text part."""
    body = message.get_body(("plain",))
    assert body is not None
    return cast(str, body.get_content())


def html_of(message: EmailMessage) -> str:
    """The HTML part."""
    body = message.get_body(("html",))
    assert body is not None
    return cast(str, body.get_content())


def links_in(text: str) -> list[str]:
    """The paths of our own links in a letter's text, in their order."""
    return re.findall(r"http://127\.0\.0\.1:8000(/\S+)", text)


def letters_to(address: str, words: str) -> list[str]:
    """The subjects of the letters to an address that hold the words."""
    return [
        one["Subject"]
        for one in sent()
        if one["To"].addresses[0].addr_spec == address and words in one["Subject"]
    ]


def deliveries(edition: Edition) -> dict[str, tuple[DeliveryStatus, str]]:
    """Status and reason of the edition's notices by the customer's address, of several the newest."""
    rows = db.session.execute(
        sa.select(Customer.email, Delivery.status, Delivery.reason)
        .join(Delivery, Delivery.customer_id == Customer.id)
        .where(Delivery.edition_id == edition.id, Delivery.kind == "edition_notice")
        .order_by(Delivery.id)
    ).all()
    db.session.rollback()
    return {email: (status, reason) for email, status, reason in rows}
