"""A key or a signing secret of Stripe that leaked, as the operator's guide says: the new one alone, and no payment
is missed meanwhile."""

from pathlib import Path

import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store.app import create_app
from store.cli import main
from store.kit.database import db, transaction
from store.orders.models import OrderStatus
from store.payments import inbox
from store.payments.gateways.signatures import signature
from store.payments.models import Checkout, GatewayEvent
from tests.conftest import SECRET, make_settings, on_both_when_long
from tests.payments.stripe_shop import (
    KEY,
    LEAST,
    WEBHOOK_SECRET,
    post_event,
    stripe_settings,
)
from tests.purchases import apply_received
from tests.rows import order_of, rows
from tests.stripe_double import StripeDouble
from tests.typed import shops_are_closed

NEW_SECRET, NEW_KEY = "whsec_of_the_next_one", "rk_test_next"


@on_both_when_long
def test_a_signing_secret_that_leaked_is_dropped_at_once_and_no_payment_is_missed(
    double: StripeDouble, paid: int, database_url: str, tmp_path: Path
) -> None:
    event_id = str(double.control.events("checkout.session.completed")[-1]["id"])
    given = stripe_settings(double, stripe_webhook_secrets=NEW_SECRET)
    started = create_app(make_settings(tmp_path, database_url=database_url, **given))
    client: FlaskClient = started.test_client()

    # Signed by the old one: by Stripe, a moment before it was rolled, or by who has read it.
    assert post_event(client, double, event_id) == 400
    assert rows(GatewayEvent.id) == []
    body = double.control.payload(event_id)["body"].encode()
    by_new = signature(body, NEW_SECRET.encode(), double.control.clock())
    answer = client.post("/webhooks/stripe", data=body, headers={"Stripe-Signature": by_new})
    assert answer.status_code == 200
    with transaction() as session:  # as if it had never come
        session.execute(sa.delete(GatewayEvent))
        session.execute(sa.update(Checkout).values(ask_at=None))

    with started.app_context():
        inbox.take_missed_news()
        apply_received()
        db.session.remove()
        db.engine.dispose()
    db.session.rollback()
    assert order_of(paid).status is OrderStatus.PAID


def test_a_key_that_was_rolled_is_named_and_the_next_one_serves(
    shop: Flask, double: StripeDouble, port: int, database_url: str, tmp_path: Path
) -> None:
    double.world.tables["webhook_endpoint"]["we_default"]["url"] = (
        f"http://127.0.0.1:{port}/webhooks/stripe"
    )
    double.control.restrict(NEW_KEY, LEAST)
    double.control.expire(KEY)

    def checked(key: str) -> list[str]:
        environment = {
            "STORE_ENV": "testing",
            "STORE_SECRET_KEY": SECRET,
            "STORE_DATA_DIR": str(tmp_path),
            "STORE_DATABASE_URL": database_url,
            "STORE_BASE_URL": f"http://127.0.0.1:{port}",
            "STORE_STRIPE_SECRET_KEY": key,
            "STORE_STRIPE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
            "STORE_STRIPE_API_BASE": double.url,
        }
        with shops_are_closed():
            done = CliRunner().invoke(main, ["check"], env=environment)
        assert key not in done.output
        return [line for line in done.output.splitlines() if " stripe key: " in line]

    (fault,) = checked(KEY)
    assert fault.startswith("fault  stripe key: GatewayUnreachable: Stripe answered 401")
    assert checked(NEW_KEY) == ["ok     stripe key: answers, test mode"]
