"""Every page under axe (WCAG 2.2 AA), on phone and desk, light and dark, and at 320 pixels: one look for
`make test`, the three others in the long run."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from store.mail.letters import kinds, preview
from tests.browser.conftest import Walker
from tests.browser.places import DESK, PUBLIC, follow
from tests.browser.shop import LiveShop
from tests.pages import check_page

pytestmark = pytest.mark.browser

AXE = Axe()
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
PAGES = (*WCAG, "best-practice")
PHONE, DESK_SIZE = (390, 844), (1280, 900)
USUAL = [(PHONE, "light"), (DESK_SIZE, "dark")]
BY_DAY, BY_NIGHT = USUAL[:1], USUAL[1:]
ALL = [(size, colours) for size in (PHONE, DESK_SIZE) for colours in ("light", "dark")]
NOT_BY_DAY, NOT_BY_NIGHT = ([look for look in ALL if look not in one] for one in (BY_DAY, BY_NIGHT))


def violations(page: Page, tags: list[str]) -> list[str]:
    """What axe finds: the rule, and where."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.axe_script)
    result: dict[str, Any] = page.evaluate(
        "tags => axe.run(document, {runOnly: tags, resultTypes: ['violations']})", tags
    )
    return [
        f"{rule['id']}: {node['target']} {node['html'][:120]}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]


def faults(
    page: Page, looks: list[tuple[tuple[int, int], str]], tags: tuple[str, ...] = PAGES
) -> list[str]:
    """What axe finds in each look, and whether the page scrolls sideways at 320 pixels."""
    found = []
    for (width, height), colours in looks:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
        found += [f"{width} {colours}: {one}" for one in violations(page, [*tags])]
    page.set_viewport_size({"width": 320, "height": 640})
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return found + ([f"{wide} pixels too wide at 320"] if wide > 0 else [])


@pytest.mark.parametrize("name", PUBLIC)
def test_a_page_of_the_shop_is_accessible(walker: Walker, name: str) -> None:
    assert faults(walker.go(name), BY_DAY) == []


@pytest.mark.parametrize("name", DESK)
def test_a_page_of_the_desk_is_accessible(owner: Walker, name: str) -> None:
    page = owner.go(name)
    if not DESK[name].acts:
        check_page(page.request.get(page.url).text(), path=name)
    assert faults(page, BY_NIGHT) == []


@pytest.mark.long
@pytest.mark.parametrize("name", PUBLIC)
def test_a_page_of_the_shop_is_accessible_in_every_other_look(walker: Walker, name: str) -> None:
    assert faults(walker.go(name), NOT_BY_DAY) == []


@pytest.mark.long
@pytest.mark.parametrize("name", DESK)
def test_a_page_of_the_desk_is_accessible_in_every_other_look(owner: Walker, name: str) -> None:
    assert faults(owner.go(name), NOT_BY_NIGHT) == []


def test_signing_in_is_accessible(walker: Walker) -> None:
    walker.page.goto("/admin/sign-in")
    assert faults(walker.page, USUAL) == []
    follow(walker.page, walker.page.get_by_role("button", name="Sign in"))
    assert faults(walker.page, USUAL) == []


def test_asking_too_often_is_an_accessible_page(walker: Walker) -> None:
    page = walker.go("find my copies")
    for _ in range(30):
        page.request.post("/find-my-copies", form={"who": ""})
    follow(page, page.get_by_role("button", name="Mail me my links"))
    assert "too often" in page.locator("main").inner_text()
    assert faults(page, USUAL) == []


@pytest.mark.parametrize("every", [BY_NIGHT, pytest.param(NOT_BY_NIGHT, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", sorted(kinds()))
def test_a_letter_is_accessible(
    browser: Browser, shop: LiveShop, kind: str, every: list[tuple[tuple[int, int], str]]
) -> None:
    with shop.app.app_context():
        html = preview(kind).html
    page = browser.new_page()
    page.set_content(html)
    try:
        assert faults(page, every, WCAG) == []
    finally:
        page.close()
