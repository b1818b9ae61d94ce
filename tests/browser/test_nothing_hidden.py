"""Nothing is hidden: by a bar that stays (WCAG 2.2 2.4.11), at 400 % zoom, with letters twice as large, or
where pictures are not shown (1.4.4, 1.4.10; journeys C1, C9, C23)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import PATIENCE_MS, Walker
from tests.browser.places import Places
from tests.browser.shop import LiveShop, open_shop

pytestmark = pytest.mark.browser

TITLE = (
    "Effective SEND Practice in the Early Years: Next Steps following the Improvement Plan 2023"
    " — Second, Fully Revised Edition"
)
SUBTITLE = "Next steps following the Improvement Plan 2023"
# The widest of the faces that the style names is Noto Serif; this one is wider still.
WIDE = "document.documentElement.style.setProperty('--serif', 'DejaVu Serif')"
# Every control and every piece of text, brought into view as a link to it would: what stands at its
# middle then must be itself. And what is cut off, or reaches beyond the window.
LOOK = """() => {
  const found = [], root = document.documentElement;
  const name = at => (at.innerText || at.value || at.name || at.tagName).trim().slice(0, 40);
  if (root.scrollWidth > innerWidth) found.push(`${root.scrollWidth - innerWidth} pixels too wide`);
  for (const at of document.querySelectorAll("body *")) {
    if (at.closest(".unseen, .skip, .cover, .wide, svg") || !at.checkVisibility() || !at.getClientRects().length) continue;
    const style = getComputedStyle(at), box = at.getBoundingClientRect();
    if (style.overflowX !== "visible" && !at.matches("input") && at.scrollWidth > at.clientWidth + 1) found.push(`cut off: ${name(at)}`);
    if (box.left < -1 || box.right > innerWidth + 1) found.push(`outside: ${name(at)}`);
    const acts = at.matches("a, button, input, select, textarea, summary, label");
    const says = [...at.childNodes].some(one => one.nodeType === 3 && one.data.trim());
    if (!acts && !says) continue;
    if (at.matches("a, button") && !at.innerText.trim() && !at.ariaLabel) found.push(`nameless: ${at.outerHTML}`);
    at.scrollIntoView({block: box.height > innerHeight / 2 ? "center" : "nearest"});
    const {left, top, width, height} = at.getClientRects()[0];
    const there = document.elementFromPoint(left + width / 2, top + height / 2);
    if (!there || !(at.contains(there) || there.contains(at))) found.push(`behind another: ${name(at)}`);
  }
  scrollTo(0, 0);
  return found;
}"""
# What a bar that stays covers as the page stands now.
COVERED = """() => [...document.querySelectorAll(".stay, .pay")].flatMap(bar => {
  const {top, bottom} = bar.getBoundingClientRect();
  return [...document.querySelectorAll("main :is(a, button, input, label, .hint, dd)")]
    .filter(at => !bar.contains(at) && !at.contains(bar))
    .filter(at => [...at.getClientRects()].some(one => one.top < bottom && one.bottom > top
      && one.top < innerHeight && one.width && one.left < bar.getBoundingClientRect().right))
    .map(at => (at.innerText || at.name).trim());
})"""
# The bar that there was, and the room that is kept for the one that there is.
STICKY = ".pay { position: sticky; bottom: .6rem; z-index: 2 }"
NO_ROOM = "html { scroll-padding: 0 !important }"


def style(page: Page, rules: str) -> None:
    """Add rules to the page's own."""
    page.evaluate(
        "rules => { const sheet = new CSSStyleSheet(); sheet.replaceSync(rules);"
        " document.adoptedStyleSheets = [sheet] }",
        rules,
    )


@pytest.mark.parametrize("name", ["review", "review of a copy", "review with a code"])
def test_no_control_of_the_review_is_covered_as_it_is_first_shown(
    walker: Walker, name: str
) -> None:
    page = walker.go(name)
    button = page.get_by_role("button", name="Order and pay £1").first
    expect(button).to_be_in_viewport(ratio=1)
    assert page.evaluate(COVERED) == []
    page.set_viewport_size({"width": 390, "height": 568})
    assert page.evaluate(COVERED) == []
    style(page, STICKY)
    assert page.evaluate(COVERED) != []


@pytest.mark.parametrize("name", ["pre-order", "published"])
def test_the_bar_of_a_publication_hides_nothing_that_one_comes_to(
    walker: Walker, name: str
) -> None:
    page = walker.go(name)
    assert page.evaluate(COVERED) == []
    assert page.evaluate(LOOK) == []
    style(page, NO_ROOM)
    assert [one for one in page.evaluate(LOOK) if one.startswith("behind another")] != []


def test_a_very_long_title_leaves_price_and_button_in_the_first_screen(
    browser: Browser, tmp_path: Path
) -> None:
    with open_shop(tmp_path) as shop:
        slug = shop.publication(title=TITLE, subtitle=SUBTITLE)
        page = browser.new_page(base_url=shop.url, viewport={"width": 390, "height": 844})
        for path in (f"/publications/{slug}", "/"):
            page.goto(path)
            page.evaluate(WIDE)
            for part in (page.locator("main .price").first, page.locator("main .button").first):
                expect(part).to_be_in_viewport(ratio=1)
        style(page, ".large { --tall: 31vh !important } .long { font-size: 1.65rem }")
        expect(page.locator("main .button").first).not_to_be_in_viewport(ratio=1)
        page.close()


JOURNEY = [
    "published",
    "form with errors (422)",
    "review of a copy",
    "pay",
    "order ready",
    "order pre-ordered",
    "cancel",
    "receipt",
    "library",
    "find my copies",
]


def faults(page: Page, places: Places) -> list[str]:
    """What is hidden on the pages of the main journeys."""
    found = []
    for name in JOURNEY:
        place = places.find(name)
        page.goto(place.path)
        for act in place.acts:
            act(page)
        found += [f"{name}: {one}" for one in page.evaluate(LOOK)]
    return found


@contextmanager
def visitor(browser: Browser, shop: LiveShop, **given: Any) -> Iterator[Page]:
    """One who comes with this window."""
    context = browser.new_context(base_url=shop.url, **given)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page
    context.close()


def test_nothing_is_hidden_at_400_per_cent(
    browser: Browser, shop: LiveShop, places: Places
) -> None:
    # A window of 1280 × 1024 with every pixel four times as large.
    size = {"width": 320, "height": 256}
    with visitor(browser, shop, viewport=size, device_scale_factor=4) as page:
        assert faults(page, places) == []
        style(page, "main { height: 9rem; overflow: hidden } form { width: 30rem }")
        broken = page.evaluate(LOOK)
        assert {one.partition(":")[0] for one in broken} >= {"outside", "cut off"}


@pytest.mark.long
def test_nothing_is_hidden_with_letters_twice_as_large(
    browser: Browser, shop: LiveShop, places: Places
) -> None:
    with visitor(browser, shop, viewport={"width": 1280, "height": 1024}) as page:
        sizes = {"fontSizes": {"standard": 32, "fixed": 26}}
        page.context.new_cdp_session(page).send("Page.setFontSizes", sizes)
        assert faults(page, places) == []
        assert page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 32


def test_nothing_is_hidden_where_no_picture_is_shown(
    browser: Browser, shop: LiveShop, places: Places
) -> None:
    with visitor(browser, shop, viewport={"width": 390, "height": 844}) as page:
        asked: list[str] = []

        def refuse(route: Route) -> None:
            if route.request.resource_type == "image":
                asked.append(route.request.url)
                route.abort()
            else:
                route.fallback()

        page.route("**/*", refuse)
        assert faults(page, places) == []
        assert asked != []


def shows_cover_whole(page: Page) -> bool:
    """Whether the picture is as large as the cover it stands in, and no more."""
    sizes = page.locator(".cover:has(img)").first.evaluate(
        "at => [at, at.querySelector('img')].map(one => one.getBoundingClientRect())"
        ".map(({width, height}) => [Math.round(width), Math.round(height)])"
    )
    return bool(sizes[0] == sizes[1])


def test_a_cover_is_shown_whole_in_the_shop_and_at_the_desk(walker: Walker, owner: Walker) -> None:
    assert shows_cover_whole(walker.go("published"))
    assert shows_cover_whole(owner.go("desk publication"))
    style(owner.page, ".cover img { width: auto; height: auto }")
    assert not shows_cover_whole(owner.page)
