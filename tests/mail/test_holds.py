"""An address on hold, in conversations with a mail server: nothing further leaves to it, what somebody
waits for is tried once, and its acceptance ends a soft hold."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from store.entitlements import repairs
from store.kit.database import db, transaction
from store.mail import outbox, worker
from store.mail.models import AddressHold, DeliveryStatus
from store.mail.returns import ReturnKind, take
from tests.conftest import Clock, on_both

from .conversations import recipients
from .scripted_server import ScriptedServer
from .shops import a_shop, delivery, owe_to

ANNA = "anna@reader.example"
REFUSED = "550 5.1.1 user unknown"


@pytest.fixture
def sink(database_url: str, tmp_path: Path, frozen: Clock) -> Iterator[ScriptedServer]:
    with ScriptedServer() as server, a_shop(database_url, tmp_path, server.port):
        yield server


def on_hold(kind: ReturnKind) -> None:
    """Anna's letter has left and come back, after its last try."""
    owe_to(ANNA)
    worker.send_due_letters()
    letter = delivery(ANNA)
    with transaction() as session:
        session.execute(sa.text("UPDATE deliveries SET tries = 60"))
        assert take(letter.id, kind, words=REFUSED, key="a")
    db.session.remove()


def owe_next(key: str, priority: int) -> None:
    with transaction():
        facts = {"subject": key, "text": "News."}
        outbox.owe(outbox.ALERT, key, address=ANNA, facts=facts, priority=priority)
    worker.send_due_letters()
    db.session.remove()


def status_of(key: str) -> tuple[str, str]:
    found = db.session.execute(
        sa.text("SELECT status, reason FROM deliveries WHERE dedupe_key = :key"), {"key": key}
    ).one()
    db.session.rollback()
    return found[0], found[1]


@on_both
@pytest.mark.parametrize("kind", [ReturnKind.HARD, ReturnKind.SOFT])
def test_what_somebody_waits_for_is_tried_and_ends_a_soft_hold(
    sink: ScriptedServer, kind: ReturnKind
) -> None:
    on_hold(kind)
    assert delivery(ANNA).status is DeliveryStatus.BOUNCED
    owe_next("news", outbox.NOTICE)
    assert status_of("news") == (DeliveryStatus.HELD, outbox.ON_HOLD)
    assert len(recipients(sink)) == 1
    owe_next("asked", outbox.SOMEBODY_WAITS)
    assert status_of("asked") == (DeliveryStatus.SENT, "")
    assert len(recipients(sink)) == 2
    repairs.free_accepted()
    left = db.session.scalars(sa.select(AddressHold.kind)).all()
    assert left == ([kind] if kind is ReturnKind.HARD else [])


@on_both
def test_a_refusal_ends_no_hold(sink: ScriptedServer) -> None:
    on_hold(ReturnKind.SOFT)
    sink.script = lambda _talk, verb, _line: REFUSED if verb == "RCPT" else None
    owe_next("asked", outbox.SOMEBODY_WAITS)
    assert status_of("asked")[0] == DeliveryStatus.FAILED
    repairs.free_accepted()
    assert db.session.scalars(sa.select(AddressHold.kind)).all() == [ReturnKind.SOFT]
