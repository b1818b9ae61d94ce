"""A mail to the address beside the one-press stop stops the news of that link's reader, and no other's."""

import email
import re
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from flask import current_app

from store.entitlements.models import NoticeStop
from store.kit.database import db
from store.mail.models import CapturedLetter
from store.mail.returned_mailbox import read_returned
from store.orders.models import Customer
from tests.conftest import Clock, make_settings
from tests.mail.reading import Begin
from tests.mail.returned import sent_edition


def stopped() -> list[str]:
    db.session.rollback()
    theirs = sa.select(Customer.email).join(NoticeStop, NoticeStop.customer_id == Customer.id)
    return list(db.session.scalars(theirs.where(NoticeStop.stopped_at.is_not(None))))


def test_a_mail_stops_the_news_of_exactly_that_reader(
    shop: Begin, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = shop()
    settings = current_app.extensions["colophon.settings"]
    place = {"bounce_address": "bounces+{token}@shop.example.org"}
    heard = make_settings(settings.data_dir, bounce_imap=settings.bounce_imap, **place)
    monkeypatch.setitem(current_app.extensions, "colophon.settings", heard)
    message_id = sent_edition("ben@reader.example")
    letters = [email.message_from_bytes(one) for one in db.session.scalars(_letters())]
    (anna,) = [one for one in letters if one["Message-ID"] == message_id]
    url, mailto = re.findall(r"<([^>]+)>", anna["List-Unsubscribe"])
    parts = urlsplit(mailto)
    (subject,) = parse_qs(parts.query)["subject"]
    assert parts.path == f"bounces+{message_id[1:41]}@shop.example.org"
    assert subject == f"stop {url.rpartition('/')[2]}"

    def put(subject: str) -> None:
        head = f"From: anna@reader.example\r\nTo: {parts.path}\r\nSubject: {subject}"
        server.put(f"{head}\r\n\r\nThis message was written by a program.\r\n".encode())

    for other in (f"Re: {subject}", "stop", subject[:-1], f"{subject[:-1]}~"):
        put(other)
    read_returned()
    assert (stopped(), server.read()) == ([], [])
    put(subject.replace("stop ", "STOP\r\n "))  # folded on the way
    put(subject)  # again changes nothing
    frozen.advance(minutes=5)
    read_returned()
    assert stopped() == ["anna@reader.example"]


def test_without_a_mailbox_that_is_read_the_link_stands_alone(shop: Begin) -> None:
    shop()
    settings = current_app.extensions["colophon.settings"]
    assert settings.bounce_address == ""
    sent_edition()
    (letter,) = [
        found
        for one in db.session.scalars(_letters())
        if (found := email.message_from_bytes(one))["List-Unsubscribe"]
    ]
    assert re.fullmatch(r"<http://127\.0\.0\.1:8000/stop/[^>]+>", letter["List-Unsubscribe"])


def _letters() -> sa.Select[tuple[bytes]]:
    return sa.select(CapturedLetter.octets).order_by(CapturedLetter.id)
