"""Customers and orders are found by parts of words, however they are spelt."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Publication
from store.entitlements.addresses import merge_customers
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.text import search_key
from store.orders import search
from store.orders.customers import find_or_add_customer, rename
from store.orders.models import Customer, Order
from store.orders.orders import list_orders, search_customers
from store.orders.placing import Details
from tests.conftest import on_both, on_postgresql
from tests.editions import a_shop
from tests.plans import plans
from tests.purchases import placed_order

NAMES = {
    "chloe@reader.example": "Chloé O’Neil",
    "soren@reader.example": "Søren Łuków",
    "gross@reader.example": "Anna Groß",
    "li@reader.example": "王芳",
    "a_b@reader.example": "Ben 100% Ode",
    "axb@reader.example": 'Dev "AND" Patel*',
}
FOUND = [
    ("chloe o'neil", "chloe"),
    ("CHLOÉ O´NEIL", "chloe"),
    ("oneil", "chloe"),
    ("ｏ＇ｎｅｉｌ", "chloe"),
    ("neil chlo", "chloe"),
    ("soren lukow", "soren"),
    ("gross", "gross"),
    ("GROSS Anna", "gross"),
    ("王芳", "li"),
    ("li@", "li"),
    ("a_b", "a_b"),
    ("100%", "a_b"),
    ("100% ode", "a_b"),
    ('"and"', "axb"),
    ("patel*", "axb"),
    ('v "AND', "axb"),
]


def known() -> None:
    with transaction():
        for email, name in NAMES.items():
            find_or_add_customer(email, name)


def people(text: str) -> list[str]:
    return [one.email.partition("@")[0] for one in search_customers(text).rows]


@on_both
def test_people_are_found_however_their_names_are_typed(app: Flask) -> None:
    known()
    assert {typed: people(typed) for typed, _ in FOUND} == {
        typed: [found] for typed, found in FOUND
    }
    for nobody in ("neil*", "a%b", "ode OR ann", "NEAR(anna gross)", "zzzz", "q"):
        assert people(nobody) == [], nobody


@pytest.fixture
def oaks(app: Flask) -> Publication:
    """Two orders; one has an organisation and a number of its own."""
    publication = a_shop()
    with transaction():
        details = Details("bursar@reader.example", "Chloé O’Neil", "Crèche Les Chênes", "PO-4711/b")
        placed_order(publication, details, "a" * 22)
        placed_order(publication, Details("ben@reader.example", "Ben"), "b" * 22)
    return publication


@on_both
@pytest.mark.parametrize("many", [0, 1, 2_000], ids=["of-many", "of-some", "of-few"])
def test_orders_are_found_by_what_they_say_and_by_their_customer(
    oaks: Publication, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(search, "MANY", many)
    with transaction():
        rename(find_or_add_customer("ben@reader.example"), "Benedikt")
    said = {
        text: [order.email for order in list_orders(text=text).rows]
        for text in ("oneil", "les chenes", "po-4711/B", "4711", "benedikt", "reader", "zzz")
    }
    one, two = "bursar@reader.example", "ben@reader.example"
    assert said == {
        "oneil": [one],
        "les chenes": [one],
        "po-4711/B": [one],
        "4711": [one],
        "benedikt": [two],
        "reader": [two, one],
        "zzz": [],
    }


@on_both
def test_what_is_changed_or_erased_is_not_found_any_more(oaks: Publication) -> None:
    with transaction() as session:
        gone = find_or_add_customer("bursar@reader.example")
        merge_customers(gone, find_or_add_customer("ben@reader.example"), "Olga")
        for order in session.scalars(sa.select(Order)):
            order.name = order.organisation = order.purchase_order_number = ""
    assert [people(text) for text in ("oneil", "bursar", "ben")] == [[], [], ["ben"]]
    assert [list_orders(text=text).rows for text in ("oneil", "4711", "chenes")] == [[], [], []]
    keys = db.session.scalars(sa.select(Order.search_key).union(sa.select(Customer.search_key)))
    assert sorted(keys) == ["", "ben ben@reader.example"]
    if db.engine.dialect.name == "sqlite":
        for table in ("customers", "orders"):  # what the triggers keep is what the rows say
            check = (
                f"INSERT INTO search_{table}(search_{table}, rank) VALUES ('integrity-check', 1)"
            )
            db.session.execute(sa.text(check))


def some_thousand(app: Flask) -> None:
    now = clock.now()
    rows = [
        {"email": email, "email_key": email, "name": f"Reader {n}", "created_at": now}
        for n in range(5_000)
        for email in [f"reader{n}@reader.example"]
    ]
    with transaction() as session:
        session.execute(sa.insert(Customer), rows)
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


@on_both
@pytest.mark.parametrize(
    "look", [lambda: search_customers("eader 4711"), lambda: list_orders(text="eader 4711")]
)
def test_a_part_of_a_word_is_found_by_an_index(app: Flask, look: Callable[[], object]) -> None:
    some_thousand(app)
    with plans("customers", "orders") as seen:
        look()
    assert seen.of_all_rows == []
    with plans("customers", "orders") as seen:
        search_customers("47")  # the control: of two letters there is no trigram
    assert seen.of_all_rows or db.engine.dialect.name == "postgresql"


@on_postgresql
def test_postgresql_reads_the_trigrams_of_rare_words(app: Flask) -> None:
    some_thousand(app)
    wanted, _ = search.customers_with(sa.select(Customer.id), "eader 4711")
    told = str(wanted.compile(db.engine, compile_kwargs={"literal_binds": True}))
    plan = "\n".join(db.session.scalars(sa.text(f"EXPLAIN {told}".replace(":", "\\:"))))
    assert "ix_search_customers" in plan


def test_folding_twice_changes_nothing_more() -> None:
    for name in NAMES.values():
        assert search_key(search_key(name)) == search_key(name)
    assert search_key("ﷺ" * 400) == search_key("ﷺ" * 400)[:1000]
