"""Owing letters, writing them, and what staff may do with those that did not leave."""

import re
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import html5lib
import pytest
import sqlalchemy as sa
from flask import Flask

from store.kit import clock
from store.kit.database import db, transaction
from store.kit.status import ForbiddenMove, StatusChange
from store.kit.text import plain_name
from store.mail import letters, outbox, worker
from store.mail.letters import Hold, Kind, Letter, Skip, octets_of, seller
from store.mail.mime import Mailbox
from store.mail.models import Batch, CapturedLetter, Delivery, DeliveryStatus
from tests.conftest import Clock, on_both
from tests.factories import a_customer
from tests.pages import check_letter_html

from .letter_rules import broken
from .shops import a_batch, a_shop, deliveries, delivery, owe_to, statuses

ANNA = "anna@reader.example"


@pytest.fixture
def shop(database_url: str, tmp_path: Path, frozen: Clock) -> Iterator[Flask]:
    with a_shop(database_url, tmp_path) as app:
        yield app


@pytest.fixture
def rung(shop: Flask, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    bells: list[str] = []
    monkeypatch.setitem(
        shop.extensions["colophon.jobs"], "send_letters", lambda: bells.append("send_letters")
    )
    return bells


def captured_letters() -> list[CapturedLetter]:
    return list(db.session.scalars(sa.select(CapturedLetter).order_by(CapturedLetter.id)))


def a_kind(monkeypatch: pytest.MonkeyPatch, name: str, facts: Any) -> None:
    monkeypatch.setitem(letters._kinds, name, Kind(name, facts, None))


@on_both
def test_a_letter_owed_twice_for_one_reason_is_one_letter(shop: Flask, rung: list[str]) -> None:
    with transaction():
        first = outbox.owe("staff_alert", "edition:1:1", address=ANNA)
        second = outbox.owe("staff_alert", "edition:1:1", address=ANNA)

    assert (first, second) == (True, False)
    assert list(deliveries()) == [ANNA]


def test_the_bell_rings_once_for_many_letters_and_only_after_the_commit(
    shop: Flask, rung: list[str]
) -> None:
    with transaction():
        outbox.owe("staff_alert", "one", address=ANNA)
        outbox.owe("staff_alert", "two", address=ANNA)
        assert rung == []

    assert rung == ["send_letters"]


def test_a_letter_that_is_due_later_rings_no_bell_and_waits(
    shop: Flask, rung: list[str], frozen: Clock
) -> None:
    owe_to(ANNA, due_at=clock.now() + timedelta(days=14))

    assert rung == []
    assert worker.send_due_letters() == 0
    frozen.advance(days=14)
    worker.wake_when_due()
    assert rung == ["send_letters"]
    assert worker.send_due_letters() == 1


@on_both
def test_without_a_mail_server_a_letter_is_captured_once(shop: Flask) -> None:
    owe_to("Anna@Reader.example")

    assert worker.send_due_letters() == 1
    assert worker.send_due_letters() == 0
    [letter] = captured_letters()
    row = delivery("Anna@Reader.example")
    assert (letter.recipient, letter.subject) == (ANNA, "To Anna@Reader.example")
    assert (row.status, row.sent_at, row.tries) == (DeliveryStatus.SENT, clock.now(), 1)
    assert row.message_id == message_from_bytes(letter.octets)["Message-ID"]


def test_who_is_waited_for_goes_first(shop: Flask) -> None:
    owe_to("notice@reader.example")
    owe_to("waiting@reader.example", priority=outbox.SOMEBODY_WAITS)

    worker.send_due_letters()

    order = [letter.recipient for letter in captured_letters()]
    assert order == ["waiting@reader.example", "notice@reader.example"]


@on_both
def test_one_letter_that_cannot_be_written_stops_no_other_and_staff_hear_once(
    shop: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_kind(monkeypatch, "broken", lambda delivery: {}["no such fact"])
    a_kind(monkeypatch, "untemplated", lambda delivery: Letter(Mailbox(ANNA), {}))
    with transaction():
        for n in range(2):
            outbox.owe("broken", f"broken:{n}", address=f"broken{n}@reader.example")
        outbox.owe("untemplated", "untemplated", address="untemplated@reader.example")
        outbox.owe("unheard of", "unheard", address="unheard@reader.example")
    owe_to("good@reader.example", "no-at-sign", "lost@münchen..example")

    worker.send_due_letters()

    found = {address: (str(row.status), row.reason) for address, row in deliveries().items()}
    held = "could not be written: "
    alerts = found.pop("desk@publisher.example")
    assert alerts == ("sent", "")
    assert found == {
        "broken0@reader.example": ("held", held + "KeyError"),
        "broken1@reader.example": ("held", held + "KeyError"),
        "untemplated@reader.example": ("held", held + "TemplateNotFound"),
        "unheard@reader.example": ("held", held + "KindUnknown"),
        "good@reader.example": ("sent", ""),
        "no-at-sign": ("held", "No letter can be sent to this e-mail address."),
        "lost@münchen..example": ("held", "No letter can be sent to this e-mail address."),
    }
    told = db.session.scalars(sa.select(Delivery.dedupe_key).where(Delivery.kind == "staff_alert"))
    day = f"{clock.now():%Y-%m-%d}"
    alerted = {key.rsplit(":", 1)[0] for key in told if key.startswith("staff_alert:")}
    kinds = ("broken", "untemplated", "unheard of")
    assert alerted == {f"staff_alert:held:{kind}:{day}" for kind in kinds}


def test_facts_are_asked_when_the_letter_leaves(
    shop: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: dict[str, Any] = {
        "refunded@reader.example": Skip("refunded"),
        "full@reader.example": Hold("mailbox full"),
    }
    a_kind(monkeypatch, "asked", lambda delivery: answers[delivery.address])
    with transaction():
        for address in answers:
            outbox.owe("asked", address, address=address)

    worker.send_due_letters()

    found = {address: (str(row.status), row.reason) for address, row in deliveries().items()}
    assert found == {
        "refunded@reader.example": ("skipped", "refunded"),
        "full@reader.example": ("held", "mailbox full"),
    }


@on_both
def test_a_letter_sent_again_by_hand_is_a_new_message(shop: Flask) -> None:
    owe_to("no-at-sign")
    worker.send_due_letters()
    with transaction() as session:
        row = session.get_one(Delivery, delivery("no-at-sign").id)
        row.address, row.message_id, row.tries = ANNA, "<old@shop.example.org>", 7
    with transaction() as session:
        assert outbox.retry(session.get_one(Delivery, delivery(ANNA).id), "Beth")

    assert worker.send_due_letters() == 1
    row = delivery(ANNA)
    assert (row.status, row.tries, row.reason) == (DeliveryStatus.SENT, 1, "")
    assert row.message_id != "<old@shop.example.org>"
    change = db.session.scalars(
        sa.select(StatusChange).where(StatusChange.entity == "deliveries")
    ).one()
    assert (change.from_status, change.to_status, change.who) == ("held", "queued", "Beth")


def test_a_sent_letter_is_not_sent_again(shop: Flask) -> None:
    owe_to(ANNA)
    worker.send_due_letters()

    with pytest.raises(ForbiddenMove), transaction() as session:
        outbox.retry(session.get_one(Delivery, delivery(ANNA).id), "Beth")


@on_both
def test_after_an_address_was_repaired_the_customer_gets_what_was_missed(
    shop: Flask, rung: list[str]
) -> None:
    with transaction():
        customer, other = a_customer(), a_customer("ben@reader.example", "Ben")
        for n, (who, status) in enumerate(
            [(customer, "failed"), (customer, "held"), (customer, "sent"), (other, "failed")]
        ):
            outbox.owe("staff_alert", f"k{n}", customer_id=who.id)
            db.session.execute(
                sa.update(Delivery).where(Delivery.dedupe_key == f"k{n}").values(status=status)
            )
        customer_id = customer.id

    with transaction():
        assert len(outbox.release_held(customer_id, "Beth")) == 2

    db.session.remove()
    found = db.session.scalars(sa.select(Delivery.status).order_by(Delivery.id)).all()
    assert found == ["queued", "queued", "sent", "failed"]


@on_both
def test_the_failed_letters_of_a_batch_are_queued_again_together(shop: Flask) -> None:
    batch_id = a_batch()
    owe_to("a@reader.example", "b@reader.example", batch_id=batch_id)
    owe_to("c@reader.example")
    with transaction() as session:
        session.execute(sa.update(Delivery).values(status="failed", reason="550 no"))

    with transaction() as session:
        assert outbox.retry_failed(session.get_one(Batch, batch_id), "Beth") == 2

    assert statuses() == {"queued": 2, "failed": 1}


def test_an_alert_goes_to_each_member_of_staff_once(
    shop: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_alert_recipients", lambda: ["a@press.example", "b@press.example"])
    for _ in range(2):
        with transaction():
            outbox.alert_staff("Late", "The date has passed.", "late:1")

    assert list(deliveries()) == ["a@press.example", "b@press.example"]


# What every letter must keep, whichever room it comes from.


@pytest.mark.parametrize("kind", letters.kinds())
def test_every_letter_keeps_the_rules_of_delivery(shop: Flask, kind: str) -> None:
    letter, text = letters.preview_letter(kind), letters.preview(kind)
    octets = octets_of(letter, text, "<1@shop.example.org>", seller())

    is_notice = kind == "edition_notice"
    assert broken(octets, "shop@shop.example.org", notice=is_notice) == []
    assert len(octets) <= 15_000


@pytest.mark.parametrize("kind", letters.kinds())
def test_every_letter_says_the_same_in_text_and_in_html(shop: Flask, kind: str) -> None:
    text = letters.preview(kind)

    assert check_letter_html(text.html) is None
    plain, rich = _words(text.text), _words(_visible(text.html))
    shared = sum(min(plain.count(word), rich.count(word)) for word in set(plain))
    assert shared / max(len(plain), len(rich)) >= 0.95, set(plain) ^ set(rich)


@pytest.mark.parametrize("kind", letters.kinds())
def test_no_letter_shows_the_escapes_of_a_page(shop: Flask, kind: str) -> None:
    text = letters.preview(kind)

    for part in (text.subject, text.text):
        assert not re.search(r"&(#\d+|[a-z]+);|\\'|<[a-z/]|\{\{|\{%", part), part
    assert "&#39;" not in text.html
    assert "&amp;amp;" not in text.html


def test_odd_characters_arrive_as_they_were_written(shop: Flask) -> None:
    odd = "Children's \"Q&A\" <2026>: A & B — it's <b>5 > 3</b>"
    with transaction():
        facts = {"subject": odd, "text": odd}
        outbox.owe("staff_alert", "odd", address=ANNA, facts=facts)

    worker.send_due_letters()

    message = message_from_bytes(captured_letters()[0].octets, policy=policy.default)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert message["Subject"] == odd
    assert odd in text.get_content()
    assert _visible(html.get_content()).count(odd) == 2  # heading and paragraph
    assert "&amp;amp;" not in html.get_content()


@pytest.mark.parametrize(
    "name",
    [
        "Nguyễn, Thị Ánh very very long, name indeed of somebody",
        "Müller, Anna",
        "Support (Billing)",
        "x@y.example",
        'Ann "Nan" O\'Neil',
        "Ω" * 200,
    ],
)
def test_a_letter_has_one_recipient_whatever_the_name(
    shop: Flask, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    context = {"title": "Hello", "text": "Hello."}
    a_kind(monkeypatch, "staff_alert", lambda delivery: Letter(Mailbox(ANNA, name), context))
    owe_to(ANNA)

    worker.send_due_letters()

    message = message_from_bytes(captured_letters()[0].octets, policy=policy.default)
    assert [box.addr_spec for box in message["To"].addresses] == [ANNA]
    # The standard library leaves a blank between encoded words that stand for one long word.
    read = message["To"].addresses[0].display_name
    assert read.replace(" ", "") == plain_name(name).replace(" ", "")


def _visible(html: str) -> str:
    """What a mail program shows; the address behind a button counts as shown, as in the text."""
    body = html5lib.parse(html, namespaceHTMLElements=False).find("body/table")
    return "".join(_shown(body))


def _shown(element: Any) -> Iterator[str]:
    edge = "" if element.tag in {"a", "b", "em", "strong", "span", "code", "i"} else " "
    yield edge + (element.text or "")
    for child in element:
        if isinstance(child.tag, str):
            yield from _shown(child)
        yield child.tail or ""
    if element.get("class") == "press":
        yield f" {element.get('href')} "
    yield edge


def _words(text: str) -> list[str]:
    words = re.findall(r"[^\W_][\w@./:&'’-]*", text)
    return [word.rstrip(".:'’-/") for word in words]
