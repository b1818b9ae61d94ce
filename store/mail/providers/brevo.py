"""Brevo: one object a message, with a secret of ours in the head; it signs nothing."""

from collections.abc import Mapping

from store.kit.config import config
from store.mail.providers.base import Event, NotTheirs, Posted, events_in, is_secret, report, text
from store.mail.reports import Report
from store.mail.returns import ReturnKind

# Its events (Transactional webhooks). It tries again what is deferred.
_KINDS: dict[str, ReturnKind] = {
    "hard_bounce": ReturnKind.HARD,
    "invalid_email": ReturnKind.HARD,
    "blocked": ReturnKind.HARD,
    "soft_bounce": ReturnKind.SOFT,
    "error": ReturnKind.SOFT,
    "spam": ReturnKind.COMPLAINT,
}


def read(headers: Mapping[str, str], body: bytes) -> Posted:
    """Raises `NotTheirs`, `NotReadable`."""
    if not is_secret(headers, config().mail_webhook_brevo):
        raise NotTheirs("the secret is not ours")
    return Posted([found for event in events_in(body) if (found := _report(event))])


def _report(event: Event) -> Report | None:
    name = text(event, "event")
    if name not in _KINDS:
        return None
    message_id = text(event, "message-id")
    return report(
        _KINDS[name],
        key=f"brevo:{name}:{message_id}:{text(event, 'ts_epoch', 'ts_event', 'ts')}",
        recipient=text(event, "email"),
        words=text(event, "reason") or name.replace("_", " "),
        shown=[text(event, "X-Mailin-custom"), message_id],
        relay_ids=[message_id.strip("<>")],
    )
