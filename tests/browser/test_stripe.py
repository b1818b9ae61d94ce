"""Paying through Stripe's page in a real browser, which holds the way there against our policy."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from store.kit import web
from store.kit.database import transaction
from store.orders.models import Order, OrderStatus
from tests.factories import a_publication, a_seller
from tests.payments.stripe_shop import (  # noqa: F401 - fixtures
    DECLINED_CARD,
    GOOD_CARD,
    double,
    newest_session,
    port,
    served,
    shop,
    stripe_server,
)
from tests.rows import rows
from tests.stripe_double import StripeDouble

pytestmark = pytest.mark.browser


@pytest.fixture(params=[390, pytest.param(1280, marks=pytest.mark.long)])
def visitor(
    request: pytest.FixtureRequest,
    browser: Browser,
    shop: Flask,  # noqa: F811
    served: str,  # noqa: F811
) -> Iterator[Page]:
    """A visitor of a shop with one pre-order at £12.50, on a phone or at a desk."""
    with transaction():
        a_seller()
        a_publication()
    context = browser.new_context(
        base_url=served, viewport={"width": request.param, "height": 844}, locale="en-GB"
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


def _to_the_payment(page: Page) -> None:
    page.goto("/publications/send-early-years")
    expect(page.locator("body")).to_contain_text("with Stripe in test mode")
    page.get_by_role("link", name=re.compile("Pre-order for £12.50")).first.click()
    page.get_by_label("E-mail address").fill("anna@reader.example")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Continue to payment").click()


def test_a_buyer_is_led_to_stripes_page_and_back(
    visitor: Page,
    double: StripeDouble,  # noqa: F811
) -> None:
    _to_the_payment(visitor)
    expect(visitor.locator("h1")).to_have_text("Pay Example Press")
    assert visitor.url == newest_session(double)["url"]

    visitor.locator("[name=card]").fill(DECLINED_CARD)
    visitor.get_by_role("button", name="Pay £12.50").click()
    expect(visitor.get_by_role("alert")).to_be_visible()
    visitor.locator("[name=card]").fill(GOOD_CARD)
    visitor.get_by_role("button", name="Pay £12.50").click()

    expect(visitor.locator("h1")).to_have_text("Thank you for your pre-order")
    assert rows(Order.status) == [(OrderStatus.PAID,)]


def test_a_buyer_who_turns_back_finds_everything_as_it_was(
    visitor: Page,
    double: StripeDouble,  # noqa: F811
) -> None:
    _to_the_payment(visitor)
    visitor.get_by_role("link", name="Back").click()

    expect(visitor.locator("main")).to_contain_text("You have not been charged.")
    expect(visitor.locator("main")).to_contain_text("a•••@reader.example")
    visitor.get_by_role("button", name="Continue to payment").click()
    expect(visitor.locator("h1")).to_have_text("Pay Example Press")
    assert len(double.control.state()["checkout.session"]) == 1


def test_a_policy_that_does_not_name_stripes_page_would_hold_the_buyer_back(
    visitor: Page,
    double: StripeDouble,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = web.PAGE_POLICY
    monkeypatch.setattr(
        web, "PAGE_POLICY", named.replace("form-action 'self'", "form-action  'self'")
    )
    with visitor.expect_console_message(lambda message: "form-action" in message.text):
        _to_the_payment(visitor)
    assert not visitor.url.startswith(double.url)
