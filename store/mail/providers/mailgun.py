"""Mailgun: one object a message, with a signature that covers a time and a token but not what is said."""

import hmac
from collections.abc import Mapping

from store.kit.config import config
from store.mail.providers.base import (
    Event,
    NotReadable,
    NotTheirs,
    Posted,
    events_in,
    must_be_recent,
    part,
    report,
    text,
)
from store.mail.reports import Report
from store.mail.returns import ReturnKind

# It gives up after hours what was not taken, or what a whole mailbox provider does not take of it.
_SOFT = {"old", "espblock"}


def read(headers: Mapping[str, str], body: bytes) -> Posted:  # noqa: ARG001 - the proof is in the body
    """Raises `NotTheirs`, `NotReadable`."""
    events = events_in(body)
    if len(events) != 1:
        raise NotReadable("one event a message")
    token = _proved(part(events[0], "signature"))
    found = _report(part(events[0], "event-data"))
    return Posted([found] if found else [], once=f"mailgun {token}")


def _proved(signature: Event) -> str:
    at, token, given = (text(signature, name) for name in ("timestamp", "token", "signature"))
    keys = [key.get_secret_value().encode() for key in config().mail_webhook_mailgun]
    expected = [hmac.new(key, f"{at}{token}".encode(), "sha256").hexdigest() for key in keys]
    if not any(hmac.compare_digest(given.encode(), one.encode()) for one in expected):
        raise NotTheirs("the signature does not hold")
    must_be_recent(at)
    if not token:
        raise NotReadable("a token")
    return token


def _report(event: Event) -> Report | None:
    name, reason = text(event, "event"), text(event, "reason")
    status = part(event, "delivery-status")
    kind: ReturnKind | None = None
    if name == "failed" and text(event, "severity") == "permanent":
        if reason == "suppress-bounce":
            # The address is on its own list of those that bounced: it did not try.
            kind = ReturnKind.HARD
        elif reason in _SOFT:
            kind = ReturnKind.SOFT
    elif name == "complained":
        kind = ReturnKind.COMPLAINT
    else:
        return None
    message_id = text(part(event, "message", "headers"), "message-id")
    shown = [
        text(part(event, "user-variables"), "letter"),
        text(part(event, "envelope"), "sender"),
        message_id,
    ]
    said = text(status, "message") or text(status, "description") or reason
    return report(
        kind,
        # Its names for events are one another's only within a day.
        key=f"mailgun:{text(event, 'id')}:{message_id}",
        recipient=text(event, "recipient"),
        # The code alone decides where the words hold none.
        words=f"{text(status, 'code')} {said}".strip(),
        status=text(status, "enhanced-code"),
        shown=shown,
        relay_ids=[message_id],
    )
