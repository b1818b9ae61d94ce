"""Reports of letters that came back, read from the octets of a message.

Anybody may send one. So it is read within limits, never raises, and what it says counts for the
letter alone whose mark it shows (`matching`). Read are delivery status notifications (RFC 3464, RFC
6533), complaints (RFC 5965) and, by flufl.bounce, what mail servers wrote before there were any.
Answers of people and of their programs, delays and receipts say nothing of a letter.
"""

import binascii
import hashlib
import itertools
import logging
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_string
from email.header import decode_header, make_header
from email.message import Message
from email.parser import HeaderParser

from flufl.bounce import all_failures

from store.kit.text import clean_line
from store.mail.answers import Cause, judge_report
from store.mail.marks import marks_in
from store.mail.returns import ReturnKind

log = logging.getLogger(__name__)

# Some put pages of advice and pictures before what they say; what stands behind is the body of our
# own letter.
LARGEST_READ = 256 * 1024
# The parser asks every part about every line.
_MOST_LINES, _MOST_PARTS, _LONGEST_FIELD = 12_000, 30, 4000
_LONGEST_LINE = 5000
# flufl.bounce holds each line against 150 patterns, some of which take four times as long for twice
# the line.
_LARGEST_IN_WORDS, _MOST_LINES_OF_WORDS = 64 * 1024, 2000
_LONGEST_HEAD = 16 * 1024
_STOP = re.compile(r"stop ([A-Za-z0-9._~-]{20,300})", re.IGNORECASE)
_PART_FIELD = re.compile(r"^content-[a-z-]+:[^\n]*(?:\n[ \t][^\n]*)*", re.MULTILINE | re.IGNORECASE)

_STATUS_PARTS = {"message/delivery-status", "message/global-delivery-status"}
_COMPLAINT_PART = "message/feedback-report"
_MACHINE_PARTS = _STATUS_PARTS | {
    _COMPLAINT_PART,
    "message/disposition-notification",
    "message/global-disposition-notification",
}
_LETTER_PARTS = {"message/rfc822", "message/global"}
_HEAD_PARTS = {"text/rfc822-headers", "message/rfc822-headers", "message/global-headers"}
_ENCODED = {"base64", "quoted-printable"}
# What is not named a letter may be one all the same.
_NAMELESS_PARTS = {"text/plain", "application/octet-stream"}

_SENT_TO = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To")
_ANSWERED_BY_PROGRAM = ("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Vacation")
_COMPLAINTS = {"abuse", "fraud", "opt-out"}
# Microsoft's own form of a complaint is the letter as it came, with this field on top.
_COMPLAINED_BY = "X-HmXmrOriginalRecipient"

_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_BASIC = re.compile(r"(?<![\d.])(?<!\d:)([45])\d\d(?=[ -]|: )")
_ADDRESS = re.compile(r"[^\x00-\x20\x7f<>;,\"\s]{1,64}@[^\x00-\x20\x7f<>;,\"\s]{1,255}")
# GMX and web.de put it so, which flufl.bounce does not know.
_QUOTED_ADDRESS = re.compile(rb'^"([^\s"@]{1,64}@[^\s"@]{1,255})":', re.MULTILINE)
_QUOTED_HEAD = re.compile(r"^[> \t]*(?:message-id|return-path):(.*)$", re.MULTILINE | re.IGNORECASE)
# A system in need, content and policies: refused for good, and yet nothing is wrong with the address
# (RFC 3463). A stranger may have ordered in somebody's name, and have put such content there.
_NOT_THE_ADDRESS = re.compile(r"5\.[367]\.")
_OF_CONTENT = re.compile(
    r"\b(spam|virus|malware|phish|content|blacklist|polic(y|ies)\b|prohibit|denied \(mode)",
    re.IGNORECASE,
)
_JUDGED_WORDS = 2000


@dataclass(frozen=True)
class Report:
    """What is said of one letter. `key` is the same for the same report; `marks` are those it shows,
    the surest first; `relay_ids` what the relay calls the letter, as its answer to DATA did."""

    kind: ReturnKind
    status: str
    words: str
    recipient: str | None
    key: str
    marks: tuple[str, ...] = ()
    relay_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Finding:
    kind: ReturnKind
    status: str
    words: str
    recipient: str | None
    proof: str  # the part that says so
    shown: tuple[str, ...] = ()  # texts in which a mark may stand


def read_report(octets: bytes, sent_to: str = "") -> Report | None:
    """What a message says of a letter; None where it says nothing, or cannot be read. `sent_to` is
    the address that it was delivered to, where the mail server says so."""
    try:
        message = _parsed(octets, LARGEST_READ, _MOST_LINES)
        return _read(message, octets, sent_to) if message is not None else None
    except Exception as fault:  # noqa: BLE001 - whatever a stranger's message raises in a parser
        log.warning("a message could not be read: %s", type(fault).__name__)
        return None


def read_stop(octets: bytes) -> str | None:
    """The stop link's token in the subject of a message that a mail program sends where its reader
    presses “unsubscribe” (RFC 2369); None in any other message."""
    try:
        head, _, _ = octets[:_LONGEST_HEAD].replace(b"\r\n", b"\n").partition(b"\n\n")
        written = HeaderParser().parsestr(head.decode("utf-8", "replace")).get("Subject", "")
        subject = str(make_header(decode_header(str(written)[:_LONGEST_FIELD])))
        found = _STOP.fullmatch(re.sub(r"\s+", " ", subject).strip())
    except Exception as fault:  # noqa: BLE001 - as above
        log.warning("a message could not be read: %s", type(fault).__name__)
        return None
    return found[1] if found else None


def _parsed(octets: bytes, most: int, most_lines: int) -> Message | None:
    text = octets[:most].decode("utf-8", "replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    text = "\n".join(line[:_LONGEST_LINE] for line in lines[:most_lines])
    fields = [found[0] for found in _PART_FIELD.finditer(text)]
    # A reader of many parts in one another, or of one long field, would be kept busy.
    if len(fields) > _MOST_PARTS or any(len(field) > _LONGEST_FIELD for field in fields):
        return None
    return message_from_string(text)


def judged(status: str, words: str) -> tuple[ReturnKind, str]:
    """What a refusal means, by the table for answers of servers, with the enhanced status (RFC 3463)
    that says most: the codes of `words` where `status` is missing or says nothing but its class."""
    said = _code_in(status)
    if not said or said.endswith(".0.0"):
        told = _code_in(words)
        basic = _BASIC.search(words)
        said = told or said or (f"{basic[1]}.0.0" if basic else "")
    judgement = judge_report("" if said.endswith(".0.0") else said, words[:_JUDGED_WORDS])
    if said in {"", "5.0.0"} and judgement.cause is Cause.FULL:
        said = "5.2.2"
    speaks_of_another = _NOT_THE_ADDRESS.match(said) or _OF_CONTENT.search(words)
    is_unclear = judgement.cause is Cause.UNWANTED and speaks_of_another
    # "4.4.7, 550 expired": the server gives up what may yet be taken.
    is_address = not (is_unclear or judgement.cause is Cause.TOO_BIG or said.startswith("4."))
    return ReturnKind.HARD if judgement.is_final and is_address else ReturnKind.SOFT, said


def _code_in(text: str) -> str:
    found = _ENHANCED.search(text)
    return found[0] if found else ""


def _read(message: Message, octets: bytes, sent_to: str) -> Report | None:
    machine = next((one for one in _parts(message) if _type(one) in _MACHINE_PARTS), None)
    head = _returned_head(message, must_be_named=machine is None)
    if machine is None:
        found = _by_head(head) if head and _COMPLAINED_BY in head else _by_words(octets)
    elif _type(machine) in _STATUS_PARTS:
        found = _by_status(machine, message)
    else:
        found = _by_complaint(machine)
    if found is None:
        return None
    if head is not None and _is_report(head):
        return None  # a report about a report
    shown = [sent_to, *(_field(message, name) for name in _SENT_TO)]
    if head is not None:
        shown += [_field(head, "Return-Path"), _field(head, "Message-ID")]
    marks = marks_in(*shown, *found.shown)[:8]
    named = _field(message, "Message-ID") or found.proof
    proof = "\n".join([*marks[:1], found.kind, found.status, named])
    key = f"mail:{hashlib.sha256(proof.encode('utf-8', 'replace')).hexdigest()}"
    return Report(found.kind, found.status, found.words, found.recipient, key, tuple(marks))


def _by_status(part: Message, message: Message) -> _Finding | None:
    """RFC 3464: the first recipient for whom it failed; each letter of ours has one."""
    for block in _blocks(part):
        diagnosis = _without_type(block.get("diagnostic-code", ""))
        said = block.get("status", "")
        action = block.get("action", "").lower()
        # Some write `error`, and some leave the action out.
        has_failed = action.startswith(("fail", "error")) or (not action and said.startswith("5"))
        if not has_failed:
            continue
        recipient = _address(block.get("original-recipient") or block.get("final-recipient", ""))
        diagnosis = diagnosis or _told_of(recipient, message)
        kind, status = judged(said, diagnosis)
        words = clean_line(diagnosis) or status
        return _Finding(kind, status, words[:1000], recipient, repr(sorted(block.items())))
    return None


def _told_of(recipient: str | None, message: Message) -> str:
    """What the words for people say of a recipient of whom the machine's say nothing: what stands
    beside the address, and below it up to an empty line."""
    if recipient is None:
        return ""
    written = next((_text(one) for one in _parts(message) if _type(one) == "text/plain"), "")
    _, _, behind = written.partition(recipient)
    lines = [line.strip(" \t>:") for line in behind[:2000].split("\n")]
    beside, below = lines[0], itertools.takewhile(bool, lines[1:])
    return " ".join([*filter(None, [beside]), *below])[:500]


def _by_head(head: Message) -> _Finding:
    recipient = _address(_field(head, _COMPLAINED_BY))
    proof = _field(head, "Message-ID")
    return _Finding(ReturnKind.COMPLAINT, "", "reported as unwanted", recipient, proof)


def _by_complaint(part: Message) -> _Finding | None:
    """RFC 5965: somebody pressed “this is spam”. A read receipt comes here too, and says nothing."""
    if _type(part) != _COMPLAINT_PART:
        return None
    block = next(iter(_blocks(part)), {})
    word = block.get("feedback-type", "").strip().lower()
    if word not in _COMPLAINTS:
        return None
    recipient = _address(block.get("original-rcpt-to", ""))
    shown = (block.get("original-mail-from", ""),)
    words = f"reported as unwanted ({word})"
    kind = ReturnKind.COMPLAINT
    return _Finding(kind, "", words, recipient, repr(sorted(block.items())), shown)


def _by_words(octets: bytes) -> _Finding | None:
    """What mail servers write in words alone, in as many ways as there are servers."""
    octets = _QUOTED_ADDRESS.sub(rb"\1:", octets[:_LARGEST_IN_WORDS])
    message = _parsed(octets, _LARGEST_IN_WORDS, _MOST_LINES_OF_WORDS)
    if message is None or _is_program(message):
        return None
    if "from" not in message:
        message["From"] = "nobody@invalid"  # flufl.bounce takes for granted that there is one
    _, failed = all_failures(message)
    if not failed:
        return None
    text = "\n".join(_text(part) for part in _parts(message) if not part.is_multipart())
    before, _, _ = text.partition("\nReceived:")
    recipient = min(one.decode("ascii", "replace") for one in failed)
    line = _line_with_code(before) or _told_of(recipient, message)
    kind, status = judged("", line or before)
    quoted = tuple(line[:500] for line in _QUOTED_HEAD.findall(text)[:20])
    words = clean_line(line) or "came back"
    return _Finding(kind, status, words[:1000], recipient, text[:8000], quoted)


def _line_with_code(text: str) -> str:
    lines = text[:8000].splitlines()
    return next((line for line in lines if _ENHANCED.search(line) or _BASIC.search(line)), "")


def _is_program(message: Message) -> bool:
    """An answer that a program gives for a person: out of office, received, on holiday."""
    is_servers = "mailer-daemon" in _field(message, "From").lower()
    if is_servers or _field(message, "X-Failed-Recipients"):
        return False  # reports of Exim and GMX say auto-replied as well
    said = _field(message, "Auto-Submitted").lower()
    asked = _field(message, "Precedence").lower()
    marked = any(name in message for name in _ANSWERED_BY_PROGRAM)
    return said.startswith("auto-replied") or asked == "auto_reply" or marked


def _is_report(head: Message) -> bool:
    return _type(head) == "multipart/report" or _field(head, "Return-Path") == "<>"


def _returned_head(message: Message, *, must_be_named: bool) -> Message | None:
    """The head of the letter that a report gives back; where that need not be named one, of any
    part that looks like it."""
    for part in _parts(message):
        payload = part.get_payload()
        if _type(part) in _HEAD_PARTS:
            return _head_in(part)
        if _type(part) in _LETTER_PARTS and isinstance(payload, list) and payload:
            if _encoding(part) in _ENCODED:
                return _head_in(part)
            inner = payload[0]
            return inner if isinstance(inner, Message) else None
    if must_be_named:
        return None
    heads = (_head_in(part) for part in _parts(message) if _type(part) in _NAMELESS_PARTS)
    return next((head for head in heads if "Message-ID" in head), None)


def _head_in(part: Message) -> Message:
    return HeaderParser().parsestr(_text(part).lstrip("\n"))


def _parts(message: Message) -> Iterator[Message]:
    """The parts of a report, those of a part within it too: some servers wrap it once more. What a
    returned letter is made of is none of them."""
    yield message
    if message.get_content_maintype() == "multipart":
        for part in _inside(message):
            yield part
            if part.get_content_maintype() == "multipart":
                yield from _inside(part)


def _inside(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [one for one in payload if isinstance(one, Message)] if isinstance(payload, list) else []


def _blocks(part: Message) -> list[dict[str, str]]:
    """The groups of fields in a part that machines write, names in small letters."""
    groups = re.split(r"\n[ \t]*\n", _text(part).strip("\n"))
    parsed = (HeaderParser().parsestr(group.lstrip("\n")) for group in groups[:50])
    return [{name.lower(): _one_line(value) for name, value in one.items()} for one in parsed]


def _text(part: Message) -> str:
    """A part as text, decoded. The parser takes what is inside message/* for a message."""
    payload = part.get_payload()
    if isinstance(payload, list):
        payload = "\n\n".join(_as_written(one) for one in payload if isinstance(one, Message))
    encoding = _encoding(part)
    octets = str(payload).encode("utf-8", "replace")
    if encoding == "base64":
        octets = _from_base64(octets)
    elif encoding == "quoted-printable":
        octets = quopri.decodestring(octets)
    return octets.decode("utf-8", "replace").replace("\r\n", "\n")


def _encoding(part: Message) -> str:
    return _field(part, "Content-Transfer-Encoding").lower()


def _from_base64(octets: bytes) -> bytes:
    """As far as it goes: it may be cut off."""
    signs = re.sub(rb"[^A-Za-z0-9+/]", b"", octets)
    signs = signs[: -1 if len(signs) % 4 == 1 else None]
    return binascii.a2b_base64(signs + b"=" * (-len(signs) % 4))


def _as_written(message: Message) -> str:
    head = "\n".join(f"{name}: {value}" for name, value in message.items())
    payload = message.get_payload()
    body = payload if isinstance(payload, str) else ""
    return f"{head}\n\n{body}" if head else body


def _type(part: Message) -> str:
    return part.get_content_type()


def _field(message: Message, name: str) -> str:
    return _one_line(message.get(name, ""))


def _one_line(value: object) -> str:
    return re.sub(r"\s+", " ", str(value)[:_LONGEST_FIELD]).strip()


def _without_type(value: str) -> str:
    return re.sub(r"^[A-Za-z0-9-]+;\s*", "", value)


def _address(value: str) -> str | None:
    found = _ADDRESS.search(_without_type(value)[:400])
    return found[0] if found else None
