"""What a customer may read, for each history of rights and editions."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus, Publication
from store.entitlements.access import (
    DISPUTED_SENTENCE,
    HELD_SENTENCE,
    NoLongerYours,
    asset_for,
    readable_editions,
)
from store.entitlements.granting import revoke_order, start_supply
from store.entitlements.models import Entitlement
from store.entitlements.received import record_download
from store.entitlements.shelves import shelves
from store.kit import clock
from store.kit.database import NestedTransaction, db, transaction
from store.kit.errors import NotFound
from store.orders.models import Customer, Order
from tests.conftest import on_both
from tests.editions import a_shop
from tests.factories import a_customer, a_publication, a_released_edition, a_seller, an_edition
from tests.links import anna
from tests.purchases import a_paid_order

pytestmark = [pytest.mark.usefixtures("frozen", "app"), on_both]


def released_at(number: int) -> datetime:
    """Editions come a week apart; the third is the newest, a day old."""
    return clock.now() - timedelta(days=22 - 7 * number)


def three_editions() -> tuple[Customer, Publication, list[Edition]]:
    with transaction():
        publication = a_publication()
        editions = [
            a_released_edition(publication, number, released_at=released_at(number))
            for number in (1, 2, 3)
        ]
        an_edition(publication, 4)
        return a_customer(), publication, editions


def a_right(customer: Customer, publication: Publication, **given: object) -> Entitlement:
    values: dict[str, object] = {
        "granted_at": clock.now(),
        "available_at": clock.now(),
    } | given
    right = Entitlement(customer_id=customer.id, publication_id=publication.id, **values)
    db.session.add(right)
    db.session.flush()
    return right


@pytest.mark.parametrize(
    ("first", "until_days", "withdrawn", "readable"),
    [
        (None, None, (), [3, 2, 1]),
        (1, None, (), [3, 2, 1]),
        (2, None, (), [3, 2]),
        (3, None, (), [3]),
        (1, -1, (), [3, 2, 1]),  # edition 3 came in the last second of the term
        (1, -2, (), [2, 1]),
        (None, -2, (), [2, 1]),
        (2, None, (3,), [2]),
        (2, None, (2,), [3]),
        (3, None, (3,), [2]),
        (3, None, (3, 2), [1]),
        (2, None, (2, 3), [1]),
        (1, None, (1, 2, 3), []),
        (None, None, (3,), [2, 1]),
        (None, None, (1, 2, 3), []),
    ],
)
def test_the_right_decides_which_editions(
    first: int | None, until_days: int | None, withdrawn: tuple[int, ...], readable: list[int]
) -> None:
    customer, publication, editions = three_editions()
    with transaction():
        a_right(
            customer,
            publication,
            from_edition_id=editions[first - 1].id if first else None,
            updates_until=clock.now() + timedelta(days=until_days) if until_days else None,
        )
        for number in withdrawn:
            editions[number - 1].status = EditionStatus.WITHDRAWN
    found = readable_editions(customer.id, publication.id)
    assert [edition.number for edition in found] == readable
    assert [[edition.number for edition in shelf.editions] for shelf in shelves(customer.id)] == [
        readable
    ]


@pytest.mark.parametrize("closed", ["revoked_at", "suspended_at"])
def test_a_right_that_was_taken_back_gives_nothing(closed: str) -> None:
    customer, publication, _ = three_editions()
    with transaction():
        a_right(customer, publication, **{closed: clock.now()})
    assert readable_editions(customer.id, publication.id) == []


def test_a_right_gives_nothing_before_its_time() -> None:
    customer, publication, _ = three_editions()
    with transaction():
        right = a_right(customer, publication, available_at=clock.now() + timedelta(microseconds=1))
    assert readable_editions(customer.id, publication.id) == []
    with transaction() as session:
        session.get_one(Entitlement, right.id).available_at = clock.now()
    assert len(readable_editions(customer.id, publication.id)) == 3


def test_who_has_two_rights_may_read_what_either_gives() -> None:
    customer, publication, editions = three_editions()
    with transaction():
        a_seller()
    with transaction():
        a_right(
            customer,
            publication,
            from_edition_id=editions[0].id,
            updates_until=editions[0].released_at,
        )
    a_paid_order(publication, customer.email)
    found = readable_editions(customer.id, publication.id)
    assert [edition.number for edition in found] == [3, 1]


def test_a_refund_of_one_of_two_orders_leaves_the_other() -> None:
    shop = a_shop()
    first, second = a_paid_order(shop), a_paid_order(shop)
    with transaction() as session:
        revoke_order(session.get_one(Order, first.id), "refunded")
    assert [e.number for e in readable_editions(anna().id, shop.id)] == [1]
    assert shelves(anna().id)[0].is_refunded is False
    with transaction() as session:
        revoke_order(session.get_one(Order, second.id), "refunded")
    assert readable_editions(anna().id, shop.id) == []
    assert shelves(anna().id)[0].is_refunded is True


def test_without_the_waiver_the_copy_comes_on_day_fifteen_or_when_it_is_given() -> None:
    shop = a_shop()
    order = a_paid_order(shop, wants_now=False)
    assert readable_editions(anna().id, shop.id) == []
    shelf = shelves(anna().id)[0]
    assert shelf.available_at == datetime.fromisoformat("2027-03-16T00:00:00+00:00")
    with transaction() as session:
        start_supply(session.get_one(Order, order.id))
    assert [e.number for e in readable_editions(anna().id, shop.id)] == [1]
    assert shelves(anna().id)[0].available_at is None


def test_a_file_is_found_by_its_name_alone() -> None:
    shop = a_shop()
    a_paid_order(shop)
    assert asset_for(anna().id, "send-early-years-edition-1.epub").format == "epub"
    for name in (
        "send-early-years-edition-2.pdf",
        "send-early-years-edition-1.mobi",
        "send-early-years-edition-01.pdf",
        "SEND-early-years-edition-1.pdf",
        "-edition-1.pdf",
        "",
    ):
        with pytest.raises(NotFound):
            asset_for(anna().id, name)


def test_who_never_had_it_is_told_nothing_and_who_had_it_is_told_why() -> None:
    shop = a_shop()
    a_paid_order(shop, wants_now=False)
    with transaction():
        stranger = a_customer("stranger@reader.example")
    with pytest.raises(NotFound):
        asset_for(stranger.id, "send-early-years-edition-1.pdf")
    with pytest.raises(NoLongerYours, match="not ready for you yet"):
        asset_for(anna().id, "send-early-years-edition-1.pdf")


@pytest.mark.parametrize(
    ("closed", "sentence"),
    [
        (("held_at", "held_at"), HELD_SENTENCE),
        (("suspended_at", "suspended_at"), DISPUTED_SENTENCE),
        (("held_at", "suspended_at"), HELD_SENTENCE),
        (("revoked_at", "held_at"), HELD_SENTENCE),
        (("revoked_at", "suspended_at"), DISPUTED_SENTENCE),
    ],
)
def test_of_rights_that_rest_the_file_says_what_the_library_says(
    closed: tuple[str, str], sentence: str
) -> None:
    shop = a_shop()
    customer_id = a_paid_order(shop).customer_id
    a_paid_order(shop)
    with transaction() as session:
        rights = session.scalars(sa.select(Entitlement).order_by(Entitlement.id)).all()
        for right, column in zip(rights, closed, strict=True):
            setattr(right, column, clock.now())
    with pytest.raises(NoLongerYours) as refused:
        asset_for(customer_id, "send-early-years-edition-1.pdf")
    assert refused.value.sentence == sentence
    [shelf] = shelves(customer_id)
    assert shelf.is_suspended
    assert shelf.is_held is (sentence == HELD_SENTENCE)


def test_a_grant_is_recorded_once() -> None:
    shop = a_shop()
    a_paid_order(shop)
    asset = asset_for(anna().id, "send-early-years-edition-1.pdf")
    fetched = [record_download(token, anna().id, asset.id) for token in ("one", "one", "other")]
    assert fetched == [True, False, True]
    with pytest.raises(NestedTransaction), transaction():
        record_download("inside another", anna().id, asset.id)
