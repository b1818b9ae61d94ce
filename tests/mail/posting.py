"""Posting to `/webhooks/mail/…` what became of a letter of ours."""

from flask import Flask
from flask.testing import FlaskClient

from store.mail.models import DeliveryStatus
from tests.mail import posted
from tests.mail.posted import SHAPES, Letter, Message
from tests.mail.returned import Stand, sent_edition

UNTOUCHED = Stand(DeliveryStatus.SENT, [], 0, 0)
BOUNCED = Stand(DeliveryStatus.BOUNCED, [posted.ANNA], 1, 1)
PROVIDERS = sorted(SHAPES)


def post(shop: Flask, provider: str, message: Message) -> int:
    client: FlaskClient = shop.test_client()
    answer = client.post(
        f"/webhooks/mail/{provider}", data=message.body, headers=list(message.headers.items())
    )
    return answer.status_code


def letter_of_ours() -> Letter:
    message_id = sent_edition()
    mark = message_id[1:41]
    return Letter(mark, message_id, f"bounces+{mark}@shop.example.org")
