"""When to ask for consent to immediate supply, and when a copy may go without it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask

from store.kit.database import transaction
from store.orders.consents import give_waiver, has_waiver, supply_starts_at, waiver_needed
from store.orders.details import Details
from store.orders.ordering import place_order
from store.orders.promises import promise_in_words, term_in_words
from tests import factories
from tests.conftest import Clock, on_both

ORDERED = datetime(2027, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expected", "asks"),
    [
        (date(2027, 3, 1), True),
        (date(2027, 3, 15), True),
        (date(2027, 3, 16), False),
        (date(2027, 4, 12), False),
        (date(2027, 2, 1), True),
        (None, True),
    ],
)
def test_a_preorder_is_judged_by_its_expected_date(
    app: Flask, frozen: Clock, expected: date | None, asks: bool
) -> None:
    with transaction():
        publication = factories.a_publication(expected_on=expected)
        assert waiver_needed(publication, ORDERED) is asks


def test_a_published_one_is_always_asked_for(app: Flask, frozen: Clock) -> None:
    with transaction():
        publication = factories.a_publication(expected_on=date(2028, 1, 1))
        factories.a_released_edition(publication)
        assert waiver_needed(publication, ORDERED) is True


@pytest.mark.parametrize(
    ("placed", "starts"),
    [
        (ORDERED, datetime(2027, 3, 16, tzinfo=UTC)),
        (datetime(2027, 3, 20, 12, tzinfo=UTC), datetime(2027, 4, 3, 23, tzinfo=UTC)),  # in BST
        (datetime(2027, 6, 1, 23, 30, tzinfo=UTC), datetime(2027, 6, 16, 23, tzinfo=UTC)),
        (datetime(2028, 2, 29, 12, tzinfo=UTC), datetime(2028, 3, 15, tzinfo=UTC)),
        (datetime(2027, 1, 31, 12, tzinfo=UTC), datetime(2027, 2, 15, tzinfo=UTC)),
    ],
)
def test_without_consent_supply_starts_with_day_fifteen_of_the_shops_calendar(
    app: Flask, placed: datetime, starts: datetime
) -> None:
    assert supply_starts_at(placed) == starts


@on_both
def test_consent_may_come_later_and_is_kept_once(app: Flask, frozen: Clock) -> None:
    with transaction():
        factories.a_seller()
        publication = factories.a_publication(expected_on=None)
        order = place_order(
            publication, Details("a@reader.example"), form_key="k" * 22, seen_amount=1250
        )
        assert has_waiver(order.id) is False
        give_waiver(order)
        give_waiver(order)
        assert has_waiver(order.id) is True


def test_on_leap_day_an_order_is_taken(app: Flask, frozen: Clock) -> None:
    frozen.set(datetime(2028, 2, 29, 12, tzinfo=UTC))
    with transaction():
        factories.a_seller()
        publication = factories.a_publication(expected_on=date(2028, 2, 29), updates_months=12)
        order = place_order(
            publication, Details("a@reader.example"), form_key="k" * 22, seen_amount=1250
        )
        assert order.lines[0].expected_on == date(2028, 2, 29)
        assert supply_starts_at(order.placed_at) - frozen.at < timedelta(days=15)


def test_dates_and_terms_in_words() -> None:
    assert promise_in_words(date(2027, 3, 31)) == "by the end of March 2027"
    assert promise_in_words(date(2028, 2, 29)) == "by the end of February 2028"
    assert promise_in_words(date(2028, 2, 28)) == "on 28 February 2028"
    terms = [term_in_words(months) for months in (None, 1, 12, 18, 24)]
    assert terms == [
        "for as long as we publish it",
        "for 1 month",
        "for 1 year",
        "for 18 months",
        "for 2 years",
    ]
