"""Amazon SES by way of SNS: signed with a key whose certificate SNS publishes; topics of ours alone.

Anybody may have a topic and post signed messages to us, so that the topic is what the setting
names, and the certificate comes from that topic's own region.
"""

import base64
import binascii
import logging
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from urllib.parse import parse_qs, urlsplit

import urllib3
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from store.kit import limits
from store.kit.config import config
from store.mail.providers.base import (
    Event,
    NotReachable,
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

log = logging.getLogger(__name__)

_OF_SUBSCRIPTION = (
    *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
)
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": _OF_SUBSCRIPTION,
    "UnsubscribeConfirmation": _OF_SUBSCRIPTION,
}
_FOR_NOW = {
    *("MailboxFull", "MessageTooLarge", "ContentRejected", "AttachmentRejected"),
    "CustomTimeoutExceeded",
}
_CERTIFICATE = re.compile(r"SimpleNotificationService-[0-9a-f]{8,64}\.pem")
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 - SNS's default
_SECONDS, _LARGEST = 5.0, 64 * 1024


def read(headers: Mapping[str, str], body: bytes) -> Posted:  # noqa: ARG001 - the proof is in the body
    """Asks Amazon for the certificate, and follows the one link that confirms our subscription.
    Raises `NotTheirs`, `NotReadable`."""
    events = events_in(body)
    if len(events) != 1:
        raise NotReadable("one message at a time")
    message = events[0]
    kind, topic = text(message, "Type"), text(message, "TopicArn")
    if topic not in config().mail_webhook_ses:
        raise NotTheirs("the topic is not ours")
    if kind not in _SIGNED:
        raise NotTheirs("a kind of message that SNS does not sign")
    _verify(message, kind, _server_of(topic))
    if kind == "SubscriptionConfirmation":
        _confirm(text(message, "SubscribeURL"), topic)
    if kind == "UnsubscribeConfirmation":
        log.warning("SNS posts no more: the subscription to %s was ended", topic)
    return Posted(_said(text(message, "Message")) if kind == "Notification" else [])


def _said(words: str) -> list[Report]:
    """What SES says through SNS; where it tries the topic, it says so in plain words."""
    if not words.lstrip().startswith(("{", "[")):
        return []
    return [one for event in events_in(words.encode()) for one in _reports(event)]


def _confirm(url: str, topic: str) -> None:
    asked = parse_qs(urlsplit(url).query)
    is_ours = asked.get("Action") == ["ConfirmSubscription"] and asked.get("TopicArn") == [topic]
    if not (url.startswith(_server_of(topic)) and is_ours):
        raise NotTheirs("a link that confirms something else")
    _fetched(url)


def _server_of(topic: str) -> str:
    partition, region = topic.split(":")[1], topic.split(":")[3]
    return f"https://sns.{region}.amazonaws.com{'.cn' if partition == 'aws-cn' else ''}/"


def _verify(message: Event, kind: str, server: str) -> None:
    signed = "".join(f"{name}\n{message[name]}\n" for name in _SIGNED[kind] if name in message)
    try:
        signature = base64.b64decode(text(message, "Signature"), validate=True)
        algorithm = _HASHES[text(message, "SignatureVersion")]
    except (binascii.Error, ValueError, KeyError):
        raise NotTheirs("no signature") from None
    url = text(message, "SigningCertURL", "SigningCertUrl")
    try:
        key = x509.load_pem_x509_certificate(_certificate(url, server)).public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise NotTheirs("the key is of another kind")
        key.verify(signature, signed.encode(), padding.PKCS1v15(), algorithm)
    except (InvalidSignature, ValueError):
        raise NotTheirs("the signature does not hold") from None
    try:
        signed_at = datetime.fromisoformat(text(message, "Timestamp")).timestamp()
    except ValueError:
        raise NotTheirs("no moment is signed") from None
    must_be_recent(str(int(signed_at)))


@lru_cache(maxsize=8)
def _certificate(url: str, server: str) -> bytes:
    if not (url.startswith(server) and _CERTIFICATE.fullmatch(url.removeprefix(server))):
        raise NotTheirs("the certificate is elsewhere")
    # Somebody who knows our topic could have us ask for one after the other. SNS posts again in 20 seconds
    # what was answered with 503, and gives up what was answered with 403.
    if not limits.is_turn("certificate of SNS", 2):
        raise NotReachable
    return _fetched(url)


def _fetched(url: str) -> bytes:
    """What stands at an address that was found to be Amazon's, and nowhere that it leads on to."""
    try:
        with urllib3.request(
            "GET", url, timeout=_SECONDS, retries=False, redirect=False, preload_content=False
        ) as answer:
            if answer.status != 200:
                raise NotReachable
            return answer.read(_LARGEST)
    except urllib3.exceptions.HTTPError:
        raise NotReachable from None


def _reports(event: Event) -> list[Report]:
    name = text(event, "notificationType", "eventType")
    if name not in {"Bounce", "Complaint"}:
        return []
    said, mail = part(event, name.lower()), part(event, "mail")
    people = said.get("bouncedRecipients" if name == "Bounce" else "complainedRecipients", [])
    if not (isinstance(people, list) and all(isinstance(one, dict) for one in people)):
        raise NotReadable("recipients are objects")
    found = []
    for person in people:
        kind, is_news = _meant(name, said, person)
        if is_news:
            found.append(_report(kind, said, mail, person))
    return found


def _meant(name: str, said: Event, person: Event) -> tuple[ReturnKind | None, bool]:
    """What kind of report it is (None: the words decide), and whether it is one at all."""
    if text(said, "bounceSubType", "complaintSubType") in {
        "Suppressed",
        "OnAccountSuppressionList",
    }:
        return ReturnKind.HARD, True  # Amazon has not tried
    if name == "Complaint":
        return ReturnKind.COMPLAINT, text(said, "complaintFeedbackType") != "not-spam"
    if text(said, "bounceType") == "Permanent":
        return (None if text(person, "status", "diagnosticCode") else ReturnKind.HARD), True
    # Answers of people on holiday are Transient to Amazon, General, and say no status.
    is_named = text(said, "bounceSubType") in _FOR_NOW
    return ReturnKind.SOFT, is_named or bool(text(person, "status", "diagnosticCode"))


def _report(kind: ReturnKind | None, said: Event, mail: Event, person: Event) -> Report:
    headers = mail.get("headers") or []
    ours = [
        text(one, "value")
        for one in (headers if isinstance(headers, list) else [])
        if isinstance(one, dict) and text(one, "name").lower() == "message-id"
    ]
    words = text(person, "diagnosticCode") or text(said, "bounceSubType", "complaintFeedbackType")
    return report(
        kind,
        key=f"ses:{text(said, 'feedbackId')}",
        recipient=text(person, "emailAddress"),
        words=words,
        status=text(person, "status"),
        shown=[text(mail, "source"), *ours],
        relay_ids=[text(mail, "messageId")],
    )
