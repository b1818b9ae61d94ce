"""Handing one letter to a mail server (RFC 5321): the kept connection, what is said, its replies.

The connection is Flask-Mail's, made to last and to be answered. Nothing here is logged: addresses,
passwords and what a letter says stay out of every log.
"""

import re
import select
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import flask_mail

from store.kit.errors import Refusal
from store.kit.text import clean_line
from store.mail.answers import About, Cause, Judgement, Step, judge
from store.mail.mime import Envelope
from store.mail.signing_in import sign_in

_IDLE_SECONDS = 30
_QUIT_SECONDS = 5
_LONGEST_REPLY = 500
_WRITABLE = re.compile(r"[^\x00-\x20\x7f-\x9f<>\ud800-\udfff]+")
_REPEATED_STATUS = re.compile(r"\n[245]\.\d{1,3}\.\d{1,3} ")


class OutcomeKind(StrEnum):
    """What became of one try to hand one letter over."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"  # temporary: 4xx, or the line failed before the letter was whole
    REFUSED = "refused"  # 5xx, of this recipient or letter
    UNKNOWN = "unknown"  # the line failed after the dot: the server may have the letter
    UNSENDABLE = "unsendable"  # the address needs SMTPUTF8, which the server has not


class Outcome(NamedTuple):
    """What became of one letter. Not `charged`: the fault was the connection's or ours, and no try
    of the letter is to be counted."""

    kind: OutcomeKind
    reply: str
    step: Step | None = None
    charged: bool = True
    about: About = About.READER
    cause: Cause | None = None


@dataclass(frozen=True)
class MailServer:
    """Where letters go, and how long each answer is waited for, in seconds. The answer to the
    whole letter has the ten minutes of RFC 5321, 4.5.3.2.6."""

    host: str
    port: int = 25
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    use_tls: bool = False
    use_ssl: bool = False
    local_hostname: str = "localhost"
    connect_timeout: float = 30
    reply_timeout: float = 120
    final_timeout: float = 600
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def longest_send(self) -> float:
        """Seconds after which `Connection.send` has answered; a lease must outlive them. A lost
        line, eight waits while connecting again, five for the letter, the final one."""
        return 8 * self.connect_timeout + 6 * self.reply_timeout + self.final_timeout


class ServerUnavailable(Refusal):
    """The mail server takes no letter now; `reply` has its words, or the fault of the line, and
    `judgement` whether that is about us."""

    status = 503
    sentence = "The mail server cannot be used now."

    def __init__(self, reply: str, judgement: Judgement) -> None:
        self.reply = reply
        self.judgement = judgement
        super().__init__(f"The mail server cannot be used now: {reply}")


class Connection:
    """One kept connection to the mail server, for one thread. It connects when first needed and
    again when the server has closed it."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._flask_mail = _FlaskMailConnection(server)
        self._last_used = 0.0
        self._carried = 0
        self._needs_reset = False

    def ready(self) -> None:
        """Connects, encrypts and signs in, unless the kept connection still lives. Raises
        ServerUnavailable."""
        host = self._flask_mail.host
        if host is not None and self._lives(host):
            return
        self._drop()
        self._carried, self._needs_reset = 0, False
        try:
            self._flask_mail.host = self._flask_mail.configure_host()
        except (OSError, smtplib.SMTPException, UnicodeError) as fault:
            raise ServerUnavailable(_fault_words(fault), _judged_fault(fault)) from None
        self._last_used = time.monotonic()

    def can_carry(self, needs_smtputf8: bool) -> bool:
        """Whether the server, once ready, takes such an envelope (RFC 6531)."""
        host = self._flask_mail.host
        return not needs_smtputf8 or (host is not None and host.has_extn("smtputf8"))

    def send(self, envelope: Envelope, octets: bytes) -> Outcome:
        """Hands over one letter (octets with CRLF, not dot-stuffed). Never raises for what the
        server or the line does. A kept line that the server had closed is replaced once."""
        if not (_WRITABLE.fullmatch(envelope.sender) and _WRITABLE.fullmatch(envelope.recipient)):
            return Outcome(OutcomeKind.UNSENDABLE, "the address cannot be written")
        outcome = self._send_once(envelope, octets)
        is_lost = outcome.about is About.CONNECTION and outcome.step in (Step.RSET, Step.MAIL)
        if is_lost and self._carried:
            outcome = self._send_once(envelope, octets)
        return outcome

    def close(self) -> None:
        """Takes leave quietly: whatever was answered before stands."""
        host = self._flask_mail.host
        if host is not None:
            _wait_at_most(host, _QUIT_SECONDS)
            with suppress(OSError, smtplib.SMTPException):
                host.quit()
        self._drop()

    def _send_once(self, envelope: Envelope, octets: bytes) -> Outcome:
        try:
            self.ready()
        except ServerUnavailable as fault:
            about, cause = fault.judgement.about, fault.judgement.cause
            return Outcome(
                OutcomeKind.DEFERRED,
                fault.reply,
                Step.CONNECT,
                charged=False,
                about=about,
                cause=cause,
            )
        if not self.can_carry(_needs_smtputf8(envelope)):
            return Outcome(OutcomeKind.UNSENDABLE, "the mail server offers no SMTPUTF8")
        host = self._flask_mail.host
        assert host is not None  # noqa: S101 - ready() leaves one
        reply = _stopped_before_letter(host, envelope, len(octets), reset=self._needs_reset)
        if reply is None:
            reply = _write_letter(host, octets, self._server)
        outcome = reply.outcome()
        self._last_used = time.monotonic()
        self._needs_reset = not reply.goes_on
        if reply.ends_line or outcome.cause is Cause.ACCOUNT:  # a new one signs in again
            self._drop()
        else:
            self._carried += 1
        return outcome

    def _lives(self, host: smtplib.SMTP) -> bool:
        """Asks the server only after a pause, or when it has said something unasked (421, or
        that it closes): a question before each letter would cost a round trip."""
        if host.sock is None:
            return False
        poll = select.poll()
        poll.register(host.sock, select.POLLIN)
        if not poll.poll(0) and time.monotonic() - self._last_used < _IDLE_SECONDS:
            return True
        _wait_at_most(host, self._server.connect_timeout)
        with suppress(OSError, smtplib.SMTPException):
            alive = host.noop()[0] == 250
            _wait_at_most(host, self._server.reply_timeout)
            return alive
        return False

    def _drop(self) -> None:
        if self._flask_mail.host is not None:
            with suppress(OSError):
                self._flask_mail.host.close()
            self._flask_mail.host = None


class _FlaskMailConnection(flask_mail.Connection):
    """Flask-Mail's connection with what it lacks: time limits, TLS that checks the certificate,
    a name for ourselves that asks no DNS."""

    def __init__(self, server: MailServer) -> None:
        mail = flask_mail.Mail()
        mail.state = mail.init_mail(
            {
                "MAIL_SERVER": server.host,
                "MAIL_PORT": server.port,
                "MAIL_USERNAME": server.username,
                "MAIL_PASSWORD": server.password,
                "MAIL_USE_TLS": server.use_tls,
                "MAIL_USE_SSL": server.use_ssl,
            }
        )
        super().__init__(mail)
        self.server = server

    def configure_host(self) -> smtplib.SMTP:
        name, timeout = self.server.local_hostname, self.server.connect_timeout
        if self.mail.use_ssl:
            context = self._tls_context()
            host: smtplib.SMTP = smtplib.SMTP_SSL(
                self.mail.server, self.mail.port, name, timeout=timeout, context=context
            )
        else:
            host = smtplib.SMTP(self.mail.server, self.mail.port, name, timeout=timeout)
        if host.sock is not None:
            # Or the end of a letter waits until the server has acknowledged its beginning.
            host.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            host.ehlo_or_helo_if_needed()
            if self.mail.use_tls:
                host.starttls(context=self._tls_context())
                host.ehlo_or_helo_if_needed()
            if self.mail.username and self.mail.password:
                sign_in(host, self.mail.username, self.mail.password)
        except BaseException:
            host.close()
            raise
        _wait_at_most(host, self.server.reply_timeout)
        return host

    def _tls_context(self) -> ssl.SSLContext:
        return self.server.tls_context or ssl.create_default_context()


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
        words = _words_of(self.code, self.message)
        if self.goes_on:
            return Outcome(OutcomeKind.ACCEPTED, words, self.step)
        about, cause, is_final, _ = judge(self.step, self.code, words)
        is_known = self.step is not Step.LETTER or 400 <= self.code < 600
        kind = OutcomeKind.REFUSED if is_final else OutcomeKind.DEFERRED
        return Outcome(
            kind if is_known else OutcomeKind.UNKNOWN,
            words,
            self.step,
            # A second copy may follow, so such tries have to end; all others are the reader's alone.
            not is_known or (about in (About.READER, About.NOBODY) and self._has_reader),
            about,
            cause,
        )

    @property
    def _has_reader(self) -> bool:
        """Before RCPT a server that asks for patience cannot mean a reader."""
        return self.step not in (Step.RSET, Step.MAIL) or 500 <= self.code < 600


def _stopped_before_letter(
    host: smtplib.SMTP, envelope: Envelope, size: int, *, reset: bool
) -> Reply | None:
    """RSET if asked for, MAIL, RCPT and DATA, as one group where the server offers PIPELINING:
    the first reply that stops the letter, or None when the server waits for it."""
    options = f" SIZE={size}" if host.has_extn("size") else ""
    if _needs_smtputf8(envelope):
        options += " SMTPUTF8"
        options += " BODY=8BITMIME" if host.has_extn("8bitmime") else ""
    commands = [
        *([(Step.RSET, b"RSET\r\n")] if reset else []),
        (Step.MAIL, f"MAIL FROM:<{envelope.sender}>{options}\r\n".encode()),
        (Step.RCPT, f"RCPT TO:<{envelope.recipient}>\r\n".encode()),
        (Step.DATA, b"DATA\r\n"),
    ]
    pipelined, stopped = host.has_extn("pipelining"), None
    for reply in _replies(host, commands, pipelined=pipelined):
        if stopped:
            if reply.step is Step.DATA and reply.goes_on:
                _withdraw(host)
        elif reply.stops:
            stopped = reply
            if reply.ends_line or not pipelined:
                break
    return stopped


def _write_letter(host: smtplib.SMTP, octets: bytes, server: MailServer) -> Reply:
    """One write for the letter and its dot: if it fails, the server cannot have the dot."""
    stuffed = octets.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    step = Step.WRITING
    try:
        host.send(stuffed.removesuffix(b"\r\n") + b"\r\n.\r\n")
        step = Step.LETTER
        _wait_at_most(host, server.final_timeout)
        code, message = host.getreply()
        _wait_at_most(host, server.reply_timeout)
    except (OSError, smtplib.SMTPException) as fault:
        return _lost(step, fault)
    return Reply(step, code, message)


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


def _needs_smtputf8(envelope: Envelope) -> bool:
    """Whether MAIL must say SMTPUTF8 (RFC 6531), whatever the envelope claims."""
    return envelope.needs_smtputf8 or not (envelope.sender + envelope.recipient).isascii()


def _wait_at_most(host: smtplib.SMTP, seconds: float) -> None:
    """Bounds each wait for the server from now on."""
    if host.sock is not None:
        host.sock.settimeout(seconds)


def _lost(step: Step, fault: Exception) -> Reply:
    how = "no answer in time to" if "timed out" in str(fault) else "connection lost at"
    return Reply(step, 0, f"{how} {step}")


def _words_of(code: int, message: bytes | str) -> str:
    """The server's own words on one line, an enhanced status repeated on each line once."""
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
    prefix = f"{code} " if code > 0 else ""
    return clean_line(prefix + _REPEATED_STATUS.sub(" ", text))[:_LONGEST_REPLY]


def _judged_fault(fault: Exception) -> Judgement:
    """What it is about that no connection came about."""
    code = fault.smtp_code if isinstance(fault, smtplib.SMTPResponseException) else 0
    # What the settings name cannot be written, or there is no way to sign in that both sides know.
    is_ours = isinstance(fault, UnicodeError | smtplib.SMTPNotSupportedError)
    if is_ours or type(fault) is smtplib.SMTPException:
        code = 535
    return judge(Step.CONNECT, code, _fault_words(fault))


def _fault_words(fault: Exception) -> str:
    if isinstance(fault, smtplib.SMTPResponseException):
        return _words_of(fault.smtp_code, fault.smtp_error)
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {fault.verify_message}"
    if isinstance(fault, UnicodeError):
        return "STORE_MAIL_SERVER has characters that mail servers do not take"
    if isinstance(fault, TimeoutError) or "timed out" in str(fault):
        return "no answer in time while connecting"
    return clean_line(f"no connection: {getattr(fault, 'strerror', None) or fault}")
