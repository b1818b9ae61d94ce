"""`/webhooks/mail/…`: each provider's documented shape opens a repair, and only where it is proved."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.app import create_app
from store.kit import limits
from store.kit.database import db, transaction
from store.mail.models import Attempt, DeliveryStatus
from store.mail.providers import ses
from tests.conftest import Clock, make_settings
from tests.mail import posted
from tests.mail.posted import SHAPES, Letter, Message, proved
from tests.mail.returned import Stand, notice, sent_edition, stand

UNTOUCHED = Stand(DeliveryStatus.SENT, [], 0, 0)
BOUNCED = Stand(DeliveryStatus.BOUNCED, [posted.ANNA], 1, 1)
PROVIDERS = sorted(SHAPES)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was fetched from Amazon, which answers with our certificate."""
    found: list[str] = []

    def fetched(url: str, server: str) -> bytes:
        found.append(url)
        return posted.sns_certificate()

    monkeypatch.setattr(ses, "_fetched", fetched)
    ses._certificate.cache_clear()
    yield found
    ses._certificate.cache_clear()


@pytest.fixture
def shop(database_url: str, tmp_path: Path, asked: list[str]) -> Iterator[Flask]:
    given = posted.SETTINGS | {"bounce_address": "bounces+{token}@shop.example.org"}
    app = create_app(make_settings(tmp_path, database_url=database_url, **given))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def _post(shop: Flask, provider: str, message: Message) -> int:
    client: FlaskClient = shop.test_client()
    answer = client.post(
        f"/webhooks/mail/{provider}", data=message.body, headers=list(message.headers.items())
    )
    return answer.status_code


def _letter() -> Letter:
    message_id = sent_edition()
    mark = message_id[1:41]
    return Letter(mark, message_id, f"bounces+{mark}@shop.example.org")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_bounce_opens_a_repair_once(shop: Flask, provider: str) -> None:
    message = proved(provider, SHAPES[provider](_letter(), "hard"))
    assert _post(shop, provider, message) == 200
    assert stand() == BOUNCED
    assert _post(shop, provider, message) == 200
    assert stand() == BOUNCED


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("kind", "status", "reports"),
    [
        ("soft", DeliveryStatus.QUEUED, 1),
        ("complaint", DeliveryStatus.SENT, 1),
        ("nothing", DeliveryStatus.SENT, 0),
    ],
)
def test_what_is_no_bounce_opens_none(
    shop: Flask, provider: str, kind: str, status: DeliveryStatus, reports: int
) -> None:
    assert _post(shop, provider, proved(provider, SHAPES[provider](_letter(), kind))) == 200
    assert stand() == Stand(status, [], 0, reports)


@pytest.mark.parametrize("provider", sorted({"brevo", "postmark", "sendgrid", "ses"}))
def test_the_providers_own_name_of_the_letter_is_enough(shop: Flask, provider: str) -> None:
    sent_edition()
    name = Letter().relay_id
    with transaction() as session:
        session.execute(
            sa.update(Attempt)
            .where(
                Attempt.delivery_id == sa.select(sa.func.max(Attempt.delivery_id)).scalar_subquery()
            )
            .values(reply=f"250 2.0.0 Ok: queued as <{name}>")
        )
    ours = db.session.scalar(sa.select(sa.func.max(Attempt.delivery_id)))
    assert ours == notice().id
    assert _post(shop, provider, proved(provider, SHAPES[provider](Letter(), "hard"))) == 200
    assert stand() == BOUNCED


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_not_proved_writes_nothing(shop: Flask, provider: str) -> None:
    message = proved(provider, SHAPES[provider](_letter(), "hard"))
    bare = Message(message.body.replace(b'"signature": "', b'"signature": "0'))
    bare.body = bare.body.replace(b'"Signature": "', b'"Signature": "AAAA')
    assert _post(shop, provider, bare) == 403
    assert stand() == UNTOUCHED
    assert _post(shop, provider, message) == 200  # control
    assert stand() == BOUNCED


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_cannot_be_read_writes_nothing(shop: Flask, provider: str) -> None:
    sent_edition()
    shapes: list[Any] = [[1], "text", [[]]] if provider != "mailgun" else []
    for said in shapes:
        if provider == "ses":
            answer = _post(shop, provider, proved(provider, said))
        else:
            answer = _post(shop, provider, proved(provider, said))
        assert answer == 400, said
    for body in (b"", b"{", b"[" * 200_000, b"\xff"):
        refused = _post(shop, provider, Message(body, proved(provider, {}).headers))
        assert refused in {400, 403}, body[:10]
    too_long = Message(b" " * 1_100_000, proved(provider, {}).headers)
    assert _post(shop, provider, too_long) == 413
    assert stand() == UNTOUCHED


def test_nobody_listens_where_nothing_is_set(app: Flask) -> None:
    for provider in [*PROVIDERS, "nobody", "__class__"]:
        assert _post(app, provider, Message(b"{}")) == 404


def test_a_proof_of_mailgun_serves_once_and_a_day(shop: Flask, frozen: Clock) -> None:
    letter, now = _letter(), frozen.at.timestamp()
    old = proved("mailgun", posted.mailgun(letter, "hard"), at=now - 25 * 3600)
    assert _post(shop, "mailgun", old) == 403
    used = proved("mailgun", posted.mailgun(Letter(mark="0" * 40), "hard"), at=now)
    assert _post(shop, "mailgun", used) == 200
    # The signature covers nothing of what is said, so that it must not prove another message.
    stolen = proved("mailgun", posted.mailgun(letter, "hard"), at=now)
    assert _post(shop, "mailgun", stolen) == 200
    assert stand() == UNTOUCHED
    fresh = proved("mailgun", posted.mailgun(letter, "hard"), at=now, token="u" * 50)
    assert _post(shop, "mailgun", fresh) == 200
    assert stand() == BOUNCED


@pytest.mark.parametrize("version", ["1", "2"])
def test_amazon_is_asked_for_its_certificate_once(
    shop: Flask, asked: list[str], version: str
) -> None:
    letter = _letter()
    for kind in ("nothing", "hard"):
        message = proved("ses", posted.ses(letter, kind), version=version)
        assert _post(shop, "ses", message) == 200
    assert asked == [posted.CERTIFICATE]
    assert stand() == BOUNCED


@pytest.mark.parametrize(
    "given",
    [
        {"TopicArn": "arn:aws:sns:eu-west-1:999999999999:returned-letters"},
        {"SignatureVersion": "3"},
    ],
)
def test_another_topic_proves_nothing(shop: Flask, asked: list[str], given: dict[str, str]) -> None:
    assert _post(shop, "ses", proved("ses", posted.ses(_letter(), "hard"), **given)) == 403
    assert stand() == UNTOUCHED


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x.pem",
        "http://sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
        "https://sns.us-east-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com/x.html",
    ],
)
def test_the_certificate_is_amazons_own(
    shop: Flask, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.undo()
    message = proved("ses", posted.ses(_letter(), "hard"), SigningCertURL=url)
    assert _post(shop, "ses", message) == 403


def test_our_subscription_is_confirmed_once_it_is_proved(shop: Flask, asked: list[str]) -> None:
    link = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    given = {"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": link}
    message = posted.notification("", **given)
    assert _post(shop, "ses", Message(json.dumps(message | {"Token": "u"}).encode())) == 403
    assert asked == [posted.CERTIFICATE]
    assert _post(shop, "ses", Message(json.dumps(message).encode())) == 200
    assert asked == [posted.CERTIFICATE, link]
    assert limits.is_turn("certificate of SNS", 2) is False  # or anybody could have us ask on
