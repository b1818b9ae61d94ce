"""From the letter to the file: library, download, find my copies, stop notices."""

import hashlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from store.demo.seed import edition_files
from tests.browser.shop import LiveShop, link_of

pytestmark = pytest.mark.browser
TITLE = "Effective SEND Practice in the Early Years"


def download(page: Page, name: str) -> tuple[str, str]:
    """Press a link of the library; the file's name and its SHA-256."""
    with page.expect_download() as begun:
        page.get_by_role("link", name=re.compile(f"^{name}")).click()
    file = begun.value
    return file.suggested_filename, hashlib.sha256(file.path().read_bytes()).hexdigest()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_released_edition_comes_by_letter_and_down_whole(page: Page, shop: LiveShop) -> None:
    slug = shop.publication(title=TITLE)
    address = f"ben@{slug}.example"
    shop.order(slug, address)
    shop.release(slug, 1)
    shop.letter(address, "edition 1")
    page.goto(f"/demo/inbox?to={address}")
    page.get_by_role("link", name="edition 1").click()
    frame = page.frame_locator("iframe.letter")
    frame.get_by_role("link", name="Get edition 1").click()
    expect(page.locator("h1")).to_have_text("Your copies")
    pdf, epub = edition_files(1)
    assert download(page, "Download PDF") == (f"{TITLE}, edition 1.pdf", sha256(pdf))
    assert download(page, "Download EPUB") == (f"{TITLE}, edition 1.epub", sha256(epub))


def test_an_old_link_leads_to_the_renewed_edition(page: Page, shop: LiveShop) -> None:
    slug = shop.publication(editions=1)
    address = f"ben@{slug}.example"
    shop.order(slug, address)
    page.goto(shop.path_in(shop.letter(address), "library"))
    old = page.url
    expect(page.locator("main")).to_contain_text("Edition 1, newest")
    shop.release(slug, 2)
    page.goto(old)
    expect(page.locator("main")).to_contain_text("Edition 2, newest")
    expect(page.locator("main")).to_contain_text("What changed")
    assert download(page, "Download PDF")[1] == sha256(edition_files(2)[0])
    page.get_by_text("Earlier editions").click()
    assert download(page, "PDF of edition 1")[1] == sha256(edition_files(1)[0])
    assert link_of(shop.path_in(shop.letter(address, "edition 2"), "library")) == link_of(old)


def test_lost_links_are_mailed_again(page: Page, shop: LiveShop) -> None:
    slug = shop.publication(editions=1)
    address = f"ben@{slug}.example"
    shop.order(slug, address)
    page.goto("/")
    page.get_by_role("link", name="Find my copies").click()
    page.get_by_role("button", name="Mail me my links").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("E-mail address or order reference").fill(address)
    page.get_by_role("button", name="Mail me my links").click()
    expect(page.locator("h1")).to_have_text("Look in your mailbox")
    page.goto(shop.path_in(shop.letter(address, "copies"), "library"))
    expect(page.get_by_role("link", name="Download PDF")).to_be_visible()


def test_a_broken_link_mails_a_fresh_one_by_one_press(page: Page, shop: LiveShop) -> None:
    slug = shop.publication(editions=1)
    address = f"ben@{slug}.example"
    shop.order(slug, address)
    path = shop.path_in(shop.letter(address), "library")
    page.goto(path[:-9] + ("A" if path[-9] != "A" else "B") + path[-8:])
    expect(page.locator("h1")).to_have_text("Part of this link is missing")
    assert slug not in page.content()
    page.get_by_role("button", name="Mail me a fresh link").click()
    expect(page.locator("h1")).to_have_text("Look in your mailbox")
    assert link_of(shop.path_in(shop.letter(address, "copies"), "library")) == link_of(path)


def test_notices_are_stopped_by_one_press_and_undone_there(page: Page, shop: LiveShop) -> None:
    slug = shop.publication(editions=1)
    address = f"ben@{slug}.example"
    shop.order(slug, address)
    shop.release(slug, 2)
    page.goto(shop.path_in(shop.letter(address, "edition 2"), "stop"))
    expect(page.locator("h1")).to_have_text("Stop news of new editions")
    page.get_by_role("button", name="Stop news of new editions").click()
    expect(page.locator("h1")).to_have_text("News of new editions is stopped")
    page.get_by_role("button", name="Write to me again").click()
    expect(page.locator("h1")).to_have_text("You get news of new editions again")
