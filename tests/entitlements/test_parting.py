"""Two customers whom staff made one are parted again: each has what it had, and nobody is missed."""

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store import tasks
from store.catalog.models import Edition, Publication
from store.distribution import recalling
from store.distribution.coverage import coverage, coverage_of
from store.entitlements import parting
from store.entitlements.addresses import merge_customers
from store.entitlements.models import CustomerMerge, Entitlement, NoticeStop
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import outbox
from store.mail.models import Delivery
from store.orders.customers import customer_by_address, find_or_add_customer
from store.orders.models import Customer, Order
from tests.conftest import Clock, on_both, on_postgresql
from tests.editions import a_shop, drafted_and_released
from tests.letters import send, sent, text_of
from tests.links import path_to
from tests.news import resume_news, stop_news, what_matters
from tests.purchases import a_paid_order, give_imported
from tests.races import PATIENCE_SECONDS, at_once

pytestmark = pytest.mark.usefixtures("frozen")
GONE, KEPT = "anna@reader.example", "anna.berg@reader.example"


def number_of(email: str) -> int:
    found = customer_by_address(email)
    assert found
    return found.id


def merge(gone: str = GONE, kept: str = KEPT) -> None:
    with transaction():
        merge_customers(find_or_add_customer(gone), find_or_add_customer(kept), "Olga")


def part() -> None:
    with transaction():
        kept = find_or_add_customer(KEPT)
        parting.part_customers(parting.merge_with(kept.id, GONE).id, kept.id, "Olga")


def all_of(email: str) -> dict[str, object]:
    """What a customer has, as far as parting is to bring it back."""
    customer = db.session.get_one(Customer, number_of(email))
    theirs = {"customer_id": customer.id}
    notices = sa.select(Delivery.edition_id, Delivery.status, Delivery.batch_id).filter_by(
        kind="edition_notice", **theirs
    )
    rights = sa.select(
        Entitlement.publication_id,
        Entitlement.order_line_id,
        Entitlement.updates_until,
        Entitlement.revoked_at,
    ).filter_by(**theirs)
    stops = sa.select(
        NoticeStop.publication_id, NoticeStop.stopped_at, NoticeStop.matters_pass
    ).filter_by(**theirs)
    orders = sa.select(Order.reference).filter_by(**theirs)
    return {
        "name": customer.name,
        "orders": sorted(db.session.scalars(orders)),
        **{
            name: sorted(map(str, map(tuple, db.session.execute(query))))
            for name, query in (("rights", rights), ("notices", notices), ("stops", stops))
        },
    }


def _revoke(email: str, publication_id: int) -> None:
    theirs = sa.update(Entitlement).where(
        Entitlement.customer_id == number_of(email), Entitlement.publication_id == publication_id
    )
    db.session.execute(theirs.values(revoked_at=clock.now(), revoked_reason="refunded"))


def two_of_a_kind(app: Flask) -> tuple[Publication, Edition]:
    """Both bought one publication, were imported for two others, of which one was refunded to one of
    them; one stopped news that the other had again; an edition is on its way to both."""
    bought, other = a_shop(editions=0), a_shop(editions=0, slug="other")
    refunded = a_shop(editions=0, slug="refunded")
    for email in (GONE, KEPT):
        a_paid_order(bought, email)
    with transaction():
        for months, email in ((6, GONE), (None, KEPT)):
            other.updates_months = months
            for publication in (other, refunded):
                give_imported(find_or_add_customer(email), publication, notify=False)
        _revoke(GONE, refunded.id)
        stop_news(number_of(KEPT), other.id)
        resume_news(number_of(KEPT), other.id)
        stop_news(number_of(GONE), other.id)
        stop_news(number_of(GONE), bought.id)
        what_matters(number_of(KEPT), bought.id)
    send()
    return bought, drafted_and_released(bought)


@on_both
def test_each_has_again_what_it_had_and_is_counted_once(app: Flask, frozen: Clock) -> None:
    _, edition = two_of_a_kind(app)
    before = {email: all_of(email) for email in (GONE, KEPT)}
    merge()
    assert customer_by_address(GONE) is None
    db.session.rollback()
    account = coverage(db.session.get_one(Edition, edition.id))
    assert (account.total, account.waiting, account.sums_match) == (1, 1, True)
    db.session.rollback()
    assert "We brought two addresses of yours together" in text_of(sent()[-1])
    frozen.advance(minutes=11)  # the letters with fresh links of now are others
    part()
    assert {email: all_of(email) for email in (GONE, KEPT)} == before
    account = coverage(db.session.get_one(Edition, edition.id))
    assert (account.total, account.waiting, account.missing) == (2, 2, 0)
    assert account.sums_match
    db.session.rollback()
    frozen.advance(days=15)  # of the right to cancel
    send()
    query = sa.select(Customer.email, Delivery.status).join(Delivery)
    told = db.session.execute(query.where(Delivery.dedupe_key.startswith("find:parted:")))
    assert sorted(map(tuple, told)) == [(KEPT, "sent"), (GONE, "sent")]
    assert coverage(db.session.get_one(Edition, edition.id)).is_complete


@on_both
def test_what_ended_or_went_elsewhere_meanwhile_is_not_given_back(app: Flask) -> None:
    _, edition = two_of_a_kind(app)
    theirs = sa.select(Order).where(Order.email == GONE)
    merge()
    with transaction() as session:
        recalling.withdraw(session.get_one(Edition, edition.id), "Olga")
        _revoke(KEPT, session.scalars(sa.select(Publication.id).filter_by(slug="other")).one())
        cleo = find_or_add_customer("cleo@reader.example")
        session.scalars(theirs).one().customer_id = cleo.id
    part()
    assert db.session.scalars(theirs).one().customer.email == "cleo@reader.example"
    right = sa.select(Entitlement.revoked_at).join(Publication).where(Publication.slug == "other")
    of_kept = right.where(Entitlement.customer_id == number_of(KEPT))
    assert db.session.scalars(of_kept).one() is not None
    notices = sa.select(Delivery.status).filter_by(kind="edition_notice")
    assert set(db.session.scalars(notices)) == {"skipped"}


def test_a_letter_of_an_order_that_goes_back_goes_with_it(app: Flask) -> None:
    two_of_a_kind(app)
    order_id = db.session.scalars(sa.select(Order.id).where(Order.email == GONE)).one()
    merge()
    with transaction():
        kept_id = number_of(KEPT)
        outbox.owe("order_confirmation", "y", customer_id=kept_id, order_id=order_id)
    part()
    found = db.session.scalars(sa.select(Delivery).filter_by(dedupe_key="y")).one()
    assert found.customer_id == number_of(GONE)


def test_who_became_one_with_a_third_is_parted_from_them(app: Flask) -> None:
    two_of_a_kind(app)
    before = all_of(GONE)
    merge()
    merge(KEPT, "cleo@reader.example")
    with transaction():
        parting.part_customers(1, number_of("cleo@reader.example"), "Olga")
    assert all_of(GONE) == before


@on_postgresql
@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
def test_of_two_who_part_them_at_once_one_is_refused(
    app: Flask, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    two_of_a_kind(app)
    merge()
    kept_id, both = number_of(KEPT), threading.Barrier(2)
    lock = parting.lock_histories

    def lock_together(ids: list[int]) -> dict[int, Customer]:
        both.wait(PATIENCE_SECONDS)
        return lock(ids)

    def part_once() -> None:
        with transaction():
            parting.part_customers(1, kept_id, "Olga")

    monkeypatch.setattr(parting, "lock_histories", lock_together)
    if not is_guarded:
        monkeypatch.setattr(db.session, "refresh", lambda *_, **__: None)
    faults = at_once(app, part_once, part_once)
    assert (faults == ["TooLateToPart"]) is is_guarded, faults


@on_both
def test_both_have_fresh_links_and_those_from_before_lead_to_a_button(
    app: Flask, client: FlaskClient
) -> None:
    two_of_a_kind(app)
    old = {email: path_to("library", number_of(email)) for email in (GONE, KEPT)}
    merge()
    dead = [client.get(path) for path in old.values()]
    assert [answer.status_code for answer in dead] == [410, 410]
    assert all("Mail" in answer.text for answer in dead)
    between = path_to("library", number_of(KEPT))
    part()
    assert client.get(between).status_code == 410
    for email in (GONE, KEPT):
        assert client.get(path_to("library", number_of(email))).status_code == 200


@on_both
def test_what_came_meanwhile_stays_and_who_ordered_at_the_free_address_is_one_with_it(
    app: Flask,
) -> None:
    bought, _ = two_of_a_kind(app)
    merge()
    later = a_paid_order(a_shop(slug="later"), KEPT).reference
    theirs = a_paid_order(a_shop(slug="another"), GONE).reference
    drafted_and_released(bought, 2)
    newer_id = db.session.scalars(sa.select(Edition.id).order_by(Edition.id.desc())).first()
    part()
    has = {email: all_of(email)["orders"] for email in (GONE, KEPT)}
    assert later in has[KEPT]  # type: ignore[operator]
    assert theirs in has[GONE]  # type: ignore[operator]
    tasks.tick()  # who lacks an edition is owed it within a minute
    gone = db.session.get_one(Customer, number_of(GONE))
    assert coverage_of(db.session.get_one(Edition, newer_id), gone).column != "missing"


def test_after_fourteen_days_they_stay_one_and_nothing_of_the_other_is_kept(
    app: Flask, frozen: Clock
) -> None:
    two_of_a_kind(app)
    merge()
    frozen.advance(days=14)
    with pytest.raises(parting.TooLateToPart), transaction():
        parting.part_customers(1, number_of(KEPT), "Olga")
    parting.forget_merges()
    assert db.session.scalars(sa.select(CustomerMerge.before)).all() == [None]
    assert parting.merges_of(number_of(KEPT)) == []


def test_an_address_that_they_write_from_by_now_bars_the_parting(app: Flask) -> None:
    two_of_a_kind(app)
    merge()
    with transaction() as session:
        kept = session.get_one(Customer, number_of(KEPT))
        kept.email, kept.email_key = GONE, GONE
        kept_id = kept.id
    with pytest.raises(parting.AddressInUse), transaction():
        parting.part_customers(1, kept_id, "Olga")
    db.session.rollback()
    assert clock.now() + timedelta(days=14) == parting.part_until(
        parting.merges_of(number_of(GONE))[0]
    )
