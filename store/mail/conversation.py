"""One letter's conversation with a mail server (RFC 5321), and what its replies mean."""

import re
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from store.kit.text import clean_line
from store.mail.mime import Envelope

_LONGEST_REPLY = 500
_REPEATED_STATUS = re.compile(r"\n[245]\.\d{1,3}\.\d{1,3} ")
# The server wants us to sign in, or to encrypt: our settings are at fault, not the letter.
_ACCOUNT_CODES = {530, 534, 535, 538}


class OutcomeKind(StrEnum):
    """What became of one try to hand one letter over."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"  # temporary: 4xx, or the line failed before the letter was whole
    REFUSED = "refused"  # 5xx, of this recipient or letter
    UNKNOWN = "unknown"  # the line failed after the dot: the server may have the letter
    UNSENDABLE = "unsendable"  # the address needs SMTPUTF8, which the server has not


class Step(StrEnum):
    """Where in the conversation a reply came; after LETTER nothing more is asked."""

    RSET = "RSET"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    WRITING = "the letter"
    LETTER = "the end of the letter"


@dataclass(frozen=True)
class Outcome:
    """What became of one letter. Not `charged`: the fault was the connection's, and no try of
    the letter is to be counted."""

    kind: OutcomeKind
    reply: str
    step: Step | None = None
    charged: bool = True


class Reply(NamedTuple):
    """What the server said at one step."""

    step: Step
    code: int  # 0: the line is lost
    message: bytes | str

    @property
    def goes_on(self) -> bool:
        return self.code == 354 if self.step is Step.DATA else 200 <= self.code < 300

    @property
    def ends_line(self) -> bool:
        """421, a lost line, or an answer out of step: the connection is of no more use."""
        return not self.goes_on and (self.code == 421 or not 400 <= self.code < 600)

    @property
    def stops(self) -> bool:
        """Nothing depends on the answer to RSET, while the line lasts."""
        return self.ends_line if self.step is Step.RSET else not self.goes_on

    def outcome(self) -> Outcome:
        """What this reply, the last one about its letter, makes of it."""
        words = words_of(self.code, self.message)
        if self.goes_on:
            return Outcome(OutcomeKind.ACCEPTED, words, self.step)
        if self.step is Step.LETTER and not 400 <= self.code < 600:
            return Outcome(OutcomeKind.UNKNOWN, words, self.step)
        refused = self.code >= 500 and self.code not in _ACCOUNT_CODES
        kind = OutcomeKind.REFUSED if refused else OutcomeKind.DEFERRED
        return Outcome(kind, words, self.step, self._charged)

    @property
    def _charged(self) -> bool:
        if self.code in _ACCOUNT_CODES:
            return False
        if self.step in (Step.RSET, Step.MAIL):
            return not self.ends_line
        return self.code != 421 or self.step is Step.LETTER


def stopped_before_letter(
    host: smtplib.SMTP, envelope: Envelope, size: int, *, reset: bool
) -> Reply | None:
    """RSET if asked for, MAIL, RCPT and DATA, as one group where the server offers PIPELINING:
    the first reply that stops the letter, or None when the server waits for it."""
    pipelined, stopped = host.has_extn("pipelining"), None
    for reply in _replies(host, _commands(host, envelope, size, reset), pipelined=pipelined):
        if stopped:
            if reply.step is Step.DATA and reply.goes_on:
                _withdraw(host)
        elif reply.stops:
            stopped = reply
            if reply.ends_line or not pipelined:
                break
    return stopped


def write_letter(
    host: smtplib.SMTP, octets: bytes, *, final_timeout: float, reply_timeout: float
) -> Reply:
    """One write for the letter and its dot: if it fails, the server cannot have the dot."""
    stuffed = octets.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    try:
        host.send(stuffed.removesuffix(b"\r\n") + b"\r\n.\r\n")
    except (OSError, smtplib.SMTPException) as fault:
        return _lost(Step.WRITING, fault)
    try:
        wait_at_most(host, final_timeout)
        code, message = host.getreply()
        wait_at_most(host, reply_timeout)
    except (OSError, smtplib.SMTPException) as fault:
        return _lost(Step.LETTER, fault)
    return Reply(Step.LETTER, code, message)


def needs_smtputf8(envelope: Envelope) -> bool:
    """Whether MAIL must say SMTPUTF8 (RFC 6531), whatever the envelope claims."""
    ascii_only = envelope.sender.isascii() and envelope.recipient.isascii()
    return envelope.needs_smtputf8 or not ascii_only


def wait_at_most(host: smtplib.SMTP, seconds: float) -> None:
    """Bounds each wait for the server from now on."""
    if host.sock is not None:
        host.sock.settimeout(seconds)


def _lost(step: Step, fault: Exception) -> Reply:
    how = "no answer in time to" if "timed out" in str(fault) else "connection lost at"
    return Reply(step, 0, f"{how} {step}")


def words_of(code: int, message: bytes | str) -> str:
    """The server's own words on one line, an enhanced status repeated on each line once."""
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
    prefix = f"{code} " if code > 0 else ""
    return clean_line(prefix + _REPEATED_STATUS.sub(" ", text))[:_LONGEST_REPLY]


def _commands(
    host: smtplib.SMTP, envelope: Envelope, size: int, reset: bool
) -> list[tuple[Step, bytes]]:
    options = f" SIZE={size}" if host.has_extn("size") else ""
    if needs_smtputf8(envelope):
        options += " SMTPUTF8"
        options += " BODY=8BITMIME" if host.has_extn("8bitmime") else ""
    commands = [
        (Step.MAIL, f"MAIL FROM:<{envelope.sender}>{options}\r\n".encode()),
        (Step.RCPT, f"RCPT TO:<{envelope.recipient}>\r\n".encode()),
        (Step.DATA, b"DATA\r\n"),
    ]
    return [(Step.RSET, b"RSET\r\n"), *commands] if reset else commands


def _withdraw(host: smtplib.SMTP) -> None:
    """The group was sent whole, and the server now waits for a letter that has no recipient:
    the lone dot ends it (RFC 2920, 3.1)."""
    for _ in _replies(host, [(Step.LETTER, b".\r\n")], pipelined=False):
        pass


def _replies(
    host: smtplib.SMTP, commands: list[tuple[Step, bytes]], *, pipelined: bool
) -> Iterator[Reply]:
    """Each command's reply, the commands sent together or each after the reply before it; after
    a lost line, one reply that says so."""
    waiting = b"".join(line for _, line in commands) if pipelined else b""
    for step, line in commands:
        try:
            if not pipelined or waiting:
                host.send(waiting or line)
                waiting = b""
            code, message = host.getreply()
        except (OSError, smtplib.SMTPException) as fault:
            yield _lost(step, fault)
            return
        yield Reply(step, code, message)
