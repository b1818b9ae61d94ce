"""`store log explain`: the story of an order, a letter, an edition or a gateway's message, from the rows."""

import json
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask

from store.cli import main
from store.commands import base
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.happenings import Facts
from store.mail import returns
from store.mail.models import Batch, BatchStatus, Delivery, ReturnKind
from store.payments.models import Checkout, GatewayEvent, Payment, Refund
from store.payments.refunds import refund_order
from tests.conftest import Clock, on_both_when_long
from tests.editions import a_shop, drafted_and_released
from tests.letters import send
from tests.purchases import ANNA, an_order, pay
from tests.rows import order_of

UNKNOWN = "Nothing has that name. Looked for: an order by its reference"


@pytest.fixture
def order_id(frozen: Clock, app: Flask, monkeypatch: pytest.MonkeyPatch) -> int:
    """An order that was paid and told of, then given back in part."""
    monkeypatch.setattr(base, "the_shop", lambda: app)
    a_shop()
    found = an_order()
    frozen.advance(seconds=40)
    pay(found)
    frozen.advance(seconds=2)
    send()
    frozen.advance(minutes=1)
    refund_order(found, who="olga@publisher.example", why="bought twice", key="k", amount=250)
    return found


def _confirmation() -> int:
    return db.session.scalars(sa.select(Delivery.id).filter_by(kind="order_confirmation")).one()


def _explain(*words: str) -> str:
    done = CliRunner().invoke(main, ["log", "explain", *words])
    assert done.exit_code == 0, done.output
    assert "@reader.example" not in done.output.replace("•••@reader.example", "")
    return done.output


def _told(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_explain("--json", *words))
    return found


@on_both_when_long
def test_an_orders_story_is_told_oldest_first_in_the_shops_hours(order_id: int) -> None:
    reference = order_of(order_id).reference
    story = _explain(reference.lower().replace("-", " "))
    head, *lines = story.splitlines()
    assert head == f"Order {reference}: paid."
    assert lines[0].startswith("2027-03-01 10:00:00  ")
    assert f"They placed order {reference}" in story
    assert "10:00:40  They paid £12.50" in story
    assert "The confirmation was handed over to their server (letter " in story
    assert lines == sorted(lines, key=lambda line: line[:19])
    assert "bought twice" in story


def test_every_name_of_an_order_at_the_gateway_leads_to_its_story(order_id: int) -> None:
    session = db.session
    names = [
        *session.scalars(sa.select(GatewayEvent.event_id)),
        *session.scalars(sa.select(Checkout.gateway_reference)),
        *session.scalars(sa.select(Payment.gateway_payment_id)),
        *session.scalars(sa.select(Refund.gateway_refund_id)),
    ]
    assert len(names) == 4
    reference = order_of(order_id).reference
    stories = [_told(str(name)) for name in names]
    assert {one["about"] for one in stories} == {f"Order {reference}"}
    rows = {event["row"] for event in stories[0]["events"]}
    assert {names[0], names[1]} <= rows


def test_a_letters_story_has_each_try_with_the_servers_words_and_what_came_back(
    frozen: Clock, order_id: int
) -> None:
    frozen.advance(minutes=5)
    number = _confirmation()
    with transaction():
        words = f"550 5.1.1 <{ANNA}> unknown"
        assert returns.take(number, ReturnKind.HARD, status="5.1.1", words=words, key="a report")
    mark = str(db.session.get_one(Delivery, number).message_id)
    told = _told("letter", str(number))
    reference = order_of(order_id).reference
    assert told["about"] == f"Letter {number} (order_confirmation, of order {reference})"
    assert told["now"] == "bounced: 550 5.1.1 <a•••@reader.example> unknown"
    said = [event["what"] for event in told["events"]]
    assert said[:3] == ["It was owed", "Try 1 began", "The mail server took it"]
    assert "A report came (hard) 5.1.1" in said
    assert "It came back" in said
    for name in (
        str(number),
        f"delivery={number}",
        mark,
        f"bounces+{mark[1:41]}@publisher.example",
    ):
        assert _told(name) == told, name


def test_an_editions_story_says_who_has_it(order_id: int) -> None:
    publication = order_of(order_id).lines[0].publication
    drafted_and_released(publication, 2)
    send()
    story = _explain("send-early-years/2")
    assert story.splitlines()[0].startswith("Edition 2 of “")
    assert "released; of 1 customers 0 have their letter, 1 wait" in story
    assert "released edition 2" in story
    assert _explain("send-early-years", "2") == story


def test_whatever_a_line_of_the_log_names_a_row_by_leads_to_its_story(order_id: int) -> None:
    """The names are those of `kit.happenings`, as they stand in the line."""
    with transaction() as session:
        session.add(
            Batch(
                reason="edition", subject_id=1, status=BatchStatus.RUNNING, created_at=clock.now()
            )
        )
    reference, of_order = (
        order_of(order_id).reference,
        ("order", "checkout", "refund", "gateway_event"),
    )
    event_id = db.session.scalars(sa.select(GatewayEvent.event_id)).first()
    names = [
        f"order_id={order_id}",
        f"order={reference}",
        f"order {reference}",
        f"event_id={event_id}",
    ]
    for name in [*names, *(f"{kind}=1" for kind in of_order)]:
        assert _explain(name).startswith(f"Order {reference}: "), name
    edition = _explain("send-early-years/1")
    for name in ("edition=1", "batch=1", "Send-Early-Years/1", "edition send-early-years/1"):
        assert _explain(name) == edition, name
    letter = _confirmation()
    assert _explain(f"delivery={letter}") == _explain("letter", str(letter))
    ids = {name for name, kind in Facts.__annotations__.items() if kind is int}
    counts = {"bytes", "count", "ms", "status", "staff"}
    told = {*of_order, "order_id", "edition", "batch", "delivery"}
    assert ids - counts - told == {"dispute"}  # of which there is none here


@pytest.mark.parametrize(
    "name",
    [
        "K7QM-2XWP",
        "letter 99",
        "send-early-years/9",
        "edition=99",
        "refund=99",
        "batch=99",
        "no-such/1",
        "evt_1",
        "<0@x>",
        "%",
    ],
)
def test_what_has_no_such_name_is_refused_with_what_was_looked_for(
    order_id: int, name: str
) -> None:
    done = CliRunner().invoke(main, ["log", "explain", name])
    assert done.exit_code == 1
    assert done.output.startswith(UNKNOWN)
