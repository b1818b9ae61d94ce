"""Codes and members' prices: the better one counts, limits hold, the server alone decides."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from store.catalog.models import Publication, VatTreatment
from store.kit.database import db, transaction
from store.kit.errors import InvalidFields
from store.kit.mailboxes import address_key
from store.kit.status import advance
from store.orders import discounts, placing, prices
from store.orders.discounts import (
    CodeRefused,
    Places,
    add_discount,
    discount_by_name,
    end_discount,
    places_by_discount,
)
from store.orders.models import Discount, Offer, Order, OrderStatus
from store.orders.offers import ask_for_offer
from store.orders.orders import expire_order
from store.orders.placing import Details, PriceChanged, place_order
from store.orders.prices import TooLittleToCharge, quote, vat_inside
from tests import factories
from tests.conftest import Clock, on_both, on_postgresql

ANNA = Details("anna@reader.example", "Anna Berg", code="early 20")


@pytest.fixture
def publication(app: Flask, frozen: Clock) -> Publication:
    """A pre-order at £12.50."""
    with transaction():
        factories.a_seller()
        return factories.a_publication()


def discount(name: str = "Early bird", **given: object) -> Discount:
    """A discount of 20 %, by the code EARLY20, unless said otherwise."""
    values: dict[str, object] = {"code": "EARLY20", "percent": 20}
    with transaction():
        return add_discount(name, **(values | given))  # type: ignore[arg-type]


def place(publication: Publication, details: Details = ANNA, key: str = "k" * 22) -> Order:
    """Place an order at the price that is quoted to it."""
    with transaction():
        seen = quote(publication, code=details.code, form_key=key)
        return place_order(publication, details, form_key=key, seen_amount=seen.total_amount)


def place_behind_link(
    publication: Publication, details: Details = ANNA, key: str = "k" * 22
) -> Order:
    """Place an order by a link that was mailed to its address."""
    with transaction() as session:
        address = ask_for_offer(publication, details.email)
        offers = sa.select(Offer).where(Offer.email_key == address_key(address))
        offer = session.scalars(offers.order_by(Offer.id.desc())).first()
        seen = quote(publication, proven=address, code=details.code, form_key=key)
        amount = seen.total_amount
        return place_order(publication, details, form_key=key, seen_amount=amount, offer=offer)


def refused(publication: Publication, details: Details = ANNA, key: str = "k" * 22) -> str:
    """Why the code is not taken."""
    with pytest.raises(CodeRefused) as refusal:
        place(publication, details, key)
    db.session.rollback()
    return refusal.value.sentence


@on_both
def test_an_order_keeps_price_discount_and_vat_as_they_were(publication: Publication) -> None:
    with transaction():
        publication.vat_treatment = VatTreatment.STANDARD_INCLUDED
    early = discount()
    order = place(publication)
    with transaction():
        end_discount(early)
        publication.vat_treatment = VatTreatment.ZERO_RATED
        publication.price_amount = 9900
    line = order.lines[0]
    assert (line.price_amount, order.discount_amount, order.total_amount) == (1250, 250, 1000)
    assert order.discount_label == "Early bird (EARLY20)"
    assert (line.vat_treatment, line.vat_rate, line.vat_amount) == ("standard_included", 2000, 167)


def test_an_amount_takes_off_no_more_than_the_price(publication: Publication) -> None:
    discount(percent=None, amount=2000, currency="GBP")
    assert quote(publication, code="EARLY20").total_amount == 0


@pytest.mark.parametrize("typed", ["EARLY20", " early20 ", "Early-20", "ear ly20"])
def test_a_code_is_read_whatever_its_spelling(publication: Publication, typed: str) -> None:
    discount()
    assert quote(publication, code=typed).total_amount == 1000


def test_an_unknown_code_is_named(publication: Publication) -> None:
    sentence = refused(publication, replace(ANNA, code="LATE"))
    assert sentence == "We do not know the code “LATE”. Check it, or take it out."


def test_a_code_counts_from_its_first_day_to_its_last(
    publication: Publication, frozen: Clock
) -> None:
    discount(starts_at=frozen.at + timedelta(days=1), ends_at=frozen.at + timedelta(days=3))
    assert refused(publication) == "The code “EARLY20” does not count yet."
    frozen.advance(days=1)
    assert place(publication).total_amount == 1000
    frozen.advance(days=2)
    again = replace(ANNA, email="ben@reader.example")
    assert refused(publication, again, "b" * 22) == "The code “EARLY20” does not count any more."


def test_a_code_of_one_publication_is_refused_for_another(publication: Publication) -> None:
    with transaction():
        other = factories.a_publication("other")
    discount(publication=other)
    assert refused(publication) == "The code “EARLY20” is for another publication."


def test_a_code_in_one_currency_is_refused_in_another(publication: Publication) -> None:
    discount(percent=None, amount=250, currency="EUR")
    assert refused(publication) == "The code “EARLY20” is for prices in EUR."


@on_both
def test_a_code_for_one_order_is_given_back_by_an_order_that_ran_out(
    publication: Publication,
) -> None:
    discount(max_orders=1)
    first = place(publication)
    ben = replace(ANNA, email="ben@reader.example")
    assert refused(publication, ben, "b" * 22) == (
        "The code “EARLY20” has been used as often as it may be."
    )
    with transaction():
        expire_order(first, "not paid in time")
    assert place(publication, ben, "b" * 22).total_amount == 1000


def test_a_form_sent_again_does_not_count_against_its_own_code(publication: Publication) -> None:
    discount(max_orders=1)
    assert place(publication).id == place(publication).id


def test_a_form_behind_a_link_does_not_count_against_its_own_code(
    publication: Publication,
) -> None:
    discount(max_orders=1, max_orders_each=1)
    first = place_behind_link(publication)
    again = place_behind_link(publication)
    assert (first.id, again.total_amount) == (again.id, 1000)


def test_a_customer_uses_a_code_as_often_as_it_says(publication: Publication) -> None:
    discount(max_orders_each=1)
    place_behind_link(publication)
    capitals = replace(ANNA, email="Anna@Reader.Example")
    with pytest.raises(CodeRefused) as refusal:
        place_behind_link(publication, capitals, "b" * 22)
    assert refusal.value.sentence == (
        "The code “EARLY20” is for one order per person, and you have placed it."
    )
    db.session.rollback()
    ben = replace(ANNA, email="ben@reader.example")
    assert place_behind_link(publication, ben, "c" * 22).total_amount == 1000


@pytest.mark.parametrize("has_used_it", [True, False])
def test_who_types_an_address_does_not_learn_whether_it_has_used_a_code(
    publication: Publication, has_used_it: bool
) -> None:
    discount(max_orders_each=1)
    if has_used_it:
        place_behind_link(publication)
    assert refused(publication, ANNA, "b" * 22) == (
        "The code “EARLY20” is for one order per person: we mail you a link that has it. Press “Mail "
        "me the link”, or take the code out."
    )


@on_both
def test_a_place_is_held_for_two_hours_and_money_that_comes_later_counts_above_the_limit(
    publication: Publication, frozen: Clock
) -> None:
    early = discount(max_orders=1)
    slow = place(publication)
    ben = replace(ANNA, email="ben@reader.example")
    frozen.advance(hours=1, minutes=59)
    assert "as often as it may be" in refused(publication, ben, "b" * 22)
    assert places_by_discount([early.id]) == {early.id: Places(used=0, held=1)}
    frozen.advance(minutes=1)
    assert place(publication, ben, "b" * 22).total_amount == 1000
    assert "as often as it may be" in refused(publication)
    with transaction():
        for order in (slow, ben_s := db.session.get_one(Order, slow.id + 1)):
            advance(order, OrderStatus.PAID)
    assert slow.total_amount == ben_s.total_amount == 1000
    assert places_by_discount([early.id]) == {early.id: Places(used=2, held=0)}


def _press_at_once(app: Flask, publication_id: int, count: int = 8) -> list[str]:
    ready, answers = threading.Barrier(count), list[str]()

    def press(number: int) -> None:
        with app.app_context():
            ready.wait()
            try:
                details = replace(ANNA, email=f"reader{number}@reader.example")
                with transaction() as session:
                    found = session.get_one(Publication, publication_id)
                    place_order(found, details, form_key=f"{number:022}", seen_amount=1000)
                answers.append("placed")
            except (CodeRefused, PriceChanged):
                answers.append("refused")
            finally:
                db.session.remove()

    threads = [threading.Thread(target=press, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(answers)


@on_both
def test_the_last_three_places_of_a_code_go_to_three_of_eight(
    app: Flask, publication: Publication
) -> None:
    discount(max_orders=3)
    assert _press_at_once(app, publication.id) == ["placed"] * 3 + ["refused"] * 5


@on_postgresql
def test_without_the_lock_more_would_get_a_place(
    app: Flask, publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    discount(max_orders=3)
    monkeypatch.setattr(placing, "hold_place", lambda *_: None)
    met = threading.Barrier(8)
    counted = discounts.orders_with

    def count_together(*args: object, **given: object) -> int:
        found = counted(*args, **given)  # type: ignore[arg-type]
        met.wait(60)
        return found

    monkeypatch.setattr(discounts, "orders_with", count_together)
    assert _press_at_once(app, publication.id) == ["placed"] * 8


@on_both
@pytest.mark.parametrize(
    ("email", "total"),
    [
        ("anna@nursery.example", 900),
        ("anna@NURSERY.example", 900),
        ("anna@sub.nursery.example", 1250),
        ("anna@notnursery.example", 1250),
        ("listed@reader.example", 900),
        ("Listed@Reader.example", 900),
        ("other@reader.example", 1250),
    ],
)
def test_members_are_known_by_their_address(
    publication: Publication, email: str, total: int
) -> None:
    discount(
        "Members' price",
        code="",
        percent=None,
        amount=350,
        currency="GBP",
        domains="Nursery.Example other.example",
        members="listed@reader.example\n",
    )
    assert place_behind_link(publication, Details(email)).total_amount == total


def test_an_address_that_was_typed_earns_nothing(publication: Publication) -> None:
    discount("Members' price", code="", domains="nursery.example")
    assert place(publication, Details("anna@nursery.example")).total_amount == 1250


def test_the_better_of_code_and_membership_counts(publication: Publication) -> None:
    discount("Members' price", code="", percent=10, domains="reader.example")
    assert quote(publication, proven="anna@reader.example").total_amount == 1125
    discount()
    with_code = quote(publication, proven="anna@reader.example", code="EARLY20")
    assert (with_code.total_amount, with_code.discount_label) == (1000, "Early bird (EARLY20)")
    discount(code="SMALL", percent=5)
    with_small = quote(publication, proven="anna@reader.example", code="SMALL")
    assert (with_small.total_amount, with_small.discount_label) == (1125, "Members' price")


def test_what_could_not_be_charged_is_refused_and_nothing_is_placed(
    publication: Publication,
) -> None:
    with transaction():
        publication.price_amount = 500
    discount(percent=97)
    with pytest.raises(TooLittleToCharge) as refusal:
        place(publication)
    assert refusal.value.sentence == (
        "With this discount £0.15 would be left to pay, and no less than £0.30 can be charged. "
        "Take the code out, or write to us."
    )
    db.session.rollback()
    assert db.session.scalar(sa.select(sa.func.count(Order.id))) == 0


def test_a_total_of_another_page_is_refused(publication: Publication) -> None:
    discount()
    with pytest.raises(PriceChanged) as refusal, transaction():
        place_order(publication, ANNA, form_key="k" * 22, seen_amount=1250)
    assert "It is now £10.00." in refusal.value.sentence


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"percent": 0}, "percent"),
        ({"percent": 101}, "percent"),
        ({"amount": 250}, "percent"),
        ({"percent": None}, "percent"),
        ({"code": "A!"}, "code"),
        ({"code": ""}, "code"),
        ({"max_orders": 0}, "max_orders"),
        ({"domains": "not a domain"}, "domains"),
        ({"code": "", "members": "nobody"}, "members"),
    ],
)
def test_a_discount_that_makes_no_sense_is_refused_by_field(
    publication: Publication, wrong: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidFields) as refusal:
        discount(**wrong)
    assert list(refusal.value.faults) == [field]


def test_a_code_is_given_out_once(publication: Publication) -> None:
    discount()
    with pytest.raises(InvalidFields) as refusal:
        discount(code="early-20")
    assert refusal.value.faults == {
        "code": "There is a discount with this code already. Choose another."
    }
    assert discount_by_name("early20").name == "Early bird"


@given(total=st.integers(0, 10_000_000), rate=st.sampled_from([0, 500, 2000]))
def test_vat_inside_a_total_is_its_share_to_the_nearest_minor_unit(total: int, rate: int) -> None:
    vat = vat_inside(total, rate)
    assert abs(vat * (10_000 + rate) - total * rate) * 2 <= 10_000 + rate
    assert 0 <= vat <= total


@given(price=st.integers(30, 10_000_000), percent=st.integers(1, 100))
def test_a_percentage_never_takes_more_than_the_price_nor_leaves_a_part_of_a_penny(
    price: int, percent: int
) -> None:
    rule = Discount(name="Some", percent=percent, amount=None, code="X")
    off = prices.taken_off(rule, price).amount
    assert 0 <= off <= price
    assert price - off == price * (100 - percent) // 100
