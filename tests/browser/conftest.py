"""One shop and one browser for all; a fresh visitor for each test, whose page must stay quiet."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    StorageState,
    expect,
    sync_playwright,
)

from tests.browser.places import Places
from tests.browser.shop import LiveShop, open_shop

CHROMIUM = shutil.which("chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"]

# A page may wait for the gate, the worker and a machine that does other things besides.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


@dataclass(frozen=True)
class Look:
    """How a visitor comes: size of the window, colours, with scripts or without."""

    width: int = 390
    height: int = 844
    dark: bool = False
    scripts: bool = True

    def __str__(self) -> str:
        colours = "dark" if self.dark else "light"
        return f"{self.width}-{colours}-{'scripts' if self.scripts else 'plain'}"


PHONE_PLAIN = Look(scripts=False)
DESK_DARK = Look(1280, 900, dark=True)
LOOKS = [
    PHONE_PLAIN,
    DESK_DARK,
    Look(),
    Look(dark=True),
    Look(dark=True, scripts=False),
    Look(1280, 900),
    Look(1280, 900, scripts=False),
    Look(1280, 900, dark=True, scripts=False),
]


def looks(first: Look) -> list[Any]:
    """One look for `make test`; the others are left to the long run."""
    others = (one for one in LOOKS if one != first)
    return [first, *(pytest.param(one, marks=pytest.mark.long) for one in others)]


@dataclass
class Visit:
    """Everything about a visitor's pages that should not be."""

    shop: str
    faults: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    def watch(self, page: Page) -> None:
        """Listen to a page."""
        page.on("console", self._console)
        page.on("pageerror", lambda fault: self.faults.append(f"script: {fault}"))
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("requestfailed", self._failed)

    def _console(self, message: ConsoleMessage) -> None:
        # A page that is answered with 404 or 422 is no fault; Chromium notes it as one.
        noted = message.text.startswith("Failed to load resource")
        if not (noted and message.location["url"] in self.refused):
            self.faults.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.shop, "data:", "about:")):
            self.faults.append(f"asked elsewhere: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self.faults.append(f"{response.status} from {response.url}")
            return
        # A page may say no, and so may the answer to an upload by the script.
        if response.status >= 400 and response.request.resource_type in {"document", "xhr"}:
            self.refused.add(response.url)
        elif response.status >= 400:
            self.faults.append(f"{response.status} from {response.url}")

    def _failed(self, request: Request) -> None:
        # Going to another page, or beginning a download, breaks off what the page was fetching.
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"failed: {request.url} ({request.failure})")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The one Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield running
        running.close()


@pytest.fixture(scope="session")
def live_shop(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveShop]:
    """The one shop."""
    with open_shop(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


@pytest.fixture
def shop(live_shop: LiveShop) -> LiveShop:
    """The shop, with nobody's presses counted yet."""
    live_shop.forget_limits()
    return live_shop


def new_context(
    browser: Browser, shop: LiveShop, look: Look, kept: StorageState | None = None
) -> BrowserContext:
    """A visitor without any past, or with the cookies that were kept."""
    return browser.new_context(
        base_url=shop.url,
        viewport={"width": look.width, "height": look.height},
        color_scheme="dark" if look.dark else "light",
        java_script_enabled=look.scripts,
        has_touch=look.width < 600,
        locale="en-GB",
        storage_state=kept,
    )


def sign_in(page: Page, shop: LiveShop) -> None:
    """Through the desk's form, as its owner."""
    page.goto("/admin/")
    page.get_by_label("E-mail address").fill(shop.owner)
    page.get_by_label("Password").fill(shop.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_title(re.compile("Home"))


@pytest.fixture
def visit(browser: Browser, shop: LiveShop) -> Iterator[Callable[[Look], Page]]:
    """Come with a look: a fresh page at the shop; in the end nothing was amiss, no cookie set."""
    watched = Visit(shop.url)
    contexts = []

    def come(look: Look) -> Page:
        context = new_context(browser, shop, look)
        contexts.append(context)
        context.on("page", watched.watch)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        return page

    yield come
    cookies = [cookie["name"] for context in contexts for cookie in context.cookies()]
    for context in contexts:
        context.close()
    assert watched.faults == []
    assert set(cookies) <= {"desk"}


@pytest.fixture(params=looks(PHONE_PLAIN), ids=str)
def page(request: pytest.FixtureRequest, visit: Callable[[Look], Page]) -> Page:
    """A visitor's page: on a phone without scripts; the other looks in the long run."""
    return visit(request.param)


@pytest.fixture(scope="session")
def places(live_shop: LiveShop) -> Places:
    """A shop in which every kind of page can be seen."""
    live_shop.forget_limits()
    stocked = Places(live_shop)
    stocked.stock()
    return stocked


@dataclass
class Walker:
    """Somebody who looks at many pages in a row, and what was amiss on the way."""

    page: Page
    visit: Visit
    places: Places
    signs_in: bool = False

    def go(self, name: str) -> Page:
        """To one kind of page, at phone size in the light."""
        place = self.places.find(name)
        self.page.set_viewport_size({"width": 390, "height": 844})
        self.page.emulate_media(color_scheme="light")
        self.page.goto(place.path)
        if self.signs_in and "/sign-in" in self.page.url:  # another test signed the owner out
            sign_in(self.page, self.places.shop)
            self.page.goto(place.path)
        # Led elsewhere, such as to the sign-in, every page would be looked at but this one.
        assert urlsplit(self.page.url).path == urlsplit(place.path).path
        for act in place.acts:
            act(self.page)
        return self.page


@pytest.fixture(scope="session")
def walkers(browser: Browser, live_shop: LiveShop, places: Places) -> Iterator[dict[str, Walker]]:
    """A customer and the owner at the desk, each with one page for the whole run."""
    found = {}
    contexts = [new_context(browser, live_shop, Look()) for _ in range(2)]
    for name, context in zip(("customer", "owner"), contexts, strict=True):
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        if name == "owner":
            sign_in(page, live_shop)
        watched = Visit(live_shop.url)
        watched.watch(page)
        found[name] = Walker(page, watched, places, signs_in=name == "owner")
    yield found
    for context in contexts:
        context.close()


@pytest.fixture
def walker(walkers: dict[str, Walker], shop: LiveShop) -> Iterator[Walker]:
    """The customer, whose pages stayed quiet in the end."""
    yield from _watched(walkers["customer"])


@pytest.fixture
def owner(walkers: dict[str, Walker], shop: LiveShop) -> Iterator[Walker]:
    """The owner at the desk, likewise."""
    yield from _watched(walkers["owner"])


def _watched(walker: Walker) -> Iterator[Walker]:
    walker.visit.faults.clear()
    walker.visit.refused.clear()
    yield walker
    assert walker.visit.faults == []
