"""A list of fifty thousand customers through the desk of a shop that is served (desk-5): the browser
may close and everything may be killed half way, and pages answer meanwhile."""

import io
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from store.entitlements.models import Entitlement
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.models import Customer
from tests.admin.sign_in import PASSWORD, a_member, token_in
from tests.factories import a_publication, a_seller
from tests.serving import below, free_port, serving

# A dead worker is noticed after a minute, and a busy machine takes its time.
pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

ROWS = 50_000
SLUG = "send-early-years"
LONGEST_PAGE_SECONDS = 1.0
MINUTES = 8 * 60.0


class Browser:
    """A window of its own at the desk: cookies, forms, and redirects that are followed."""

    def __init__(self, port: int) -> None:
        self._shop = f"http://127.0.0.1:{port}"
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self.press("/admin/sign-in", email="owner@publisher.example", password=PASSWORD)

    def get(self, path: str) -> str:
        with self._opener.open(self._shop + path, timeout=60) as page:
            return str(page.read().decode())

    def press(self, path: str, **given: object) -> str:
        """Send a form of the page there; the path that it leads to."""
        boundary, body = encode_multipart({"csrf_token": token_in(self.get(path)), **given})
        request = urllib.request.Request(
            self._shop + path,
            body,
            {
                "Content-Type": f"multipart/form-data; boundary={boundary}",
                "Origin": self._shop,
            },
        )
        with self._opener.open(request, timeout=60) as page:
            return urllib.parse.urlsplit(page.url).path


@pytest.fixture
def port(app: Flask, tmp_path: Path) -> int:
    """Where a shop with a publication and an owner is to be served from the test's data folder."""
    with transaction():
        a_seller()
        a_publication()
    a_member("owner@publisher.example")
    return free_port()


def done_of(browser: Browser, path: str) -> int:
    """How many people the page says are done."""
    found = re.search(r"<b>([\d,]+) of [\d,]+</b> people done", browser.get(path))
    return int(found[1].replace(",", "")) if found else 0


def slowest_page_until(ready: Iterator[bool], port: int) -> float:
    """Ask for the front page again and again until it is so; the longest wait in seconds."""
    longest, end = 0.0, time.monotonic() + MINUTES
    for is_ready in ready:
        start = time.monotonic()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:
            page.read()
        longest = max(longest, time.monotonic() - start)
        if is_ready:
            return longest
        time.sleep(0.1)  # as a visitor reads
        assert time.monotonic() < end, "the import never came so far"
    raise AssertionError


def done(browser: Browser, path: str, people: int) -> Iterator[bool]:
    while True:
        yield done_of(browser, path) >= people


def counts() -> tuple[int, int, int]:
    """Customers, rights and letters."""
    db.session.remove()
    return tuple(
        db.session.scalar(sa.select(sa.func.count()).select_from(model)) or 0
        for model in (Customer, Entitlement, Delivery)
    )


def test_fifty_thousand_rows_survive_a_closed_browser_and_kill_9(
    app: Flask, port: int, tmp_path: Path
) -> None:
    rows = "".join(f"reader{row:05}@reader.example,Reader {row}\n" for row in range(ROWS))
    file = f"email,name\n{rows}".encode()
    choose = f"/admin/publications/{SLUG}/import"

    def chosen(browser: Browser) -> str:
        return browser.press(choose, file=FileStorage(io.BytesIO(file), "readers.csv"))

    with serving(tmp_path, port) as shop:
        browser = Browser(port)
        path = chosen(browser)
        assert f"Bring in {ROWS:,} people" in browser.get(path)
        browser.press(path, act="start")
        del browser
        again = Browser(port)
        assert slowest_page_until(done(again, path, ROWS // 2), port) < LONGEST_PAGE_SECONDS
        for one in [*below(shop)]:
            one.kill()
        shop.kill()
    half = counts()
    assert ROWS // 2 <= half[0] < ROWS
    assert half == (half[0], half[0], 0)

    with serving(tmp_path, port):
        again = Browser(port)
        assert slowest_page_until(done(again, path, ROWS), port) < LONGEST_PAGE_SECONDS
        assert counts() == (ROWS, ROWS, 0)
        for _ in range(2):
            path = chosen(again)
            assert f"0 + {ROWS:,} + 0 + 0 = {ROWS:,} rows." in again.get(path)
    assert counts() == (ROWS, ROWS, 0)
