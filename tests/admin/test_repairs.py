"""Repairs at the desk: what came back, oldest first, and each way to mend it, as staff press it."""

import json
import re

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store.cli import main
from store.commands import base
from store.kit.database import db, transaction
from store.mail import outbox
from store.mail.models import Delivery, DeliveryStatus, Repair, RepairEnd
from store.mail.returns import ReturnKind, take
from tests.admin.sign_in import press, signed_in
from tests.conftest import Clock, on_both_when_long
from tests.editions import drafted_and_released, guide
from tests.entitlements.test_repairs import GONE, HOME, bounced, put_on_file, the_repair
from tests.factories import a_publication, a_seller
from tests.letters import send
from tests.pages import check_page, read
from tests.purchases import ANNA, buy
from tests.statements import statements

REPAIRS = "/admin/repairs"


@pytest.fixture
def desk(client: FlaskClient, frozen: Clock) -> FlaskClient:
    return signed_in(client, "support")


def many(count: int) -> None:
    """So many readers whose notice came back, one a minute."""
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        for number in range(count):
            buy(publication, f"reader{number}@gmial.com")
    drafted_and_released(publication)
    send()
    db.session.rollback()
    notices = sa.select(Delivery.id).where(Delivery.kind == "edition_notice")
    numbers = list(db.session.scalars(notices.order_by(Delivery.customer_id)))
    with transaction() as session:
        for number in numbers:
            assert take(number, ReturnKind.HARD, words=GONE, key=str(number))
        session.flush()


@on_both_when_long
def test_home_leads_to_what_came_back_and_the_page_says_all_that_is_known(
    app: Flask, desk: FlaskClient
) -> None:
    assert "Nothing to repair" in read(desk, REPAIRS)
    edition = bounced()
    drafted_and_released(guide(edition.publication_id), 2)
    send()
    home = read(desk, "/admin/")
    assert "1 reader’s letter came back" in home
    assert "held back" not in home  # the letters that wait for it are told of once
    customer = read(desk, f"/admin/customers/{the_repair().customer_id}")
    reached = customer.partition('id="reached"')[2].partition("</table>")[0]
    assert "The letter was handed over and came back: 550 5.1.1" in reached
    letter = read(desk, f"/admin/letters/{the_repair().delivery_id}")
    assert "It came back" in letter
    assert ", it came back" not in letter
    page = read(desk, REPAIRS)
    customer_id = db.session.scalars(sa.select(Repair.customer_id)).one()
    assert "Letters to this address come back" in read(desk, f"/admin/customers/{customer_id}")
    for words in (
        "Anna Berg",
        ANNA,
        "there is no such mailbox",
        "550 5.1.1 &lt;anna@reader.example&gt;: user unknown",
        "1 try",
        "Effective SEND Practice in the Early Years, edition 2",
    ):
        assert words in page, words
    order = db.session.execute(sa.text("SELECT reference FROM orders")).scalar_one()
    assert f"/admin/orders/{order}" in page


@on_both_when_long
def test_the_oldest_stand_first_a_page_at_a_time_with_as_many_statements(
    app: Flask, desk: FlaskClient
) -> None:
    many(27)
    first = read(desk, REPAIRS)
    assert first.index("reader0@gmial.com") < first.index("reader24@gmial.com")
    assert "reader25@gmial.com" not in first
    following = re.search(r'href="([^"]*)" rel="next">Newer ones', first)
    assert following
    assert "perhaps reader0@gmail.com was meant" in first
    with statements() as few:
        last = desk.get(following[1]).text
    assert "reader26@gmial.com" in last
    with statements() as as_many:
        desk.get(REPAIRS)
    assert len(as_many) <= len(few)


@on_both_when_long
def test_one_press_sends_again_and_a_second_says_that_it_is_over(
    app: Flask, desk: FlaskClient
) -> None:
    bounced()
    url = f"{REPAIRS}/{the_repair().id}/resend"
    answer = press(desk, url, seen_on=REPAIRS)
    assert (answer.status_code, answer.location) == (303, REPAIRS)
    again = press(desk, url, seen_on="/admin/account")
    assert again.status_code == 409
    assert "This repair has ended already" in again.text
    assert (the_repair().how, the_repair().who) == (RepairEnd.RESENT, "support@publisher.example")
    assert send()[-1].recipient == ANNA
    assert "Nothing to repair" in read(desk, REPAIRS)


@on_both_when_long
def test_an_address_is_given_up_with_a_word_alone(app: Flask, desk: FlaskClient) -> None:
    bounced()
    url = f"{REPAIRS}/{the_repair().id}/give-up"
    check_page(desk.get(url).text, path=url)
    empty = press(desk, url, {"word": " "})
    assert empty.status_code == 422
    check_page(empty.text, path=url)
    assert "Say in a few words why" in empty.text
    assert the_repair().ended_at is None
    assert press(desk, url, {"word": "her school closed"}).status_code == 303
    repair = the_repair()
    assert (repair.how, repair.who) == (RepairEnd.GIVEN_UP, "support@publisher.example")
    assert repair.word == "her school closed"
    assert desk.get(url).status_code == 409
    assert desk.get(f"{REPAIRS}/999/give-up").status_code == 404


@on_both_when_long
def test_one_press_writes_to_the_second_address(app: Flask, desk: FlaskClient) -> None:
    bounced()
    assert "second address" not in read(desk, REPAIRS)
    put_on_file(HOME)
    assert "Mail all links to the second address" in read(desk, REPAIRS)
    answer = press(desk, f"{REPAIRS}/{the_repair().id}/second", seen_on=REPAIRS)
    assert answer.status_code == 303
    assert [
        one.recipient for one in send() if one.subject == "Here are your copies and orders"
    ] == [HOME]


@on_both_when_long
def test_a_slip_stands_in_the_form_that_corrects_the_address(app: Flask, desk: FlaskClient) -> None:
    many(1)
    page = read(desk, REPAIRS)
    customer_id = db.session.scalars(sa.select(Repair.customer_id)).one()
    url = f"/admin/customers/{customer_id}/address?meant=1"
    assert url in page
    assert 'value="reader0@gmail.com"' in read(desk, url)
    assert 'value="reader0@gmial.com"' in read(desk, url.partition("?")[0])


@on_both_when_long
def test_a_letter_to_staff_that_came_back_is_mended_there_too(
    app: Flask, desk: FlaskClient
) -> None:
    with transaction():
        a_seller()
        outbox.alert_staff("A promised date has passed", "Set a new one.", "x")
    send()
    alert = db.session.scalars(sa.select(Delivery).where(Delivery.kind == "staff_alert")).one()
    number, address = alert.id, alert.address
    with transaction():
        assert take(number, ReturnKind.HARD, words=GONE, key="a")
    page = read(desk, REPAIRS)
    assert f"{address}, on the staff" in page
    assert "Correct the address" not in page
    press(desk, f"{REPAIRS}/{the_repair().id}/resend", seen_on=REPAIRS)
    send()
    db.session.rollback()
    again = db.session.get_one(Delivery, number)
    assert again.status is DeliveryStatus.SENT


@on_both_when_long
def test_the_command_lists_them_oldest_first(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(2)
    monkeypatch.setattr(base, "the_shop", lambda: app)
    db.session.remove()
    told = CliRunner().invoke(main, ["mail", "repairs"])
    assert told.exit_code == 0, told.output
    assert told.stdout.index("reader0@gmial.com") < told.stdout.index("reader1@gmial.com")
    db.session.remove()
    data = json.loads(CliRunner().invoke(main, ["mail", "repairs", "--json"]).stdout)
    assert [one["suggestion"] for one in data] == ["reader0@gmail.com", "reader1@gmail.com"]
    assert data[0]["owed"] == ["Effective SEND Practice in the Early Years, edition 1"]
    db.session.remove()
    one = json.loads(CliRunner().invoke(main, ["mail", "repairs", "--json", "--limit", "1"]).stdout)
    assert len(one) == 1


@on_both_when_long
def test_complaints_are_told_without_alarm(app: Flask, desk: FlaskClient) -> None:
    many(1)
    notice = sa.select(Delivery.id).where(Delivery.kind == "edition_notice")
    number = db.session.scalars(notice).one()
    with transaction():
        assert take(number, ReturnKind.COMPLAINT, key="complaint")
    page = read(desk, REPAIRS)
    assert "1 reader told their mailbox" in page
