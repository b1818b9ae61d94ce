"""An erasure and, at the same moment, a release, a change of address, a purchase. Each guard has its
control: the same race with the guard taken out goes wrong."""

import threading
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask

from store.entitlements import addresses, erasing, merging
from store.entitlements.addresses import confirm_change, request_change
from store.entitlements.erasing import erase_person
from store.entitlements.erasures import ask_erasure
from store.entitlements.merging import lock_histories
from store.entitlements.models import Link
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.mailboxes import ERASED
from store.mail.models import Delivery, DeliveryStatus
from store.orders.models import Customer, Order
from store.payments import erasures
from store.payments.erasures import carry_out_due
from store.payments.models import Refund
from tests.conftest import Clock, on_both_when_long, on_postgresql
from tests.editions import a_shop, draft, edition_of, guide, release
from tests.factories import a_publication, a_seller
from tests.letters import sent
from tests.links import anna
from tests.purchases import ANNA, a_paid_order, an_order, pay
from tests.races import PATIENCE_SECONDS, at_once, until_waiting

pytestmark = pytest.mark.usefixtures("frozen")

guarded_or_not = pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])


def amid_an_erasure(
    app: Flask, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]
) -> list[str]:
    """Begin an erasure; when all of its rows are found, and before it is committed, do something
    else until that waits or is over. The faults of both."""
    customer_id, found, over = anna().id, threading.Event(), threading.Event()
    end_rights = erasing._end_rights

    def then_end(person: erasing.Person) -> None:
        end_rights(person)
        found.set()
        until_waiting(over.is_set)

    monkeypatch.setattr(erasing, "_end_rights", then_end)

    def erase() -> None:
        with transaction():
            lock_histories([customer_id])
            erase_person(customer_id, clock.now())

    def other() -> None:
        found.wait(PATIENCE_SECONDS)
        try:
            act()
        finally:
            over.set()

    return at_once(app, erase, other)


@on_postgresql
@guarded_or_not
def test_a_release_counts_who_is_being_erased_as_left_out(
    app: Flask, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    publication = a_shop()
    publication_id = publication.id
    a_paid_order(publication)
    with transaction():
        edition_id = draft(guide(publication_id), 2).id
    customer_id = anna().id
    if not is_guarded:
        monkeypatch.setattr(merging, "lock_publication", lambda _: None)

    def put_out() -> None:
        release(edition_of(edition_id))

    # Without it the database finds that each waits for the other, and breaks one off.
    assert (amid_an_erasure(app, monkeypatch, put_out) == []) is is_guarded
    if not is_guarded:
        return
    query = sa.select(Delivery.status, Delivery.reason).filter_by(
        edition_id=edition_id, customer_id=customer_id
    )
    left_out = (DeliveryStatus.SKIPPED, ERASED)
    assert [tuple(row) for row in db.session.execute(query)] == [left_out]


@on_postgresql
@guarded_or_not
def test_a_link_pressed_while_its_customer_is_erased_changes_nothing(
    app: Flask, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    a_paid_order(a_shop())
    with transaction():
        link_id = request_change(anna(), "b@other.example").id
    customer_id = anna().id
    if not is_guarded:
        monkeypatch.setattr(addresses, "lock_link", lambda _: None)

    def press() -> None:
        with transaction() as session:
            confirm_change(session.get_one(Link, link_id))

    faults = amid_an_erasure(app, monkeypatch, press)
    now = db.session.get_one(Customer, customer_id).email
    assert (faults, now) == ((["LinkExpired"], ERASED) if is_guarded else ([], "b@other.example"))


@on_both_when_long
@guarded_or_not
def test_a_preorder_that_is_paid_in_that_moment_is_paid_back_first(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    with transaction():
        a_seller()
        a_publication()
    pay(an_order("a" * 22))
    with transaction():
        ask_erasure(anna(), "customer", is_at_once=True)
    sent()
    looked = erasures.end_read

    def pay_another() -> None:
        looked()
        monkeypatch.setattr(erasures, "end_read", looked)
        pay(an_order("b" * 22))

    carry_out_due()  # pays the first one back
    sent()
    monkeypatch.setattr(erasures, "end_read", pay_another)
    if not is_guarded:
        monkeypatch.setattr(erasures, "can_cancel", lambda _: False)
    carry_out_due()
    assert (anna_or_none() is None) is not is_guarded
    for _ in range(3):
        sent()
        carry_out_due()
    orders = db.session.scalars(sa.select(sa.func.count(Order.id))).one()
    refunds = db.session.scalars(sa.select(sa.func.count(Refund.id))).one()
    assert (orders, refunds) == (2, 2 if is_guarded else 1)
    assert anna_or_none() is None


def anna_or_none() -> Customer | None:
    db.session.rollback()
    return db.session.scalars(sa.select(Customer).filter_by(email=ANNA)).first()
