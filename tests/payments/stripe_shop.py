"""A shop that is paid through Stripe's double, and what its buyers do there.

Fixtures: `stripe_server` (one double per run), `double` (emptied for each test), `shop` (the
application, its context open), `served` (the same shop as a threaded server that hears webhooks).
"""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from store.app import create_app
from store.kit import clock
from store.kit.database import db
from store.payments.checkout import begin_checkout
from store.payments.gateways.stripe_objects import EVENT_KINDS
from tests.conftest import make_settings
from tests.purchases import an_order, apply_received
from tests.storefront.forms import fields_of
from tests.stripe_double import StripeDouble

WEBHOOK_SECRET = "whsec_of_the_first_endpoint"
KEY = "rk_test_least"
# What the shop's key may do in production: the suite runs with no more.
LEAST = [
    "checkout_sessions:write",
    "payment_intents:write",
    "customers:write",
    "refunds:write",
    "disputes:write",
    "payment_methods:read",
    "setup_intents:read",
    "charges:read",
    "events:read",
    "balance_transactions:read",
    "webhook_endpoints:read",
    "prices:read",
    "products:read",
    "promotion_codes:read",
]
PATH = "/publications/send-early-years/order"
BUYER = "anna@reader.example"
GOOD_CARD = "4242424242424242"
DECLINED_CARD = "4000000000000002"


def stripe_settings(double: StripeDouble, **given: Any) -> dict[str, Any]:
    """The settings that point a shop at the double, with the least key."""
    defaults = {
        "stripe_secret_key": KEY,
        "stripe_webhook_secrets": WEBHOOK_SECRET,
        "stripe_api_base": double.url,
    }
    return defaults | given


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[StripeDouble]:
    """One double for the whole run."""
    with StripeDouble(seed=1) as server:
        yield server


@pytest.fixture
def double(stripe_server: StripeDouble) -> Iterator[StripeDouble]:
    """The double, emptied; afterwards nothing is under way and it broke no rule of Stripe's.
    Events are held until a test delivers them, or has the shop served."""
    control = stripe_server.control
    stripe_server.send_webhooks_to("http://127.0.0.1:1/webhooks/stripe", secret=WEBHOOK_SECRET)
    stripe_server.world.tables["webhook_endpoint"]["we_default"] |= {
        "enabled_events": list(EVENT_KINDS),
        "api_version": stripe_server.spec.version,
    }
    control.reset()
    control.restrict(KEY, LEAST)
    control.webhooks(hold=True)
    yield stripe_server
    stripe_server.post.held.clear()
    assert control.settle()
    assert control.violations() == []


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def shop(double: StripeDouble, database_url: str, tmp_path: Path, port: int) -> Iterator[Flask]:
    """A shop with the least key, an application context open."""
    given = stripe_settings(double, base_url=f"http://127.0.0.1:{port}")
    app = create_app(make_settings(tmp_path, database_url=database_url, **given))
    with app.app_context():
        yield app
        app.extensions["colophon.huey"].storage.close()
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def buyer(shop: Flask) -> FlaskClient:
    """A browser without JavaScript in that shop."""
    return shop.test_client()


@pytest.fixture
def served(shop: Flask, double: StripeDouble, port: int) -> Iterator[str]:
    """The shop as a threaded server; webhooks reach it as they happen. Gives its address."""
    server = make_server("127.0.0.1", port, shop, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    endpoint = double.world.tables["webhook_endpoint"]["we_default"]
    endpoint["url"] = f"{url}/webhooks/stripe"
    double.control.webhooks()
    yield url
    assert double.control.settle()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def pass_time(double: StripeDouble, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let so many seconds go by, for the shop and for Stripe; signatures do not age along."""
    offset = timedelta()

    def wait(seconds: float) -> None:
        nonlocal offset
        offset += timedelta(seconds=seconds)
        moved = offset
        monkeypatch.setattr(clock, "read", lambda: datetime.now(UTC) + moved)
        double.control.clock(advance=seconds)

    return wait


def session_behind(url: str) -> str:
    """The session's id in the address that a buyer is sent to."""
    return url.split("#", maxsplit=1)[0].rsplit("/", 1)[1]


def newest_session(double: StripeDouble) -> dict[str, Any]:
    """The session that was made last."""
    session: dict[str, Any] = double.control.state()["checkout.session"][-1]
    return session


def post_event(client: FlaskClient, double: StripeDouble, event_id: str, sign: str = "good") -> int:
    """Post one of the double's events to the shop by hand; gives the answer's status."""
    payload = double.control.payload(event_id, sign)
    headers = {"Stripe-Signature": payload["signature"]} if payload["signature"] else {}
    return client.post("/webhooks/stripe", data=payload["body"], headers=headers).status_code


def post_all(client: FlaskClient, double: StripeDouble) -> list[int]:
    """Post every event of the subscribed kinds so far, in order, and apply them."""
    statuses = [
        post_event(client, double, event["id"])
        for event in double.control.events()
        if event["type"] in EVENT_KINDS
    ]
    apply_received()
    return statuses


def pay_on_page(url: str, **fields: str) -> requests.Response:
    """Fill in the payment page over HTTP; gives its answer, redirects not followed."""
    form = {"email": "anna@reader.example", "card": GOOD_CARD, "action": "pay"} | fields
    return requests.post(url, data=form, allow_redirects=False, timeout=60)


def calls(double: StripeDouble, method: str = "POST") -> list[str]:
    """The paths of the API calls so far, ids left out."""
    return [
        re.sub(r"/(cs|pi|re|du|ch)_\w+", "/{id}", entry["path"])
        for entry in double.control.log()
        if entry["method"] == method
    ]


def together(*work: Callable[[], Any]) -> list[Any]:
    """Do all of it at the same moment, each in a thread; gives the answers in order."""
    gate = threading.Barrier(len(work))
    answers: list[Any] = [None] * len(work)

    def do(number: int) -> None:
        gate.wait(60)
        answers[number] = work[number]()

    threads = [threading.Thread(target=do, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


def press_order(client: FlaskClient, review: str = "", **typed: str) -> TestResponse:
    """Fill in the order form and press the button of the review; or of the `review` given."""
    if not review:
        given = fields_of(client.get(PATH).text, "email") | {"email": BUYER} | typed
        review = client.post(PATH, data=given).text
    return client.post(PATH, data=fields_of(review, "seen_amount"))


@pytest.fixture
def paid(shop: Flask, double: StripeDouble) -> int:
    """An order that is paid at Stripe; no news of it has arrived."""
    order_id = an_order()
    begin_checkout(order_id)
    double.control.complete(newest_session(double)["id"])
    return order_id
