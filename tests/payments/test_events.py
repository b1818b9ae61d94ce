"""The inbox of gateway events, through its door."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.app import create_app
from store.kit.database import db
from store.payments import inbox
from store.payments.gateways.demo import HEADER, signed_event
from store.payments.models import EventStatus, GatewayEvent
from tests.conftest import SECRET, Clock, make_settings, on_both
from tests.purchases import an_order, start
from tests.rows import rows

AT = 1_800_000_000


def _post(client: FlaskClient, headers: dict[str, str], body: bytes) -> int:
    return client.post("/webhooks/demo", headers=headers, data=body).status_code


def _stored() -> int:
    db.session.rollback()
    return db.session.scalars(sa.select(sa.func.count(GatewayEvent.id))).one()


@on_both
def test_a_signed_event_is_stored_once_however_often_it_comes(
    client: FlaskClient, frozen: Clock
) -> None:
    reference = start(an_order())
    sent = signed_event("evt_1", "checkout.opened", reference, AT)

    assert [_post(client, *sent) for _ in range(3)] == [200, 200, 200]

    assert rows(GatewayEvent.event_id, GatewayEvent.kind, GatewayEvent.subject) == [
        ("evt_1", "checkout.opened", reference)
    ]
    assert rows(GatewayEvent.status) == [(EventStatus.RECEIVED,)]


def _wrong(headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    start, _, digest = headers[HEADER].rpartition("=")
    return {HEADER: f"{start}={digest[::-1]}"}, body


def _other_body(headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    return headers, body.replace(b"evt_1", b"evt_2")


def _other_time(headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    time, _, rest = headers[HEADER].partition(",")
    return {HEADER: f"t={int(time[2:]) + 1},{rest}"}, body


def _missing(headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    return {}, body


def _garbled(headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    return {HEADER: "t=soon;v1"}, body


def _without_ascii(headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    return {HEADER: headers[HEADER].partition(",")[0] + ",v1=é"}, body


@pytest.mark.parametrize(
    "spoil", [_wrong, _other_body, _other_time, _missing, _garbled, _without_ascii]
)
def test_what_the_gateway_did_not_sign_is_refused_and_leaves_no_row(
    client: FlaskClient,
    frozen: Clock,
    spoil: Callable[[dict[str, str], bytes], tuple[dict[str, str], bytes]],
) -> None:
    sent = signed_event("evt_1", "checkout.paid", "demo_x", AT)

    assert _post(client, *spoil(*sent)) == 400
    assert _stored() == 0


@pytest.mark.parametrize(("seconds", "status"), [(300, 200), (301, 400), (-300, 200), (-301, 400)])
def test_a_signature_holds_for_five_minutes_either_way(
    client: FlaskClient, frozen: Clock, seconds: int, status: int
) -> None:
    sent = signed_event("evt_1", "checkout.paid", "demo_x", AT)
    frozen.advance(seconds=seconds)

    assert _post(client, *sent) == status


def test_an_event_signed_with_a_key_that_was_since_rolled_is_accepted(
    database_url: str, tmp_path: Path, frozen: Clock
) -> None:
    new = "another-key-that-is-long-enough-0123456789"

    def shop(key: str, *old: str) -> Flask:
        return create_app(
            make_settings(
                tmp_path,
                database_url=database_url,
                secret_key=key,
                secret_key_fallbacks=",".join(old),
            )
        )

    with shop(SECRET).app_context():
        sent = signed_event("evt_1", "checkout.paid", "demo_x", AT)

    assert _post(shop(new, SECRET).test_client(), *sent) == 200
    assert _post(shop(new).test_client(), *sent) == 400


def test_a_signed_message_that_says_nothing_is_refused(client: FlaskClient, frozen: Clock) -> None:
    from store.payments.gateways import demo, signatures

    key = demo._event_key(SECRET)
    for body in (b"[]", b"{}", b"no json", b'{"id": 1}'):
        headers = {HEADER: signatures.signature(body, key, int(frozen().timestamp()))}
        assert _post(client, headers, body) == 400
    assert _stored() == 0


def test_an_event_that_cannot_be_stored_answers_5xx_so_that_it_comes_again(
    client: FlaskClient, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = signed_event("evt_1", "checkout.paid", "demo_x", AT)
    client.application.config["PROPAGATE_EXCEPTIONS"] = False

    def broken(*_: object, **__: object) -> None:
        raise sa.exc.OperationalError("disk", {}, Exception("full"))

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "insert_once", broken)
        assert _post(client, *sent) == 500
    assert _stored() == 0
    assert _post(client, *sent) == 200


def test_an_event_of_somebody_elses_payment_is_ignored_with_a_note(
    client: FlaskClient, frozen: Clock
) -> None:
    assert _post(client, *signed_event("evt_1", "invoice.sent", "demo_elsewhere", AT)) == 200

    inbox.apply_event(1)

    assert rows(GatewayEvent.status, GatewayEvent.note) == [
        (EventStatus.IGNORED, "It belongs to no checkout of this shop.")
    ]


def test_the_inbox_takes_posts_only(client: FlaskClient) -> None:
    assert client.get("/webhooks/demo").status_code == 405


def test_production_listens_to_no_demonstration(tmp_path: Path, frozen: Clock) -> None:
    shop = create_app(
        make_settings(
            tmp_path,
            env="production",
            base_url="https://shop.example.org",
            mail_server="mail.example.org",
            mail_default_sender="shop@example.org",
        )
    )
    with shop.app_context():
        sent = signed_event("evt_1", "checkout.paid", "demo_x", AT)
    client = shop.test_client()
    at = {"base_url": "https://shop.example.org"}

    assert client.post("/webhooks/demo", headers=sent[0], data=sent[1], **at).status_code == 404
    assert client.get("/demo/pay/demo_x", **at).status_code == 404
