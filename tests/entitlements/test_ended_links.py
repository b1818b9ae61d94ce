"""Ending links that got out: every one that was mailed answers 410 with the button, fresh ones go to
the address on file; it is the same for somebody who still reads a mailbox that was left."""

import re

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store.catalog.models import Publication
from store.entitlements.models import NoticeStop
from store.kit.database import db, transaction
from store.orders.discounts import add_discount
from store.orders.models import Customer
from tests.conftest import Clock, on_both_when_long
from tests.editions import a_shop, drafted_and_released
from tests.entitlements.presses import SURE, asked_to_change, changed
from tests.letters import links_in, sent, text_of
from tests.links import anna, path_to
from tests.pages import Page, check_page
from tests.purchases import ANNA, a_paid_order, annas_order
from tests.rows import count_rows

pytestmark = pytest.mark.usefixtures("frozen")


@pytest.fixture
def everything(client: FlaskClient, frozen: Clock) -> list[str]:
    """Every address that reached Anna's mailbox: in letters, and on the pages behind them."""
    annas_order()
    frozen.advance(minutes=1)
    asked_to_change(client, path_to("library", anna().id), "later@reader.example")
    letters = [one for one in sent() if one["To"].addresses[0].addr_spec == ANNA]
    found = [link for letter in letters for link in links_in(text_of(letter))]
    found.append(path_to("stop", anna().id))
    for path in [link for link in found if link.split("/")[1] in {"library", "orders"}]:
        hrefs = [link.attrib.get("href", "") for link in Page(client.get(path).text).all("a")]
        found += [href for href in hrefs if href.startswith("/download/")]
    kinds = {path.split("/")[1] for path in found if len(path.split("/")[2]) > 60}
    assert kinds == {"library", "orders", "stop", "download"}
    return [path for path in dict.fromkeys(found) if path.split("/")[1] in kinds]


NEUTRAL = "It was replaced or used up."


def all_dead(client: FlaskClient, paths: list[str], words: str) -> None:
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 410, path
        check_page(answer.text, path=path)
        # An order link may be a stranger's, who is told nothing of what the customer did.
        is_orders = path.startswith("/orders/") or (
            path.startswith("/download/") and words not in answer.text
        )
        assert (NEUTRAL if is_orders else words) in answer.text, path
        assert "Mail me a fresh link" in answer.text
        assert "@" not in re.sub(r"hello@publisher.example", "", answer.text)


@on_both_when_long
def test_a_reader_ends_every_link_that_was_mailed(
    client: FlaskClient, everything: list[str]
) -> None:
    library = path_to("library", anna().id)
    before = count_rows()
    page = client.get(f"{library}/end-links")
    check_page(page.text, path=library)
    unticked = client.post(f"{library}/end-links")
    assert unticked.status_code == 422
    check_page(unticked.text, path=library)
    assert count_rows() == before
    assert client.get(library).status_code == 200
    done = client.post(f"{library}/end-links", data=SURE)
    assert done.status_code == 200
    check_page(done.text, path=library)
    assert "a•••@reader.example" in done.text
    all_dead(client, everything, "fresh ones were mailed")
    letter = sent()[-1]
    assert (letter["Subject"], letter["To"].addresses[0].addr_spec) == (
        "Here are your copies and orders",
        ANNA,
    )
    assert [client.get(link).status_code for link in links_in(text_of(letter))] == [200, 200]


@on_both_when_long
@pytest.mark.parametrize("dies_by", ["ending", "change of address"])
def test_a_one_click_stop_of_an_ended_link_stops_nothing(
    client: FlaskClient, frozen: Clock, dies_by: str
) -> None:
    """A reader of the mailbox that was left must not hold back the news of the other one."""
    a_paid_order(a_shop())
    sent()
    stop, library = path_to("stop", anna().id), path_to("library", anna().id)
    customer_id = anna().id
    if dies_by == "ending":
        client.post(f"{library}/end-links", data=SURE)
    else:
        changed(client, customer_id, "b@other.example")
    answer = client.post(stop, data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 410
    check_page(answer.text, path=stop)
    db.session.rollback()
    assert db.session.scalars(sa.select(NoticeStop.id)).all() == []
    fresh = path_to("stop", customer_id)
    assert client.post(fresh, data={"List-Unsubscribe": "One-Click"}).status_code == 200


@on_both_when_long
def test_a_reader_of_the_mailbox_that_was_left_gets_nothing_but_the_undo(
    client: FlaskClient, everything: list[str], frozen: Clock
) -> None:
    undo = changed(client, anna().id, "b@other.example")
    all_dead(client, everything, "The e-mail address was changed")
    for path in everything:
        for step, data in (
            ("", {"notices": "stop"}),
            ("/address", {"email": "thief@evil.example"}),
            ("/end-links", SURE),
            ("/move", {"email": "thief@evil.example"}),
            ("/cancel", SURE),
        ):
            assert client.post(path + step, data=data).status_code in {404, 405, 410}, path + step
    old = [one for one in sent() if one["To"].addresses[0].addr_spec == ANNA]
    frozen.advance(minutes=11)
    for path in everything:
        token = path.split("/")[2]
        client.post("/find-my-copies/renew", data={"token": token})
    client.post("/find-my-copies", data={"who": ANNA})
    letters = [one for one in sent() if one["To"].addresses[0].addr_spec == ANNA]
    assert len(letters) == len(old)
    assert client.get(undo).status_code == 200
    db.session.rollback()
    drafted_and_released(db.session.scalars(sa.select(Publication)).one(), 2)
    news = [one for one in sent() if "Edition 2 is" in one["Subject"]]
    assert [one["To"].addresses[0].addr_spec for one in news] == ["b@other.example"]


def an_offer(client: FlaskClient) -> str:
    """Ask for the members' price; the path in the letter."""
    asked = client.post("/publications/send-early-years/members", data={"email": ANNA})
    assert asked.status_code == 200
    [link] = [one for one in links_in(text_of(sent()[-1])) if one.startswith("/offer/")]
    return link


@on_both_when_long
@pytest.mark.parametrize("dies_by", ["ending", "change of address", "undoing one"])
def test_a_link_to_order_at_a_members_price_ends_with_the_others(
    client: FlaskClient, frozen: Clock, dies_by: str
) -> None:
    a_paid_order(a_shop())
    with transaction():
        add_discount("Members", percent=20, domains="reader.example,other.example")
    sent()
    customer_id = anna().id
    if dies_by == "undoing one":
        undo = changed(client, customer_id, "ann@reader.example")
        with transaction() as session:
            there = session.get_one(Customer, customer_id).email
        client.post("/publications/send-early-years/members", data={"email": there})
        [offer] = [one for one in links_in(text_of(sent()[-1])) if one.startswith("/offer/")]
        client.post(undo, data=SURE)
    else:
        offer = an_offer(client)
        assert client.get(offer).status_code == 200
        if dies_by == "ending":
            client.post(f"{path_to('library', customer_id)}/end-links", data=SURE)
        else:
            changed(client, customer_id, "b@other.example")
    for answer in (client.get(offer), client.post(offer, data={"name": "A"})):
        assert answer.status_code == 410
        check_page(answer.text, path="/offer/…")
        assert "It was ended with the other links" in answer.text


def test_a_link_to_order_is_mailed_at_once_where_the_one_before_was_ended(
    client: FlaskClient, frozen: Clock
) -> None:
    a_paid_order(a_shop())
    with transaction():
        add_discount("Members", percent=20, domains="reader.example")
    sent()
    old = an_offer(client)
    client.post(f"{path_to('library', anna().id)}/end-links", data=SURE)
    sent()
    new = an_offer(client)
    assert new != old
    assert client.get(new).status_code == 200
