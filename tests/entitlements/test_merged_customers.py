"""Two customers become one by staff's hand: what the one right that is left opens."""

from itertools import permutations

import pytest
import sqlalchemy as sa
from flask import Flask

from store.entitlements.addresses import merge_customers
from store.entitlements.models import Entitlement
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.models import Delivery, DeliveryStatus
from store.orders.customers import find_or_add_customer
from tests.conftest import Clock, on_both
from tests.editions import drafted_and_released
from tests.factories import a_publication, a_seller
from tests.purchases import give_imported

pytestmark = pytest.mark.usefixtures("frozen")


def _merge(gone: str, kept: str) -> None:
    with transaction():
        merge_customers(find_or_add_customer(gone), find_or_add_customer(kept), "Olga")


def _right() -> Entitlement:
    db.session.rollback()
    return db.session.scalars(sa.select(Entitlement)).one()


@on_both
@pytest.mark.parametrize(
    ("gone", "kept", "left"),
    [*((one, other, None) for one, other in permutations([None, 12])), (6, 12, 12), (12, 6, 12)],
)
def test_of_two_imported_pre_orders_the_longer_time_of_updates_is_left(
    app: Flask, gone: int | None, kept: int | None, left: int | None
) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        for months, address in ((gone, "gone@reader.example"), (kept, "kept@reader.example")):
            publication.updates_months = months
            give_imported(find_or_add_customer(address), publication, notify=False)
    _merge("gone@reader.example", "kept@reader.example")
    assert (_right().updates_months, _right().updates_until) == (left, None)
    drafted_and_released(publication)
    assert (_right().updates_until is None) is (left is None)


@pytest.mark.parametrize("is_endless_first", [True, False])
def test_a_right_without_end_is_left_beside_one_that_has_an_end(
    app: Flask, frozen: Clock, is_endless_first: bool
) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
    drafted_and_released(publication)
    with transaction():
        for number, is_endless in enumerate((is_endless_first, not is_endless_first)):
            publication.updates_months = None if is_endless else 12
            customer = find_or_add_customer(f"reader{number}@reader.example")
            give_imported(customer, publication, notify=False)
    _merge("reader0@reader.example", "reader1@reader.example")
    assert (_right().updates_months, _right().updates_until) == (None, None)


@on_both
def test_a_claimed_notice_that_another_stands_for_is_nobodys_any_more(app: Flask) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        for address in ("gone@reader.example", "kept@reader.example"):
            give_imported(find_or_add_customer(address), publication, notify=False)
    drafted_and_released(publication)
    with transaction() as session:
        gone_id = find_or_add_customer("gone@reader.example").id
        for notice in session.scalars(sa.select(Delivery).filter_by(kind="edition_notice")):
            if notice.customer_id == gone_id:
                notice.status = DeliveryStatus.SENT
            else:
                notice.claimed_by, notice.claimed_at = "host:1.2:3", clock.now()
    _merge("gone@reader.example", "kept@reader.example")
    query = sa.select(Delivery.status, Delivery.claimed_by, Delivery.claimed_at)
    rows = db.session.execute(query.filter_by(kind="edition_notice").order_by(Delivery.status))
    assert rows.all() == [(DeliveryStatus.SENT, None, None), (DeliveryStatus.SKIPPED, None, None)]
