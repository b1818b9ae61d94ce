"""Undoing a change of address: the earliest wins, and what was ordered meanwhile comes along."""

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Publication
from store.distribution import releasing
from store.distribution.coverage import coverage
from store.entitlements.addresses import merge_customers
from store.entitlements.merging import ObjectionOpen
from store.entitlements.models import Download, Entitlement, Link, NoticeStop
from store.entitlements.notices import notice_key
from store.entitlements.shelves import shelves
from store.kit.database import db, transaction
from store.mail.models import Delivery, DeliveryStatus
from store.orders.customers import find_or_add_customer
from store.orders.models import Customer, Order
from tests.conftest import Clock, on_both, on_both_when_long
from tests.editions import a_shop, draft, drafted_and_released, edition_of, guide, release
from tests.entitlements.presses import SURE, B, C, address_of, asked_to_change, changed
from tests.factories import a_publication, a_seller
from tests.letters import links_in, sent, text_of
from tests.links import anna, path_to
from tests.news import stop_news
from tests.pages import check_page
from tests.purchases import ANNA, a_paid_order, annas_order, buy, give_imported
from tests.rows import count_rows

pytestmark = pytest.mark.usefixtures("frozen")


@pytest.fixture
def customer_id(client: FlaskClient, frozen: Clock) -> int:
    annas_order()
    return anna().id


@on_both
def test_undoing_restores_the_address_ends_all_links_and_mails_fresh_ones(
    client: FlaskClient, customer_id: int
) -> None:
    undo = changed(client, customer_id, B)
    thief = [path_to(purpose, customer_id) for purpose in ("library", "order", "stop")]
    pending = asked_to_change(client, thief[0], C)
    before = count_rows()
    page = client.get(undo)
    assert page.status_code == 200
    check_page(page.text, path=undo)
    unticked = client.post(undo)
    assert unticked.status_code == 422
    check_page(unticked.text, path=undo)
    assert count_rows() == before
    done = client.post(undo, data=SURE)
    assert done.status_code == 200
    check_page(done.text, path=undo)
    assert address_of(customer_id) == ANNA
    assert [client.get(path).status_code for path in thief] == [410] * 3
    assert client.post(pending, data=SURE).status_code == 410
    told, fresh = sorted(sent()[-2:], key=lambda letter: letter["Subject"])
    assert (told["Subject"], told["To"].addresses[0].addr_spec) == (
        "Here are your copies and orders",
        ANNA,
    )
    assert (fresh["Subject"], fresh["To"].addresses[0].addr_spec) == (
        "Your change of e-mail address was undone",
        B,
    )
    assert links_in(text_of(fresh)) == []
    assert [client.get(link).status_code for link in links_in(text_of(told))] == [200, 200]
    again = client.post(undo, data=SURE)
    assert again.status_code == 200
    assert "This is undone already" in again.text
    check_page(again.text, path=undo)


@on_both_when_long
def test_the_earliest_undo_wins(client: FlaskClient, customer_id: int, frozen: Clock) -> None:
    first = changed(client, customer_id, B)
    frozen.advance(days=1)
    second = changed(client, customer_id, C)
    assert client.post(first, data=SURE).status_code == 200
    assert address_of(customer_id) == ANNA
    late = client.post(second, data=SURE)
    assert late.status_code == 410
    check_page(late.text, path=second)
    assert "This change is undone already" in late.text
    assert address_of(customer_id) == ANNA


@on_both_when_long
def test_a_later_undo_leaves_the_earlier_one_working(
    client: FlaskClient, customer_id: int, frozen: Clock
) -> None:
    first = changed(client, customer_id, B)
    frozen.advance(days=1)
    second = changed(client, customer_id, C)
    assert client.post(second, data=SURE).status_code == 200
    assert address_of(customer_id) == B
    assert client.post(first, data=SURE).status_code == 200
    assert address_of(customer_id) == ANNA


def test_the_one_who_took_the_address_cannot_end_the_undo(
    client: FlaskClient, customer_id: int
) -> None:
    undo = changed(client, customer_id, B)
    library = path_to("library", customer_id)
    assert client.post(f"{library}/end-links", data=SURE).status_code == 200
    changed(client, customer_id, C)
    assert client.post(undo, data=SURE).status_code == 200
    assert address_of(customer_id) == ANNA


def test_who_took_the_address_is_not_rid_of_the_undo_by_becoming_one_with_a_third(
    client: FlaskClient, customer_id: int, frozen: Clock
) -> None:
    undo = changed(client, customer_id, B)
    with transaction() as session:
        buy(session.scalars(sa.select(Publication)).one(), C)

    def become_one() -> None:
        with transaction() as session:
            gone = session.get_one(Customer, customer_id)
            merge_customers(gone, find_or_add_customer(C), "Olga")

    with pytest.raises(ObjectionOpen, match=f"Let {B} be the one that stays"):
        become_one()
    db.session.rollback()
    assert client.post(undo, data=SURE).status_code == 200
    assert address_of(customer_id) == ANNA
    become_one()


def test_after_14_days_nothing_is_undone(
    client: FlaskClient, customer_id: int, frozen: Clock
) -> None:
    undo = changed(client, customer_id, B)
    frozen.advance(days=14, seconds=1)
    answer = client.post(undo, data=SURE)
    assert answer.status_code == 410
    check_page(answer.text, path=undo)
    assert "for 14 days" in answer.text
    assert address_of(customer_id) == B


@on_both_when_long
def test_what_was_ordered_at_the_freed_address_comes_along(
    client: FlaskClient, customer_id: int, frozen: Clock
) -> None:
    undo = changed(client, customer_id, B)
    frozen.advance(days=1)
    later = a_paid_order(a_shop(slug="later"), ANNA)
    meanwhile, later_id, reference = later.customer_id, later.id, later.reference
    assert meanwhile != customer_id
    stop = path_to("stop", meanwhile)
    client.post(stop, data={"notices": "stop"})
    assert client.post(undo, data=SURE).status_code == 200
    db.session.rollback()
    assert anna().id == customer_id
    assert db.session.get_one(Order, later_id).customer_id == customer_id
    assert [shelf.publication.slug for shelf in shelves(customer_id)] == [
        "later",
        "send-early-years",
    ]
    assert db.session.scalars(sa.select(NoticeStop.customer_id)).all() == [customer_id]
    assert nothing_left_of(meanwhile)
    assert client.get(stop).status_code == 410
    letter = [one for one in sent() if one["Subject"] == "Here are your copies and orders"][-1]
    assert reference in text_of(letter)
    assert [client.get(link).status_code for link in links_in(text_of(letter))] == [200] * 3


def nothing_left_of(customer_id: int) -> bool:
    """Whether no row of any table names a customer."""
    db.session.rollback()
    tables = [table for table in db.metadatas[None].sorted_tables if table.name != "customers"]
    return not any(
        db.session.scalars(sa.select(column).where(column == customer_id)).first()
        for table in tables
        for column in table.columns
        if any(key.column.table.name == "customers" for key in column.foreign_keys)
    )


def test_these_tables_name_customers(app: Flask) -> None:
    """A new one is moved by itself; look at its unique constraints when this list grows."""
    found = {
        table.name
        for table in db.metadatas[None].sorted_tables
        for column in table.columns
        if any(key.column.table.name == "customers" for key in column.foreign_keys)
    }
    assert found == {
        "customer_merges",
        "customer_notes",
        "customers",
        "deliveries",
        "downloads",
        "entitlements",
        "erasures",
        "links",
        "notice_stops",
        "order_moves",
        "orders",
        "repairs",
        "second_addresses",
    }


def moved_away(client: FlaskClient) -> tuple[str, int]:
    """Anna goes to B; the path that undoes it, and the customer's number."""
    customer_id = anna().id
    return changed(client, customer_id, B), customer_id


@on_both_when_long
@pytest.mark.parametrize("is_sent", [True, False], ids=["sent", "waiting"])
def test_no_edition_comes_twice_where_both_had_the_title(
    app: Flask, client: FlaskClient, frozen: Clock, is_sent: bool
) -> None:
    with transaction():
        a_seller()
        publication_id = a_publication("guide", expected_on=None).id
    a_paid_order(guide(publication_id))
    sent()
    undo, customer_id = moved_away(client)
    meanwhile = a_paid_order(guide(publication_id), ANNA).customer_id
    sent()
    frozen.advance(minutes=1)
    edition = drafted_and_released(guide(publication_id), 1)
    edition_id = edition.id
    if is_sent:
        sent()
    assert client.post(undo, data=SURE).status_code == 200
    letters = sent()
    db.session.rollback()
    notices = db.session.scalars(
        sa.select(Delivery).where(
            Delivery.edition_id == edition_id, Delivery.kind == "edition_notice"
        )
    ).all()
    assert {notice.customer_id for notice in notices} == {customer_id}
    assert meanwhile != customer_id
    statuses = sorted(notice.status for notice in notices)
    assert statuses == (["sent", "sent"] if is_sent else ["sent", "skipped"])
    told = [one["To"].addresses[0].addr_spec for one in letters if "ready" in one["Subject"]]
    assert sorted(told) == ([ANNA, B] if is_sent else [ANNA])
    account = coverage(edition_of(edition_id))
    assert (account.total, account.handed_over, account.missing) == (1, 1, 0)
    assert account.sums_match
    # The next edition comes once, and nobody is missed.
    db.session.rollback()
    assert releasing.owe_missing() == 0
    following = drafted_and_released(guide(publication_id), 2)
    following_id = following.id
    sent()
    keys = db.session.scalars(
        sa.select(Delivery.dedupe_key).where(Delivery.edition_id == following_id)
    ).all()
    assert keys == [notice_key(following_id, customer_id)]


@on_both_when_long
def test_rights_and_stops_that_both_have_become_one(
    app: Flask, client: FlaskClient, frozen: Clock
) -> None:
    publication = a_shop(editions=1)
    publication_id = publication.id
    with transaction():
        give_imported(find_or_add_customer(ANNA, "Anna Berg"), publication, notify=False)
    undo, customer_id = moved_away(client)
    frozen.advance(days=1)
    drafted_and_released(guide(publication_id), 2)
    with transaction() as session:
        publication = session.get_one(Publication, publication_id)
        again = find_or_add_customer(ANNA, "Anna Berg")
        give_imported(again, publication, notify=True)
        stop_news(again.id, publication_id)
        stop_news(customer_id, publication_id)
        again_id = again.id
    assert client.post(undo, data=SURE).status_code == 200
    db.session.rollback()
    right = db.session.scalars(sa.select(Entitlement)).one()
    assert (right.customer_id, right.from_edition.number) == (customer_id, 1)
    stop = db.session.scalars(sa.select(NoticeStop)).one()
    assert (stop.customer_id, stop.stopped_at is not None) == (customer_id, True)
    assert nothing_left_of(again_id)
    assert releasing.owe_missing() == 0


@on_both_when_long
def test_a_letter_that_could_not_reach_the_other_address_comes_to_the_restored_one(
    client: FlaskClient, customer_id: int
) -> None:
    undo = changed(client, customer_id, B)
    with transaction() as session:
        publication = session.scalars(sa.select(Entitlement)).one().publication
        edition = draft(publication, 2)
    edition_id = release(edition).id
    with transaction() as session:
        session.execute(
            sa.update(Delivery)
            .where(Delivery.edition_id == edition_id)
            .values(status=DeliveryStatus.FAILED, reason="550")
        )
    client.post(undo, data=SURE)
    told = [
        one["To"].addresses[0].addr_spec for one in sent() if "edition 2" in one["Subject"].lower()
    ]
    assert told == [ANNA]


def test_the_undo_link_of_one_customer_is_of_no_use_to_another(
    client: FlaskClient, customer_id: int
) -> None:
    """Signed for its purpose: no other link opens the door, and it opens no other."""
    undo = changed(client, customer_id, B)
    token = undo.removeprefix("/undo/")
    for door in ("/library/", "/orders/", "/address/", "/stop/"):
        assert client.get(door + token).status_code == 404
    assert db.session.scalars(sa.select(Link.id).where(Link.purpose == "undo")).all()


def test_downloads_come_along(client: FlaskClient, customer_id: int, frozen: Clock) -> None:
    undo = changed(client, customer_id, B)
    order = a_paid_order(a_shop(slug="later"), ANNA)
    meanwhile = order.customer_id
    with transaction() as session:
        asset_id = session.scalars(sa.text("SELECT min(id) FROM assets")).one()
        session.add(
            Download(
                grant_digest="0" * 64,
                customer_id=meanwhile,
                asset_id=asset_id,
                started_at=frozen.at,
            )
        )
    client.post(undo, data=SURE)
    db.session.rollback()
    assert db.session.scalars(sa.select(Download.customer_id)).all() == [customer_id]
    assert db.session.get_one(Customer, meanwhile).merged_into_id == customer_id


@on_both_when_long
@pytest.mark.parametrize("days_late", [0, 10])
def test_fourteen_days_run_from_the_change_however_late_its_letter_leaves(
    client: FlaskClient, customer_id: int, frozen: Clock, days_late: int
) -> None:
    path = asked_to_change(client, path_to("library", customer_id), B)
    assert client.post(path, data=SURE).status_code == 200
    frozen.advance(days=days_late)
    letter = next(one for one in sent() if one["Subject"] == "Your e-mail address was changed")
    assert "Undo it by 15 March 2027, 10:00 GMT." in text_of(letter)
    [undo] = links_in(text_of(letter))
    frozen.advance(days=14 - days_late)
    assert client.get(undo).status_code == 200
    frozen.advance(seconds=1)
    late = client.post(undo, data=SURE)
    assert late.status_code == 410
    check_page(late.text, path=undo)
    assert address_of(customer_id) == B


def test_a_letter_that_leaves_when_it_is_too_late_to_undo_offers_no_undo(
    client: FlaskClient, customer_id: int, frozen: Clock
) -> None:
    path = asked_to_change(client, path_to("library", customer_id), B)
    assert client.post(path, data=SURE).status_code == 200
    frozen.advance(days=15)
    letter = next(one for one in sent() if one["Subject"] == "Your e-mail address was changed")
    assert links_in(text_of(letter)) == []
    assert "reply to this letter at once" in text_of(letter)
