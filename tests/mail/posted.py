"""What the providers post of a letter that came back, in the shapes that they document, proved as they do."""

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

ANNA = "anna@reader.example"
NOW = 1803895200  # 1 March 2027, 10:00 UTC, where the tests' clock stands
SECRET = "a-secret-of-the-webhook-0123456789"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:returned-letters"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
SAID = "smtp; 550 5.1.1 <anna@reader.example>... User unknown"

SENDGRID_KEY = ec.generate_private_key(ec.SECP256R1())
SNS_KEY = rsa.generate_private_key(65537, 2048)


def public_key(key: ec.EllipticCurvePrivateKey = SENDGRID_KEY) -> str:
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(der).decode()


def sns_certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, SNS_KEY.public_key(), 1)
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(
        now + timedelta(days=1)
    )
    return builder.sign(SNS_KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


SETTINGS: dict[str, Any] = {
    "mail_webhook_brevo": [SECRET],
    "mail_webhook_mailgun": [SECRET],
    "mail_webhook_postmark": [SECRET],
    "mail_webhook_sendgrid": [public_key()],
    "mail_webhook_ses": [TOPIC],
}


@dataclass
class Letter:
    """How a letter of ours is called: by us, and by the relay in its answer to DATA."""

    mark: str = ""
    message_id: str = ""
    return_path: str = "shop@shop.example.org"
    relay_id: str = "a-name-of-the-relay-0001"


@dataclass
class Message:
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


# What a provider posts of a letter, given what kind of event it is: "hard", "soft", "complaint" or one
# that says nothing ("nothing").
Shape = Callable[[Letter, str], Any]


def postmark(letter: Letter, kind: str) -> Any:
    event: dict[str, Any] = {
        "RecordType": "Bounce",
        "MessageStream": "outbound",
        "ID": 4323372036854775807,
        "Type": {"hard": "HardBounce", "soft": "SoftBounce", "complaint": "SpamComplaint"}.get(
            kind, "AutoResponder"
        ),
        "TypeCode": 1,
        "Name": "Hard bounce",
        "Tag": "",
        "MessageID": letter.relay_id,
        "Metadata": {"letter": letter.mark} if letter.mark else {},
        "ServerID": 23,
        "Description": "The server was unable to deliver your message (ex: unknown user).",
        "Details": SAID,
        "Email": ANNA,
        "From": "shop@shop.example.org",
        "BouncedAt": "2027-03-01T10:00:00Z",
        "DumpAvailable": True,
        "Inactive": True,
        "CanActivate": True,
        "Subject": "Edition 2 is out",
    }
    return event | ({"RecordType": "SpamComplaint"} if kind == "complaint" else {})


def brevo(letter: Letter, kind: str) -> Any:
    return {
        "event": {"hard": "hard_bounce", "soft": "soft_bounce", "complaint": "spam"}.get(
            kind, "deferred"
        ),
        "email": ANNA,
        "id": 26224,
        "date": "2027-03-01 10:00:00",
        "ts": 1803895200,
        "message-id": f"<{letter.relay_id}>",
        "ts_event": 1803895200,
        "subject": "Edition 2 is out",
        "X-Mailin-custom": letter.mark,
        "sending_ip": "192.0.2.1",
        "ts_epoch": 1803895200000,
        "tags": [],
        "reason": SAID,
    }


def mailgun(letter: Letter, kind: str) -> Any:
    event = {
        "id": "G9Bn5sl1TC6nu79C8C0bwg",
        "timestamp": 1803895200.1,
        "log-level": "error",
        "event": "complained" if kind == "complaint" else "failed",
        "severity": "temporary" if kind == "nothing" else "permanent",
        "reason": "bounce",
        "delivery-status": {
            "attempt-no": 1,
            "message": "5.1.1 User unknown" if kind != "soft" else "5.2.2 Mailbox full",
            "code": 550,
            "enhanced-code": "5.1.1" if kind != "soft" else "5.2.2",
            "description": "",
            "session-seconds": 0.0,
        },
        "envelope": {
            "sender": letter.return_path,
            "transport": "smtp",
            "targets": ANNA,
        },
        "message": {
            "headers": {
                "to": f"Anna <{ANNA}>",
                "message-id": letter.message_id.strip("<>"),
                "from": "shop@shop.example.org",
                "subject": "Edition 2 is out",
            },
            "attachments": [],
            "size": 111,
        },
        "recipient": ANNA,
        "recipient-domain": "reader.example",
        "tags": [],
        "user-variables": {"letter": letter.mark} if letter.mark else {},
    }
    return {"event-data": event}


def sendgrid(letter: Letter, kind: str) -> Any:
    event: dict[str, Any] = {
        "email": ANNA,
        "timestamp": 1803895200,
        "smtp-id": letter.message_id,
        "sg_event_id": f"{kind}_event_0001",
        "sg_message_id": f"{letter.relay_id}.filter0001.16648.5515E0B88.0",
        "event": {"complaint": "spamreport", "nothing": "deferred"}.get(kind, "bounce"),
        "type": "blocked" if kind == "soft" else "bounce",
        "reason": "550 5.1.1 User unknown",
        "status": "5.1.1",
    }
    if letter.mark:
        event["letter"] = letter.mark
    opened = {"email": ANNA, "event": "open", "sg_event_id": "o", "ip": "192.0.2.9"}
    return [opened, event, {"email": ANNA, "event": "processed", "sg_event_id": "p"}]


def ses(letter: Letter, kind: str) -> Any:
    mail = {
        "timestamp": "2027-03-01T10:00:00.000Z",
        "source": letter.return_path,
        "sourceArn": "arn:aws:ses:eu-west-1:123456789012:identity/shop.example.org",
        "sourceIp": "192.0.2.1",
        "sendingAccountId": "123456789012",
        "messageId": letter.relay_id,
        "destination": [ANNA],
    }
    if letter.message_id:
        mail |= {"headersTruncated": False}
        mail["headers"] = [  # type: ignore[assignment]
            {"name": "From", "value": "shop@shop.example.org"},
            {"name": "Message-ID", "value": letter.message_id},
        ]
    if kind == "complaint":
        complaint = {
            "userAgent": "ExampleCorp Feedback Loop (V0.01)",
            "complainedRecipients": [{"emailAddress": ANNA}],
            "complaintFeedbackType": "abuse",
            "arrivalDate": "2027-03-01T10:00:00.000Z",
            "timestamp": "2027-03-01T10:00:00.000Z",
            "feedbackId": "000001378603177f-18c07c78-fa81-4a58-9dd1-fedc3cb8f49a-000000",
        }
        return {"notificationType": "Complaint", "complaint": complaint, "mail": mail}
    person = {
        "emailAddress": ANNA,
        "status": "5.1.1",
        "action": "failed",
        "diagnosticCode": SAID,
    }
    bounce = {
        "bounceType": "Permanent" if kind == "hard" else "Transient",
        "bounceSubType": "General",
        # An answer of a person on holiday comes without a status.
        "bouncedRecipients": [{"emailAddress": ANNA} if kind == "nothing" else person],
        "reportingMTA": "dns; email.example.com",
        "timestamp": "2027-03-01T10:00:00.000Z",
        "feedbackId": "00000138111222aa-33322211-cccc-cccc-cccc-ddddaaaa068a-000000",
        "remoteMtaIp": "127.0.2.0",
    }
    return {"notificationType": "Bounce", "bounce": bounce, "mail": mail}


SHAPES: dict[str, Shape] = {
    "brevo": brevo,
    "mailgun": mailgun,
    "postmark": postmark,
    "sendgrid": sendgrid,
    "ses": ses,
}


def proved(provider: str, said: Any, **given: Any) -> Message:
    """A message as the provider posts it."""
    if provider == "mailgun":
        return Message(json.dumps(said | {"signature": _of_mailgun(**given)}).encode())
    if provider == "ses":
        return Message(json.dumps(notification(said, **given)).encode())
    body = json.dumps(said).encode()
    if provider == "sendgrid":
        at = str(given.get("at", NOW))
        signature = SENDGRID_KEY.sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))
        return Message(
            body,
            {
                "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
                "X-Twilio-Email-Event-Webhook-Timestamp": at,
            },
        )
    if provider == "brevo":
        return Message(body, {"Authorization": f"Bearer {SECRET}"})
    user = base64.b64encode(f"shop:{SECRET}".encode()).decode()
    return Message(body, {"Authorization": f"Basic {user}"})


def _of_mailgun(at: float = NOW, token: str = "t" * 50, key: str = SECRET) -> dict[str, str]:
    seconds = str(int(at))
    signature = hmac.new(key.encode(), f"{seconds}{token}".encode(), "sha256").hexdigest()
    return {"timestamp": seconds, "token": token, "signature": signature}


def notification(said: Any, *, version: str = "2", **given: Any) -> dict[str, str]:
    """What SNS posts, signed."""
    message = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": json.dumps(said),
        "Timestamp": "2027-03-01T10:00:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE,
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
    } | given
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn"]
    signed = "".join(f"{name}\n{message[name]}\n" for name in [*names, "Type"] if name in message)
    how: Any = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = SNS_KEY.sign(signed.encode(), padding.PKCS1v15(), how)
    return message | {"Signature": base64.b64encode(signature).decode()}
