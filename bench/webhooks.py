"""Answering Stripe's messages beside a bare Flask route that writes one row, on the same server."""

import hashlib
import hmac
import http.client
import json
import sqlite3
import statistics
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg
import stripe
from flask import Flask, request

from bench.figures import Figure, rounds
from bench.pages import run_shop, served
from bench.shops import KEY, postgresql, shop
from store import serving, settings

MESSAGES = 800
CLIENTS = 4
SECRET = "whsec_of_the_bench"
# As much as Stripe says of a Checkout Session that was paid.
SESSION = {
    "id": "cs_test_",
    "object": "checkout.session",
    "amount_total": 1250,
    "currency": "gbp",
    "metadata": {"order_reference": "K7QM-2XWP", "checkout_id": "1"},
    "payment_intent": "pi_3PqRsT",
    "padding": ["a field of Stripe's that nobody here reads"] * 60,
}


def measure() -> list[Figure]:
    """The time within which 95 of 100 messages are answered, on both databases."""
    with tempfile.TemporaryDirectory() as folder:
        figures = [_ratio("SQLite", Path(folder), "")]
        with postgresql() as server:
            figures.append(_ratio("PostgreSQL", Path(folder) / "pg", server))
    return figures


def _ratio(name: str, folder: Path, database: str) -> Figure:
    given: dict[str, Any] = {
        "stripe_secret_key": "rk_test_bench",
        "stripe_webhook_secrets": SECRET,
        "database_url": database,
    }
    with shop(folder, **given):
        pass
    ours = settings.load({}, env="testing", secret_key=KEY, data_dir=folder, **given)
    bare = database or str(folder / "bare.db")
    _make_table(bare)
    took: list[float] = []
    with served(run_shop, ours) as (shop_port, _), served(_run_bare, bare) as (bare_port, _):
        _p95(shop_port, "/webhooks/stripe")
        _p95(bare_port, "/")

        def answer() -> float:
            took.append(_p95(shop_port, "/webhooks/stripe"))
            return took[-1]

        ratio = rounds(5, answer, lambda: _p95(bare_port, "/"))
    return Figure(
        f"webhook answered, 95 of 100, {CLIENTS} at once, {name}",
        "a bare Flask route on the same server that writes one row",
        ratio,
        5,
        at_least=False,
        detail=f"{statistics.median(took) * 1000:.1f} ms",
    )


def _make_table(bare: str) -> None:
    create = "CREATE TABLE bare_events (id {}, body TEXT)"
    if bare.startswith("postgresql"):
        with psycopg.connect(bare, autocommit=True) as connection:
            connection.execute(create.format("SERIAL PRIMARY KEY"))
        return
    with sqlite3.connect(bare) as file:
        file.execute("PRAGMA journal_mode = WAL")
        file.execute(create.format("INTEGER PRIMARY KEY"))
    file.close()


def _run_bare(bare: str, port: int) -> None:
    app, mine = Flask("bare"), threading.local()

    def write() -> str:
        if not hasattr(mine, "connection"):
            mine.connection = _open(bare)
        sign = "%s" if bare.startswith("postgresql") else "?"
        body = request.get_data(as_text=True)
        mine.connection.execute(f"INSERT INTO bare_events (body) VALUES ({sign})", (body,))
        return "Received."

    app.add_url_rule("/", view_func=write, methods=["POST"])
    serving.WebServer(lambda: app, f"127.0.0.1:{port}").run()


def _open(bare: str) -> Any:
    """A connection that commits each statement, as durably as the shop's."""
    if bare.startswith("postgresql"):
        return psycopg.connect(bare, autocommit=True)
    connection = sqlite3.connect(bare, isolation_level=None, timeout=15)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _p95(port: int, path: str) -> float:
    """Seconds within which 95 of 100 messages are answered."""
    took: list[float] = []
    work = [[_message() for _ in range(MESSAGES // CLIENTS)] for _ in range(CLIENTS)]
    threads = [threading.Thread(target=_send, args=(port, path, mine, took)) for mine in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(took) != MESSAGES:
        raise RuntimeError(f"{path} answered {len(took)} of {MESSAGES} messages")
    return statistics.quantiles(took, n=20)[-1]


def _message() -> tuple[bytes, dict[str, str]]:
    event = {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "api_version": stripe.api_version,
        "livemode": False,
        "type": "checkout.session.completed",
        "data": {"object": SESSION},
    }
    body = json.dumps(event)
    at = int(time.time())
    signed = hmac.new(SECRET.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
    return body.encode(), {"Stripe-Signature": f"t={at},v1={signed}"}


def _send(
    port: int, path: str, messages: list[tuple[bytes, dict[str, str]]], took: list[float]
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for body, headers in messages:
        start = time.perf_counter()
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            took.append(time.perf_counter() - start)
    connection.close()
