"""One history through the doors that reaches every status that there is."""

import io
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store.app import create_app
from store.cli import main
from store.commands import base, mail
from store.demo.seed import edition_files
from store.distribution import imports
from store.entitlements.links import order_link, stop_url, token_of
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.status import StatusChange
from store.mail import worker
from store.mail.models import Delivery, DeliveryStatus
from store.orders.customers import customer_by_address
from store.orders.models import Order
from store.payments.gateways.demo import DemoPayment, DemoRefund, signed_event
from tests.admin.sign_in import press, signed_in
from tests.conftest import Clock, make_settings, on_both_when_long
from tests.mail.messages import qmail
from tests.mail.scripted_server import ScriptedServer, Talk
from tests.mail.shops import hang_up
from tests.storefront.forms import fields_of
from tests.test_architecture import STATES

TABLES = {
    "publications": "publication",
    "editions": "edition",
    "orders": "order",
    "checkouts": "checkout",
    "refunds": "refund",
    "gateway_events": "gateway event",
    "deliveries": "delivery",
    "batches": "batch",
    "customer_imports": "import",
}
ORDER_FORM = "/publications/guide/order"


class Watch:
    """Which statuses were seen, with a connection of its own, as another process would look."""

    def __init__(self, url: str) -> None:
        self.engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        self.seen: dict[str, set[str]] = defaultdict(set)

    def look(self) -> None:
        changes = sa.select(
            StatusChange.entity, StatusChange.from_status, StatusChange.to_status
        ).distinct()
        with self.engine.connect() as connection:
            for table, entity in TABLES.items():
                rows = connection.execute(sa.text(f"SELECT DISTINCT status FROM {table}"))
                self.seen[entity] |= set(rows.scalars())
            for table, *both in connection.execute(changes):
                if table in TABLES:
                    self.seen[TABLES[table]] |= set(both)

    def script(self, _talk: Talk, verb: str, line: str) -> str | None:
        """A mail server that does not know Ben and looks round while a letter is under way."""
        if verb == ".":
            self.look()
        return "550 5.1.1 No such user" if verb == "RCPT" and "ben@" in line else None


@pytest.fixture
def watch(database_url: str) -> Iterator[Watch]:
    """Somebody who looks at the statuses."""
    watching = Watch(database_url)
    yield watching
    watching.engine.dispose()


@pytest.fixture
def shop(
    database_url: str,
    tmp_path: Path,
    frozen: Clock,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Flask]:
    """A shop with a mail server that has no SMTPUTF8."""
    with ScriptedServer(watch.script, offers=("PIPELINING", "8BITMIME")) as server:
        settings = make_settings(
            tmp_path,
            database_url=database_url,
            mail_server="127.0.0.1",
            mail_port=server.port,
            release_delay=600,
        )
        app = create_app(settings)
        # Commands act on this shop, as they would on one that the environment describes.
        for commands in (base, mail):
            monkeypatch.setattr(commands, "the_shop", lambda: app)
        with app.app_context():
            yield app
            hang_up()
            app.extensions["colophon.huey"].storage.close()
            db.session.remove()
            db.engine.dispose()


def _store(line: str, *words: str, piped: bytes = b"") -> None:
    done = CliRunner().invoke(main, [*line.split(), *words], input=piped, prog_name="store")
    assert done.exit_code == 0, done.output


def _tick(frozen: Clock, **passed: float) -> None:
    frozen.advance(**(passed or {"minutes": 2}))
    _store("tick")


def _order(client: FlaskClient, email: str) -> str:
    """Fill the form in and press "Order and pay"; the path of the payment page."""
    form = fields_of(client.get(ORDER_FORM).text, "email") | {"email": email}
    review = fields_of(client.post(ORDER_FORM, data=form).text, "seen_amount")
    answer = client.post(ORDER_FORM, data=review | {"step": "place"})
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].removeprefix("http://127.0.0.1:8000")


def _buy(client: FlaskClient, email: str, decision: str = "pay") -> str:
    """Order, decide on the payment page and come back; the payment's reference."""
    path = _order(client, email)
    back = client.post(path, data={"decision": decision})
    client.get(back.headers["Location"])
    return path.rsplit("/", 1)[1]


def _press(client: FlaskClient, email: str, step: str) -> None:
    """Press a button of the order's page."""
    with transaction():
        order = db.session.scalars(sa.select(Order).filter_by(email=email)).one()
        token = token_of(order_link(order.id, order.customer_id))
    answer = client.post(f"/orders/{token}/{step}", data={"sure": "yes"})
    assert answer.status_code == 303


def _stop(client: FlaskClient, email: str) -> None:
    """Press "stop" as a mail program does."""
    customer = customer_by_address(email)
    assert customer is not None
    url = stop_url(customer.id, 1)
    assert client.post(url, data={"List-Unsubscribe": "One-Click"}).status_code == 200


def _gateway_says(client: FlaskClient, reference: str, kind: str) -> None:
    headers, body = signed_event(f"evt_{kind}", kind, reference, int(clock.now().timestamp()))
    assert client.post("/webhooks/demo", data=body, headers=headers).status_code == 200


def _fail_refund(reference: str) -> None:
    """The money comes back to the gateway: the card is closed."""
    with transaction() as session:
        payment = sa.select(DemoPayment.id).filter_by(reference=reference).scalar_subquery()
        mine = sa.update(DemoRefund).where(DemoRefund.demo_payment_id == payment)
        session.execute(mine.values(standing="failed"))


def _offer(watch: Watch) -> None:
    _store("seller set --trading-name Press --email shop@publisher.example --address Here")
    expected = date(2027, 3, 31).isoformat()
    _store(f"publication add guide --price 12.50 --expected {expected} --title", "A guide")
    watch.look()
    _store("publication edit guide --status listed")


def _sell(client: FlaskClient, frozen: Clock, watch: Watch) -> None:
    for email in ("anna@reader.example", "ben@reader.example", "änne@reader.example"):
        _buy(client, email)
    _buy(client, "greta@reader.example")
    _buy(client, "carl@reader.example", "decline")
    _order(client, "erik@reader.example")
    watch.look()
    _press(client, "erik@reader.example", "cancel")
    _order(client, "dora@reader.example")
    refunded = _buy(client, "frida@reader.example")
    _press(client, "frida@reader.example", "cancel")
    _fail_refund(refunded)
    _gateway_says(client, refunded, "refund.failed")
    _gateway_says(client, "demo_of-another-shop", "checkout.paid")
    watch.look()
    _tick(frozen)
    _tick(frozen, days=20)  # the 14 days to cancel are over too
    watch.look()


def _release(client: FlaskClient, frozen: Clock, watch: Watch) -> None:
    _store("edition upload guide", *map(str, edition_files(1)))
    watch.look()
    _store("edition release guide 1 --yes")
    _store("edition recall guide 1")
    _store("edition release guide 1 --yes")
    watch.look()
    _tick(frozen, minutes=11)
    _store("edition pause guide 1")
    watch.look()
    _store("edition resume guide 1")
    _stop(client, "greta@reader.example")
    watch.look()
    worker.send_due_letters()
    watch.look()
    _store("customer correct änne@reader.example anne@reader.example")
    worker.send_due_letters()
    _tick(frozen)
    _come_back("anna@reader.example")
    watch.look()


def _come_back(email: str) -> None:
    """The mailbox is gone after all: another server than ours writes what came of the edition."""
    customer = customer_by_address(email)
    assert customer is not None
    letter = sa.select(Delivery).filter_by(
        customer_id=customer.id, kind="edition_notice", status=DeliveryStatus.SENT
    )
    message_id = db.session.scalars(letter).one().message_id or ""
    db.session.rollback()
    _store("mail returned", piped=qmail(message_id))


def _renew(frozen: Clock, watch: Watch) -> None:
    _store("edition upload guide", *map(str, edition_files(2)))
    _store("edition release guide 2 --yes")
    _tick(frozen, minutes=11)
    _store("edition recall guide 2")
    _store("edition withdraw guide 1 --yes")
    _store("publication edit guide --status retired")
    watch.look()


def _bring_in(client: FlaskClient, watch: Watch) -> None:
    """A list of customers: looked at, let in, stopped, let go on."""
    desk = signed_in(client)
    data = {"file": (io.BytesIO(b"email\nzoe@reader.example\n"), "list.csv")}
    door = "/admin/publications/guide/import"
    url = press(desk, door, data, content_type="multipart/form-data").location
    watch.look()
    for act in ("start", "stop", "start"):
        assert press(desk, url, {"act": act}).status_code == 303
    imports.bring_in(int(url.rpartition("/")[2]))
    watch.look()


@on_both_when_long
@pytest.mark.timeout(300)
def test_every_status_is_reached_through_the_doors(
    shop: Flask, frozen: Clock, watch: Watch
) -> None:
    client = shop.test_client()
    _offer(watch)
    _sell(client, frozen, watch)
    _release(client, frozen, watch)
    _renew(frozen, watch)
    _bring_in(client, watch)
    assert dict(watch.seen) == {
        entity: {str(status) for status in statuses} for entity, statuses in STATES.items()
    }
