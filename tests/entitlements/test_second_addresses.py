"""A second address: proved by a press in a letter to it, told to the first, which may refuse it, and on
file after 14 days; then the links come to it that are asked for with it."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store.entitlements.addresses import correct_address, merge_customers
from store.entitlements.fresh_links import end_links
from store.entitlements.models import Link, SecondAddress
from store.entitlements.second_addresses import remove_second
from store.kit.database import db, transaction
from store.orders.models import Customer
from tests.conftest import Clock, on_both, on_both_when_long
from tests.editions import a_shop
from tests.entitlements.presses import (
    SECOND,
    SURE,
    B,
    asked_for_second,
    changed,
    gave_second,
)
from tests.letters import links_in, sent, text_of
from tests.links import anna, path_to
from tests.pages import check_page
from tests.purchases import ANNA, a_paid_order, an_order, annas_order
from tests.rows import count_rows

pytestmark = pytest.mark.usefixtures("frozen")


@pytest.fixture
def library(client: FlaskClient, frozen: Clock) -> str:
    annas_order()
    return path_to("library", anna().id)


def seconds() -> list[str]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(SecondAddress.email)))


def ask(client: FlaskClient, frozen: Clock, who: str) -> list[str]:
    """Ask for the links with an address, out of the ten minutes of any letter before; the addresses
    that they went to."""
    sent()
    frozen.advance(minutes=11)
    before = len(sent())
    assert client.post("/find-my-copies", data={"who": who}).status_code == 200
    fresh = [one for one in sent()[before:] if one["Subject"] == "Here are your copies and orders"]
    return [one["To"].addresses[0].addr_spec for one in fresh]


def told(address: str) -> list[str]:
    """The subjects of the letters to an address."""
    return [one["Subject"] for one in sent() if one["To"].addresses[0].addr_spec == address]


@on_both_when_long
def test_links_come_to_it_once_14_days_went_by_without_a_refusal(
    client: FlaskClient, library: str, frozen: Clock
) -> None:
    path = asked_for_second(client, library)
    before = count_rows()
    page = client.get(path)
    assert page.status_code == client.head(path).status_code == 200
    check_page(page.text, path="/second-address/…")
    unticked = client.post(path)
    assert unticked.status_code == 422
    check_page(unticked.text, path="/second-address/…")
    assert (count_rows(), seconds()) == (before, [])
    done = client.post(path, data=SURE)
    assert (done.status_code, seconds()) == (200, [SECOND])
    check_page(done.text, path="/second-address/…")
    assert "15 March 2027" in done.text
    letter = sent()[-1]
    assert (letter["Subject"], letter["To"].addresses[0].addr_spec) == (
        "A second e-mail address was given",
        ANNA,
    )
    assert "a•••@at-home.example" in text_of(letter)
    assert [link.split("/")[1] for link in links_in(text_of(letter))] == ["refuse"]
    frozen.advance(days=13, hours=23)
    assert ask(client, frozen, SECOND) == []
    frozen.advance(hours=1)
    assert ask(client, frozen, SECOND.upper()) == [SECOND]
    links = links_in(text_of(sent()[-1]))
    assert [client.get(link).status_code for link in links] == [200, 200]
    assert ask(client, frozen, ANNA) == [ANNA]
    # Nothing that was mailed before has ended.
    assert client.get(library).status_code == 200


@on_both_when_long
def test_a_press_in_the_letter_to_the_first_refuses_it(
    client: FlaskClient, library: str, frozen: Clock
) -> None:
    refusal = gave_second(client, anna().id)
    pending = asked_for_second(client, library, "third@at-home.example")
    frozen.advance(days=13)
    page = client.get(refusal)
    assert (page.status_code, seconds()) == (200, [SECOND])
    check_page(page.text, path="/refuse/…")
    robots = client.post(refusal)  # which send forms as they stand
    assert (robots.status_code, seconds()) == (422, [SECOND])
    check_page(robots.text, path="/refuse/…")
    done = client.post(refusal, data=SURE)
    assert (done.status_code, seconds()) == (200, [])
    check_page(done.text, path="/refuse/…")
    assert told(SECOND)[-1] == "No longer a second e-mail address"
    assert "It was refused at the first address." in " ".join(text_of(sent()[-1]).split())
    again = client.post(refusal, data=SURE)
    assert (again.status_code, "refused already" in again.text) == (200, True)
    check_page(again.text, path="/refuse/…")
    # What else was asked to become one is over, too.
    ended = client.post(pending, data=SURE)
    assert (ended.status_code, seconds()) == (410, [])
    check_page(ended.text, path="/second-address/…")
    frozen.advance(days=2)
    assert ask(client, frozen, SECOND) == []
    assert client.get(library).status_code == 200


def test_it_is_too_late_to_refuse_what_works(
    client: FlaskClient, library: str, frozen: Clock
) -> None:
    refusal = gave_second(client, anna().id)
    frozen.advance(days=14, seconds=1)
    answer = client.post(refusal, data=SURE)
    assert (answer.status_code, seconds()) == (410, [SECOND])
    check_page(answer.text, path="/refuse/…")
    assert "can be refused for 14 days" in answer.text


def test_the_letter_that_leaves_too_late_offers_no_refusal(
    client: FlaskClient, library: str, frozen: Clock
) -> None:
    client.post(asked_for_second(client, library), data=SURE)
    frozen.advance(days=15)
    letter = sent()[-1]
    assert letter["Subject"] == "A second e-mail address was given"
    assert links_in(text_of(letter)) == []
    assert "take it out on the page of your copies" in " ".join(text_of(letter).split())


@on_both_when_long
@pytest.mark.parametrize("works", [False, True])
def test_it_is_taken_out_on_the_library_page(
    client: FlaskClient, library: str, frozen: Clock, works: bool
) -> None:
    refusal = gave_second(client, anna().id)
    if works:
        frozen.advance(days=14)
        ask(client, frozen, SECOND)
    page = client.get(f"{library}/second-address")
    check_page(page.text, path=library)
    assert ("It works from 15 March 2027" in page.text) is not works
    form = client.get(f"{library}/second-address/remove")
    check_page(form.text, path=library)
    unticked = client.post(f"{library}/second-address/remove")
    assert (unticked.status_code, seconds()) == (422, [SECOND])
    check_page(unticked.text, path=library)
    done = client.post(f"{library}/second-address/remove", data=SURE)
    assert (done.status_code, seconds()) == (200, [])
    check_page(done.text, path=library)
    assert "No longer a second e-mail address" in told(SECOND)
    assert client.post(refusal).status_code == 410
    # Where links went there, they end, and fresh ones go to the first.
    answer = client.get(library)
    assert answer.status_code == (410 if works else 200)
    assert ("A second address was taken out" in answer.text) is works
    assert (told(ANNA)[-1] == "Here are your copies and orders") is works
    assert ask(client, frozen, SECOND) == []


def test_nothing_is_there_to_be_taken_out(client: FlaskClient, library: str) -> None:
    page = client.get(f"{library}/second-address/remove")
    check_page(page.text, path=library)
    assert "There is none." in page.text
    assert client.post(f"{library}/second-address/remove", data=SURE).status_code == 200
    assert client.get(library).status_code == 200


@on_both_when_long
def test_another_one_takes_its_place_and_waits_its_own_days(
    client: FlaskClient, library: str, frozen: Clock
) -> None:
    first = gave_second(client, anna().id)
    frozen.advance(days=10)
    other = "anna@at-work.example"
    gave_second(client, anna().id, other)
    assert seconds() == [other]
    assert told(SECOND)[-1] == "No longer a second e-mail address"
    assert client.post(first).status_code == 410
    frozen.advance(days=10)
    assert (ask(client, frozen, SECOND), ask(client, frozen, other)) == ([], [])
    frozen.advance(days=4)
    assert ask(client, frozen, other) == [other]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Enter your e-mail address."),
        ("anna", "has no @"),
        (ANNA.upper(), "That is the address we have already."),
        (SECOND, "That is the address we have already."),
    ],
)
def test_what_cannot_be_one_is_said_beside_the_field(
    client: FlaskClient, library: str, typed: str, sentence: str
) -> None:
    gave_second(client, anna().id)
    answer = client.post(f"{library}/second-address", data={"email": typed} | SURE)
    assert (answer.status_code, sentence in answer.text) == (422, True)
    check_page(answer.text, path=library)


def test_without_the_box_nothing_is_mailed(client: FlaskClient, library: str) -> None:
    before = len(sent())
    answer = client.post(f"{library}/second-address", data={"email": SECOND})
    assert (answer.status_code, len(sent())) == (422, before)
    check_page(answer.text, path=library)
    assert f'value="{SECOND}"' in answer.text


@on_both
def test_a_mailbox_is_the_second_of_one_customer_alone(client: FlaskClient, library: str) -> None:
    gave_second(client, anna().id)
    ben = a_paid_order(a_shop(slug="other"), "ben@reader.example").customer_id
    answer = client.post(asked_for_second(client, path_to("library", ben)), data=SURE)
    assert (answer.status_code, seconds()) == (409, [SECOND])
    check_page(answer.text, path="/second-address/…")


@on_both_when_long
def test_who_orders_with_it_bars_the_way_to_nobody(
    client: FlaskClient, library: str, frozen: Clock
) -> None:
    """A mailbox that is one customer's first and another's second gets a letter of each."""
    gave_second(client, anna().id)
    a_paid_order(a_shop(slug="other"), SECOND)
    frozen.advance(days=14)
    assert ask(client, frozen, SECOND) == [SECOND, SECOND]
    opened = [links_in(text_of(one))[0] for one in sent()[-2:]]
    assert len(set(opened)) == 2
    assert [client.get(path).status_code for path in opened] == [200, 200]


def test_a_letter_to_the_one_mailbox_is_none_in_the_other(
    client: FlaskClient, library: str, frozen: Clock
) -> None:
    gave_second(client, anna().id)
    frozen.advance(days=14)
    assert ask(client, frozen, ANNA) == [ANNA]
    before = len(sent())
    client.post("/find-my-copies", data={"who": SECOND})
    client.post("/find-my-copies", data={"who": SECOND})
    assert [one["To"].addresses[0].addr_spec for one in sent()[before:]] == [SECOND]


def test_what_waits_to_go_there_does_not_leave_once_it_is_out(
    client: FlaskClient, library: str, frozen: Clock
) -> None:
    gave_second(client, anna().id)
    frozen.advance(days=14)
    client.post("/find-my-copies", data={"who": SECOND})
    with transaction():
        remove_second(anna(), "Olga")
    assert "Here are your copies and orders" not in told(SECOND)


def _change(client: FlaskClient) -> None:
    changed(client, anna().id, B)


def _undo(client: FlaskClient) -> None:
    customer_id = anna().id
    undo = changed(client, customer_id, B)
    gave_second(client, customer_id)
    client.post(undo, data=SURE)


def _correct(_: FlaskClient) -> None:
    with transaction():
        correct_address(anna(), B, "Olga")


def _merge(_: FlaskClient) -> None:
    ben = a_paid_order(a_shop(slug="other"), "ben@reader.example").customer_id
    with transaction() as session:
        merge_customers(anna(), session.get_one(Customer, ben), "Olga")


def _end_links(_: FlaskClient) -> None:
    with transaction():
        end_links(anna(), "customer")


@on_both_when_long
@pytest.mark.parametrize("act", [_change, _undo, _correct, _merge, _end_links])
def test_it_ends_with_the_first_it_was_given_beside_and_is_told(
    client: FlaskClient, library: str, act: Callable[[FlaskClient], None]
) -> None:
    if act is not _undo:
        gave_second(client, anna().id)
    act(client)
    assert seconds() == []
    assert told(SECOND)[-1] == "No longer a second e-mail address"
    standing = sa.select(Link.id).where(Link.purpose == "refuse", Link.revoked_at.is_(None))
    assert db.session.scalars(standing).all() == []
    kept = sa.select(Link.id).where(Link.new_email == SECOND)
    assert db.session.scalars(kept).all() == []


@on_both_when_long
def test_it_may_become_the_first(client: FlaskClient, library: str, frozen: Clock) -> None:
    """Who lost the first mailbox asks with the second, and makes it the first."""
    gave_second(client, anna().id)
    frozen.advance(days=14)
    assert ask(client, frozen, SECOND) == [SECOND]
    customer_id = anna().id
    changed(client, customer_id, SECOND)
    assert (seconds(), db.session.get_one(Customer, customer_id).email) == ([], SECOND)
    assert "No longer a second e-mail address" not in told(SECOND)
    assert ask(client, frozen, SECOND) == [SECOND]


@on_both_when_long
def test_one_that_works_outlives_ended_links_and_what_was_only_asked_for_does_not(
    client: FlaskClient, library: str, frozen: Clock
) -> None:
    gave_second(client, anna().id)
    frozen.advance(days=14)
    pending = asked_for_second(client, library, "third@at-home.example")
    _end_links(client)
    assert client.get(library).status_code == 410
    assert client.post(pending, data=SURE).status_code == 410
    assert (seconds(), ask(client, frozen, SECOND)) == ([SECOND], [SECOND])


@on_both_when_long
def test_nobody_behind_a_library_link_ends_the_refusal(client: FlaskClient, library: str) -> None:
    """Who got the link gives an address of theirs, and ends all links before the first one looks."""
    refusal = gave_second(client, anna().id)
    _end_links(client)
    gave_second(client, anna().id, "thief@evil.example")
    assert client.get(refusal).status_code == 410
    newest = [one for one in sent() if one["Subject"] == "A second e-mail address was given"][-1]
    assert client.post(links_in(text_of(newest))[0], data=SURE).status_code == 200
    assert seconds() == []


@on_both_when_long
def test_merging_keeps_the_second_of_the_customer_who_stays(
    client: FlaskClient, library: str
) -> None:
    gave_second(client, anna().id)
    ben = a_paid_order(a_shop(slug="other"), "ben@reader.example").customer_id
    gave_second(client, ben, "ben@at-home.example")
    with transaction() as session:
        merge_customers(session.get_one(Customer, ben), anna(), "Olga")
    assert seconds() == [SECOND]
    assert told("ben@at-home.example")[-1] == "No longer a second e-mail address"


def test_the_first_of_who_is_merged_may_be_the_second_of_who_stays(
    client: FlaskClient, library: str
) -> None:
    ben = a_paid_order(a_shop(slug="other"), "ben@reader.example").customer_id
    gave_second(client, ben, ANNA)
    with transaction() as session:
        merge_customers(session.get_one(Customer, ben), anna(), "Olga")
    assert seconds() == []
    assert "No longer a second e-mail address" not in told(ANNA)


def test_an_order_link_gives_none(client: FlaskClient, library: str) -> None:
    order = path_to("order", anna().id)
    token = order.removeprefix("/orders/")
    for path in (f"{order}/second-address", f"/library/{token}/second-address"):
        assert client.get(path).status_code == 404
        assert client.post(path, data={"email": SECOND} | SURE).status_code == 404


def test_who_never_paid_gets_nothing_there(client: FlaskClient, frozen: Clock) -> None:
    an_order()
    assert ask(client, frozen, SECOND) == []
