"""No letter repeats what a stranger may have typed: names alone, made plain (cases mail-1, mail-4)."""

import email
from email import policy
from email.header import decode_header, make_header

import pytest
import sqlalchemy as sa

from store.catalog.models import Publication
from store.kit.database import db, transaction
from store.mail.cutting import cut_letter
from store.mail.letters import Letter, facts_of, kinds, octets_of, render_letter, seller
from store.mail.mime import Mailbox
from store.mail.models import Delivery, DeliveryStatus
from store.orders.models import Customer, Order, OrderLine
from tests import letters, test_headers
from tests.mail.letters_cut import ODD_TITLE as TITLE
from tests.mail.letters_cut import mailbox
from tests.test_headers import every_letter  # noqa: F401 - a fixture

# What is typed, what of it must stand in no letter, and what a letter makes of it as a name.
TYPED = [
    (
        "Anna http://evil.example Click",
        ["http://evil", "//evil", "evil.example"],
        "Anna httpevil. example Click",
    ),
    ("www.evil.example/win", ["www.evil", "evil.example"], "www. evil. examplewin"),
    ("<b>Anna</b> & Co", ["<b>Anna", "&lt;b", "Anna</b>", "& Co", "&amp; Co"], "bAnnab Co"),
    (
        "Anna\r\nBcc: mallory@evil.example",
        ["\nBcc", "Bcc:", "mallory@"],
        "Anna Bcc malloryevil. example",
    ),
    ("Anna \u202egreB", ["\u202e"], "Anna greB"),
    ("Ω" * 200, ["Ω" * 61], "Ω" * 60),
    (
        "Nguyễn, Thị Ánh very very long, name indeed of somebody",
        ["Nguyễn,", "long,"],
        "Nguyễn Thị Ánh very very long name indeed of somebody",
    ),
    ("O'Neil", [], "O'Neil"),
    ("Anne-Marie", [], "Anne-Marie"),
    ("Support (Billing) 0800 123", ["(Billing", "Billing)", "0800 123"], "Support Billing"),
    ("https://1.2.3.4/", ["1.2.3"], "https."),
    ("12 + 34", ["12 + 34"], ""),
]
# Beside the name: where no letter may repeat anything.
OTHERS = ("organisation", "purchase_order_number", "billing_address", "vat_number", "user_agent")


@pytest.fixture
def tried(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> dict[str, list[tuple[int, bytes]]]:
    """Letters of every kind as they would leave, one for each text in `TYPED`."""
    found: dict[str, list[tuple[int, bytes]]] = {}
    send = test_headers.send_due_letters

    def try_and_send() -> None:
        for place, (typed, _, _) in enumerate(TYPED):
            _type(typed)
            for delivery in db.session.scalars(
                sa.select(Delivery).where(Delivery.status == DeliveryStatus.QUEUED)
            ).all():
                letter = facts_of(delivery)
                # What is not wanted any more repeats nothing.
                if isinstance(letter, Letter):
                    octets = _written(delivery.kind, letter)
                    found.setdefault(delivery.kind, []).append((place, octets))
        send()

    for sender in (letters, test_headers):
        monkeypatch.setattr(sender, "send_due_letters", try_and_send)
    request.getfixturevalue("every_letter")
    return found


def _type(typed: str) -> None:
    """Whatever a form takes holds this text, as far as its column goes."""
    with transaction() as session:
        session.execute(sa.update(Customer).values(name=typed))
        others = {name: f"{name[:4].upper()}9 {typed}"[:40] for name in OTHERS}
        session.execute(sa.update(Order).values(name=typed, **others))
        session.execute(sa.update(OrderLine).values(title=TITLE))
        session.execute(sa.update(Publication).values(title=TITLE))


def _written(kind: str, letter: Letter) -> bytes:
    context = {"seller": seller()} | letter.context
    text = cut_letter(kind, context, letter.own) if letter.own else render_letter(kind, context)
    return octets_of(letter, text, "<1@shop.example.org>", seller())


def test_no_letter_of_any_kind_repeats_what_was_typed(
    tried: dict[str, list[tuple[int, bytes]]],
) -> None:
    assert sorted(tried) == kinds()
    for kind, tries in tried.items():
        for place, octets in tries:
            typed, never, name = TYPED[place]
            said = _all_words(octets)
            for part in [*never, *(f"{other[:4].upper()}9" for other in OTHERS)]:
                assert part not in said, (kind, typed, part)
            assert "Bcc" not in email.message_from_bytes(octets)
            shown, _ = mailbox(octets, "To")
            assert shown in {name, ""}, kind


@pytest.mark.long
def test_a_title_is_the_publishers_and_stands_in_every_letter_as_it_is(
    tried: dict[str, list[tuple[int, bytes]]],
) -> None:
    told = set()
    for kind, tries in tried.items():
        for _, octets in tries:
            message = email.message_from_bytes(octets, policy=policy.default)
            text, html = (part.get_content() for part in message.iter_parts())
            if "Children" not in text:
                continue
            told.add(kind)
            assert TITLE in text, kind
            assert "&lt;2026&gt;: A &amp; B" in html, kind
            subject = str(make_header(decode_header(email.message_from_bytes(octets)["Subject"])))
            for part in (text, html, subject):
                assert "&amp;amp;" not in part
                assert "\\'" not in part
            assert "&#39;" not in text + subject
            assert "Children" not in subject or TITLE in subject
    assert {
        "edition_notice",
        "find_my_copies",
        "news_stopped",
        "order_confirmation",
        "order_refunded",
        "payment_failed",
        "transfer_details",
    } <= told


def _all_words(octets: bytes) -> str:
    """The whole letter as a reader's program decodes it: head, text and HTML."""
    message = email.message_from_bytes(octets, policy=policy.default)
    head = "\n".join(
        f"{key}: {make_header(decode_header(value))}"
        for key, value in email.message_from_bytes(octets).items()
    )
    bodies = [part.get_content() for part in message.iter_parts()]
    return "\n".join([head, *bodies])


@pytest.mark.parametrize(("typed", "name"), [(typed, name) for typed, _, name in TYPED])
def test_a_letters_name_is_plain_and_the_same_in_head_and_greeting(typed: str, name: str) -> None:
    letter = Letter(Mailbox("anna@reader.example", typed), {"name": typed})
    assert (letter.to.name, letter.context["name"]) == (name, name)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Dr. Ann Smith", "Dr. Ann Smith"),
        ("J. R. R. Tolkien", "J. R. R. Tolkien"),
        ("J.R.R. Tolkien", "J. R. R. Tolkien"),
        ("evil.com", "evil. com"),
        ("evil。com", "evilcom"),
        ("evil...com", "evil. com"),
        ("D’Arcy", "D’Arcy"),
        ("ثناء", "ثناء"),
        ("नमस्ते", "नमस्ते"),
        ("e\u0301lodie", "élodie"),
        (". - '", ""),
        ("", ""),
        ("word " * 20, "word " * 11 + "word"),
    ],
)
def test_names_stay_names(typed: str, name: str) -> None:
    assert Letter(Mailbox("anna@reader.example", typed), {}).to.name == name
