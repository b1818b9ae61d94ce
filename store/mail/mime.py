"""The octets of a letter: header section, both bodies, and the addresses on its envelope."""

import binascii
import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import NamedTuple

from store.kit.mailboxes import ATEXT, own_address, wire_recipient
from store.kit.text import clean_line

_ATOM = re.compile(rf"[{ATEXT}]+")
_MESSAGE_ID = re.compile(rf"<[{ATEXT}.]+@[A-Za-z0-9._-]+>")
_LIST_ID = re.compile(r"[A-Za-z0-9._-]{1,250}")
_URI = re.compile(r"(?:https?://|mailto:)[!-;=?-~]{1,900}")  # visible ASCII but the brackets

# Longer values go as encoded words, which can be folded anywhere; 998 octets is the limit.
_LONGEST_PLAIN = 200
# 39 octets make a word of 64: with the longest field name the line keeps to 76 (RFC 2047, 2).
_WORD_OCTETS = 39
_BASE64_OCTETS = 57

# Neither encoding can write "=_" (RFC 2045, 6.7), so no body can hold this boundary.
_BOUNDARY = b"=_letter"
_FIXED_FIELDS = (
    "Auto-Submitted: auto-generated\r\n"
    "MIME-Version: 1.0\r\n"
    'Content-Type: multipart/alternative; boundary="=_letter"\r\n'
)


@dataclass(frozen=True)
class Mailbox:
    """One address with the name shown beside it. The name loses control and bidirectional
    characters; whatever commas or brackets it holds, it stays one mailbox."""

    address: str
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", clean_line(self.name))


@dataclass(frozen=True)
class LetterText:
    """What a letter says: the subject and both bodies, as they are to be read."""

    subject: str
    text: str
    html: str


class EncodedText(NamedTuple):
    """The same with both bodies as they go, each with its boundary and fields before it."""

    subject: str
    text: bytes
    html: bytes


class Envelope(NamedTuple):
    """What MAIL and RCPT name. Needs SMTPUTF8 when either has a local part outside ASCII."""

    sender: str
    recipient: str
    needs_smtputf8: bool


def compose(
    text: LetterText | EncodedText,
    *,
    sender: Mailbox,
    to: Mailbox,
    reply_to: Mailbox | None,
    message_id: str,
    date: datetime,
    list_id: str | None = None,
    unsubscribe_url: str | None = None,
    unsubscribe_mailto: str | None = None,
) -> bytes:
    """The letter as it goes after DATA, before dot-stuffing: CRLF only, no line over 998 octets,
    7-bit but for a local part outside ASCII in To. Raises AddressUnwritable; ValueError for a
    naive date, a foreign Message-ID, or list fields that would not stand as they are."""
    if date.tzinfo is None:
        raise ValueError("a letter's date must say its zone")
    head = [
        _own_field("From", sender),
        f"To: {_written(to.name, wire_recipient(to.address)[0])}\r\n",
        _own_field("Reply-To", reply_to) if reply_to else "",
        _subject_field(text.subject),
        _date_field(date.replace(microsecond=0)),
        f"Message-ID: {_checked(_MESSAGE_ID, message_id)}\r\n",
        _list_fields(list_id, unsubscribe_url, unsubscribe_mailto),
        _FIXED_FIELDS,
    ]
    if isinstance(text, LetterText):
        plain, html = part(b"plain", text.text), part(b"html", text.html)
    else:
        plain, html = text.text, text.html
    return b"".join(("".join(head).encode(), plain, html, b"\r\n--", _BOUNDARY, b"--\r\n"))


def address_envelope(sender: str, recipient: str) -> Envelope:
    """The envelope from an address of ours to another. Raises AddressUnwritable, and
    OwnAddressUnwritable for the sender's."""
    from_address = own_address(sender)
    to_address, needs_smtputf8 = wire_recipient(recipient)
    return Envelope(from_address, to_address, needs_smtputf8)


@lru_cache(maxsize=64)
def _own_field(field: str, mailbox: Mailbox) -> str:
    """From and Reply-To are the same on every letter of a batch."""
    return f"{field}: {_written(mailbox.name, own_address(mailbox.address))}\r\n"


@lru_cache(maxsize=64)
def _subject_field(subject: str) -> str:
    subject = clean_line(subject)
    return f"Subject: {subject if _goes_plain(subject) else _encoded(subject)}\r\n"


@lru_cache(maxsize=4)
def _date_field(date: datetime) -> str:
    return f"Date: {format_datetime(date)}\r\n"


def _written(name: str, address: str) -> str:
    """A mailbox as a header field shows it (RFC 5322, 3.4)."""
    return f"{_phrase(name)} <{address}>" if name else address


def _phrase(name: str) -> str:
    # A name that looks like an address, quoted, is taken for a second one by plain programs.
    if _goes_plain(name) and "@" not in name:
        if all(map(_ATOM.fullmatch, name.split(" "))):
            return name
        return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    words = name.split(" ")
    odd = [at for at, word in enumerate(words) if "=?" in word or not _ATOM.fullmatch(word)]
    if len(name) > _LONGEST_PLAIN:
        return _encoded(name) + "\r\n"
    # Plain words round the odd ones stay readable, and most names need one encoded word only.
    start, end = odd[0], odd[-1] + 1
    return " ".join([*words[:start], _encoded(" ".join(words[start:end])), *words[end:]]) + "\r\n"


def _goes_plain(value: str) -> bool:
    # A value that looks like an encoded word would be decoded by the reader's program.
    return value.isascii() and len(value) <= _LONGEST_PLAIN and "=?" not in value


def _encoded(value: str) -> str:
    """Encoded words (RFC 2047), each whole characters and at most 75 octets, one a line. The
    standard library's policy writes one word of any length, and decodes "=?" in names."""
    octets = value.encode("utf-8", "replace")
    words, start = [], 0
    while start < len(octets):
        end = start + _WORD_OCTETS
        while end < len(octets) and octets[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{b64encode(octets[start:end]).decode('ascii')}?=")
        start = end
    return "\r\n ".join(words)


def _list_fields(list_id: str | None, url: str | None, mailto: str | None) -> str:
    """List-Id (RFC 2919) and the stop button (RFC 2369, RFC 8058), never encoded or folded."""
    fields = f"List-Id: <{_checked(_LIST_ID, list_id)}>\r\n" if list_id else ""
    uris = [f"<{_checked(_URI, uri)}>" for uri in (url, mailto) if uri]
    if uris:
        fields += "List-Unsubscribe: " + ",\r\n ".join(uris) + "\r\n"
    if url:
        fields += "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    return fields


def _checked(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError("a header value of ours is not written as its field demands")
    return value


def part(subtype: bytes, content: str) -> bytes:
    """One body: quoted-printable, or base64 where that is shorter (text outside Latin script).
    Either keeps trailing blanks, dots and long paragraphs through every relay."""
    octets = octets_of("".join(lines_of(content)))
    encoded = quoted(octets)
    if not is_shorter_in_base64(encoded, len(octets)):
        return quoted_part(subtype, encoded)
    starts = range(0, len(octets), _BASE64_OCTETS)
    lines = (b64encode(octets[start : start + _BASE64_OCTETS]) + b"\r\n" for start in starts)
    return _part(subtype, b"base64", b"".join(lines))


def quoted_part(subtype: bytes, encoded: bytes) -> bytes:
    """One body whose lines are in quoted-printable already."""
    return _part(subtype, b"quoted-printable", encoded)


def is_shorter_in_base64(encoded: bytes, size: int) -> bool:
    """Whether base64 writes so many octets shorter than they are in quoted-printable."""
    return len(encoded) > size * 7 // 5


def lines_of(content: str) -> list[str]:
    """The lines of a body, each with its line feed; at least one."""
    return [f"{line}\n" for line in _with_line_feeds(content).removesuffix("\n").split("\n")]


def octets_of(lines: str) -> bytes:
    """Whole lines as octets, whatever ends them."""
    return _with_line_feeds(lines).replace("\n", "\r\n").encode("utf-8", "replace")


def quoted(octets: bytes) -> bytes:
    """Whole lines in quoted-printable; each is written for itself, whatever stands beside it."""
    # Mail stores write ">From " for it; a soft line break after the F keeps it whole.
    written = binascii.b2a_qp(octets)
    if b"From " not in written:
        return written
    return (b"\n" + written).replace(b"\nFrom ", b"\nF=\r\nrom ")[1:]


def _with_line_feeds(text: str) -> str:
    if "\r" not in text:
        return text
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _part(subtype: bytes, encoding: bytes, encoded: bytes) -> bytes:
    return (
        b"\r\n--%b\r\nContent-Type: text/%b; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: %b\r\n\r\n%b" % (_BOUNDARY, subtype, encoding, encoded)
    )
