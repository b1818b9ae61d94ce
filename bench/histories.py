"""A thousand of Stripe's events in random order, doubled and eight at once, beside one by one."""

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from flask import Flask

from bench.figures import Figure
from bench.parallel import timed
from bench.shops import KEY, add_publication, postgresql, shop
from store import settings
from store.app import create_app
from store.catalog.models import Publication
from store.kit.database import Base, db, transaction
from store.kit.tokens import new_reference
from store.orders.placing import Details, place_order
from store.payments.checkout import begin_checkout
from store.payments.gateways.registry import gateway_named
from store.payments.gateways.stripe_objects import EVENT_KINDS
from store.payments.inbox import apply_event
from store.payments.models import Checkout, EventStatus, GatewayEvent
from tests.stripe_double import StripeDouble

ORDERS = 231
AT_ONCE = 8
SECRET = "whsec_of_the_bench"
DECLINED = "4000000000000002"
# What happens to an order, step by step; the next order has the next one.
STORIES = (
    ("pay",),
    ("decline", "pay"),
    ("pay", "refund a part"),
    ("pay", "refund all"),
    ("pay", "dispute", "win"),
    ("pay", "dispute", "lose"),
    ("expire",),
)
COMPARED = (
    "orders",
    "checkouts",
    "payments",
    "refunds",
    "disputes",
    "entitlements",
    "deliveries",
    "gateway_events",
)
# What follows from the order of arrival alone: numbers of rows, and keys that hold them.
NUMBERS = {"id", "payment_id", "dedupe_key", "link_id", "evidence", "facts"}
# An alert that asks staff to answer a dispute; nobody is asked where it was decided by then.
ASKED_TO_ANSWER = "is disputed"


def measure() -> list[Figure]:
    """How many rows differ, on both databases; none may."""
    with tempfile.TemporaryDirectory() as folder:
        figures = [_differing("SQLite", Path(folder), "", "")]
        with postgresql() as server:
            base, _, query = server.partition("?")
            urls = []
            with psycopg.connect(server, autocommit=True) as connection:
                for name in ("first", "second"):
                    connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
                    urls.append(f"{base.rsplit('/', 1)[0]}/{name}?{query}")
            figures.append(_differing("PostgreSQL", Path(folder) / "pg", *urls))
    return figures


def _differing(name: str, folder: Path, first: str, second: str) -> Figure:
    with StripeDouble(seed=1) as double:
        double.send_webhooks_to("http://127.0.0.1:1/", secret=SECRET, events=list(EVENT_KINDS))
        double.control.webhooks(hold=True)
        references = _place(folder / "a", double, first)
        if second:
            _copy_rows(folder, double, first, second)
        else:
            shutil.copytree(folder / "a", folder / "b")
        with _opened(folder / "a", double, first) as app:
            told = _one_by_one(app, double, references)
            expected = _rows()
        with _opened(folder / "b", double, second) as app:
            left = _in_a_crowd(app, double, told)
            found = _rows()
        double.post.held.clear()
    differing = sum(((expected - found) + (found - expected)).values())
    for row in list((expected - found).elements())[:5] + list((found - expected).elements())[:5]:
        print(f"     differs: {row}")
    return Figure(
        f"rows that differ after {len(told):,} events, shuffled, doubled, {AT_ONCE} at once, {name}",
        f"{sum(expected.values()):,} rows after one by one",
        differing,
        0,
        at_least=False,
        detail=f"{left} were left to the timetable",
    )


def _given(folder: Path, double: StripeDouble, database: str) -> dict[str, Any]:
    return {
        "env": "testing",
        "secret_key": KEY,
        "data_dir": folder,
        "database_url": database,
        "stripe_secret_key": "rk_test_bench",
        "stripe_webhook_secrets": SECRET,
        "stripe_api_base": double.url,
    }


@contextmanager
def _opened(folder: Path, double: StripeDouble, database: str) -> Iterator[Flask]:
    app = create_app(settings.load({}, **_given(folder, double, database)))
    with app.app_context():
        yield app
        app.extensions["colophon.huey"].storage.close()
        db.session.remove()
        db.engine.dispose()


def _place(folder: Path, double: StripeDouble, database: str) -> list[str]:
    """Orders that wait for their payment; returns Stripe's names of their sessions."""
    with shop(folder, **_given(folder, double, database)) as app:
        add_publication(0)
        for number in range(ORDERS):
            with transaction() as session:
                publication = session.query(Publication).one()
                buyer = Details(email=f"buyer{number}@reader.example")
                order = place_order(publication, buyer, form_key=new_reference(), seen_amount=1250)
                order_id = order.id
            begin_checkout(order_id)
        found = db.session.scalars(sa.select(Checkout.gateway_reference).order_by(Checkout.id))
        references = [str(one) for one in found]
        app.extensions["colophon.huey"].storage.close()
    return references


def _copy_rows(folder: Path, double: StripeDouble, first: str, second: str) -> None:
    """The same rows in another database."""
    with shop(folder / "b", **_given(folder / "b", double, second)):
        db.session.remove()
        source = sa.create_engine(first.replace("postgresql://", "postgresql+psycopg://", 1))
        tables = Base.metadata.sorted_tables
        with source.connect() as reading, db.engine.begin() as writing:
            for table in reversed(tables):
                writing.execute(table.delete())
            for table in tables:
                rows = [dict(row) for row in reading.execute(table.select()).mappings()]
                if rows:
                    writing.execute(table.insert(), rows)
                if rows and "id" in table.c:
                    writing.exec_driver_sql(
                        f"SELECT setval('{table.name}_id_seq', (SELECT max(id) FROM {table.name}))"
                    )
        source.dispose()


def _one_by_one(app: Flask, double: StripeDouble, references: list[str]) -> list[str]:
    """Play every story, each event delivered and applied as it happens; returns their ids."""
    told: list[str] = []
    seen = len(double.world.tables.get("event", {}))
    for step in range(max(len(story) for story in STORIES)):
        for number, reference in enumerate(references):
            story = STORIES[number % len(STORIES)]
            if step < len(story):
                _happen(double, reference, story[step])
            # The double's own table: a copy of all of it after each step would take the longest.
            events = list(double.world.tables["event"].values())
            for event in events[seen:]:
                if event["type"] in EVENT_KINDS:
                    told.append(event["id"])
                    _deliver(app, double, event["id"])
            seen = len(events)
    return told


def _happen(double: StripeDouble, reference: str, step: str) -> None:
    control = double.control
    payment = double.world.get("checkout.session", reference)["payment_intent"]
    match step:
        case "pay":
            control.complete(reference)
        case "decline":
            control.complete(reference, card=DECLINED)
        case "expire":
            gateway_named("stripe").close(reference)
        case "refund a part":
            control.refund(payment, 500)
        case "refund all":
            control.refund(payment)
        case "dispute":
            control.dispute(payment)
        case "win" | "lose":
            disputes = double.world.tables["dispute"].values()
            mine = next(one for one in disputes if one["payment_intent"] == payment)
            control.close_dispute(mine["id"], "won" if step == "win" else "lost")


def _in_a_crowd(app: Flask, double: StripeDouble, told: list[str]) -> int:
    """Deliver all of it twice, in random order, eight at once; returns what nobody applied."""
    waiting = [*told, *told]
    random.Random(7).shuffle(waiting)

    def work() -> None:
        with app.app_context():
            while waiting:
                try:
                    event_id = waiting.pop()
                except IndexError:
                    return
                _deliver(app, double, event_id)

    timed([work] * AT_ONCE)
    query = sa.select(GatewayEvent.id).filter_by(status=EventStatus.RECEIVED)
    left = list(db.session.scalars(query))
    for row_id in left:
        apply_event(row_id)
    return len(left)


def _deliver(app: Flask, double: StripeDouble, event_id: str) -> None:
    payload = double.control.payload(event_id)
    headers = {"Stripe-Signature": payload["signature"]}
    answer = app.test_client().post("/webhooks/stripe", data=payload["body"], headers=headers)
    if answer.status_code != 200:
        raise RuntimeError(f"an event was answered {answer.status_code}")
    with app.app_context():
        row_id = db.session.scalars(sa.select(GatewayEvent.id).filter_by(event_id=event_id)).one()
        apply_event(row_id)


def _rows() -> Counter[tuple[Any, ...]]:
    """Every row that a history leaves; of a moment only whether there is one."""
    db.session.rollback()
    found: Counter[tuple[Any, ...]] = Counter()
    for name in COMPARED:
        table = Base.metadata.tables[name]
        columns = [column for column in table.c if column.name not in NUMBERS]
        for row in db.session.execute(sa.select(table)).mappings():
            if name == "deliveries" and ASKED_TO_ANSWER in str(row["facts"]):
                continue
            plain = [
                (row[column] is not None) if column.name.endswith("_at") else str(row[column])
                for column in columns
            ]
            found[name, *plain] += 1
    return found
