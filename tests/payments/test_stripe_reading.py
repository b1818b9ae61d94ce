"""Stripe's objects in our words, and its units in ours."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.payments.gateways.base import Standing
from store.payments.gateways.stripe_objects import (
    EVENT_KINDS,
    endpoint_fault,
    from_stripe,
    read_news,
    read_state,
    standing_of,
    to_stripe,
)

CURRENCIES = ["GBP", "EUR", "JPY", "KRW", "ISK", "UGX", "CLP", "HUF", "RSD"]


@given(st.integers(1, 10_000_000), st.sampled_from(CURRENCIES))
def test_an_amount_goes_to_stripe_and_comes_back_the_same(amount: int, currency: str) -> None:
    assert from_stripe(to_stripe(amount, currency), currency) == amount


@given(st.integers(1, 1_000_000))
def test_an_amount_with_three_places_ends_with_0_or_is_refused(tens: int) -> None:
    assert from_stripe(to_stripe(tens * 10, "KWD"), "KWD") == tens * 10
    for last in range(1, 10):
        with pytest.raises(ValueError, match="too fine an amount"):
            to_stripe(tens * 10 + last, "KWD")


@pytest.mark.parametrize(
    ("amount", "currency", "asked"),
    [(1999, "GBP", 1999), (1500, "JPY", 1500), (12340, "KWD", 12340), (1500, "ISK", 150_000)],
)
def test_amounts_are_counted_as_stripe_counts_them(amount: int, currency: str, asked: int) -> None:
    assert to_stripe(amount, currency) == asked


@pytest.mark.parametrize(
    ("status", "payment_status", "intent", "standing"),
    [
        ("open", "unpaid", None, Standing.OPEN),
        ("open", "unpaid", "requires_payment_method", Standing.OPEN),
        ("complete", "paid", "succeeded", Standing.PAID),
        ("complete", "no_payment_required", None, Standing.PAID),
        ("complete", "unpaid", "processing", Standing.PROCESSING),
        ("complete", "unpaid", "requires_payment_method", Standing.FAILED),
        ("complete", "unpaid", "canceled", Standing.FAILED),
        ("expired", "unpaid", None, Standing.EXPIRED),
        ("expired", "unpaid", "canceled", Standing.EXPIRED),
    ],
)
def test_a_session_stands_as_both_its_statuses_say(
    status: str, payment_status: str, intent: str | None, standing: Standing
) -> None:
    session = {
        "status": status,
        "payment_status": payment_status,
        "payment_intent": {"id": "pi_1", "status": intent} if intent else None,
    }
    assert standing_of(session) is standing


def _session(**given: Any) -> dict[str, Any]:
    return {
        "id": "cs_test_1",
        "mode": "payment",
        "status": "open",
        "payment_status": "unpaid",
        "amount_total": 1250,
        "currency": "gbp",
        "livemode": False,
        "metadata": {"order_reference": "AB-12", "checkout_id": "7"},
        "payment_intent": None,
        "customer_details": None,
    } | given


def test_a_session_without_our_names_or_that_saves_a_card_is_none_of_ours() -> None:
    assert read_state(_session(metadata={}), [], [], is_live=False) is None
    assert read_state(_session(metadata=None), [], [], is_live=False) is None
    assert read_state(_session(mode="setup"), [], [], is_live=False) is None
    ours = read_state(_session(), [], [], is_live=False)
    assert ours is not None
    assert (ours.order_reference, ours.checkout_id, ours.fault) == ("AB-12", 7, "")


@pytest.mark.parametrize("number", ["", "seven", "-1", "99999999999999999999", "٧"])
def test_a_number_that_is_none_of_ours_is_left_out(number: str) -> None:
    named = {"order_reference": "AB-12", "checkout_id": number}
    state = read_state(_session(metadata=named), [], [], is_live=False)
    assert state is not None
    assert state.checkout_id is None


def test_money_of_the_other_mode_is_told_apart() -> None:
    for is_live, livemode, fault in (
        (True, False, "it is from Stripe's test mode"),
        (False, True, "it is from Stripe's live mode"),
        (True, True, ""),
    ):
        state = read_state(_session(livemode=livemode), [], [], is_live=is_live)
        assert state is not None
        assert state.fault == fault
        event = {
            "id": "evt_1",
            "type": "checkout.session.completed",
            "livemode": livemode,
            "data": {"object": {"object": "checkout.session", "id": "cs_1"}},
        }
        assert read_news(event, is_live=is_live).fault == fault


def test_news_keeps_nothing_but_what_it_is_about() -> None:
    about = {
        "object": "charge",
        "id": "ch_1",
        "payment_intent": "pi_1",
        "billing_details": {"email": "anna@reader.example", "name": "Anna Berg"},
    }
    event = {"id": "evt_1", "type": "charge.refunded", "livemode": False, "data": {"object": about}}

    news = read_news(event, is_live=False)

    assert news.subject == "pi_1"
    assert news.payload == {"id": "evt_1", "type": "charge.refunded", "subject": "pi_1"}


def test_an_endpoint_is_whole_when_it_is_on_speaks_our_version_and_hears_all() -> None:
    whole = {
        "id": "we_1",
        "status": "enabled",
        "api_version": "v2",
        "enabled_events": list(EVENT_KINDS),
    }
    assert endpoint_fault(whole, "v2") == ""
    assert endpoint_fault(whole | {"enabled_events": ["*"]}, "v2") == ""
    assert endpoint_fault(whole, "v3") == "endpoint we_1 speaks version v2, not v3"
    broken = {"status": "disabled", "api_version": None, "enabled_events": EVENT_KINDS[:-1]}
    assert endpoint_fault(whole | broken, "v2") == (
        "endpoint we_1 is switched off and speaks version unset, not v2 and does not hear "
        "radar.early_fraud_warning.created"
    )
