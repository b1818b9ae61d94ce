"""One shop and one browser for all; a fresh visitor for each test, whose page must stay quiet."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

from tests.browser.shop import LiveShop, open_shop

CHROMIUM = shutil.which("chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"]


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
OTHERS = [
    Look(),
    Look(dark=True),
    Look(dark=True, scripts=False),
    Look(1280, 900),
    Look(1280, 900, scripts=False),
    Look(1280, 900, dark=True, scripts=False),
]


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
        if response.status >= 400 and response.request.is_navigation_request():
            self.refused.add(response.url)
        elif response.status >= 400:
            self.faults.append(f"{response.status} from {response.url}")

    def _failed(self, request: Request) -> None:
        # A download ends the navigation that began it.
        if not (request.is_navigation_request() and "/download/" in request.url):
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


@pytest.fixture
def visit(browser: Browser, shop: LiveShop) -> Iterator[Callable[[Look], Page]]:
    """Come with a look: a fresh page at the shop; in the end nothing was amiss, no cookie set."""
    watched = Visit(shop.url)
    contexts = []

    def come(look: Look) -> Page:
        context = browser.new_context(
            base_url=shop.url,
            viewport={"width": look.width, "height": look.height},
            color_scheme="dark" if look.dark else "light",
            java_script_enabled=look.scripts,
            has_touch=look.width < 600,
            locale="en-GB",
        )
        contexts.append(context)
        context.on("page", watched.watch)
        page = context.new_page()
        page.set_default_timeout(15_000)
        return page

    yield come
    cookies = [cookie["name"] for context in contexts for cookie in context.cookies()]
    for context in contexts:
        context.close()
    assert watched.faults == []
    assert set(cookies) <= {"desk"}


@pytest.fixture(
    params=[PHONE_PLAIN, DESK_DARK, *(pytest.param(one, marks=pytest.mark.long) for one in OTHERS)],
    ids=str,
)
def page(request: pytest.FixtureRequest, visit: Callable[[Look], Page]) -> Page:
    """A visitor's page: on a phone without scripts, at a desk in the dark; the rest in the long run."""
    return visit(request.param)
