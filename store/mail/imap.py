"""A mailbox on somebody else's server, read over IMAP: the conversation alone.

Always encrypted, read a little at a time, nothing is ever deleted. No word of it is logged: addresses
and passwords stay out of every log.
"""

import imaplib
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from store.kit.errors import Refusal
from store.kit.judged import MailboxParts
from store.kit.text import clean_line

# IMAP's own words, in whatever language the machine speaks.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LONGEST_REPLY = 300
_UID = re.compile(rb"\bUID (\d+)")


class MailboxUnavailable(Refusal):
    """The mailbox cannot be read now; `reply` has the server's words, or the fault of the line."""

    status = 503

    def __init__(self, reply: str) -> None:
        self.reply = reply
        super().__init__(f"The mailbox cannot be read now: {reply}")


@dataclass(frozen=True)
class MailboxServer:
    """Where a mailbox is. `timeout`: seconds that each answer is waited for."""

    parts: MailboxParts = field(repr=False)
    timeout: float = 10
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)


class OpenMailbox:
    """A folder that is open. Messages have numbers that only grow, as long as `validity` stays what it
    was (RFC 3501, 2.3.1.1)."""

    def __init__(self, connection: imaplib.IMAP4) -> None:
        self._connection = connection
        self.count = 0
        self.validity = 0
        self._may_mark = True

    def select(self, folder: str) -> None:
        """Open a folder: to be marked in, or else to be read alone."""
        name = _quoted(folder)
        try:
            said, answer = self._connection.select(name)
        except imaplib.IMAP4.readonly:
            self._may_mark = False
            said, answer = self._connection.select(name, readonly=True)
        _expect(said, answer)
        self.count = int(answer[0] or 0)
        _, numbers = self._connection.response("UIDVALIDITY")
        if not numbers or not numbers[0]:
            raise MailboxUnavailable("the server gives messages no lasting numbers")
        self.validity = int(numbers[0])

    def after(self, uid: int) -> list[int]:
        """The numbers of all messages beyond this one, the oldest first."""
        return self._search(uid, f"UID {uid + 1}:*")

    def since(self, day: date) -> list[int]:
        """The numbers of all messages that came on that day or later."""
        return self._search(0, f"SINCE {day.day:02}-{_MONTHS[day.month - 1]}-{day.year:04}")

    def _search(self, beyond: int, asked: str) -> list[int]:
        with _told():
            said, answer = self._connection.uid("SEARCH", asked)
            _expect(said, answer)
            found = {int(word) for line in answer for word in (line or b"").split()}
        # `n:*` names the last message even where its number is below n.
        return sorted(uid for uid in found if uid > beyond)

    def beginning(self, uid: int, octets: int) -> bytes | None:
        """So many octets of a message, which stays unread; None where it is gone."""
        with _told():
            said, answer = self._connection.uid("FETCH", str(uid), f"(UID BODY.PEEK[]<0.{octets}>)")
            _expect(said, answer)
            for head, body in (one for one in answer if isinstance(one, tuple)):
                found = _UID.search(head)
                if found is None or int(found[1]) == uid:
                    return bytes(body)
        return None

    def mark_read(self, uid: int) -> None:
        """Show people that this message needs no reader; where that fails, nothing is lost."""
        if self._may_mark:
            with suppress(MailboxUnavailable), _told():
                self._connection.uid("STORE", str(uid), "+FLAGS.SILENT", r"(\Seen)")


@contextmanager
def opened(server: MailboxServer) -> Iterator[OpenMailbox]:
    """Connect, encrypt, sign in and open the folder. Raises MailboxUnavailable."""
    with _told():
        connection = _connected(server)
    try:
        try:
            with _told():
                _sign_in(connection, server.parts)
                mailbox = OpenMailbox(connection)
                mailbox.select(server.parts.folder)
        except MailboxUnavailable as fault:
            # A server may say again what it was told.
            said = fault.reply.replace(server.parts.password, "***")
            raise MailboxUnavailable(said) from None
        yield mailbox
    finally:
        with suppress(OSError, imaplib.IMAP4.error, ValueError):
            connection.logout()
        with suppress(OSError):
            connection.shutdown()


def _connected(server: MailboxServer) -> imaplib.IMAP4:
    parts = server.parts
    context = server.tls_context or ssl.create_default_context()
    if parts.is_tls:
        return imaplib.IMAP4_SSL(
            parts.host, parts.port, ssl_context=context, timeout=server.timeout
        )
    connection = imaplib.IMAP4(parts.host, parts.port, timeout=server.timeout)
    try:
        connection.starttls(context)
    except BaseException:
        connection.shutdown()
        raise
    return connection


def _sign_in(connection: imaplib.IMAP4, parts: MailboxParts) -> None:
    """Words of any language go by AUTHENTICATE; LOGIN takes ASCII alone."""
    try:
        if "AUTH=PLAIN" in connection.capabilities:
            words = f"\0{parts.username}\0{parts.password}".encode()
            connection.authenticate("PLAIN", lambda _: words)
        else:
            connection.login(_quoted(parts.username), parts.password)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as fault:
        raise MailboxUnavailable(f"the sign-in was refused: {_words(fault)}") from None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _expect(said: str, answer: list[Any]) -> None:
    if said != "OK":
        raise imaplib.IMAP4.error(answer[0] if answer else said)


@contextmanager
def _told() -> Iterator[None]:
    """Whatever the server or the line does is one refusal, in words for people."""
    try:
        yield
    except ssl.SSLCertVerificationError as fault:
        words = f"the server's certificate is not trusted: {fault.verify_message}"
    except TimeoutError:
        words = "no answer in time"
    except socket.gaierror:
        words = "no server of this name is found"
    except (OSError, imaplib.IMAP4.error, ValueError) as fault:
        words = _words(fault)
    else:
        return
    raise MailboxUnavailable(clean_line(words)[:_LONGEST_REPLY]) from None


def _words(fault: Exception) -> str:
    said = fault.args[0] if len(fault.args) == 1 else fault
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return clean_line(text)[:_LONGEST_REPLY] or type(fault).__name__
