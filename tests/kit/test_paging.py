"""Long lists begin beside a row: each stands on one page, whatever comes in meanwhile."""

import pytest
import sqlalchemy as sa
from flask import Flask

from store.admin.letters import letters_of
from store.catalog.publications import list_publications
from store.entitlements.open_repairs import open_repairs
from store.kit.database import db, transaction
from store.kit.paging import BEGINNING, Page, Place, paginate
from store.mail.models import Delivery, is_of_kind
from store.orders.models import Customer, OrderStatus
from store.orders.orders import list_orders, search_customers
from store.payments.disputes import list_disputes
from store.payments.transfer_lists import awaited_orders, unsent_backs
from tests import factories
from tests.conftest import on_both
from tests.editions import a_shop
from tests.plans import plans
from tests.purchases import a_paid_order
from tests.statements import statements


def titles(page: Page) -> list[int]:
    return [one.id for one in page.rows]


@on_both
def test_each_row_stands_on_one_page_however_the_list_is_ordered(app: Flask) -> None:
    with transaction():
        for number in range(60):  # many of one title, which ids then tell apart
            factories.a_publication(f"guide-{number:02}", title=f"Guide {number % 7}")
    pages = [list_publications()]
    while pages[-1].next:
        pages.append(list_publications(pages[-1].next))
    seen = [number for page in pages for number in titles(page)]
    assert (len(pages), len(seen), len(set(seen))) == (3, 60, 60)
    back = list_publications(pages[2].previous or BEGINNING)
    assert titles(back) == titles(pages[1])
    assert titles(list_publications(back.previous or BEGINNING)) == titles(pages[0])
    assert (pages[0].previous, pages[0].total, pages[2].next) == (None, None, None)


@on_both
def test_what_comes_in_meanwhile_moves_no_page(app: Flask) -> None:
    with transaction():
        for number in range(60):
            factories.a_customer(f"reader{number}@reader.example")
    first = search_customers()
    with transaction():
        for number in range(60, 63):
            factories.a_customer(f"reader{number}@reader.example")
    second = search_customers(place=first.next or BEGINNING)
    emails = [one.email for one in [*first.rows, *second.rows]]
    assert emails == [f"reader{number}@reader.example" for number in reversed(range(60))]
    # Back again there is less than a page, so that the newest are shown with it.
    assert search_customers(place=second.previous or BEGINNING).rows == first.rows
    few = search_customers(place=first.previous or Place(before=titles(first)[0]))
    assert few.rows[0].email == "reader62@reader.example"
    assert len(few.rows) == 50


@pytest.mark.parametrize(
    ("after", "before"),
    [("x", None), ("-1", None), ("9" * 30, None), (None, "1e3"), (None, ""), ("0", None)],
)
def test_what_is_no_id_begins_the_list(after: str | None, before: str | None) -> None:
    assert Place.read(after, before) == BEGINNING


def test_a_row_that_is_not_there_begins_the_list(app: Flask) -> None:
    with transaction():
        factories.a_publication("guide")
    for place in (Place(after=99), Place(before=99)):
        assert len(list_publications(place).rows) == 1


def test_an_order_of_two_directions_is_refused(app: Flask) -> None:
    query = sa.select(Customer)
    with pytest.raises(ValueError, match="one direction"):
        paginate(query, BEGINNING, Customer.name, Customer.id.desc())


@on_both
def test_a_late_page_is_read_from_an_index_and_counts_nothing(app: Flask) -> None:
    publication = a_shop()
    for name in ("anna", "ben"):
        a_paid_order(publication, f"{name}@reader.example")
    late = Place(after=2)
    tables = "orders", "customers", "deliveries", "checkouts", "transfers_back", "repairs"
    with plans(*tables) as seen, statements() as told:
        for status in (None, OrderStatus.PAID):
            list_orders(late, status)
        list_orders(late, is_held=True)
        search_customers(place=late)
        letters_of(customer_id=1, place=late)
        paginate(sa.select(Delivery).where(is_of_kind("offer")), late, Delivery.id.desc())
        open_repairs(late)
        awaited_orders(late)
        unsent_backs(late)
        list_disputes(late)
        db.session.rollback()
    assert len(seen.statements) >= 10
    assert seen.of_all_rows == []
    assert not [one for one in told if one.startswith("SELECT count(")]
    # For SQLite the library writes an offset of nothing, too.
    if db.engine.dialect.name == "postgresql":
        assert "OFFSET" not in " ".join(told)
