"""Undoing a change of address parts what was ordered: each mailbox has what it ordered itself."""

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store.catalog.models import Publication
from store.distribution import releasing
from store.distribution.coverage import coverage
from store.entitlements.models import NoticeStop, OrderMove
from store.entitlements.order_moves import settle_held
from store.entitlements.shelves import shelves
from store.kit.database import db, transaction
from store.kit.status import StatusChange
from store.mail.models import CapturedLetter
from store.orders.customers import customer_by_address, find_or_add_customer
from store.orders.models import Order
from store.orders.placing import Details
from tests.conftest import Clock, on_both, on_both_when_long
from tests.editions import a_shop, drafted_and_released, edition_of, guide
from tests.entitlements.presses import (
    SURE,
    B,
    C,
    address_of,
    asked_to_change,
    changed,
    moved,
    objection,
    owner_of,
)
from tests.letters import html_of, letters_to, links_in, sent, text_of
from tests.links import anna, order_path, path_to
from tests.news import stop_news
from tests.pages import check_page
from tests.purchases import (
    ANNA,
    a_paid_order,
    annas_order,
    apply_payment,
    give,
    give_imported,
    placed_order,
)

pytestmark = pytest.mark.usefixtures("frozen")

OUT = "out@fourth.example"


@pytest.fixture
def customer_id(client: FlaskClient, frozen: Clock) -> int:
    annas_order()
    frozen.advance(days=1)
    return anna().id


@pytest.fixture
def undo(client: FlaskClient, customer_id: int, frozen: Clock) -> str:
    """Anna changed her address to B a day ago; the path that undoes it."""
    return changed_yesterday(client, customer_id, B, frozen)


def changed_yesterday(client: FlaskClient, customer_id: int, new: str, frozen: Clock) -> str:
    """Change the address, and wait a day; the path that undoes it."""
    undo = changed(client, customer_id, new)
    frozen.advance(days=1)
    return undo


def ordered(slug: str, address: str) -> int:
    """The number of a paid order of a title of its own, whose letters have left."""
    made = a_paid_order(a_shop(slug=slug), address).id
    sent()
    return made


def titles_of(address: str) -> list[str]:
    """What the customer of an address has copies of."""
    db.session.rollback()
    customer = customer_by_address(address)
    assert customer is not None
    return sorted(shelf.publication.slug for shelf in shelves(customer.id))


def undone(client: FlaskClient, path: str) -> list[str]:
    """Undo a change; to whom letters went, and what they are about."""
    before = db.session.scalar(sa.select(sa.func.count(CapturedLetter.id)))
    assert client.post(path, data=SURE).status_code == 200
    db.session.rollback()
    return sorted(
        f"{one['To'].addresses[0].addr_spec}: {one['Subject']}" for one in sent()[before:]
    )


@on_both_when_long
def test_what_was_ordered_at_the_new_address_stays_with_it(
    client: FlaskClient, customer_id: int, frozen: Clock, undo: str
) -> None:
    order_id = ordered("dear", B)
    assert owner_of(order_id) == B
    reference = db.session.get_one(Order, order_id).reference
    page = order_path(order_id)
    frozen.advance(days=1)
    assert undone(client, undo) == [
        f"{ANNA}: Here are your copies and orders",
        f"{B}: Here are your copies and orders",
        f"{B}: Your change of e-mail address was undone",
        f"{B}: Your order is ready: Effective SEND Practice in the Early Years",
    ]
    assert (address_of(customer_id), owner_of(order_id)) == (ANNA, B)
    assert (titles_of(ANNA), titles_of(B)) == (["send-early-years"], ["dear"])
    letters = {
        one["Subject"].split(":")[0]: one
        for one in sent()[-4:]
        if one["To"].addresses[0].addr_spec == B
    }
    assert "stays with it" in text_of(letters["Your change of e-mail address was undone"])
    for subject in ("Here are your copies and orders", "Your order is ready"):
        links = [link for link in links_in(text_of(letters[subject])) if "terms" not in link]
        assert {client.get(link).status_code for link in links} == {200}
    # Who kept the old link of the order gets a fresh one, and nobody else does.
    closed = client.get(page)
    assert closed.status_code == 410
    check_page(closed.text, path="/orders/…")
    frozen.advance(minutes=11)
    before = len(sent())
    client.post("/find-my-copies/renew", data={"token": page.removeprefix("/orders/")})
    assert [one["To"].addresses[0].addr_spec for one in sent()[before:]] == [B]
    assert all(
        reference not in text_of(one) for one in sent() if one["To"].addresses[0].addr_spec == ANNA
    )
    changes = db.session.execute(
        sa.select(StatusChange.from_status, StatusChange.to_status).where(
            StatusChange.entity == "orders", StatusChange.entity_id == order_id
        )
    ).all()
    assert ("changed address", "its own address") in [tuple(change) for change in changes]


@on_both
def test_along_a_chain_each_address_keeps_what_was_ordered_at_it(
    client: FlaskClient, customer_id: int, frozen: Clock, undo: str
) -> None:
    at_b = ordered("one", B)
    changed_yesterday(client, customer_id, C, frozen)
    at_c, at_a = ordered("two", C), ordered("three", ANNA)
    told = undone(client, undo)
    assert [owner_of(one) for one in (at_a, at_b, at_c)] == [ANNA, B, C]
    assert titles_of(ANNA) == ["send-early-years", "three"]
    assert (titles_of(B), titles_of(C)) == (["one"], ["two"])
    assert [one for one in told if "copies and orders" in one] == [
        f"{ANNA}: Here are your copies and orders",
        f"{B}: Here are your copies and orders",
        f"{C}: Here are your copies and orders",
    ]
    assert anna().id == customer_id


@on_both_when_long
def test_undone_one_after_the_other_each_keeps_its_own(
    client: FlaskClient, customer_id: int, frozen: Clock, undo: str
) -> None:
    at_b = ordered("one", B)
    second = changed_yesterday(client, customer_id, C, frozen)
    at_c, again_at_b = ordered("two", C), ordered("three", B)
    undone(client, second)
    assert [owner_of(one) for one in (at_b, again_at_b, at_c)] == [B, B, C]
    undone(client, undo)
    assert [owner_of(one) for one in (at_b, again_at_b, at_c)] == [B, B, C]
    assert titles_of(ANNA) == ["send-early-years"]


@on_both_when_long
def test_a_customer_who_has_the_address_by_then_gets_what_was_ordered_there(
    client: FlaskClient, customer_id: int, frozen: Clock, undo: str
) -> None:
    at_b = ordered("one", B)
    changed_yesterday(client, customer_id, C, frozen)
    ordered("two", B)
    found = customer_by_address(B)
    assert found is not None
    known_id = found.id
    undone(client, undo)
    assert db.session.get_one(Order, at_b).customer_id == known_id
    assert titles_of(B) == ["one", "two"]


@on_both_when_long
def test_an_order_that_waits_for_its_money_follows_its_address(
    client: FlaskClient, customer_id: int, frozen: Clock, undo: str
) -> None:
    publication = a_shop(slug="dear")
    with transaction():
        order_id = placed_order(publication, Details(B, "Vic Tim", wants_now=True)).id
    undone(client, undo)
    assert owner_of(order_id) == B
    assert letters_to(B, "Here are your copies and orders")
    with transaction() as session:
        apply_payment(session.get_one(Order, order_id))
    assert (titles_of(ANNA), titles_of(B)) == (["send-early-years"], ["dear"])
    assert len(letters_to(B, "Your order")) == 1


@on_both_when_long
def test_a_gift_stays_where_it_was_given(
    client: FlaskClient, customer_id: int, frozen: Clock, undo: str
) -> None:
    a_shop(slug="gift")
    order_id = give("gift", email=B, name="")
    undone(client, undo)
    assert owner_of(order_id) == B
    assert (titles_of(ANNA), titles_of(B)) == (["send-early-years"], ["gift"])


@on_both_when_long
@pytest.mark.parametrize("is_sent", [True, False], ids=["sent", "waiting"])
def test_of_a_title_that_both_have_no_edition_comes_twice_and_none_is_missed(
    client: FlaskClient, frozen: Clock, undo: str, is_sent: bool
) -> None:
    with transaction() as session:
        publication_id = session.scalars(sa.select(Publication.id)).one()
    order_id = a_paid_order(guide(publication_id), B).id
    sent()
    frozen.advance(days=1)
    edition_id = drafted_and_released(guide(publication_id), 2).id
    if is_sent:
        sent()
    told = undone(client, undo)
    assert owner_of(order_id) == B
    assert [one for one in told if "dition 2" in one] == (
        [] if is_sent else [f"{ANNA}: Edition 2 is out: Effective SEND Practice in the Early Years"]
    )
    # The confirmation that goes again brings the newest to the new address.
    assert len([one for one in told if one.startswith(f"{B}: Your order")]) == 1
    assert releasing.owe_missing() == 0
    account = coverage(edition_of(edition_id))
    # One was fixed at the release; the other came to be a customer afterwards.
    assert (account.total, account.later, account.missing) == (1, 1, 0)
    assert account.sums_match
    before = len(sent())
    frozen.advance(days=1)
    third_id = drafted_and_released(guide(publication_id), 3).id
    assert sorted(one["To"].addresses[0].addr_spec for one in sent()[before:]) == [ANNA, B]
    account = coverage(edition_of(third_id))
    assert (account.total, account.handed_over, account.sums_match) == (2, 2, True)


@on_both_when_long
def test_an_import_and_a_stop_stay_with_the_restored_customer(
    client: FlaskClient, customer_id: int, frozen: Clock, undo: str
) -> None:
    order_id = ordered("dear", B)
    other_id = a_shop(slug="imported").id
    with transaction() as session:
        publication = session.get_one(Publication, other_id)
        give_imported(find_or_add_customer(B, "Anna Berg"), publication, notify=False)
        stop_news(customer_id, other_id)
    undone(client, undo)
    assert owner_of(order_id) == B
    assert titles_of(ANNA) == ["imported", "send-early-years"]
    assert db.session.scalars(sa.select(NoticeStop.customer_id)).all() == [customer_id]
    assert releasing.owe_missing() == 0


@on_both_when_long
@pytest.mark.parametrize("is_given_back", [True, False], ids=["back", "left"])
def test_a_held_order_that_the_new_address_accepted_is_decided_between_its_two_mailboxes(
    client: FlaskClient, customer_id: int, undo: str, is_given_back: bool
) -> None:
    order_id = ordered("dear", OUT)
    moved(client, order_id, B)
    assert db.session.get_one(Order, order_id).customer_id == customer_id
    assert client.post(objection(order_id), data=SURE).status_code == 200
    undone(client, undo)
    assert owner_of(order_id) == B
    assert titles_of(ANNA) == ["send-early-years"]
    assert db.session.get_one(Order, order_id).held_at is not None
    with transaction():
        settle_held(order_id, is_given_back=is_given_back, who="olga@publisher.example")
    assert owner_of(order_id) == (OUT if is_given_back else B)
    assert "dear" in titles_of(OUT if is_given_back else B)
    sent()
    loser, said = (B, "at its first address") if is_given_back else (OUT, "at its new address")
    assert letters_to(loser, said)
    assert letters_to(ANNA, said) == []


@on_both_when_long
def test_what_was_accepted_before_the_change_comes_back_with_it(
    client: FlaskClient, customer_id: int, frozen: Clock
) -> None:
    order_id = ordered("dear", OUT)
    moved(client, order_id, ANNA)
    frozen.advance(days=1)
    undo = changed(client, customer_id, B)
    undone(client, undo)
    assert owner_of(order_id) == ANNA
    assert titles_of(ANNA) == ["dear", "send-early-years"]
    assert customer_by_address(B) is None


@on_both_when_long
def test_an_order_that_moved_on_goes_back_if_at_all_to_where_it_was_ordered(
    client: FlaskClient, customer_id: int, frozen: Clock, undo: str
) -> None:
    order_id = ordered("dear", B)
    moved(client, order_id, OUT)
    objects = objection(order_id)
    undone(client, undo)
    assert owner_of(order_id) == OUT
    assert client.post(objects, data=SURE).status_code == 200
    with transaction():
        settle_held(order_id, is_given_back=True, who="olga@publisher.example")
    assert owner_of(order_id) == B
    move = db.session.scalars(sa.select(OrderMove)).one()
    assert (move.from_customer.email, move.to_customer.email) == (B, OUT)
    assert titles_of(ANNA) == ["send-early-years"]


@pytest.mark.parametrize(
    ("count", "words"), [(1, "The copies of 1 order come"), (2, "The copies of 2 orders come")]
)
def test_who_accepts_an_address_reads_what_comes_along_and_what_stays(
    client: FlaskClient, customer_id: int, count: int, words: str
) -> None:
    if count == 2:
        ordered("second", ANNA)
    path = asked_to_change(client, path_to("library", customer_id), B)
    page = client.get(path)
    check_page(page.text, path="/address/…")
    letter = sent()[-1]
    for shown in (page.text, text_of(letter), html_of(letter)):
        text = " ".join(shown.replace("<b>", "").split())
        assert words in text
        assert "For 14 days the earlier address can take them back." in text
        assert "stays with it, even if the change is undone." in text
