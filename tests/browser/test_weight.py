"""What a first view costs, and what it shows before anybody scrolls (journeys G3 to G5, C1, C9)."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from store.catalog.sellers import state_seller
from store.kit.database import transaction
from store.orders.discounts import add_discount
from tests.browser.conftest import Look, Walker, new_context
from tests.browser.places import EVERYTHING, Places, press
from tests.browser.shop import LiveShop, open_shop
from tests.browser.test_nothing_hidden import style

pytestmark = pytest.mark.browser

KILOBYTE = 1000
Bodies = list[tuple[str, int]]  # kind of file, octets of the answer's body as they travelled


def bodies(page: Page, path: str) -> Bodies:
    """What one view fetches; a file that the browser kept costs nothing."""
    done: list[Request] = []

    def note(request: Request) -> None:
        done.append(request)

    page.on("requestfinished", note)
    page.goto(path, wait_until="networkidle")
    page.remove_listener("requestfinished", note)
    return [(one.resource_type, one.sizes()["responseBodySize"]) for one in done]


def total(found: Bodies, *kinds: str) -> int:
    return sum(size for kind, size in found if not kinds or kind in kinds)


@pytest.mark.parametrize("name", ["pre-order", "published"])
def test_a_first_view_is_light(
    visit: Callable[[Look], Page], shop: LiveShop, places: Places, name: str
) -> None:
    page = visit(Look())
    path = places.find(name).path
    first = bodies(page, path)
    assert len(first) <= 6
    assert total(first) - total(first, "image") <= 15 * KILOBYTE
    assert total(first) <= 40 * KILOBYTE
    assert total(first, "stylesheet") <= 5 * KILOBYTE
    assert total(first, "script") <= 3 * KILOBYTE
    page.goto("/privacy")
    assert total(bodies(page, path)) <= 8 * KILOBYTE


INDEXED = [
    "home",
    "pre-order",
    "published",
    "all editions",
    "sample",
    "find my copies",
    "terms",
    "privacy",
    "accessibility",
]
# How far things have moved under the reader's eyes (Cumulative Layout Shift).
MOVED = """() => new Promise(done => new PerformanceObserver(list => done(
  list.getEntries().reduce((sum, one) => sum + one.value, 0))).observe({type: "layout-shift", buffered: true})
  || requestAnimationFrame(() => requestAnimationFrame(() => done(0))))"""
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
# A cover whose room is not kept until its picture is there.
NO_ROOM = """const sheet = new CSSStyleSheet();
sheet.replaceSync(".front { display: block } .cover, .cover * { aspect-ratio: auto !important; height: auto !important }");
document.adoptedStyleSheets = [sheet];"""


def moved(page: Page, path: str) -> float:
    """How far a page moves whose pictures come last."""
    held: list[Route] = []
    is_drawn = threading.Event()

    def hold(route: Route) -> None:
        if is_drawn.is_set():
            route.continue_()
        else:
            held.append(route)

    page.route("**/covers/**", hold)
    page.goto(path, wait_until="domcontentloaded")
    page.evaluate(DRAWN)
    is_drawn.set()
    for route in held:
        route.continue_()
    page.wait_for_load_state("load")
    page.evaluate(DRAWN)
    page.unroute_all()
    return float(page.evaluate(MOVED))


@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.long)])
def test_nothing_moves_while_a_page_loads(
    visit: Callable[[Look], Page], places: Places, width: int
) -> None:
    page = visit(Look(width, 844))
    assert {name: moved(page, places.find(name).path) for name in INDEXED} == dict.fromkeys(
        INDEXED, 0
    )
    page = visit(Look(width, 844))  # which has no cover yet
    page.add_init_script(NO_ROOM)
    assert moved(page, places.find("published").path) > 0


def test_a_shelf_of_a_dozen_covers_is_light(visit: Callable[[Look], Page]) -> None:
    first = bodies(visit(Look()), "/")
    # A cover is a picture of its own, fetched when it comes into view, or is drawn in the page.
    assert total(first) - total(first, "image") <= 40 * KILOBYTE


@pytest.mark.parametrize(
    ("name", "act"), [("pre-order", "Pre-order for £12.50"), ("published", "Buy for £12.50")]
)
def test_title_price_and_button_come_before_the_fold(walker: Walker, name: str, act: str) -> None:
    page = walker.go(name)
    main = page.locator("main")
    when = "Pre-order: published" if name == "pre-order" else "Edition 2"
    for part in (
        page.locator("h1"),
        main.get_by_text("Published by Early Years Sample Press"),
        main.locator(".price").first,
        main.get_by_text("No VAT to pay").first,
        main.get_by_text(when).first,
        page.get_by_role("link", name=act).first,
    ):
        expect(part).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("name", ["review", "review of a copy"])
def test_the_button_of_the_review_is_in_view(walker: Walker, name: str) -> None:
    button = walker.go(name).get_by_role("button", name="Order and pay £12.50")
    expect(button).to_be_in_viewport(ratio=1)


def test_the_main_button_is_in_view_with_everything_filled_in(
    browser: Browser, tmp_path: Path
) -> None:
    with open_shop(tmp_path) as shop:
        with shop.app.app_context(), transaction():
            state_seller(countries="GB,IE")
            add_discount("Early bird", code="PLACES20", percent=20)
        # Both ask for the consent: the pre-order comes within its 14 days.
        slugs = [shop.publication(), shop.publication(editions=1)]
        page = new_context(browser, shop, Look(scripts=False)).new_page()
        for slug in slugs:
            page.goto(f"/publications/{slug}/order")
            _without_the_demonstration_bar(page)
            expect(page.get_by_role("button", name="Continue")).to_be_in_viewport(ratio=1)
            page.get_by_label("Country you live in").select_option("IE")
            press("Continue", **EVERYTHING, Discount_code="PLACES20")(page)
            _without_the_demonstration_bar(page)
            assert page.locator(".answers > div").count() == 6
            button = page.get_by_role("button", name="Order and pay £10.00")
            expect(button).to_be_in_viewport(ratio=1)
            expect(page.get_by_label("Send me the guide straight away")).to_be_in_viewport(ratio=1)
            style(page, ".brief > div { padding-block: .38rem !important }")
            expect(button).not_to_be_in_viewport(ratio=1)
        page.context.close()


@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
def test_who_pays_by_bank_sees_where_to_before_the_fold(
    walker: Walker, size: tuple[int, int]
) -> None:
    page = walker.go("order to be paid by bank")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    expect(page.locator(".offer").get_by_text("Sort code 00-00-00")).to_be_in_viewport(ratio=1)


def _without_the_demonstration_bar(page: Page) -> None:
    """As in a shop that sells: there is no such bar."""
    page.locator(".demo").evaluate("bar => bar.remove()")


def test_an_order_takes_one_field_and_four_presses(walker: Walker) -> None:
    page = walker.go("pre-order")
    page.get_by_role("link", name="Pre-order for £12.50").first.click()  # 1
    # What is folded is no field that anybody sees.
    fields = page.locator("main form").get_by_role("textbox")
    assert [one.get_attribute("name") for one in fields.all()] == ["email", "name"]
    page.get_by_label("E-mail address").fill("gus@places.example")
    page.get_by_role("button", name="Continue").click()  # 2
    page.get_by_role("button", name="Order and pay £12.50").click()  # 3
    page.get_by_role("button", name="Pay £12.50").click()  # 4
    expect(page.locator("h1")).to_have_text("Thank you for your pre-order")
