"""Postmark: one object a message, over HTTPS with a user and password of ours; it signs nothing."""

from collections.abc import Mapping

from store.kit.config import config
from store.mail.providers.base import (
    Event,
    NotTheirs,
    Posted,
    events_in,
    is_secret,
    part,
    report,
    text,
)
from store.mail.reports import Report
from store.mail.returns import ReturnKind

# Its types of bounces (Bounce API, “Bounce types”). It tries again what is Transient, and answers of
# programs are bounces to it too: those say nothing.
_HARD = {"HardBounce", "BadEmailAddress", "ManuallyDeactivated"}
_SOFT = {
    "SoftBounce",
    "DnsError",
    "SpamNotification",
    "VirusNotification",
    "Blocked",
    "DMARCPolicy",
    # What it could not make out, and what it took by SMTP and then did not send.
    "Unknown",
    "SMTPApiError",
}
# It does not send to an address from which letters came back before, and says so of each.
_NOT_SENT = "inactive"


def read(headers: Mapping[str, str], body: bytes) -> Posted:
    """Raises `NotTheirs`, `NotReadable`."""
    if not is_secret(headers, config().mail_webhook_postmark):
        raise NotTheirs("the password is not ours")
    return Posted([found for event in events_in(body) if (found := _report(event))])


def _report(event: Event) -> Report | None:
    kind = text(event, "Type")
    if "SpamComplaint" in (kind, text(event, "RecordType")):
        meant: ReturnKind | None = ReturnKind.COMPLAINT
    elif kind in _HARD:
        meant = ReturnKind.HARD
    elif kind in _SOFT:
        meant = ReturnKind.SOFT
    else:
        return None
    if kind == "SMTPApiError" and _NOT_SENT in text(event, "Details", "Description").lower():
        meant = ReturnKind.HARD
    return report(
        meant,
        key=f"postmark:{text(event, 'ID')}:{text(event, 'MessageID')}",
        recipient=text(event, "Email"),
        words=text(event, "Details", "Description", "Name"),
        shown=[text(part(event, "Metadata"), "letter")],
        relay_ids=[text(event, "MessageID")],
    )
