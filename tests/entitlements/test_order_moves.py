"""Moving one order to another address: accepted there, told to the old one, held where that one
objects, decided by a person; no edition is missed and none comes twice."""

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Edition, Publication
from store.distribution import releasing
from store.distribution.coverage import coverage, coverage_of
from store.entitlements.granting import revoke_order
from store.entitlements.models import Download, OrderMove
from store.entitlements.order_moves import settle_held
from store.entitlements.shelves import shelves
from store.kit.database import db, transaction
from store.kit.limits import limiter
from store.kit.status import StatusChange
from store.mail.models import CapturedLetter, Delivery
from store.orders.customers import customer_by_address
from store.orders.models import Customer, Order
from tests.conftest import Clock, on_both, on_both_when_long
from tests.editions import a_shop, drafted_and_released, edition_of, guide
from tests.entitlements.presses import CARL, SURE, asked_to_move, moved, objection, owner_of
from tests.factories import a_customer, a_publication, a_seller
from tests.letters import links_in, send, sent, text_of
from tests.links import anna, order_path, path_to
from tests.pages import Page, check_page
from tests.purchases import ANNA, a_paid_order, annas_order, give_imported
from tests.rows import count_rows
from tests.storefront.forms import fields_of
from tests.storefront.forms import text_of as read

pytestmark = pytest.mark.usefixtures("frozen")


@pytest.fixture
def order_id(frozen: Clock) -> int:
    """A paid order of a copy that can be had at once, placed with Anna's address."""
    return annas_order()


@on_both
def test_an_order_moves_alone_to_the_mailbox_that_accepts_it(
    client: FlaskClient, order_id: int
) -> None:
    with transaction():
        carl = a_customer(CARL, "Carl Old")
        carl_id = carl.id
        bought = db.session.get_one(Order, order_id).lines[0].publication
        give_imported(carl, bought, notify=False)
    other_id = a_paid_order(a_shop(slug="other")).id
    sent()
    old = order_path(order_id)
    file = next(
        link.attrib["href"]
        for link in Page(client.get(old).text).all("a")
        if link.attrib.get("href", "").startswith("/download/")
    )
    assert client.get(file).status_code == 200
    assert 'name="email"' in client.get(f"{old}/move").text
    check_page(client.get(f"{old}/move").text, path=f"{old}/move")
    path = asked_to_move(client, order_id)
    before = count_rows()
    page = client.get(path)
    check_page(page.text, path=path)
    db.session.rollback()
    reference = db.session.get_one(Order, order_id).reference
    assert reference in page.text
    assert "Effective SEND Practice" in page.text
    assert "anna@" not in page.text
    assert "•••" not in page.text
    unticked = client.post(path)
    assert unticked.status_code == 422
    check_page(unticked.text, path=path)
    assert count_rows() == before
    assert owner_of(order_id) == ANNA
    done = client.post(path, data=SURE)
    assert done.status_code == 200
    check_page(done.text, path=path)
    assert owner_of(order_id) == CARL
    assert owner_of(other_id) == ANNA
    assert db.session.get_one(Customer, carl_id).name == "Carl Old"
    for dead in (old, file):
        answer = client.get(dead)
        assert answer.status_code == 410
        check_page(answer.text, path=dead)
    assert "moved to another e-mail address" in client.get(old).text
    titles = {
        address: [shelf.publication.slug for shelf in shelves(customer.id)]
        for address in (ANNA, CARL)
        if (customer := customer_by_address(address))
    }
    assert titles == {ANNA: ["other"], CARL: ["send-early-years"]}
    confirmation, told = sent()[-2:]
    if "went to" in confirmation["Subject"]:
        confirmation, told = told, confirmation
    assert confirmation["To"].addresses[0].addr_spec == CARL
    assert confirmation["Subject"].startswith("Your order is ready: ")
    assert [client.get(link).status_code for link in links_in(text_of(confirmation))][:2] == [
        200,
        200,
    ]
    assert told["To"].addresses[0].addr_spec == ANNA
    assert "carl" not in text_of(told).lower()
    assert client.get(path_to("library", anna().id)).status_code == 200
    again = client.post(path, data=SURE)
    assert again.status_code == 200
    assert "accepted already" in again.text
    check_page(again.text, path=path)


@on_both_when_long
def test_the_410_of_a_moved_order_mails_to_the_customer_who_has_it_now(
    client: FlaskClient, order_id: int
) -> None:
    old = order_path(order_id)
    moved(client, order_id)
    token = old.removeprefix("/orders/")
    assert client.post("/find-my-copies/renew", data={"token": token}).status_code == 200
    letter = sent()[-1]
    assert (letter["Subject"], letter["To"].addresses[0].addr_spec) == (
        "Here are your copies and orders",
        CARL,
    )


def test_a_stranger_who_orders_in_annas_name_gets_what_they_paid_for_and_nothing_of_hers(
    client: FlaskClient, order_id: int
) -> None:
    thief = "thief@evil.example"
    a_shop(slug="cheap")
    with transaction() as session:
        cheap = session.scalars(sa.select(Publication).filter_by(slug="cheap")).one()
    strangers = a_paid_order(cheap).id
    moved(client, strangers, thief)
    found = customer_by_address(thief)
    assert found is not None
    library = client.get(path_to("library", found.id)).text
    pages = [library, client.get(order_path(strangers)).text]
    for page in pages:
        assert "send-early-years" not in page
        assert "anna" not in page.lower().replace("anna berg", "")
    assert [shelf.publication.slug for shelf in shelves(anna().id)] == ["send-early-years"]
    assert owner_of(order_id) == ANNA


def _fetch(order_id: int, at: object, *, order_link_id: int | None = None) -> None:
    with transaction() as session:
        session.add(
            Download(
                grant_digest="0" * 64,
                customer_id=session.get_one(Order, order_id).customer_id,
                asset_id=session.scalars(sa.text("SELECT min(id) FROM assets")).one(),
                order_id=order_link_id,
                started_at=at,
            )
        )


@on_both_when_long
@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("days", "more than 14 days ago"),
        ("fetched", "has opened its copies"),
        ("refunded", "cancelled or refunded"),
        ("moved", "moved already"),
        ("suspended", "disputed with the bank"),
    ],
)
def test_all_is_judged_again_when_the_order_is_accepted(
    client: FlaskClient, order_id: int, frozen: Clock, what: str, words: str
) -> None:
    frozen.advance(days=13, hours=23)
    path = asked_to_move(client, order_id)
    if what == "moved":
        other = asked_to_move(client, order_id, "dora@third.example")
        client.post(other, data=SURE)
        # The newest alone counts, so the older one is dead; its page gives no order.
        assert client.post(path, data=SURE).status_code == 410
        answer = client.get(f"{order_path(order_id)}/move")
        assert answer.status_code == 409
        assert words in answer.text
        return
    with transaction() as session:
        order = session.get_one(Order, order_id)
        if what == "refunded":
            revoke_order(order, "refunded")
        if what == "suspended":
            session.execute(sa.text("UPDATE entitlements SET suspended_at = placed_at FROM orders"))
    if what == "fetched":
        _fetch(order_id, frozen.at)
    if what == "days":
        frozen.advance(hours=1)
    before = owner_of(order_id)
    answer = client.post(path, data=SURE)
    assert answer.status_code == 409
    check_page(answer.text, path=path)
    assert words in answer.text
    assert owner_of(order_id) == before == ANNA
    page = client.get(f"{order_path(order_id)}/move")
    assert page.status_code == 409
    assert words in page.text
    assert "Move this order" not in client.get(order_path(order_id)).text


@pytest.mark.parametrize("which", ["order link", "before the order"])
def test_other_downloads_do_not_bar_the_way(
    client: FlaskClient, order_id: int, frozen: Clock, which: str
) -> None:
    """Fetched behind the order's own link proves no mailbox; what came before is another's."""
    if which == "order link":
        _fetch(order_id, frozen.at, order_link_id=order_id)
    else:
        _fetch(order_id, frozen.at - timedelta(days=1))
    moved(client, order_id)
    assert owner_of(order_id) == CARL


def test_an_order_that_is_not_paid_is_not_moved(client: FlaskClient, order_id: int) -> None:
    path = order_path(order_id)
    with transaction() as session:
        session.execute(sa.update(Order).values(status="pending", paid_at=None))
    answer = client.post(f"{path}/move", data={"email": CARL})
    assert answer.status_code == 409
    assert "It is not paid" in answer.text


def test_whether_the_new_address_is_known_is_not_told(client: FlaskClient, order_id: int) -> None:
    with transaction():
        a_customer("known@reader.example")
    path = order_path(order_id)
    pages = [
        client.post(f"{path}/move", data={"email": each}).text
        for each in ("known@reader.example", "fresh@reader.example")
    ]
    assert pages[0].replace("known", "fresh") == pages[1]
    assert client.post(f"{path}/move", data={"email": "ANNA@reader.example"}).status_code == 422
    wrong = client.post(f"{path}/move", data={"email": "no address"})
    assert wrong.status_code == 422
    assert 'value="no address"' in wrong.text
    check_page(wrong.text, path=path)


@pytest.mark.parametrize("is_limited", [True, False], ids=["limited", "control"])
def test_nobody_floods_a_mailbox_by_moving_orders(
    client: FlaskClient, order_id: int, monkeypatch: pytest.MonkeyPatch, is_limited: bool
) -> None:
    monkeypatch.setattr(limiter, "enabled", is_limited)
    path = order_path(order_id)
    asks = [client.post(f"{path}/move", data={"email": "victim@reader.example"}) for _ in range(6)]
    others = [
        client.post(f"{path}/move", data={"email": f"v{number}@reader.example"})
        for number in range(6)
    ]
    found = [answer.status_code for answer in [*asks, *others]]
    expected = [200] * 5 + [429] + [200] * 4 + [429] * 2
    assert found == (expected if is_limited else [200] * 12)


@on_both_when_long
def test_a_robot_that_opens_every_link_and_sends_every_form_as_it_stands_changes_nothing(
    client: FlaskClient, order_id: int
) -> None:
    other_id = a_paid_order(a_shop(slug="other")).id
    customer_id = anna().id
    moved(client, other_id)
    client.post(f"{path_to('library', customer_id)}/address", data={"email": "n@new.example"})
    asked_to_move(client, order_id)
    letters = sent()
    found = [link for letter in letters for link in links_in(text_of(letter))]
    library = path_to("library", customer_id)
    found += [f"{library}/address", f"{library}/end-links", f"{order_path(order_id)}/move"]
    before = _who_has_what()
    pressed = set()
    for path in dict.fromkeys(found):
        page = client.get(path)
        for form in Page(page.text).all("form") if page.mimetype == "text/html" else []:
            action = form.attrib.get("action", path)
            if form.attrib.get("method") == "post":
                pressed.add(action.split("/")[1])
                client.post(action, data=fields_of(page.text))
    assert pressed >= {"address", "move", "undo", "library"}
    assert _who_has_what() == before


def _who_has_what() -> dict[str, object]:
    db.session.rollback()
    return {
        "customers": sorted(db.session.execute(sa.select(Customer.id, Customer.email)).all()),
        "orders": sorted(
            db.session.execute(
                sa.select(Order.id, Order.customer_id, Order.status, Order.held_at)
            ).all()
        ),
        "moves": db.session.execute(sa.select(OrderMove.order_id, OrderMove.held_at)).all(),
    }


@on_both_when_long
def test_the_old_address_objects_and_nobody_gets_the_copies(
    client: FlaskClient, order_id: int
) -> None:
    moved(client, order_id)
    carl = customer_by_address(CARL)
    assert carl is not None
    library, page = path_to("library", carl.id), order_path(order_id)
    file = next(
        link.attrib["href"]
        for link in Page(client.get(page).text).all("a")
        if link.attrib.get("href", "").startswith("/download/")
    )
    path = objection(order_id)
    before = count_rows()
    check_page(client.get(path).text, path=path)
    unticked = client.post(path)
    assert unticked.status_code == 422
    check_page(unticked.text, path=path)
    assert count_rows() == before
    done = client.post(path, data=SURE)
    assert done.status_code == 200
    check_page(done.text, path=path)
    assert client.get(file).status_code == 410
    assert "This order is held" in client.get(page).text
    assert "/download/" not in client.get(page).text + client.get(library).text
    assert "A person will look at it" in client.get(library).text
    assert shelves(anna().id) == []
    for shown in (page, library):
        check_page(client.get(shown).text, path=shown)
    assert client.get(f"{page}/cancel").status_code == 409
    alert = sent()[-1]
    assert alert["To"].addresses[0].addr_spec == "desk@publisher.example"
    assert "is held" in alert["Subject"]
    assert "@" not in text_of(alert).split("--")[0]
    again = client.post(path, data=SURE)
    assert "The order is held already" in again.text
    check_page(again.text, path=path)


def test_an_objection_to_an_order_that_was_refunded_says_that_nothing_is_left_to_hold(
    client: FlaskClient, order_id: int
) -> None:
    moved(client, order_id)
    path = objection(order_id)
    with transaction() as session:
        revoke_order(session.get_one(Order, order_id), "refunded")
    answer = client.post(path, data=SURE)
    assert answer.status_code == 409
    check_page(answer.text, path=path)
    assert read(answer.text).startswith(
        "There is nothing to hold This order was cancelled or refunded, so its copies are closed "
        "already."
    )


@on_both
@pytest.mark.parametrize("is_given_back", [True, False], ids=["back", "stay"])
def test_a_person_decides_and_both_are_told(
    client: FlaskClient, order_id: int, is_given_back: bool
) -> None:
    moved(client, order_id)
    page = order_path(order_id)
    client.post(objection(order_id), data=SURE)
    before = len(sent())
    with transaction():
        settle_held(order_id, is_given_back=is_given_back, who="olga@publisher.example")
    winner, loser = (ANNA, CARL) if is_given_back else (CARL, ANNA)
    assert owner_of(order_id) == winner
    assert client.get(page).status_code == (410 if is_given_back else 200)
    reference = db.session.get_one(Order, order_id).reference
    told = {
        (one["To"].addresses[0].addr_spec, one["Subject"].partition(":")[0]): text_of(one)
        for one in sent()[before:]
    }
    stays, gone = f"Order {reference} stays yours", f"Order {reference} stays at its new address"
    if is_given_back:
        stays = f"Order {reference} is yours again"
        gone = f"Order {reference} is back at its first address"
    assert sorted(told) == sorted([(winner, "Your order is ready"), (winner, stays), (loser, gone)])
    kept, lost = told[winner, stays], told[loser, gone]
    if is_given_back:
        assert "The order is back with you, at this address, and is no longer held." in kept
        assert "The order is back at the address it was placed with." in lost
    else:
        assert "The order stays with you, at this address, and is no longer held." in kept
        assert "The order stays at the address that it was moved to." in lost
    owner = customer_by_address(winner)
    assert owner is not None
    library = client.get(path_to("library", owner.id)).text
    assert "/download/" in library
    changes = db.session.execute(
        sa.select(StatusChange.from_status, StatusChange.to_status, StatusChange.who).where(
            StatusChange.entity == "orders", StatusChange.entity_id == order_id
        )
    ).all()
    assert ("held", "given back" if is_given_back else "left", "olga@publisher.example") in changes
    # Once moved it stays moved: nobody plays ping-pong with it.
    assert client.get(f"{order_path(order_id)}/move").status_code == 409


def nobody_missed_nobody_twice(publication_id: int) -> None:
    """The invariants at the end of the architecture page."""
    db.session.rollback()
    assert releasing.owe_missing() == 0
    editions = sa.select(Edition.id).where(
        Edition.publication_id == publication_id, Edition.released_at.is_not(None)
    )
    for edition_id in db.session.scalars(editions).all():
        account = coverage(edition_of(edition_id))
        assert account.sums_match
        assert account.missing == 0
    twice = db.session.execute(
        sa.select(Delivery.customer_id, Delivery.edition_id)
        .where(
            Delivery.kind == "edition_notice",
            Delivery.status != "skipped",
            Delivery.edition_id.in_(editions),
        )
        .group_by(Delivery.customer_id, Delivery.edition_id)
        .having(sa.func.count() > 1)
    ).all()
    assert twice == []
    db.session.rollback()


@pytest.fixture
def preordered(frozen: Clock) -> tuple[int, int]:
    """A pre-order with Anna's address; numbers of order and publication."""
    with transaction():
        a_seller()
        publication_id = a_publication("guide", expected_on=None).id
    made = a_paid_order(guide(publication_id)).id
    sent()
    return made, publication_id


def letters_to(address: str) -> list[str]:
    """The subjects of the letters that carried a copy to an address."""
    send()
    found = db.session.scalars(
        sa.select(CapturedLetter.subject)
        .where(CapturedLetter.recipient == address)
        .order_by(CapturedLetter.id)
    ).all()
    db.session.rollback()
    carried = re.compile(r"edition \d+ is|your order|your pre-order", re.IGNORECASE)
    return [subject.lower() for subject in found if carried.search(subject)]


@on_both_when_long
@pytest.mark.parametrize("when", ["before the release", "before the sending", "after the sending"])
@pytest.mark.parametrize("has_it", [False, True], ids=["new", "owns the title"])
@pytest.mark.parametrize("keeps_one", [False, True], ids=["gives all", "keeps another order"])
def test_a_move_around_a_release_misses_nobody_and_tells_nobody_twice(
    app: Flask,
    client: FlaskClient,
    frozen: Clock,
    preordered: tuple[int, int],
    when: str,
    has_it: bool,
    keeps_one: bool,
) -> None:
    order_id, publication_id = preordered
    if keeps_one:
        a_paid_order(guide(publication_id))
    if has_it:
        a_paid_order(guide(publication_id), CARL)
    sent()
    path = asked_to_move(client, order_id)
    frozen.advance(minutes=1)

    def accept() -> None:
        assert client.post(path, data=SURE).status_code == 200
        nobody_missed_nobody_twice(publication_id)

    if when == "before the release":
        accept()
    edition_id = drafted_and_released(guide(publication_id), 1).id
    if when == "after the sending":
        send()
        frozen.advance(minutes=1)
    if when != "before the release":
        accept()
    carl, old = letters_to(CARL), letters_to(ANNA)
    assert any("edition 1" in one or "your order" in one for one in carl)
    notices = [one for one in carl if "edition 1 is" in one]
    assert len(notices) == (1 if when == "before the release" or has_it else 0)
    told = [one for one in old if "edition 1 is" in one]
    assert len(told) == (1 if when == "after the sending" or keeps_one else 0)
    nobody_missed_nobody_twice(publication_id)
    drafted_and_released(guide(publication_id), 2)
    assert sum("edition 2 is" in one for one in letters_to(CARL)) == 1
    assert sum("edition 2 is" in one for one in letters_to(ANNA)) == int(keeps_one)
    nobody_missed_nobody_twice(publication_id)
    edition = edition_of(edition_id)
    seen = [coverage_of(edition, customer) for customer in (anna(), customer_by_address(CARL))]
    columns = {
        "before the release": ["not_concerned", "handed_over"],
        "before the sending": ["left_out", "handed_over" if has_it else "later"],
        "after the sending": ["handed_over", "handed_over" if has_it else "later"],
    }[when]
    if keeps_one:
        columns[0] = "handed_over"
    assert [told.column for told in seen] == columns
    is_gone = "The order that brought it went to another address." in seen[0].sentences
    assert is_gone == (not keeps_one and when != "before the release")


@on_both_when_long
@pytest.mark.parametrize("is_given_back", [True, False], ids=["back", "stay"])
@pytest.mark.parametrize("held", ["before the release", "before the sending", "after the sending"])
def test_an_objection_around_a_release_misses_nobody_and_tells_nobody_twice(
    app: Flask,
    client: FlaskClient,
    frozen: Clock,
    preordered: tuple[int, int],
    held: str,
    is_given_back: bool,
) -> None:
    order_id, publication_id = preordered
    moved(client, order_id)
    path = objection(order_id)
    frozen.advance(minutes=1)
    if held == "before the release":
        assert client.post(path, data=SURE).status_code == 200
    drafted_and_released(guide(publication_id), 1)
    if held == "after the sending":
        send()
    if held != "before the release":
        assert client.post(path, data=SURE).status_code == 200
    nobody_missed_nobody_twice(publication_id)
    told = [one for one in letters_to(CARL) if "edition 1 is" in one]
    assert len(told) == (1 if held == "after the sending" else 0)
    frozen.advance(minutes=1)
    with transaction():
        settle_held(order_id, is_given_back=is_given_back, who="Olga")
    nobody_missed_nobody_twice(publication_id)
    winner, loser = (ANNA, CARL) if is_given_back else (CARL, ANNA)
    letter = letters_to(winner)[-1]
    assert letter.startswith("your order")
    assert sum("edition 1 is" in one for one in letters_to(winner)) == (
        1 if held == "after the sending" and not is_given_back else 0
    )
    drafted_and_released(guide(publication_id), 2)
    assert sum("edition 2 is" in one for one in letters_to(winner)) == 1
    assert sum("edition 2 is" in one for one in letters_to(loser)) == 0
    nobody_missed_nobody_twice(publication_id)


@on_both_when_long
def test_a_copy_that_waits_for_its_14_days_waits_at_the_new_address(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    order_id = a_paid_order(a_shop(), wants_now=False).id
    sent()
    moved(client, order_id)
    frozen.advance(days=16)
    assert [one for one in letters_to(ANNA) if "is ready" in one] == []
    assert sum("edition 1 is ready" in one for one in letters_to(CARL)) == 1
