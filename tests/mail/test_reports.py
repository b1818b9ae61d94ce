"""Reports are read out of messages of any making, and nothing else is taken for one."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.mail import reports
from store.mail.reports import LARGEST_READ, Report, judged, read_report
from store.mail.returns import ReturnKind
from tests.mail import messages
from tests.mail.messages import ANNA, dsn

MARK = "0123456789abcdef" * 2 + "01234567"
OURS = f"<{MARK}@shop.example.org>"
PATH = f"bounces+{MARK}@shop.example.org"


def _read(octets: bytes, sent_to: str = "") -> Report:
    found = read_report(octets, sent_to)
    assert found is not None
    return found


SAID = {
    "postfix": (dsn(OURS), ReturnKind.HARD, "5.1.1"),
    "headers alone": (dsn(OURS, gives_back="text/rfc822-headers"), ReturnKind.HARD, "5.1.1"),
    "full, though it says never": (
        dsn(OURS, status="5.2.2", diagnosis="smtp; 552 5.2.2 Mailbox full"),
        ReturnKind.SOFT,
        "5.2.2",
    ),
    "full, in words alone": (
        dsn(OURS, status="5.0.0", diagnosis="smtp; 550 The user's mailbox is full"),
        ReturnKind.SOFT,
        "5.2.2",
    ),
    "given up after days": (
        dsn(OURS, status="4.4.1", diagnosis="smtp; connection timed out"),
        ReturnKind.SOFT,
        "4.4.1",
    ),
    "the code stands in the words": (
        dsn(OURS, status="5.0.0", diagnosis="smtp;550 5.1.1 No such user"),
        ReturnKind.HARD,
        "5.1.1",
    ),
    "OpenSMTPD": (dsn(OURS, action="error"), ReturnKind.HARD, "5.1.1"),
    "RFC 6533": (messages.global_dsn(OURS, "8bit"), ReturnKind.HARD, "5.1.1"),
    "RFC 6533, base64": (messages.global_dsn(OURS, "base64"), ReturnKind.HARD, "5.1.1"),
    "RFC 6533, quoted": (
        messages.global_dsn(OURS, "quoted-printable"),
        ReturnKind.HARD,
        "5.1.1",
    ),
    "complaint": (messages.complaint(OURS), ReturnKind.COMPLAINT, ""),
    "qmail": (messages.qmail(OURS), ReturnKind.HARD, "5.1.1"),
    "qmail, full": (messages.qmail(OURS, "mailbox is full (#5.2.2)"), ReturnKind.SOFT, "5.2.2"),
    "Exim": (messages.exim(OURS), ReturnKind.HARD, "5.0.0"),
    "Exim, of its own": (
        messages.without_diagnosis(OURS, "Unrouteable address"),
        ReturnKind.HARD,
        "5.0.0",
    ),
    "Exim, of its own, full": (
        messages.without_diagnosis(OURS, "mailbox is full: retry timeout exceeded"),
        ReturnKind.SOFT,
        "5.2.2",
    ),
    "Exchange, given up": (
        dsn(OURS, status="4.4.7", diagnosis="smtp;550 4.4.7 QUEUE.Expired; message expired"),
        ReturnKind.SOFT,
        "4.4.7",
    ),
    "Exchange, with pages of advice": (messages.long_advice(OURS), ReturnKind.HARD, "5.1.1"),
    "GMX": (messages.gmx(OURS), ReturnKind.HARD, ""),
    "Yahoo": (messages.yahoo(OURS), ReturnKind.HARD, "5.0.0"),
    "the letter as text": (
        messages.given_back_as(OURS, "text/plain"),
        ReturnKind.HARD,
        "5.1.1",
    ),
    "the letter as a file": (
        messages.given_back_as(OURS, "application/octet-stream", "base64"),
        ReturnKind.HARD,
        "5.1.1",
    ),
    "the letter wrapped up": (
        messages.given_back_as(OURS, "message/rfc822", "base64"),
        ReturnKind.HARD,
        "5.1.1",
    ),
    "Outlook.com, complaint": (messages.microsoft_complaint(OURS), ReturnKind.COMPLAINT, ""),
}


@pytest.mark.parametrize("name", SAID)
def test_what_came_back_is_read_with_status_words_and_mark(name: str) -> None:
    octets, kind, status = SAID[name]
    found = _read(octets)
    assert (found.kind, found.status, found.marks) == (kind, status, (MARK,))
    assert found.words
    assert (found.recipient or "").endswith("nna@reader.example")


def test_the_servers_own_words_are_kept() -> None:
    said = "550 5.1.1 <anna@reader.example>: Recipient address rejected: User unknown"
    assert _read(dsn(OURS)).words == said
    assert _read(messages.global_dsn(OURS, "base64")).words == "550 5.1.1 kein Postfach für änna"
    assert _read(messages.qmail(OURS)).words == "Sorry, no mailbox here by that name. (#5.1.1)"
    assert "550 No such user here" in _read(messages.exim(OURS)).words
    assert _read(messages.yahoo(OURS)).words.startswith("554: delivery error: dd This user")
    assert _read(messages.gmx(OURS)).words.endswith(
        "Requested action not taken: mailbox unavailable"
    )
    of_its_own = messages.without_diagnosis(OURS, "Unrouteable address")
    assert _read(of_its_own).words == "Unrouteable address"


@pytest.mark.parametrize("where", ["to", "option", "path of the letter"])
def test_the_return_path_names_the_letter_where_the_head_is_lost(where: str) -> None:
    lost = "Subject: Edition 2\n"
    if where == "to":
        found = _read(dsn(to=PATH.upper(), head=lost))
    elif where == "option":
        found = _read(dsn(head=lost), sent_to=PATH)
    else:
        found = _read(dsn(head=messages.letter_head("<replaced@relay.example>", PATH)))
    assert found.marks == (MARK,)


NOTHING = {
    "out of office": messages.out_of_office(OURS),
    "out of office, as a server would say it": messages.out_of_office(OURS).replace(
        b"Ich bin", messages.gmx(OURS).split(b"\n\n", 1)[1] + b"Ich bin"
    ),
    "bare automatic reply": messages.bare_automatic_reply(OURS),
    "delayed": dsn(OURS, action="delayed", status="4.4.1", diagnosis="smtp; connection timed out"),
    "relayed": dsn(OURS, action="relayed (to one that says no more)", status="2.0.0"),
    "expanded": dsn(OURS, action="expanded", status="2.1.5"),
    "delivered": dsn(OURS, action="delivered", status="2.1.5"),
    "a report about a report": messages.report_about_a_report(OURS, PATH),
    "it was no spam": messages.complaint(OURS, "not-spam"),
    "a report of DMARC": messages.complaint(OURS, "auth-failure"),
    "a receipt": messages.complaint(OURS).replace(
        b"message/feedback-report", b"message/disposition-notification"
    ),
    "a person": f"From: {ANNA}\nSubject: Re: Edition 2\nIn-Reply-To: {OURS}\n\nThank you".encode(),
    "no sender": b"Subject: hello\n\nnobody says this",
    "nothing at all": b"",
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_says_nothing_of_a_letter_is_no_report(name: str) -> None:
    assert read_report(NOTHING[name], PATH) is None


def test_an_answer_is_no_report_where_it_only_quotes_our_name() -> None:
    """Control: the same message with our Message-ID only where an answer names it has no mark."""
    answered = dsn(head=f"In-Reply-To: {OURS}\nReferences: {OURS}\nMessage-ID: <a@b.example>\n")
    assert _read(answered).marks == ()


def test_the_same_report_has_the_same_key_and_another_has_another() -> None:
    first, again = dsn(OURS), dsn(OURS).replace(b"Return-Path: <>", b"Received: by b\r\nX-A: 1")
    assert _read(first).key == _read(again).key
    others = [dsn(OURS, name="2@b.example"), dsn(OURS, status="5.2.2"), messages.complaint(OURS)]
    assert len({_read(one).key for one in [first, *others]}) == 4


def _nested(depth: int, kind: str) -> bytes:
    if kind == "rfc822":
        return b"Content-Type: message/rfc822\n\n" * depth
    head = b'Content-Type: multipart/report; boundary="%d"\n\n--%d\n'
    return b"".join(head % (n, n) for n in range(depth))


HOSTILE = {
    "nested": _nested(1000, "mixed"),
    "nested letters": _nested(1000, "rfc822"),
    "nested as deep as is read": _nested(29, "mixed") + b"x\n" * 90_000,
    "letters as deep as is read": _nested(29, "rfc822") + b"x\n" * 90_000,
    "fields without end": b"Content-Type: multipart/report" + b";" * 300_000 + b"\n\nx",
    "folded without end": b"Content-Type: multipart/report" + (b";" * 900 + b"\n ") * 300,
    "empty lines": b"\n" * 500_000,
    "many fields": b"To: b\n" * 50_000,
    "many recipients": b"X-Failed-Recipients: " + b"a@b.example, " * 30_000 + b"\n\nx",
    "many groups": dsn(OURS, diagnosis="x\n\nAction: failed\nStatus: 5.1.1" * 5000),
    "long words": dsn(OURS, status="5.0.0", diagnosis="exceeded " * 20_000),
    "at signs": b"From: MAILER-DAEMON@x.example\n\n<" + b"a@" * 200_000,
    "commas": b"From: MAILER-DAEMON@x.example\n\n" + b"a," * 200_000,
    "zeros": bytes(300_000),
    "as bad as words get": messages.qmail(OURS, "550 " + "user mailbox messages from ip " * 2000),
    "20 MB": dsn(OURS) + b"x\r\n" * 7_000_000,
    "a picture cut off": dsn(OURS, kind="message/delivery-status").replace(
        b"Content-Type: text/plain; charset=us-ascii",
        b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"iVBO" * 90_000,
    ),
    "wrong base64": dsn(OURS, kind="message/delivery-status\nContent-Transfer-Encoding: base64"),
    "an unknown charset": messages.qmail(OURS).replace(
        b"Subject: failure", b"Content-Type: text/plain; charset=klingon\nSubject: =?x?b?//8?="
    ),
    "Latin-1": messages.qmail(OURS).replace(b"Sorry", b"D\xe9sol\xe9"),
    "noise": random.Random(12).randbytes(300_000),
    "half of one": dsn(OURS)[: len(dsn(OURS)) // 2],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_message_raises_or_takes_long(name: str) -> None:
    start = time.process_time()
    read_report(HOSTILE[name], PATH)
    assert time.process_time() - start < 1.5  # 0.13 s where nothing else runs


@given(st.binary(max_size=4000), st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_octets_raise(octets: bytes, sent_to: str) -> None:
    read_report(octets, sent_to)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_report_that_was_changed_on_its_way_raises(data: st.DataObject) -> None:
    """Pieces cut out, doubled, moved or replaced; what is read is fit for a database."""
    octets = data.draw(st.sampled_from([said for said, _, _ in SAID.values()]))
    for _ in range(data.draw(st.integers(1, 4))):
        first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(octets))] * 2)))
        piece = data.draw(st.binary(max_size=30) | st.just(octets[first:last]))
        at = data.draw(st.sampled_from([first, 0, len(octets)]))
        octets = octets[:first] + octets[last:]
        octets = octets[:at] + piece + octets[at:]
    with raising_nothing():
        found = read_report(octets, PATH)
    if found is not None:
        kept = [found.words, found.status, found.recipient or "", found.key]
        assert not any("\0" in one for one in kept)
        assert "".join(kept).encode()
        assert len(found.status) < 20
        assert len(found.key) < 150


@contextmanager
def raising_nothing() -> Iterator[None]:
    """What is caught at the door would hide a fault of ours."""
    with patch.object(reports.log, "warning", side_effect=AssertionError):
        yield


def test_what_stands_behind_the_limit_is_not_read() -> None:
    padded = dsn(OURS).replace(b"I'm sorry", b"x " * LARGEST_READ)
    assert read_report(padded) is None
    long_letter = dsn(OURS).replace(b"Edition 2 of your copy", b"x\r\n" * LARGEST_READ)
    assert _read(long_letter).marks == (MARK,)


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        ("5.1.1", "", (ReturnKind.HARD, "5.1.1")),
        ("4.4.7", "550 4.4.7 message expired", (ReturnKind.SOFT, "4.4.7")),
        ("", "554: delivery error: dd", (ReturnKind.HARD, "5.0.0")),
        ("", "after RCPT TO:<a@b.example>:452 over quota", (ReturnKind.SOFT, "4.0.0")),
        ("", "at 10:554: it was late", (ReturnKind.HARD, "")),
        ("5.4.4", "Host not found", (ReturnKind.HARD, "5.4.4")),
        ("", "550 no such user", (ReturnKind.HARD, "5.0.0")),
        ("", "came back", (ReturnKind.HARD, "")),
        ("5.7.1", "550 5.7.1 blocked by policy", (ReturnKind.SOFT, "5.7.1")),
        ("", "550 Administrative prohibition - envelope blocked", (ReturnKind.SOFT, "5.0.0")),
        ("", "554 Denied (Mode: normal)", (ReturnKind.SOFT, "5.0.0")),
        ("", "550 refused by our policies", (ReturnKind.SOFT, "5.0.0")),
        ("", "554-Reject due to policy restrictions.", (ReturnKind.SOFT, "5.0.0")),
        ("", "550 police@reader.example: user unknown", (ReturnKind.HARD, "5.0.0")),
        ("5.3.0", "", (ReturnKind.SOFT, "5.3.0")),
        ("5.6.0", "554 5.6.0 virus found", (ReturnKind.SOFT, "5.6.0")),
        ("5.2.3", "", (ReturnKind.SOFT, "5.2.3")),
        ("5.2.1", "550 5.2.1 receiving mail too quickly", (ReturnKind.SOFT, "5.2.1")),
        ("", "550 spam message rejected", (ReturnKind.SOFT, "5.0.0")),
        ("5.7.17", "", (ReturnKind.HARD, "5.7.17")),
        ("", "550 blocked using zen.spamhaus.org", (ReturnKind.SOFT, "5.0.0")),
        ("5.0.0", "550 user is over quota", (ReturnKind.SOFT, "5.2.2")),
        ("5.1.8", "501 5.1.8 Sender domain not found", (ReturnKind.SOFT, "5.1.8")),
        ("", "452 4.2.2 over quota", (ReturnKind.SOFT, "4.2.2")),
        ("", "from 192.0.2.15.1.1", (ReturnKind.HARD, "")),
    ],
)
def test_the_status_is_read_by_us(
    status: str, words: str, expected: tuple[ReturnKind, str]
) -> None:
    assert judged(status, words) == expected
