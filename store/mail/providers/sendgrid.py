"""SendGrid: a list of events a message, signed with ECDSA; the setting holds the public key."""

import base64
import binascii
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from store.kit.config import config
from store.mail.providers.base import (
    Event,
    NotTheirs,
    Posted,
    events_in,
    must_be_recent,
    report,
    text,
)
from store.mail.reports import Report
from store.mail.returns import ReturnKind

_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIME = "x-twilio-email-event-webhook-timestamp"


def read(headers: Mapping[str, str], body: bytes) -> Posted:
    """Raises `NotTheirs`, `NotReadable`."""
    given = {name.lower(): value for name, value in headers.items()}
    signed = given.get(_TIME, "").encode() + body
    try:
        signature = base64.b64decode(given.get(_SIGNATURE, ""), validate=True)
    except (binascii.Error, ValueError):
        raise NotTheirs("no signature") from None
    if not any(_holds(key, signature, signed) for key in config().mail_webhook_sendgrid):
        raise NotTheirs("the signature does not hold")
    must_be_recent(given.get(_TIME, ""))
    return Posted([found for event in events_in(body) if (found := _report(event))])


def _holds(key: str, signature: bytes, signed: bytes) -> bool:
    public = serialization.load_der_public_key(base64.b64decode(key))
    if not isinstance(public, ec.EllipticCurvePublicKey):
        return False
    try:
        public.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _report(event: Event) -> Report | None:
    name, reason = text(event, "event"), text(event, "reason")
    kind: ReturnKind | None = None
    if name == "dropped":
        # An address on its lists; anything else that it drops is about us.
        is_address = reason.endswith("Address") or reason == "Invalid"
        kind = ReturnKind.HARD if is_address else ReturnKind.SOFT
    elif name == "spamreport":
        kind = ReturnKind.COMPLAINT
    elif name != "bounce":
        return None
    elif text(event, "type") in {"blocked", "expired"}:
        kind = ReturnKind.SOFT
    # The relay's name for the letter is what stands before the first dot.
    relay_id = text(event, "sg_message_id").partition(".")[0]
    return report(
        kind,
        key=f"sendgrid:{text(event, 'sg_event_id')}",
        recipient=text(event, "email"),
        words=reason,
        status=text(event, "status"),
        shown=[text(event, "letter"), text(event, "smtp-id")],
        relay_ids=[relay_id],
    )
