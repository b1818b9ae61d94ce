"""Handing letters to the mail server: Flask-Mail's connection, made to last and to be answered.

Nothing here is logged: addresses, passwords and what a letter says stay out of every log.
"""

import re
import select
import smtplib
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field

import flask_mail

from store.kit.errors import Refusal
from store.kit.text import clean_line
from store.mail.conversation import (
    Outcome,
    OutcomeKind,
    Reply,
    Step,
    needs_smtputf8,
    stopped_before_letter,
    wait_at_most,
    words_of,
    write_letter,
)
from store.mail.mime import Envelope

__all__ = ["Connection", "MailServer", "Outcome", "OutcomeKind", "ServerUnavailable", "Step"]

_IDLE_SECONDS = 30
_QUIT_SECONDS = 5
_WRITABLE = re.compile(r"[^\x00-\x20\x7f-\x9f<>\ud800-\udfff]+")


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
    default_sender: str | None = None
    local_hostname: str = "localhost"
    connect_timeout: float = 30
    reply_timeout: float = 120
    final_timeout: float = 600
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def longest_send(self) -> float:
        """Seconds after which `Connection.send` has answered; a lease must outlive them. A lost
        line, eight waits while connecting anew, five for the letter, the final one."""
        return 8 * self.connect_timeout + 6 * self.reply_timeout + self.final_timeout


class ServerUnavailable(Refusal):
    """The mail server takes no letter now; `reply` has its words, or the fault of the line."""

    status = 503
    sentence = "The mail server cannot be used now."

    def __init__(self, reply: str) -> None:
        self.reply = reply
        super().__init__(f"The mail server cannot be used now: {reply}")


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
                "MAIL_DEFAULT_SENDER": server.default_sender,
            }
        )
        super().__init__(mail)
        self.server = server

    def configure_host(self) -> smtplib.SMTP:
        host = self._connected()
        if host.sock is not None:
            # Or the end of a letter waits until the server has acknowledged its beginning.
            host.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            host.ehlo_or_helo_if_needed()
            if self.mail.use_tls:
                host.starttls(context=self._tls_context())
                host.ehlo_or_helo_if_needed()
            if self.mail.username and self.mail.password:
                host.login(self.mail.username, self.mail.password)
        except BaseException:
            host.close()
            raise
        wait_at_most(host, self.server.reply_timeout)
        return host

    def _connected(self) -> smtplib.SMTP:
        name, timeout = self.server.local_hostname, self.server.connect_timeout
        if self.mail.use_ssl:
            return smtplib.SMTP_SSL(
                self.mail.server, self.mail.port, name, timeout=timeout, context=self._tls_context()
            )
        return smtplib.SMTP(self.mail.server, self.mail.port, name, timeout=timeout)

    def _tls_context(self) -> ssl.SSLContext:
        return self.server.tls_context or ssl.create_default_context()


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
            raise ServerUnavailable(_fault_words(fault)) from None
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
        if not outcome.charged and self._carried:
            outcome = self._send_once(envelope, octets)
        return outcome

    def close(self) -> None:
        """Takes leave quietly: whatever was answered before stands."""
        host = self._flask_mail.host
        if host is not None:
            wait_at_most(host, _QUIT_SECONDS)
            with suppress(OSError, smtplib.SMTPException):
                host.quit()
        self._drop()

    def _send_once(self, envelope: Envelope, octets: bytes) -> Outcome:
        try:
            self.ready()
        except ServerUnavailable as fault:
            return Outcome(OutcomeKind.DEFERRED, fault.reply, charged=False)
        if not self.can_carry(needs_smtputf8(envelope)):
            return Outcome(OutcomeKind.UNSENDABLE, "the mail server offers no SMTPUTF8")
        host = self._flask_mail.host
        assert host is not None  # noqa: S101 - ready() leaves one
        reply = stopped_before_letter(host, envelope, len(octets), reset=self._needs_reset)
        if reply is None:
            reply = write_letter(
                host,
                octets,
                final_timeout=self._server.final_timeout,
                reply_timeout=self._server.reply_timeout,
            )
        return self._concluded(reply)

    def _concluded(self, reply: Reply) -> Outcome:
        outcome = reply.outcome()
        self._last_used = time.monotonic()
        self._needs_reset = not reply.goes_on
        if reply.ends_line or not outcome.charged:
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
        wait_at_most(host, self._server.connect_timeout)
        with suppress(OSError, smtplib.SMTPException):
            alive = host.noop()[0] == 250
            wait_at_most(host, self._server.reply_timeout)
            return alive
        return False

    def _drop(self) -> None:
        if self._flask_mail.host is not None:
            with suppress(OSError):
                self._flask_mail.host.close()
            self._flask_mail.host = None


def _fault_words(fault: Exception) -> str:
    if isinstance(fault, smtplib.SMTPResponseException):
        return words_of(fault.smtp_code, fault.smtp_error)
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {fault.verify_message}"
    if isinstance(fault, UnicodeError):
        return "the user name, password or host has characters that mail servers do not take"
    if isinstance(fault, TimeoutError) or "timed out" in str(fault):
        return "no answer in time while connecting"
    return clean_line(f"no connection: {fault}")
