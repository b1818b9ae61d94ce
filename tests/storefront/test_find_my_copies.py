"""Find my copies: the same answer and the same statements for known and unknown (journey C17)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from store.entitlements.fresh_links import forget_unknown_addresses
from store.entitlements.links import Ended, ensure_links, revoke_links
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import outbox
from store.mail.models import Delivery, DeliveryStatus
from store.mail.worker import send_due_letters
from store.orders.models import Order
from tests.conftest import Clock, on_both, on_both_when_long
from tests.editions import a_shop
from tests.letters import sent, text_of
from tests.links import anna
from tests.pages import check_page
from tests.purchases import ANNA, a_paid_order
from tests.rows import count_rows

pytestmark = pytest.mark.usefixtures("frozen")


@pytest.fixture(autouse=True)
def _bought(client: FlaskClient, frozen: Clock) -> None:
    a_paid_order(a_shop())
    sent()


def ask(client: FlaskClient, who: str) -> TestResponse:
    return client.post("/find-my-copies", data={"who": who})


def letters() -> list[str]:
    return [
        letter["To"] for letter in sent() if letter["Subject"] == "Here are your copies and orders"
    ]


def reference() -> str:
    found = db.session.scalar(sa.select(Order.reference))
    assert found is not None
    return found


def test_the_form_asks_for_one_thing(client: FlaskClient) -> None:
    answer = client.get("/find-my-copies")
    check_page(answer.text, path="/find-my-copies")
    assert answer.text.count("<input") == 1
    assert "value=" not in answer.text


@on_both_when_long
def test_the_letter_holds_the_library_and_each_order(client: FlaskClient) -> None:
    ask(client, " ANNA@Reader.Example ")
    letter = sent()[-1]
    assert letter["To"] == f"Anna Berg <{ANNA}>"
    text = text_of(letter)
    links = [line.strip() for line in text.splitlines() if line.strip().startswith("http")]
    assert [link.split("/")[3] for link in links] == ["library", "orders"]
    assert [client.get(link.partition("8000")[2]).status_code for link in links] == [200, 200]
    assert "Effective SEND Practice in the Early Years, edition 1" in text
    assert f"{reference()}, 1 March 2027" in text


@on_both
def test_known_and_unknown_get_the_same_words_and_the_same_statements(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []

    def note(*args: object) -> None:
        statements.append(str(args[2]))

    event.listen(db.engine, "before_cursor_execute", note)
    rings: list[str] = []
    monkeypatch.setattr(outbox, "ring", rings.append)
    told = []
    for who in (ANNA, "nobody@reader.example"):
        for press in range(3):
            statements.clear()
            rings.clear()
            answer = ask(client, who)
            headers = dict(answer.headers)
            del headers["X-Request-Id"]  # a number of its own
            found = answer.status_code, answer.text, headers
            told.append((press, *found, list(statements), list(rings)))
            send_due_letters()
    event.remove(db.engine, "before_cursor_execute", note)
    assert told[:3] == told[3:]
    check_page(told[0][2], path="/find-my-copies")
    check_page(told[1][2], path="/find-my-copies")
    assert letters() == [f"Anna Berg <{ANNA}>"]


@on_both_when_long
def test_a_second_press_writes_as_much_for_known_as_for_unknown(client: FlaskClient) -> None:
    """A row that is written for the unknown alone takes time that somebody could measure."""
    open_inserts: list[int] = []
    written: list[int] = []
    on_sqlite = db.engine.dialect.name == "sqlite"

    def total(connection: sa.Connection) -> int:
        return int(getattr(connection.connection.dbapi_connection, "total_changes", 0))

    def executed(connection: sa.Connection, cursor: Any, statement: str, *_more: object) -> None:
        if not statement.startswith("INSERT INTO deliveries"):
            return
        if on_sqlite:  # counts a statement once its rows are read
            open_inserts.append(total(connection))
        else:
            written.append(cursor.rowcount)

    def committed(connection: sa.Connection) -> None:
        while open_inserts:
            written.append(total(connection) - open_inserts.pop())

    event.listen(db.engine, "after_cursor_execute", executed)
    event.listen(db.engine, "commit", committed)
    for who in (ANNA, "nobody@reader.example"):
        ask(client, who)
        send_due_letters()
        ask(client, who)
    event.remove(db.engine, "after_cursor_execute", executed)
    event.remove(db.engine, "commit", committed)
    # Once as the first address of a customer, once as the second; SQLite counts back to the commit.
    assert written == ([1, 2] if on_sqlite else [1, 1]) * 4
    assert letters() == [f"Anna Berg <{ANNA}>"]


@on_both_when_long
def test_the_answer_says_when_it_was_asked_and_from_when_on_again(
    client: FlaskClient, frozen: Clock
) -> None:
    frozen.set(datetime(2027, 7, 1, 13, 3, 50, tzinfo=UTC))  # 14:03 in the shop's zone
    for who in (ANNA, "nobody@reader.example"):
        assert said(ask(client, who)) == ["Asked for at 14:03.", "ask again after 14:13."]
    frozen.set(datetime(2027, 7, 1, 13, 12, 59, tzinfo=UTC))
    for who in (ANNA, "nobody@reader.example"):
        for _ in range(2):
            assert said(ask(client, who)) == [
                "You asked at 14:03 already.",
                "ask again after 14:13.",
            ]
    assert len(letters()) == 1
    frozen.set(datetime(2027, 7, 1, 13, 13, 0, tzinfo=UTC))
    for who in (ANNA, "nobody@reader.example"):
        assert said(ask(client, who)) == ["Asked for at 14:13.", "ask again after 14:23."]
    assert len(letters()) == 2


def said(answer: TestResponse) -> list[str]:
    return re.findall(
        r"(?:You asked|Asked for) at [\d:]+(?: already)?\.|ask again after [\d:]+\.", answer.text
    )


@on_both_when_long
def test_the_letter_belongs_to_the_customer_and_says_who_asked(client: FlaskClient) -> None:
    ask(client, ANNA)
    ask(client, reference())
    ask(client, "nobody@reader.example")
    rows = db.session.scalars(
        sa.select(Delivery).where(Delivery.kind == "find_my_copies").order_by(Delivery.id)
    ).all()
    assert [row.customer_id for row in rows] == [anna().id, None, anna().id, None, None]
    assert [(row.facts or {})["asked_by"] for row in rows] == ["the customer, with the form"] * 5


def test_links_that_were_ended_after_a_letter_are_sent_again_at_once(
    client: FlaskClient, frozen: Clock
) -> None:
    ask(client, ANNA)
    assert len(letters()) == 1
    frozen.advance(minutes=1)
    with transaction():
        revoke_links(anna().id, Ended.ASKED)
        ensure_links(anna().id, 1)
    ask(client, reference())
    assert len(letters()) == 2


@on_both_when_long
@pytest.mark.parametrize("earlier", ["on its way", "tried again later", "before the links ended"])
def test_a_letter_gives_way_to_an_earlier_one_that_is_about_to_leave(
    client: FlaskClient, frozen: Clock, earlier: str
) -> None:
    ask(client, ANNA)
    frozen.advance(minutes=1)
    with transaction() as session:
        query = sa.select(Delivery).where(Delivery.kind == "find_my_copies")
        first = session.scalars(query.where(Delivery.customer_id == anna().id)).one()
        if earlier == "tried again later":
            first.due_at = clock.now() + timedelta(hours=1)
        else:
            first.status, first.claimed_at = DeliveryStatus.SENDING, clock.now()
    frozen.advance(minutes=1)
    if earlier == "before the links ended":
        with transaction():
            revoke_links(anna().id, Ended.ASKED)
            ensure_links(anna().id, 1)
    ask(client, reference())
    assert len(letters()) == (1 if earlier == "before the links ended" else 0)


def test_a_letter_to_the_address_on_file_even_where_it_changed_after_the_press(
    client: FlaskClient,
) -> None:
    ask(client, ANNA)
    with transaction():
        anna().email, anna().email_key = "anna@new.example", "anna@new.example"
    assert letters() == ["Anna Berg <anna@new.example>"]


def test_an_address_that_we_do_not_know_is_not_kept(client: FlaskClient) -> None:
    ask(client, "nobody@reader.example")
    assert letters() == []
    delivery = db.session.scalars(sa.select(Delivery).order_by(Delivery.id.desc())).first()
    assert delivery is not None
    assert (delivery.status, delivery.reason) == ("skipped", "unknown address")
    forget_unknown_addresses()
    db.session.refresh(delivery)
    assert delivery.address is None
    assert "nobody" not in str(vars(delivery))


@pytest.mark.parametrize("spelling", ["{}", " {} ", "lower", "blanks", "bare", "dash"])
def test_a_reference_typed_by_hand_finds_its_owner(client: FlaskClient, spelling: str) -> None:
    typed = {
        "lower": reference().lower(),
        "blanks": reference().replace("-", " "),
        "bare": reference().replace("-", ""),
        "dash": reference().replace("-", " \N{EN DASH} "),
    }.get(spelling, spelling.format(reference()))
    assert ask(client, typed).status_code == 200
    assert letters() == [f"Anna Berg <{ANNA}>"]


def test_a_reference_that_nobody_has_is_answered_alike(client: FlaskClient) -> None:
    known, unknown = ask(client, reference()), ask(client, "2222-2222")
    assert known.text == unknown.text
    assert letters() == [f"Anna Berg <{ANNA}>"]


@pytest.mark.parametrize(
    ("who", "sentence"),
    [
        ("", "Enter the e-mail address you ordered with, or your order reference."),
        ("anna", "Enter the e-mail address you ordered with, or your order reference."),
        ("anna berg@reader.example", "has a space in it"),
        ("<script>@", "is not an e-mail address"),
    ],
)
def test_what_is_neither_is_said_beside_the_field(
    client: FlaskClient, who: str, sentence: str
) -> None:
    before = count_rows()
    answer = ask(client, who)
    assert answer.status_code == 422
    check_page(answer.text, path="/find-my-copies")
    assert "<title>Error: " in answer.text
    assert answer.text.count(sentence) == 2
    before["rate_counts"] = count_rows()["rate_counts"]
    assert count_rows() == before


def test_one_letter_in_ten_minutes_however_often_it_is_pressed(
    client: FlaskClient, frozen: Clock
) -> None:
    for _ in range(3):
        ask(client, ANNA)
    ask(client, ANNA.upper())
    assert len(letters()) == 1
    frozen.advance(minutes=10)
    ask(client, ANNA)
    assert len(letters()) == 2


def test_another_sites_form_is_refused(client: FlaskClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = client.post("/find-my-copies", data={"who": ANNA}, headers=headers)
    assert answer.status_code == 403
    assert letters() == []


def test_one_network_cannot_ask_without_end(client: FlaskClient) -> None:
    codes = [ask(client, f"a{number}@reader.example").status_code for number in range(31)]
    assert codes == [200] * 30 + [429]


@on_both_when_long
def test_who_asked_before_buying_is_answered_in_the_same_ten_minutes(
    client: FlaskClient, frozen: Clock
) -> None:
    ask(client, "ben@reader.example")
    assert letters() == []
    a_paid_order(a_shop(slug="other"), "ben@reader.example")
    frozen.advance(minutes=1)
    for _ in range(2):
        ask(client, "ben@reader.example")
        letters()
    assert letters() == ["Anna Berg <ben@reader.example>"]
