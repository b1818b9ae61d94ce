"""Deliverability rules on the octets of one letter, as they go after DATA."""

import email
import re
from collections.abc import Iterator
from email import policy
from typing import NamedTuple

_ENCODED_WORD = re.compile(rb"=\?[^?]+\?[bqBQ]\?")
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+>")
_BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_SIGNED = {b"from", b"to", b"subject", b"date", b"message-id"}
_SIGNED_LISTS = {b"list-unsubscribe", b"list-unsubscribe-post"}


class Row(NamedTuple):
    rule: str
    ok: bool
    detail: str = ""


class Head:
    """The header section, its folding kept."""

    def __init__(self, raw: bytes) -> None:
        self.octets = raw.split(b"\r\n\r\n", 1)[0]
        self.fields: list[tuple[str, bytes]] = []
        for line in self.octets.split(b"\r\n"):
            if line[:1] in b" \t" and self.fields:
                name, value = self.fields[-1]
                self.fields[-1] = (name, value + b"\r\n" + line)
            else:
                field, _, value = line.partition(b":")
                self.fields.append((field.lower().decode("latin-1"), value))

    def all(self, name: str) -> list[bytes]:
        return [value for field, value in self.fields if field == name]

    def one(self, name: str) -> str:
        values = self.all(name)
        return values[0].strip().decode("latin-1") if len(values) == 1 else ""


def check(
    raw: bytes,
    envelope_from: str | None = None,
    domain: str = "shop.example.org",
    *,
    notice: bool = True,
) -> list[Row]:
    """One row a rule. Only edition notices carry the List fields."""
    head = Head(raw)
    rows = [*_line_rules(raw), *_head_rules(head, domain), *_body_rules(raw)]
    if notice:
        rows += _list_rules(head)
    if head.all("dkim-signature"):
        rows += _signature_rules(head)
    if envelope_from is not None:
        rows += _return_path_rules(envelope_from)
    return rows


def broken(raw: bytes, envelope_from: str | None = None, **options: object) -> list[Row]:
    """The rules that this letter does not keep."""
    return [row for row in check(raw, envelope_from, **options) if not row.ok]  # type: ignore[arg-type]


def _line_rules(raw: bytes) -> Iterator[Row]:
    longest = max(len(line) for line in raw.split(b"\r\n"))
    yield Row("5322 2.1.1: no line over 998 octets", longest <= 998, f"longest {longest}")
    yield Row("5321 2.3.8: CRLF only, no bare CR or LF", not _BARE_LINE_END.search(raw))


def _head_rules(head: Head, domain: str) -> Iterator[Row]:
    for name in ("from", "date", "message-id", "subject", "to"):
        count = len(head.all(name))
        yield Row(f"5322 3.6: exactly one {name}", count == 1, str(count))
    message_id = head.one("message-id")
    yield Row("5322 3.6.4: Message-ID is one msg-id", bool(_MESSAGE_ID.fullmatch(message_id)))
    yield Row("Message-ID names our domain", message_id.endswith(f"@{domain}>"))
    yield Row("header section is ASCII", head.octets.isascii())
    yield Row("one recipient only in To", head.one("to").count("@") == 1)
    auto_submitted = head.one("auto-submitted")
    yield Row("3834: Auto-Submitted: auto-generated", auto_submitted == "auto-generated")


def _list_rules(head: Head) -> Iterator[Row]:
    fields = head.all("list-unsubscribe")
    value = fields[0] if fields else b""
    uris = re.findall(rb"<([^<>\s]+)>", value)
    yield Row("2369/8058: one List-Unsubscribe", len(fields) == 1, str(len(fields)))
    yield Row("2369: not an RFC 2047 encoded word", not _ENCODED_WORD.search(value))
    yield Row(
        "8058: an https URI, whole, in angle brackets",
        any(uri.startswith(b"https://") for uri in uris),
        b" ".join(uris)[:60].decode("latin-1"),
    )
    post = head.one("list-unsubscribe-post")
    yield Row("8058: List-Unsubscribe-Post says One-Click", post == "List-Unsubscribe=One-Click")


def _body_rules(raw: bytes) -> Iterator[Row]:
    message = email.message_from_bytes(raw, policy=policy.default)
    parts = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
    right = parts[:2] == ["text/plain", "text/html"]
    yield Row("2046: text/plain before text/html", right, ",".join(parts))


def _signature_rules(head: Head) -> Iterator[Row]:
    names = re.search(rb"\bh\s*=\s*([^;]+)", head.all("dkim-signature")[0])
    listed = re.sub(rb"\s", b"", names.group(1)).lower().split(b":") if names else []
    signed = set(listed)
    yield Row("8058 4: DKIM covers List-Unsubscribe and -Post", signed >= _SIGNED_LISTS)
    yield Row("6376: DKIM covers From, To, Subject, Date, Message-ID", signed >= _SIGNED)


def _return_path_rules(envelope_from: str) -> Iterator[Row]:
    local = envelope_from.rpartition("@")[0]
    yield Row(
        "5321 4.5.3.1: local part of the return path at most 64 octets",
        0 < len(local) <= 64,
        str(len(local)),
    )
    yield Row("VERP token survives lower-casing", local == local.lower())
