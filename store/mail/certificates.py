"""Whether the mail server's certificate holds, and for how long: looked at each hour by a worker, without
signing in, so that staff hear of one that runs out before letters stop."""

import logging
import smtplib
import ssl
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from flask import current_app

from store.kit import clock
from store.kit.config import config
from store.mail.lines import mail_server
from store.mail.smtp import MailServer

log = logging.getLogger(__name__)

SOON = timedelta(days=14)
_EVERY_SECONDS = 3600.0


class Looked(NamedTuple):
    """What the last look told: `fault` in words, empty where all is well."""

    at_seconds: float
    fault: str


def look_when_due() -> None:
    """Ask the mail server where it is an hour ago, or this process has not asked yet. One that
    cannot be reached tells nothing of its certificate."""
    server = mail_server()
    looked = last_look()
    is_recent = looked is not None and time.monotonic() - looked.at_seconds < _EVERY_SECONDS
    if is_recent or not config().mail_server or not (server.use_tls or server.use_ssl):
        return
    try:
        fault = fault_of(server)
    except (OSError, smtplib.SMTPException, UnicodeError):
        return
    current_app.extensions["colophon.certificate"] = Looked(time.monotonic(), fault)


def last_look() -> Looked | None:
    """What this process saw last; None where it has not looked."""
    looked: Looked | None = current_app.extensions.get("colophon.certificate")
    return looked


def fault_of(server: MailServer) -> str:
    """What is wrong with the certificate, in words, or nothing. Raises what a connection raises that
    does not come about for another reason."""
    context = server.tls_context or ssl.create_default_context()
    try:
        ends_at = _end_of(server, context)
    except ssl.SSLCertVerificationError as fault:
        return f"it is not trusted: {fault.verify_message}"
    if ends_at is not None and ends_at - clock.machine_time() < SOON:
        return f"it holds until {ends_at:%d %B %Y, %H:%M} UTC alone"
    return ""


def _end_of(server: MailServer, context: ssl.SSLContext) -> datetime | None:
    name, timeout = server.local_hostname, server.connect_timeout
    talk: smtplib.SMTP
    if server.use_ssl:
        talk = smtplib.SMTP_SSL(server.host, server.port, name, timeout=timeout, context=context)
    else:
        talk = smtplib.SMTP(server.host, server.port, name, timeout=timeout)
    try:
        if not server.use_ssl:
            talk.starttls(context=context)
        assert isinstance(talk.sock, ssl.SSLSocket)  # noqa: S101 - it is encrypted by now
        shown = talk.sock.getpeercert() or {}
        talk.quit()
    finally:
        talk.close()
    ends = shown.get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(ends)), UTC) if ends else None
