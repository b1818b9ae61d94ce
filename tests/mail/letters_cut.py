"""Letters as the tests cut them, odd names and notes, and the eyes of a reader's program."""

import email
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr

from store.mail.mime import LetterText, Mailbox, compose

SHOP = Mailbox("letters@shop.example.org", "Colophon, the shop")
PLAIN = LetterText("Subject", "Plain\n", "<p>HTML</p>\n")
ANNA = Mailbox("anna@reader.example", "Anna")
ODD_TITLE = """Children's "Q&A" <2026>: A & B"""
NAMES = [
    "Nguyễn, Thị Ánh very very long, name indeed of somebody",
    "Müller, Anna",
    "Support (Billing)",
    "x@y.example",
    'Ann "Nan" O\'Neil',
    'back\\slash, \\"',
    "Ω" * 200,
    "a, " * 120 + "z",
    "=?utf-8?q?Mallory?= <m@evil.example>",
    "Dr. Ann Example",
    "Siân O'Neil",
    "undisclosed: a@b.example, c@d.example;",
    "",
]
NOTES = "\n".join(
    [
        "First line",
        ".",
        "..two",
        "From the board",
        "a\ttab and a trailing blank ",
        "trailing tab\t",
        "",
        "word " * 1000 + "From the middle",
        "x" * 75 + "From a line that is folded",
        "nothing = 3D, --=_letter",
        "--=_letter--",
        "end",
    ]
)


def letter(
    text: LetterText = PLAIN,
    to: Mailbox = ANNA,
    **options: str | Mailbox,
) -> bytes:
    given: dict[str, object] = {
        "sender": SHOP,
        "reply_to": Mailbox("help@shop.example.org"),
        "message_id": "<1@shop.example.org>",
        "date": datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        "list_id": "send-practice.shop.example.org",
        "unsubscribe_url": "https://shop.example.org/stop/" + "t" * 92,
    }
    return compose(text, to=to, **(given | options))  # type: ignore[arg-type]


def read(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def mailbox(raw: bytes, field: str) -> tuple[str, str]:
    """Name and address of the one mailbox. The name by the older reader: the newer one keeps
    the blank between two encoded words (RFC 2047, 6.2 says that it goes)."""
    (address,) = read(raw)[field].addresses
    name, _ = parseaddr(email.message_from_bytes(raw)[field])
    return str(make_header(decode_header(name))), address.addr_spec


def bodies(raw: bytes) -> tuple[str, str]:
    plain, html = read(raw).iter_parts()
    return tuple(  # type: ignore[return-value]
        part.get_payload(decode=True).decode().replace("\r\n", "\n") for part in (plain, html)
    )
