"""When to ask for consent to immediate supply, and when a copy may go without it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask

from store.catalog.models import Publication
from store.kit.database import db, transaction
from store.orders import consents
from store.orders.consents import (
    CONSENT_WORDINGS,
    accept_terms,
    accepted_terms,
    agreed_at,
    give_waiver,
    given_consent,
    has_waiver,
    promise_in_words,
    supply_starts_at,
    term_in_words,
    waiver_needed,
)
from store.orders.models import Consent, Order
from store.orders.placing import Details, place_order
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


def _placed(key: str = "k" * 22) -> Order:
    publication = db.session.query(Publication).first()
    if publication is None:
        factories.a_seller()
        publication = factories.a_publication(expected_on=None)
    return place_order(publication, Details("a@reader.example"), form_key=key, seen_amount=1250)


@on_both
def test_an_order_keeps_the_terms_it_was_placed_under(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consents, "CURRENT_TERMS", "2026-1")
    with transaction():
        old = _placed()
    monkeypatch.setattr(consents, "CURRENT_TERMS", "2026-2")
    frozen.advance(days=1)
    with transaction():
        new = _placed("n" * 22)

    old_terms, new_terms = accepted_terms(old), accepted_terms(new)

    assert old_terms is not None
    assert new_terms is not None
    assert (old_terms.version, new_terms.version) == ("2026-1", "2026-2")
    assert old_terms.path == f"/terms/2026-1?seller={old.seller_id}"
    assert new_terms.accepted_at == frozen.at


@on_both
def test_an_order_placed_again_is_under_the_terms_of_then(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consents, "CURRENT_TERMS", "2026-1")
    with transaction():
        _placed()
    monkeypatch.setattr(consents, "CURRENT_TERMS", "2026-2")
    frozen.advance(days=1)
    with transaction():
        order = _placed()

    terms = accepted_terms(order)

    assert terms is not None
    assert (terms.version, terms.accepted_at) == ("2026-2", frozen.at)
    assert db.session.query(Consent).count() == 1


def test_a_copy_that_was_given_names_no_terms_and_no_consent(app: Flask, frozen: Clock) -> None:
    with transaction() as session:
        order = _placed()
        session.query(Consent).delete()
        assert accepted_terms(order) is None
        assert given_consent(order.id) is None
        accept_terms(order)
        give_waiver(order)
        given = given_consent(order.id)
        assert given is not None
        assert (given.wording, given.given_at) == (CONSENT_WORDINGS["2026-1"], frozen.at)


def test_the_14_days_run_from_the_payment_where_that_comes_after_the_order() -> None:
    order = Order(placed_at=ORDERED, paid_at=None)
    assert agreed_at(order) == ORDERED
    after_midnight = ORDERED + timedelta(hours=15)
    assert agreed_at(order, after_midnight) == after_midnight
    order.paid_at = ORDERED - timedelta(seconds=1)  # another clock
    assert agreed_at(order) == ORDERED
