"""The order by keyboard alone: every stop is seen, in the order of the page."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Look, Walker
from tests.browser.places import DESK, PUBLIC
from tests.browser.shop import LiveShop

pytestmark = pytest.mark.browser

# Where the focus is: its name, its ring, where it stands and whether that can be seen.
STOP = """() => {
  const at = document.activeElement, box = at.getBoundingClientRect();
  const style = getComputedStyle(at);
  const all = [...document.querySelectorAll("*")];
  return {
    tag: at.tagName, name: at.getAttribute("aria-label") || at.innerText || at.name || "",
    ring: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
    index: all.indexOf(at), top: box.top + scrollY,
    seen: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""


def stops(page: Page) -> list[dict[str, Any]]:
    """Tab through the whole page, from its start until the focus leaves it."""
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0) }")
    found: list[dict[str, Any]] = []
    for _ in range(150):
        page.keyboard.press("Tab")
        stop = page.evaluate(STOP)
        if stop["tag"] in {"BODY", "HTML"} or (found and stop["index"] == found[0]["index"]):
            return found
        if not (found and stop["index"] == found[-1]["index"]):  # a date has stops of its own
            found.append(stop)
    raise AssertionError("the focus never leaves the page")


def faults(page: Page) -> list[str]:
    """Stops that are not seen, have no ring, or come out of order."""
    walked = stops(page)
    # In a letter's frame the focus is on a link of the letter, and the ring there.
    ours = [one for one in walked if one["tag"] != "IFRAME"]
    found = [f"no ring: {one['name']}" for one in ours if one["ring"] < 2.5]
    found += [f"not seen: {one['name']}" for one in walked if not one["seen"]]
    order = [one["index"] for one in walked]
    if order != sorted(order):
        found.append(f"out of order: {[one['name'] for one in walked]}")
    return found


@pytest.mark.parametrize("name", ["published", "form", "review", "order pre-ordered", "library"])
def test_every_stop_of_a_page_is_seen_and_in_order(walker: Walker, name: str) -> None:
    page = walker.go(name)
    assert stops(page)[0]["name"] == "Skip to the main part"
    assert faults(page) == []


@pytest.mark.long
@pytest.mark.parametrize("name", PUBLIC)
def test_every_stop_of_every_page_is_seen_and_in_order(walker: Walker, name: str) -> None:
    assert faults(walker.go(name)) == []


@pytest.mark.long
@pytest.mark.parametrize("name", DESK)
def test_every_stop_of_the_desk_is_seen_and_in_order(owner: Walker, name: str) -> None:
    assert faults(owner.go(name)) == []


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on what bears this name."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(STOP)["name"].strip() == name:
            return
    raise AssertionError(f"no way to {name} by keyboard")


def test_an_order_needs_no_mouse(visit: Callable[[Look], Page], shop: LiveShop) -> None:
    slug = shop.publication()
    page = visit(Look())
    page.goto(f"/publications/{slug}")
    tab_to(page, "Pre-order for £12.50")
    page.keyboard.press("Enter")
    page.wait_for_url("**/order")
    tab_to(page, "email")
    page.keyboard.type(f"kim@{slug}.example")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Check your order")
    tab_to(page, "wants_now")
    page.keyboard.press("Space")
    tab_to(page, "Order and pay £12.50 by card")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Pay £12.50")
    tab_to(page, "Pay £12.50")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Thank you for your pre-order")


def test_the_skip_link_leads_past_the_head(walker: Walker) -> None:
    page = walker.go("published")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
